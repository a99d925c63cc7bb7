"""`impasto export`: copy a run's generator to a model folder, to keep or to share."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.formatting import counted, quoted


def command(
    run: Annotated[Path, typer.Argument(metavar="MODEL", help="A run, a checkpoint or a model.")],
    destination: Annotated[Path, typer.Argument(help="The model folder to make.", metavar="DEST")],
    discriminator: Annotated[
        bool,
        typer.Option(
            "--discriminator", help="Also export the discriminator, which sample --curate needs."
        ),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Export the generator as a model folder to keep or to share.

    The folder has safetensors and JSON files; loading it executes nothing.
    """
    from impasto.collection.provenance import in_words
    from impasto.config import read_record
    from impasto.sampling.model import MODEL_FILE, ModelRecord, export

    source = export(run, destination, discriminator=discriminator)
    record = read_record(destination / MODEL_FILE, "model", ModelRecord)
    learned = record.collection
    typer.echo(f"exported {quoted(source)} to {quoted(destination)}")
    typer.echo(
        f"learned from {learned.name}{f', {learned.kind}' if learned.kind else ''}: "
        f"{counted(learned.count, 'picture')} from {counted(learned.sources, 'source picture')}"
    )
    for line in in_words(learned.model_dump()):
        typer.echo(line)
    for each in record.plugins:
        typer.echo(f"to open it one also needs the {each}, which is not in this folder")
    if record.autoencoder is not None:
        typer.echo(
            f"to open it one also needs the decoder of the autoencoder '{record.autoencoder.network}', "
            "which is found in the cache or downloaded"
        )
    typer.echo(f"try it: impasto sample {quoted(destination)} --seeds 0-63 --grid grid.png")
