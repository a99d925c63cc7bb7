"""`impasto unpack`: convert a collection to a format of other tools."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._shared import CollectionArgument
from impasto.formatting import comma_separated, counted, quoted


def command(
    collection: CollectionArgument,
    out: Annotated[
        Path, typer.Argument(help="The file or folder to make. It must not exist.", metavar="OUT")
    ],
    format_: Annotated[
        str | None,
        typer.Option(
            "--as",
            help=(
                "Format. stylegan: a zip with dataset.json. parquet: for Hugging Face's "
                "datasets. folder: by class, with a table metadata.csv."
            ),
            show_default="stylegan if OUT ends in .zip, else folder",
            metavar="stylegan|parquet|folder",
        ),
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(
            help="One of the collection's resolutions; of rectangles width x height, such as 192x256.",
            show_default="the largest",
            metavar="PIXELS",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help=(
                "Label fields to write, such as style,genre. stylegan and folder take one. "
                "'' writes none."
            ),
            show_default="for parquet all; for stylegan and folder the only one",
            metavar="FIELDS",
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help=(
                "Pictures to write. In stylegan's zip, held-out pictures come last and are "
                "not marked."
            ),
            show_default="train for stylegan, else all, each part marked",
            metavar="train|heldout|all",
        ),
    ] = None,
) -> None:
    """Convert a collection for other tools.

    Pixels are unchanged; classes and sources of pictures are written too.
    """
    from impasto.api.collections import size_from
    from impasto.collection import Collection, open_or_pack
    from impasto.collection.unpacking import unpack
    from impasto.errors import ImpastoError, choices
    from impasto.progress import counting

    size = size_from(resolution)
    if collection == "masters":
        opened = open_or_pack("masters", size or 64)
    else:
        opened = Collection.open(collection, size)
    if opened.bucketed and size is None:
        raise ImpastoError(
            f"{opened.name} has pictures of different proportions: unpack those of one size with "
            f"--resolution {choices(list(map(str, opened.resolutions)))}"
        )
    by_suffix = {".zip": "stylegan", ".parquet": "parquet"}
    form = format_ or by_suffix.get(out.suffix.lower(), "folder")
    names = None if labels is None else tuple(comma_separated(labels))
    with counting("pictures") as tell:
        report = unpack(opened, out, form, names, split, tell)
    typer.echo(
        f"{opened.name}: {counted(report.pictures, 'picture')} of {opened.resolution} px in "
        f"{quoted(out)}, {report.format}"
    )
    for note in report.notes:
        typer.echo(f"note: {note}")
