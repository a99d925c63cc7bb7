"""`impasto forget`: remove pictures from a collection."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.formatting import counted


def command(
    collection: Annotated[
        Path, typer.Argument(help="A collection's folder.", metavar="COLLECTION")
    ],
    id: Annotated[
        list[str],
        typer.Option(
            metavar="PICTURE",
            help="A picture: its path in sources.csv, or its SHA-256 or the first digits of it. "
            "May be given several times.",
        ),
    ],
) -> None:
    """Remove pictures from a collection, with all their copies.

    Runs and models made later record how many were removed, and when. Models trained before have
    seen them: train those again.
    """
    from impasto.collection.removal import forget

    report = forget(collection, id)
    sources = len(report.asked_for) + len(report.copies)
    typer.echo(
        f"{report.collection.name}: took out {counted(sources, 'source picture')}, "
        f"{counted(report.pictures, 'picture')} of {report.collection.resolution} px"
    )
    for name in report.asked_for:
        typer.echo(f"  {name}")
    for name in report.copies:
        typer.echo(f"  {name} (a copy of one of them)")
    typer.echo(f"left: {counted(len(report.collection), 'picture')}")
    typer.echo(
        "on record in forgotten.csv, so that packing the source again does not bring them back; "
        "models that were trained before have seen them still"
    )
