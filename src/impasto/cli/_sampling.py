"""What `impasto sample` does with its options."""

from __future__ import annotations

from dataclasses import dataclass, replace
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

SEEDS, SEEDS_OF_EVERY_CLASS = "0-63", "0-7"
PER_CLASS, CANDIDATES = 8, 512
_OTHER_NAMES = {"classes": "class", "candidates": "from", "among": "of"}


def option_of(name: str) -> str:
    """The option, such as `--every-class`, whose value a parameter has."""
    return f"--{_OTHER_NAMES.get(name, name).replace('_', '-')}"


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
    more_like: str | None
    among: str | None
    count: int | None
    points: list[Path] | None
    like: list[Path] | None
    """Files of points, too."""
    favourites: str | None
    save_points: Path | None
    keep: str | None
    edit: list[str] | None
    directions: Path | None
    enlarge: int | None
    grid: Path | None
    captions: bool
    out: Path | None

    def check(self) -> None:
        """Raises: ImpastoError: options that do not go together, or a grid that cannot be written."""
        from impasto.sampling.output import check_grid_path
        from impasto.sampling.point_text import check_points_file

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
        self._check_points()
        if self.keep is not None:
            from impasto.exploring.favourites import check_name  # needs torch, as ONNX files do not

            check_name(self.keep)
        if self.save_points is not None:
            check_points_file(self.save_points)
        if self.captions and self.grid is None and self.more_like is None:
            raise ImpastoError("--captions are below the pictures of a grid: add --grid FILE.png")
        if self.edit:
            self.leave_out("--edit moves seeds or points", "curate", "every_class", "variations")
        elif self.directions is not None:
            raise ImpastoError("--directions is the file that --edit takes from: add --edit")
        if self.grid is not None:
            check_grid_path(self.grid)

    def _check_points(self) -> None:
        for option, given in (
            ("points", self.points is not None),
            ("like", self.like is not None),
            ("favourites", self.favourites is not None),
        ):
            if given:
                reason = f"--{option} has latents and classes of its own"
                self.leave_out(reason, "seeds", "classes", "every_class", "truncation", "curate")
        if self.variations is not None:
            reason = "--variations are of one picture"
            self.leave_out(reason, "points", "like", "favourites", "every_class", "curate")
        elif self.spread is not None:
            raise ImpastoError("--spread is how far --variations go: add it, or leave --spread out")
        if self.more_like is not None:
            reason = "--more-like looks among the seeds of --of"
            self.leave_out(reason, "seeds", "points", "like", "favourites", "variations")
            self.leave_out(reason, "every_class", "curate", "edit")
        elif self.among is not None or self.count is not None:
            raise ImpastoError("--of and --count are for --more-like: add it, or leave them out")
        for option, given in (
            ("save-points", self.save_points is not None),
            ("keep", self.keep is not None),
            ("captions", self.captions),
        ):
            if given:
                self.leave_out(f"--{option} is for seeds and points", "curate", "every_class")

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
                raise ImpastoError(f"{reason}: leave out {option_of(name)}")

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
    from impasto.sampling.output import save_every_class

    columns = every_class(painter.record, field, chosen)
    count = len(columns.classes)
    labels = columns.labels.repeat(len(seeds), 1)
    repeated = [seed for seed in seeds for _ in range(count)]
    known = painter.record.labels[field]
    where = save_every_class(
        painter.paint(repeated, labels),
        painter.texts(repeated, labels),
        seeds,
        known,
        columns.classes,
        grid=grid,
        out=out,
        default=default,
    )
    typer.echo(
        f"{counted(len(seeds), 'seed')} in {count} of {len(known.classes)} classes of "
        f"{known.name}: {quoted(str(where))}"
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

    with ProgressLine(len(groups) * len(seeds)).shown() as progress:
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


def enlarging(painter: Painter, by: int | None, device: torch.device) -> Painter:
    """The painter, with pictures `by` times as large if that is asked for."""
    from impasto.enlarging import finisher

    return painter if by is None else replace(painter, finish=finisher(by, device))


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
    from impasto.cli._points import Target, paint_alike, paint_points_of
    from impasto.curation.choosing import check_enough, groups_of
    from impasto.sampling.class_choice import field_of, parse_mixtures

    painter = enlarging(painter, options.enlarge, device)
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
    else:
        where = Target(
            folder, out or target, grid, options.captions, options.save_points, options.keep
        )
        if options.more_like is not None:
            paint_alike(painter, options, where, chosen, mixtures, target)
        else:
            paint_points_of(painter, options, where, seeds, chosen, mixtures)
