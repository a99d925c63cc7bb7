"""`impasto sample`: pictures from a run or a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Batch, Device
from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    import torch

    from impasto.curation.choosing import Group, Scorer
    from impasto.curation.judges import FieldJudges
    from impasto.sampling.painter import Painter

SEEDS, SEEDS_OF_EVERY_CLASS = "0-63", "0-7"
PER_CLASS, CANDIDATES = 8, 512


def check_options(
    *,
    grid: Path | None,
    out: Path | None,
    seeds: str | None,
    curate: str | None,
    per_class: int | None,
    candidates: int | None,
    judge: str | None,
    to_report: bool,
    stages: bool,
) -> None:
    """Raises: ImpastoError: options that do not go together, or a grid that cannot be written."""
    from impasto.sampling.output import check_grid_path

    if grid is not None and out is not None:
        raise ImpastoError("--grid makes one picture and --out one a seed: choose one of the two")
    if curate not in (None, "best", "worst"):
        raise ImpastoError(f"--curate takes best or worst, not '{curate}'")
    if curate is None and (per_class is not None or candidates is not None):
        raise ImpastoError("--per-class and --from choose among pictures: add --curate best")
    if curate is None and judge is not None:
        raise ImpastoError("--judge helps to choose among pictures: add --curate best")
    if curate is None and to_report:
        raise ImpastoError("--to-report is for pictures that are chosen: add --curate best")
    if to_report and (grid or out):
        raise ImpastoError("--to-report writes into the run's folder: leave out --grid and --out")
    if to_report and stages:
        raise ImpastoError("--to-report shows the last stage only: leave out --stages")
    if seeds is not None and candidates is not None:
        raise ImpastoError(
            f"--from {candidates} looks at seeds 0-{candidates - 1}, and --seeds at others: choose "
            "one of the two"
        )
    if grid is not None:
        check_grid_path(grid)


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
    chosen: dict[int, int],
    mixtures: dict[int, dict[int, float]],
    *,
    grid: Path | None,
    out: Path,
    save_points: Path | None,
) -> None:
    """Generate a picture for each seed."""
    from impasto.sampling.class_choice import mixed
    from impasto.sampling.output import save_grid_of, save_pictures, seed_name

    labels = mixed(painter.record, painter.labels(seeds, chosen), mixtures)
    if save_points is not None:
        typer.echo(f"points in {quoted(painter.points(seeds, labels).save(save_points))}")
    pictures = painter.paint(seeds, labels)
    if grid is not None:
        save_grid_of(pictures, grid)
    else:
        names = [seed_name(seed) for seed in seeds]
        save_pictures(pictures, names, out, painter.texts(seeds, labels))
    typer.echo(f"{counted(len(seeds), 'picture')} in {quoted(grid or out)}")


def paint_points(
    painter: Painter, files: list[Path], *, grid: Path | None, out: Path, save_points: Path | None
) -> None:
    """Generate a picture for each point of some files."""
    from impasto.sampling.output import save_grid_of, save_pictures
    from impasto.sampling.points import Points, joined

    points = joined([Points.load(file, painter.record) for file in files])
    if save_points is not None:
        typer.echo(f"points in {quoted(points.save(save_points))}")
    pictures = painter.paint_points(points)
    if grid is not None:
        save_grid_of(pictures, grid)
    else:
        names = [f"point-{number:04d}" for number in range(len(points))]
        texts = (points.text(number) for number in range(len(points)))
        save_pictures(pictures, names, out, texts)
    typer.echo(f"{counted(len(points), 'picture')} in {quoted(grid or out)}")


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


def command(
    model: Annotated[
        Path,
        typer.Argument(
            help="A run, a checkpoint, a model, or 'masters' (the model in this package).",
            metavar="MODEL",
        ),
    ],
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Such as 7, 0-63 or 1,5,10-20.",
            show_default=f"{SEEDS}; with --every-class {SEEDS_OF_EVERY_CLASS}",
            metavar="SEEDS",
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            help="Truncation of the latents; lower is safer and less varied, such as 0.7.",
            metavar="VALUE",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="FIELD=CLASS",
            help=(
                "Class to generate, such as genre=landscape, or just CLASS if there is one "
                "field; or a mixture, such as style=0.6*Ukiyo-e+0.4*Cubism. May be repeated for other "
                "fields. Default: each seed draws its "
                "classes, as frequent as in the collection."
            ),
        ),
    ] = None,
    every_class: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD", help="Generate each seed in every class of a field, a row per seed."
        ),
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Show both stages of a two-stage model side by side.")
    ] = False,
    curate: Annotated[
        str | None,
        typer.Option(
            metavar="best|worst",
            help="Keep the pictures with the best (or worst) scores by the discriminator, for class "
            "and realness; with a table of all scores. The flagship's discriminator does not "
            "classify: add --judge.",
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="With --curate: pictures to keep per class.",
            show_default=str(PER_CLASS),
        ),
    ] = None,
    candidates: Annotated[
        int | None,
        typer.Option(
            "--from",
            metavar="N",
            min=1,
            help="With --curate: pictures to choose from, per class.",
            show_default=str(CANDIDATES),
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            metavar="COLLECTION|masters",
            help="With --curate: judge the classes by a classifier fitted on this collection, "
            "instead of by the discriminator.",
        ),
    ] = None,
    to_report: Annotated[
        bool,
        typer.Option(
            "--to-report",
            help="With --curate: write a grid and its scores into the run's folder, where the "
            "report shows them. Earlier ones are replaced.",
        ),
    ] = False,
    points: Annotated[
        list[Path] | None,
        typer.Option(
            "--points",
            "--like",
            metavar="FILE",
            help="Generate the points of a file of --save-points, or of a PNG that impasto painted, "
            "in place of seeds. May be repeated.",
        ),
    ] = None,
    save_points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="Also write the latents and classes of all pictures into this file.",
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            help="Write one PNG with all pictures. An existing file is replaced.", metavar="FILE"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for one PNG per seed.", show_default="samples/NAME", metavar="FOLDER"
        ),
    ] = None,
    device: Device = "auto",
    batch: Batch = 64,
    precision: Annotated[
        str,
        typer.Option(
            metavar="float32|bfloat16|auto",
            help="Number format of the generator. bfloat16 is faster on devices that support "
            "it (auto: only there), and changes the pixels a little.",
        ),
    ] = "float32",
    plugin: Plugins = None,
) -> None:
    """Generate pictures: one PNG for each seed, or one grid of all.

    Files are named by the seed only; give another --out for another class.
    """
    from impasto.curation.choosing import check_enough, groups_of
    from impasto.curation.for_report import run_with_report
    from impasto.device import choose_device
    from impasto.errors import StoppedError
    from impasto.sampling import find_model
    from impasto.sampling.class_choice import field_of, parse_mixtures
    from impasto.sampling.model import name_of
    from impasto.sampling.painter import Painter
    from impasto.training.run_folder import with_noise

    check_options(
        grid=grid,
        out=out,
        seeds=seeds,
        curate=curate,
        per_class=per_class,
        candidates=candidates,
        judge=judge,
        to_report=to_report,
        stages=stages,
    )
    others = {
        "--seeds": seeds,
        "--class": classes,
        "--every-class": every_class,
        "--truncation": truncation,
        "--curate": curate,
    }
    if points and (named := [name for name, value in others.items() if value is not None]):
        raise ImpastoError(f"--points has latents and classes of its own: leave out {named[0]}")
    if save_points is not None and (curate or every_class):
        raise ImpastoError("--save-points does not go with --curate or --every-class")
    run = run_with_report(model) if to_report else None
    first = None if curate is None else candidates or CANDIDATES
    numbers = seeds_of(seeds, every_class=every_class is not None, candidates=first)
    folder = find_model(model)
    where = choose_device(device)
    painter = Painter.load(
        folder, where, truncation=truncation, batch=batch, stages=stages, precision=precision
    )
    if curate is not None:
        painter = replace(painter, record=with_noise(painter.record, model))
    chosen, mixtures = parse_mixtures(painter.record, classes or [])
    if mixtures and (curate or every_class):
        raise ImpastoError("a mixture of classes cannot be used with --curate or --every-class")
    field = None if every_class is None else field_of(painter.record, every_class)
    target = Path("samples") / name_of(model)
    try:
        if curate is not None:
            kept = out or target.with_name(f"{target.name}-{curate}")
            check_new(None if grid or run else kept)
            check_enough(numbers, per_class or PER_CLASS)
            groups = groups_of(painter.record, chosen, field)
            keep_pictures(
                scorer_of(painter, folder, groups, judge, where),
                numbers,
                groups,
                per_class or PER_CLASS,
                worst=curate == "worst",
                grid=grid,
                out=kept,
                run=run,
            )
        elif field is not None:
            paint_every_class(painter, numbers, chosen, field, grid=grid, out=out, default=target)
        elif points:
            paint_points(painter, points, grid=grid, out=out or target, save_points=save_points)
        else:
            paint_seeds(
                painter,
                numbers,
                chosen,
                mixtures,
                grid=grid,
                out=out or target,
                save_points=save_points,
            )
    except KeyboardInterrupt:
        raise StoppedError("stopped; no file is left half written") from None
