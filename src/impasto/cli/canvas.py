"""`impasto canvas`: a picture of any size."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import (
    Device,
    Guidance,
    ModelArgument,
    Steps,
    StepSampler,
    Truncation,
    stoppable,
)
from impasto.formatting import quoted


def command(
    model: ModelArgument,
    size: Annotated[
        str,
        typer.Option(
            metavar="WIDTHxHEIGHT",
            help="Pixels; each side at least that of the model's pictures.",
        ),
    ] = "1024x256",
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS|NAMES",
            help="Seeds that are laid out over the canvas, such as 3,17,42; or favourites (see sample "
            "--keep).",
            show_default="from 0 on, one for each picture's area",
        ),
    ] = None,
    points: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Lay out the points of a file of sample --save-points, or of a PNG that impasto "
            "painted, in place of seeds. May be repeated, or a quoted pattern, such as 'mine/*.png'.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNSxROWS",
            help="Columns and rows of the seeds.",
            show_default="one row, along the longer side",
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=CLASS,CLASS",
            help="Classes from left to right, such as style=Impressionism,Ukiyo-e, or just the classes "
            "if there is one field. May be repeated for other fields. Default: the classes of seeds and "
            "points.",
        ),
    ] = None,
    variety: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="How much the composition changes from one picture's area to the next, beyond what "
            "seeds change: 0 to 1. With 0 it repeats like a pattern where seeds are far apart.",
            show_default="1 if the network takes its latent at several levels, otherwise 0.6",
        ),
    ] = None,
    tile: Annotated[
        bool,
        typer.Option(
            "--tile",
            help="Make a tile for patterns: the picture continues at its opposite edges. Sides are "
            "multiples of that of the model's pictures.",
        ),
    ] = False,
    truncation: Truncation = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The PNG. An existing file is replaced.",
            show_default="samples/NAME-canvas.png",
        ),
    ] = None,
    device: Device = "auto",
    steps: Steps = None,
    sampler: StepSampler = None,
    guidance: Guidance = None,
    plugin: Plugins = None,
) -> None:
    """Paint a picture of any size, whose latents and classes change from place to place.

    Objects keep their size: a canvas shows more of them, and no more detail.
    """
    from impasto.device import choose_device
    from impasto.exploring.canvases import CanvasOptions, canvas_of, parse_size
    from impasto.exploring.favourites import parse_point
    from impasto.exploring.walk_options import parse_grid
    from impasto.exploring.walks import parse_stations
    from impasto.progress import shown
    from impasto.sampling import find_model
    from impasto.sampling.model import name_of
    from impasto.sampling.output import check_png, save_png
    from impasto.sampling.painter import Painter
    from impasto.sampling.step_settings import StepSettings

    width, height = parse_size(size)
    folder = find_model(model)
    target = out or Path("samples") / f"{name_of(model)}-canvas.png"
    check_png(target, "canvas")
    how = StepSettings(steps, sampler, guidance)
    painter = Painter.load(folder, choose_device(device), how, truncation=truncation)
    named = None if seeds is None else parse_point(seeds, folder, painter.record)
    favourites = [] if named is None or named.points is None else [named.points]
    options = CanvasOptions(
        width,
        height,
        named.seeds if named else (),
        [*(points or ()), *favourites],
        None if layout is None else parse_grid(layout, "--layout"),
        parse_stations(painter.record, classes or []),
        variety,
        tile,
    )
    with stoppable():
        save_png(target, canvas_of(painter, options).paint(shown))
    typer.echo(f"{width} x {height} pixels in {quoted(target)}")
