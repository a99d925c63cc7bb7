"""`impasto invert`: the points of a model that are nearest to one's own pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Batch, Device, ModelArgument, stoppable
from impasto.formatting import counted, quoted


def command(
    model: ModelArgument,
    pictures: Annotated[list[Path], typer.Argument(help="Picture files.", metavar="PICTURE...")],
    fit: Annotated[
        str,
        typer.Option(
            metavar="crop|squash|pad",
            help="How a picture gets the model's size: the largest part in its centre, the whole "
            "picture with its proportions ignored, or the whole picture on a white background.",
        ),
    ] = "crop",
    descent: Annotated[
        int, typer.Option("--steps", metavar="N", help="Steps of gradient descent.")
    ] = 250,
    starts: Annotated[int, typer.Option(metavar="N", help="Starts to try for each picture.")] = 3,
    candidates: Annotated[
        int, typer.Option(metavar="N", help="Seeds that the starts are chosen from.")
    ] = 1024,
    levels: Annotated[
        bool,
        typer.Option(
            "--levels",
            help="Find a latent for each level of the generator: closer to the picture, but less like "
            "what the model makes from seeds. Only for generators that impasto mix accepts.",
        ),
    ] = False,
    tune: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also fine-tune the generator on the pictures (pivotal tuning), and write it as a new "
            "model into this folder. The points then belong to the new model.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="File for the points. The sheet is beside it, as a PNG of the same name. Existing "
            "files are replaced.",
            show_default="samples/NAME-inverted.safetensors",
        ),
    ] = None,
    device: Device = "auto",
    batch: Batch = 16,
    plugin: Plugins = None,
) -> None:
    """Find the points of a model whose pictures are nearest to your own.

    The points can be painted, edited and walked from: sample --points, walk --points. A sheet shows
    each picture beside the start, the way and the end, with the distances of their features (lite0).
    """
    from impasto.api.inverting import invert_images
    from impasto.device import choose_device
    from impasto.exploring.inverting import Search
    from impasto.exploring.targets import lines, read_targets, save_sheet
    from impasto.progress import shown
    from impasto.sampling import Model, find_model
    from impasto.sampling.model import name_of
    from impasto.sampling.point_text import check_points_file

    folder = find_model(model)
    target = out or Path("samples") / f"{name_of(model)}-inverted.safetensors"
    check_points_file(target)
    loaded = Model.load(folder, choose_device(device))
    with stoppable():
        targets = read_targets(pictures, loaded.record.resolution, fit)
        names = [path.name for path in pictures]
        search = Search(descent, starts, candidates, levels)
        found = invert_images(
            loaded, targets, names, search, tune=tune, batch=batch, progress=shown
        )
        sheet = target.with_suffix(".png")
        found.points.save(target)
        save_sheet(found, targets, names, sheet)
    for line in lines(found, names):
        typer.echo(line)
    if tune is not None:
        typer.echo(f"the tuned model in {quoted(tune)}, which the points belong to")
    typer.echo(
        f"{counted(len(found.points), 'point')} in {quoted(target)}, the sheet in {quoted(sheet)}"
    )
