"""`impasto push`: upload a model to the Hugging Face hub."""

from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Licence, ModelArgument, print_learned_from, stoppable
from impasto.formatting import quoted


def command(
    model: ModelArgument,
    repository: Annotated[
        str, typer.Argument(metavar="OWNER/NAME", help="Repository on the hub; made if new.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Make the repository private, if it is new.")
    ] = False,
    revision: Annotated[
        str | None,
        typer.Option(metavar="BRANCH", help="Branch; made if new.", show_default="main"),
    ] = None,
    licence: Licence = None,
    discriminator: Annotated[
        bool,
        typer.Option("--discriminator", help="Also upload the discriminator."),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Upload a model to the Hugging Face hub, with a card, in one commit.

    It uploads what export --as hub writes. It needs the package huggingface_hub (pip install
    'impasto[hub]') and its token: log in by hf auth login, or set HF_TOKEN.
    """
    from impasto.exporting.push import push_model
    from impasto.fetching.hub import endpoint

    with stoppable("the upload is there whole or not at all"):
        name, record = push_model(
            model,
            repository,
            private=private,
            branch=revision,
            licence=licence,
            discriminator=discriminator,
        )
    owner = name.removeprefix("hf:").partition("@")[0]
    typer.echo(f"uploaded {quoted(model)} to {endpoint()}/{owner}")
    print_learned_from(record)
    typer.echo(f"try it: impasto sample {quoted(name)} --seeds 0-63 --grid grid.png")
