"""`impasto sample`: pictures from a run or a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._points import AMONG, COUNT, SPREAD
from impasto.cli._sampling import (
    CANDIDATES,
    PER_CLASS,
    SEEDS,
    SEEDS_OF_EVERY_CLASS,
    Options,
    paint,
)
from impasto.cli._shared import (
    MODEL_HELP,
    Aspect,
    Batch,
    Classes,
    Device,
    Guidance,
    Guide,
    Steps,
    StepSampler,
    Truncation,
    stoppable,
)
from impasto.errors import ImpastoError


def command(
    model: Annotated[
        Path,
        typer.Argument(
            help=f"{MODEL_HELP} Or an ONNX file of export, MODEL.onnx.", metavar="MODEL"
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
    truncation: Truncation = None,
    classes: Classes = None,
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
    variations: Annotated[
        str | None,
        typer.Option(
            metavar="SEED|FILE|NAME",
            help="Generate variations of a seed, of a file's point (see --points) or of a favourite: "
            "one for each of --seeds, moved from the original towards that seed.",
        ),
    ] = None,
    spread: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="With --variations: how far each is moved; 1 is the other seed itself.",
            show_default=str(SPREAD),
        ),
    ] = None,
    more_like: Annotated[
        str | None,
        typer.Option(
            metavar="SEED|FILE|NAME",
            help="Find the pictures most similar to that of a seed, of a file's point (see --points) or "
            "of a favourite, by features of lite0. --of has the seeds that are searched.",
        ),
    ] = None,
    among: Annotated[
        str | None,
        typer.Option(
            "--of",
            metavar="SEEDS",
            help="With --more-like: the seeds that are searched.",
            show_default=AMONG,
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="With --more-like: number of pictures to show beside the given one.",
            show_default=str(COUNT),
        ),
    ] = None,
    points: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Generate the points of a file of --save-points, or of a PNG that impasto painted, "
            "in place of seeds. May be repeated, or a quoted pattern, such as 'mine/*.png'.",
        ),
    ] = None,
    like: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Another name for --points. If both are given, these come last."
        ),
    ] = None,
    favourites: Annotated[
        str | None,
        typer.Option(
            metavar="all|NAME,NAME",
            help="Generate favourites of this model, in place of seeds; see --keep.",
        ),
    ] = None,
    save_points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="Also write the latents and classes of all pictures into this file.",
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Also keep all pictures' points as favourites of this model: as NAME if there is one "
            "picture, else as NAME-1, NAME-2, ... They are in favourites.json in the model's folder (of "
            "masters in the cache). To remove one, edit this file.",
        ),
    ] = None,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=AMOUNT",
            help="Move the pictures along a direction that the command directions has found, such as "
            "warmth=+2. May be repeated.",
        ),
    ] = None,
    directions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="With --edit: the file of directions.",
            show_default="directions.safetensors in the model's folder",
        ),
    ] = None,
    enlarge: Annotated[
        int | None,
        typer.Option(
            metavar="2|4", help="Enlarge the pictures 2 or 4 times, as impasto enlarge does."
        ),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            help="Write one PNG with all pictures. An existing file is replaced.", metavar="FILE"
        ),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option(
            "--captions",
            help="With --grid: write the seed below each picture, and its classes where they differ.",
        ),
    ] = False,
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
    steps: Steps = None,
    sampler: StepSampler = None,
    guidance: Guidance = None,
    aspect: Aspect = None,
    guide: Guide = None,
    plugin: Plugins = None,
) -> None:
    """Generate pictures: one PNG for each seed, or one grid of all.

    Files are named by the seed only; give another --out for another class.
    """
    options = Options(
        seeds=seeds,
        truncation=truncation,
        classes=classes,
        every_class=every_class,
        stages=stages,
        curate=curate,
        per_class=per_class,
        candidates=candidates,
        judge=judge,
        to_report=to_report,
        variations=variations,
        spread=spread,
        more_like=more_like,
        among=among,
        count=count,
        points=points,
        like=like,
        favourites=favourites,
        save_points=save_points,
        keep=keep,
        edit=edit,
        directions=directions,
        enlarge=enlarge,
        grid=grid,
        captions=captions,
        out=out,
    )
    if model.suffix.lower() == ".onnx" and not model.is_dir():
        from impasto.cli import _onnx_sampling

        changed = (steps, sampler, guidance, guide, aspect, precision)
        _onnx_sampling.sample(model, options, batch, device, *changed)
        return
    _check_folder(model)
    options.check()
    from impasto.curation.for_report import run_with_report
    from impasto.device import choose_device
    from impasto.sampling import find_model
    from impasto.sampling.model import name_of
    from impasto.sampling.painter import Painter
    from impasto.sampling.step_settings import StepSettings
    from impasto.training.run_folder import with_noise

    run = run_with_report(model) if to_report else None
    folder = find_model(model)
    where = choose_device(device)
    how = StepSettings(steps, sampler, guidance, guide, aspect)
    painter = Painter.load(
        folder, where, how, truncation=truncation, batch=batch, stages=stages, precision=precision
    )
    if curate is not None:
        painter = replace(painter, record=with_noise(painter.record, model))
    with stoppable():
        paint(painter, options, folder, where, Path("samples") / name_of(model), run)


def _check_folder(model: Path) -> None:
    """Raises: ImpastoError: it is a file."""
    if model.is_file():
        raise ImpastoError(
            f"{model} is a file; give the folder of a run or of a model, or an ONNX file (MODEL.onnx); "
            "a picture that impasto painted is given after the model, with --like"
        )
