"""What `impasto sample` does with its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    import torch

    from impasto.curation.choosing import Group, Scorer
    from impasto.curation.judges import FieldJudges
    from impasto.sampling.painter import Painter
    from impasto.sampling.points import Points

SEEDS, SEEDS_OF_EVERY_CLASS = "0-63", "0-7"
PER_CLASS, CANDIDATES = 8, 512
SPREAD = 0.3


@dataclass(frozen=True)
class Options:
    """What is asked for, as it was given."""

    seeds: str | None
    truncation: float | None
    classes: list[str] | None
    every_class: str | None
    stages: bool
    curate: str | None
    per_class: int | None
    candidates: int | None
    judge: str | None
    to_report: bool
    variations: str | None
    spread: float | None
    points: list[Path] | None
    save_points: Path | None
    edit: list[str] | None
    directions: Path | None
    grid: Path | None
    out: Path | None

    def check(self) -> None:
        """Raises: ImpastoError: options that do not go together, or a grid that cannot be written."""
        from impasto.sampling.output import check_grid_path

        if self.grid is not None and self.out is not None:
            raise ImpastoError(
                "--grid makes one picture and --out one a seed: choose one of the two"
            )
        self._check_curate()
        if self.seeds is not None and self.candidates is not None:
            raise ImpastoError(
                f"--from {self.candidates} looks at seeds 0-{self.candidates - 1}, and --seeds at "
                "others: choose one of the two"
            )
        if self.points:
            reason = "--points has latents and classes of its own"
            self.leave_out(reason, "seeds", "classes", "every_class", "truncation", "curate")
        if self.variations is not None:
            self.leave_out("--variations are of one picture", "points", "every_class", "curate")
        elif self.spread is not None:
            raise ImpastoError("--spread is how far --variations go: add it, or leave --spread out")
        if self.save_points is not None:
            self.leave_out("--save-points keeps seeds or points", "curate", "every_class")
        if self.edit:
            self.leave_out("--edit moves seeds or points", "curate", "every_class", "variations")
        elif self.directions is not None:
            raise ImpastoError("--directions is the file that --edit takes from: add --edit")
        if self.grid is not None:
            check_grid_path(self.grid)

    def _check_curate(self) -> None:
        if self.curate not in (None, "best", "worst"):
            raise ImpastoError(f"--curate takes best or worst, not '{self.curate}'")
        if self.curate is None and (self.per_class is not None or self.candidates is not None):
            raise ImpastoError("--per-class and --from choose among pictures: add --curate best")
        if self.curate is None and self.judge is not None:
            raise ImpastoError("--judge helps to choose among pictures: add --curate best")
        if self.curate is None and self.to_report:
            raise ImpastoError("--to-report is for pictures that are chosen: add --curate best")
        if self.to_report and (self.grid or self.out):
            raise ImpastoError(
                "--to-report writes into the run's folder: leave out --grid and --out"
            )
        if self.to_report and self.stages:
            raise ImpastoError("--to-report shows the last stage only: leave out --stages")

    def leave_out(self, reason: str, *names: str) -> None:
        """Raises: ImpastoError: one of these is given."""
        for name in names:
            if getattr(self, name) is not None:
                option = "class" if name == "classes" else name.replace("_", "-")
                raise ImpastoError(f"{reason}: leave out --{option}")

    @property
    def looked_at(self) -> int | None:
        """With --curate, the number of pictures to choose from."""
        return None if self.curate is None else self.candidates or CANDIDATES


def check_new(folder: Path | None) -> None:
    """Raises: ImpastoError: there is such a folder already."""
    if folder is not None and folder.exists():
        raise ImpastoError(f"{folder} exists already; choose another folder with --out")


def seeds_of(text: str | None, *, every_class: bool, candidates: int | None) -> list[int]:
    """The requested seeds without repeats, or the default: the first `candidates`."""
    from impasto.sampling import parse_seeds

    usual = SEEDS_OF_EVERY_CLASS if every_class else SEEDS
    if candidates is not None:
        usual = f"0-{candidates - 1}"
    asked = parse_seeds(usual if text is None else text)
    numbers = list(dict.fromkeys(asked))
    if len(numbers) < len(asked):
        again = counted(len(asked) - len(numbers), "seed")
        typer.echo(f"note: {again} given twice: each seed counts once", err=True)
    return numbers


def paint_seeds(
    painter: Painter,
    seeds: list[int],
    labels: torch.Tensor,
    grid: Path | None,
    out: Path,
    save_points: Path | None,
) -> None:
    """Generate a picture for each seed, with labels [B, F] or class weights [B, K]."""
    from impasto.sampling.output import save_grid_of, save_pictures, seed_name

    if save_points is not None:
        typer.echo(f"points in {quoted(painter.points(seeds, labels).save(save_points))}")
    pictures = painter.paint(seeds, labels)
    if grid is not None:
        save_grid_of(pictures, grid)
    else:
        names = [seed_name(seed) for seed in seeds]
        save_pictures(pictures, names, out, painter.texts(seeds, labels))
    typer.echo(f"{counted(len(seeds), 'picture')} in {quoted(grid or out)}")


def points_of_files(painter: Painter, files: list[Path]) -> Points:
    """All points of some files."""
    from impasto.sampling.points import Points, joined

    return joined([Points.load(file, painter.record) for file in files])


def paint_variations(
    painter: Painter,
    options: Options,
    seeds: list[int],
    chosen: dict[int, int],
    mixtures: dict[int, dict[int, float]],
    out: Path,
) -> None:
    """Generate variations of a seed or a point."""
    from impasto.exploring.mixing import variations_of
    from impasto.exploring.walk_options import parse_around
    from impasto.sampling.class_choice import mixed
    from impasto.sampling.output import seed_name

    numbers, files = parse_around(options.variations or "")
    if files:
        options.leave_out("a file's point has classes of its own", "classes")
        centre = points_of_files(painter, files)
    else:
        labels = mixed(painter.record, painter.labels(numbers, chosen), mixtures)
        centre = painter.points(numbers, labels)
    spread = SPREAD if options.spread is None else options.spread
    points = variations_of(painter, centre, seeds, spread)
    names = [f"variation-{seed_name(seed)}" for seed in seeds]
    paint_points(painter, points, names, options.grid, out, options.save_points)


def paint_points(
    painter: Painter,
    points: Points,
    names: list[str],
    grid: Path | None,
    out: Path,
    save_points: Path | None,
) -> None:
    """Generate a picture for each point; without a grid, as files of these names."""
    from impasto.sampling.output import save_grid_of, save_pictures

    if save_points is not None:
        typer.echo(f"points in {quoted(points.save(save_points))}")
    pictures = painter.paint_points(points)
    if grid is not None:
        save_grid_of(pictures, grid)
    else:
        texts = (points.text(number) for number in range(len(points)))
        save_pictures(pictures, names, out, texts)
    typer.echo(f"{counted(len(points), 'picture')} in {quoted(grid or out)}")


def paint_edited(
    painter: Painter,
    options: Options,
    folder: Path,
    seeds: list[int],
    labels: torch.Tensor,
    out: Path,
) -> None:
    """Generate points of files, or the seeds with these labels [B, F] or class weights [B, K], moved as
    `--edit` asks."""
    from impasto.exploring.directions import Directions, parse_edits, usual_path
    from impasto.sampling.output import seed_name

    if options.points:
        points = points_of_files(painter, options.points)
        names = [f"point-{number:04d}" for number in range(len(points))]
    else:
        points, names = painter.points(seeds, labels), [seed_name(seed) for seed in seeds]
    if options.edit:
        edits = parse_edits(options.edit)
        found = Directions.load(options.directions or usual_path(folder), painter.record)
        points = found.edited(points, edits)
    paint_points(painter, points, names, options.grid, out, options.save_points)


def paint_every_class(
    painter: Painter,
    seeds: list[int],
    chosen: dict[int, int],
    field: int,
    *,
    grid: Path | None,
    out: Path | None,
    default: Path,
) -> None:
    """Generate each seed in every class of a field; into the grid `default` if neither `grid` nor
    `out` is given."""
    from impasto.sampling.class_choice import every_class
    from impasto.sampling.output import save_grid_of, save_pictures, seed_name, slugs

    columns = every_class(painter.record, field, chosen)
    count = len(columns.classes)
    labels = columns.labels.repeat(len(seeds), 1)
    repeated = [seed for seed in seeds for _ in range(count)]
    pictures = painter.paint(repeated, labels)
    known = painter.record.labels[field]
    if out is None:
        grid = grid or default.with_name(f"{default.name}-every-{slugs([known.name])[0]}.png")
        save_grid_of(pictures, grid, count, above=columns.classes)
    else:
        safe = dict(zip(known.classes, slugs(known.classes), strict=True))
        parts = [f"{slugs([known.name])[0]}-{safe[name]}" for name in columns.classes]
        names = [f"{seed_name(seed)}-{part}" for seed in seeds for part in parts]
        save_pictures(pictures, names, out, painter.texts(repeated, labels))
    typer.echo(
        f"{counted(len(seeds), 'seed')} in {count} of {len(known.classes)} classes of "
        f"{known.name}: {quoted(str(out or grid))}"
    )


def judges_of(
    painter: Painter, groups: list[Group], data: str, device: torch.device
) -> FieldJudges:
    """A collection's judges for the groups' classes."""
    from impasto.collection import open_or_pack
    from impasto.curation.judges import FieldJudges
    from impasto.evaluation.evaluate import Evaluator
    from impasto.features import load_network
    from impasto.progress import shown

    side = painter.record.resolution
    network = load_network("lite0", device=device)
    evaluator = Evaluator([network], open_or_pack(data, side), resolution=side, progress=shown)
    return FieldJudges.of(evaluator, painter.record, [group.chosen for group in groups])


def scorer_of(
    painter: Painter, folder: Path, groups: list[Group], judge: str | None, device: torch.device
) -> Scorer:
    """The scorer of the candidates; prints the judge of each field, if judges are used."""
    from impasto.curation.choosing import Scorer
    from impasto.sampling.model import load_discriminator

    if judge is None:
        return Scorer(painter, load_discriminator(folder))
    judges = judges_of(painter, groups, judge, device)
    for line in judges.lines():
        typer.echo(line)
    if painter.record.discriminator_sha256 is None:
        typer.echo("no discriminator beside this model: chosen by the judge's confidence alone")
        return Scorer(painter, None, judges)
    return Scorer(painter, load_discriminator(folder), judges)


def keep_pictures(
    scorer: Scorer,
    seeds: list[int],
    groups: list[Group],
    count: int,
    *,
    worst: bool,
    grid: Path | None,
    out: Path,
    run: Path | None,
) -> None:
    """Score the seeds' pictures in every group, print a summary, and write the kept ones; for the
    report of `run`, if it is given."""
    from impasto.curation.choosing import choose
    from impasto.curation.for_report import save_for_report
    from impasto.progress import ProgressLine

    with ProgressLine(len(groups) * len(seeds), 0).shown() as progress:
        choice = choose(scorer, groups, seeds, count, worst=worst, progress=progress.update)
    for line in choice.lines():
        typer.echo(line)
    if run is not None:
        shown, table = save_for_report(choice, run)
        typer.echo(f"{quoted(shown)}, its scores in {quoted(table)}")
        typer.echo(f"to see it in the report: impasto report {quoted(run)}")
    elif grid is None:
        choice.save_folder(out)
        typer.echo(f"pictures and scores.csv in {quoted(out)}")
    else:
        typer.echo(f"{quoted(grid)}, its scores in {quoted(choice.save_grid(grid))}")


def paint(
    painter: Painter,
    options: Options,
    folder: Path,
    device: torch.device,
    target: Path,
    run: Path | None,
) -> None:
    """Generate the pictures that the options ask for.

    Args:
        painter: of the model.
        options: what is asked for.
        folder: of the model.
        device: that judges run on.
        target: the folder of the pictures by default.
        run: the run whose report shows them.
    """
    from impasto.curation.choosing import check_enough, groups_of
    from impasto.sampling.class_choice import field_of, mixed, parse_mixtures

    seeds = seeds_of(
        options.seeds, every_class=options.every_class is not None, candidates=options.looked_at
    )
    chosen, mixtures = parse_mixtures(painter.record, options.classes or [])
    if mixtures:
        options.leave_out("a mixture is one class for all", "curate", "every_class")
    field = None if options.every_class is None else field_of(painter.record, options.every_class)
    grid, out = options.grid, options.out
    if options.curate is not None:
        kept = out or target.with_name(f"{target.name}-{options.curate}")
        check_new(None if grid or run else kept)
        check_enough(seeds, options.per_class or PER_CLASS)
        groups = groups_of(painter.record, chosen, field)
        keep_pictures(
            scorer_of(painter, folder, groups, options.judge, device),
            seeds,
            groups,
            options.per_class or PER_CLASS,
            worst=options.curate == "worst",
            grid=grid,
            out=kept,
            run=run,
        )
    elif field is not None:
        paint_every_class(painter, seeds, chosen, field, grid=grid, out=out, default=target)
    elif options.variations is not None:
        paint_variations(painter, options, seeds, chosen, mixtures, out or target)
    else:
        labels = mixed(painter.record, painter.labels(seeds, chosen), mixtures)
        if options.points or options.edit:
            paint_edited(painter, options, folder, seeds, labels, out or target)
        else:
            paint_seeds(painter, seeds, labels, grid, out or target, options.save_points)
