"""`impasto directions`: named changes of a model's pictures, such as warmer or brighter."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Batch, Device, ModelArgument, Weights, stoppable, weights_of
from impasto.formatting import counted, quoted


def command(
    model: ModelArgument,
    samples: Annotated[
        int,
        typer.Option(metavar="N", help="Number of pictures to generate and measure."),
    ] = 2048,
    components: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Number of principal components, and number of SeFa directions.",
        ),
    ] = 5,
    difference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=CLASS,CLASS",
            help="Direction from one class to another, such as style=Impressionism,Ukiyo-e. May be "
            "repeated. "
            "Default: the two most frequent classes of each field.",
        ),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|NAME=VALUE",
            help="Direction of a column of the collection: of numbers, such as year, or of one value, "
            "such as 'artist=Claude Monet'. It is learned from features of the real pictures. May be "
            "repeated.",
        ),
    ] = None,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FROM|TO",
            help="Direction from one English text to another by CLIP (extra vision), such as "
            "'storm=a calm sea|a stormy sea'. May be repeated.",
        ),
    ] = None,
    weights: Weights = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="COLLECTION",
            help="With --column: the collection. Default: that of the run.",
        ),
    ] = None,
    strip_seeds: Annotated[
        str, typer.Option(metavar="SEEDS", help="Seeds of the strips, a row for each.")
    ] = "0",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="File for the directions. The strips are beside it, as a PNG of the same name.",
            show_default="directions.safetensors in the model's folder; of masters in the cache",
        ),
    ] = None,
    device: Device = "auto",
    batch: Batch = 64,
    plugin: Plugins = None,
) -> None:
    """Find directions in a model's latents and classes, for sample --edit.

    Brightness, warmth, saturation, contrast and edges are measured on generated pictures, and
    fitted to their latents. Each is printed with the correlation on pictures that the fit has not
    seen. pc1, pc2, ... are principal components of activations (GANSpace); sefa1, sefa2, ... change
    the first layer most (SeFa). If another direction changes pictures in nearly the same way, the
    line names it. A PNG shows seven pictures along each.

    Files of the same names are replaced.
    """
    from impasto.api.directions import directions
    from impasto.device import choose_device
    from impasto.exploring.directions import usual_path
    from impasto.exploring.finding import STRIP, save_strips
    from impasto.progress import shown
    from impasto.sampling import find_model, parse_seeds
    from impasto.sampling.painter import Painter

    seeds = list(dict.fromkeys(parse_seeds(strip_seeds)))
    target = out or usual_path(find_model(model))
    picture = target.with_suffix(".png")
    with stoppable():
        found = directions(
            model,
            target,
            samples=samples,
            components=components,
            differences=difference or (),
            columns=column or (),
            texts=texts or (),
            weights=weights_of(weights, "clip"),
            data=data,
            device=device,
            batch=batch,
            progress=shown,
        )
        painter = Painter.load(find_model(model), choose_device(device), batch=batch)
        with shown("pictures", len(found) * len(seeds) * STRIP) as progress:
            save_strips(painter, found, picture, seeds, progress)
    for line in found.lines():
        typer.echo(line)
    typer.echo(
        f"{counted(len(found), 'direction')} in {quoted(target)}, strips in {quoted(picture)}"
    )
