"""`impasto export`: a run's generator in a form to keep or to share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import (
    Aspect,
    Guidance,
    Guide,
    Licence,
    ModelArgument,
    Steps,
    StepSampler,
    print_learned_from,
    stoppable,
)
from impasto.exporting.forms import FOLDERS, FORMS, check_options, form_of
from impasto.files import check_new
from impasto.formatting import quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.sampling.model import Model


def command(
    run: ModelArgument,
    destination: Annotated[
        Path,
        typer.Argument(help="The folder or file to make. It must not exist.", metavar="DEST"),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="|".join(FORMS),
            help="Form. folder: safetensors and JSON, for impasto. onnx: one file for onnxruntime and "
            "others, which need neither torch nor impasto. html: a page that paints in the browser, "
            "without a network. hub: a folder for the Hugging Face hub, with a card; see push. space: a "
            "folder for a Space there, with an app that paints.",
            show_default="onnx or html if DEST ends so, else folder",
        ),
    ] = None,
    discriminator: Annotated[
        bool,
        typer.Option(
            "--discriminator",
            help="With --as folder or hub: also export the discriminator, which sample --curate needs.",
        ),
    ] = False,
    half: Annotated[
        bool,
        typer.Option(
            "--half", help="With --as onnx or html: keep the weights in float16, in half the size."
        ),
    ] = False,
    levels: Annotated[
        bool,
        typer.Option(
            "--levels",
            help="With --as onnx: take a latent for each level of the generator, so that coarse levels "
            "of one picture and fine levels of another can be mixed. A page always does.",
        ),
    ] = False,
    licence: Licence = None,
    directions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --as html: a file of directions; the strongest get sliders.",
            show_default="directions.safetensors in the model's folder, if it is there",
        ),
    ] = None,
    steps: Steps = None,
    sampler: StepSampler = None,
    guidance: Guidance = None,
    aspect: Aspect = None,
    guide: Guide = None,
    plugin: Plugins = None,
) -> None:
    """Export the generator as a folder, an ONNX file, an HTML page, or a folder for the hub or a Space.

    Loading a model folder or an ONNX file executes nothing. The steps and the guidance of a flow model
    are fixed in an ONNX file and in a page.
    """
    from impasto.sampling import Model
    from impasto.sampling.step_settings import StepSettings

    how = StepSettings(steps, sampler, guidance, guide, aspect)
    form = form_of(form, destination, "--as")
    given = {"half": half, "levels": levels, "discriminator": discriminator, "licence": licence}
    check_options(form, {**given, "directions": directions, **vars(how)}, command=True)
    check_new(destination)
    with stoppable():
        if form in FOLDERS:
            return _folder(run, destination, form, licence, discriminator)
        model = Model.load(run, **vars(how))
        if form == "onnx":
            return _onnx(run, model, destination, half, levels)
        return _page(run, model, destination, half, directions)


def _onnx(run: Path, model: "Model", destination: Path, half: bool, levels: bool) -> None:
    """Write an ONNX file, and print how it compares and what the model learned from."""
    from impasto.exporting.onnx_file import CHECKED_SEEDS, export_onnx
    from impasto.progress import shown

    with shown("seeds compared", CHECKED_SEEDS) as progress:
        report = export_onnx(model, destination, half=half, levels=levels, progress=progress)
    typer.echo(f"exported {quoted(run)} to {quoted(destination)}")
    typer.echo(str(report))
    print_learned_from(model.record)
    typer.echo(f"try it: impasto sample {quoted(destination)} --seeds 0-63 --grid grid.png")


def _page(
    run: Path, model: "Model", destination: Path, half: bool, directions: Path | None
) -> None:
    """Write a page, and print how it compares, its sliders and what the model learned from."""
    from impasto.exploring.directions import directions_of
    from impasto.exporting.onnx_file import CHECKED_SEEDS
    from impasto.exporting.page import write_page
    from impasto.progress import shown

    found = directions_of(run, model.record, directions)
    with shown("seeds compared", CHECKED_SEEDS) as progress:
        report = write_page(model, destination, found, half=half, progress=progress)
    typer.echo(f"exported {quoted(run)} to {quoted(destination)}, {report.size / 1e6:.1f} MB")
    typer.echo(f"the model in it: {report.onnx}")
    if report.sliders:
        typer.echo(f"sliders: {', '.join(report.sliders)}")
    else:
        typer.echo(f"without sliders: impasto directions {quoted(run)} finds directions for them")
    print_learned_from(model.record)
    typer.echo("open it in a browser; it needs no network, and sends nothing anywhere")


def _folder(
    run: Path, destination: Path, form: str, licence: str | None, discriminator: bool
) -> None:
    """Write a folder, and print what the model learned from and what it needs."""
    from impasto.exporting.hub_folder import write_hub_folder
    from impasto.exporting.space import APP, write_space
    from impasto.sampling.model import export, find_model

    if form == "hub":
        record = write_hub_folder(run, destination, licence=licence, discriminator=discriminator)
    elif form == "space":
        record = write_space(run, destination, licence=licence)
    else:
        record = export(run, destination, discriminator=discriminator)
    typer.echo(f"exported {quoted(find_model(run))} to {quoted(destination)}")
    print_learned_from(record)
    for each in record.plugins:
        typer.echo(f"to open it one also needs the {each}, which is not in this folder")
    if record.autoencoder is not None:
        typer.echo(
            f"to open it one also needs the decoder of the autoencoder '{record.autoencoder.network}', "
            "which is found in the cache or downloaded"
        )
    if form == "space":
        typer.echo(f"try it: pip install gradio; python {quoted(destination / APP)}")
    else:
        typer.echo(f"try it: impasto sample {quoted(destination)} --seeds 0-63 --grid grid.png")
