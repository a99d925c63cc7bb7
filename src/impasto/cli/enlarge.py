"""`impasto enlarge`: pictures two or four times as large."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._shared import Device
from impasto.errors import ImpastoError, StoppedError
from impasto.formatting import counted, quoted


def command(
    pictures: Annotated[
        list[Path],
        typer.Argument(metavar="PICTURES...", help="Pictures; folders and archives of pictures."),
    ],
    by: Annotated[int, typer.Option(metavar="2|4", help="How many times as wide and high.")] = 4,
    out: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Folder for the PNGs. Files there already are kept."),
    ] = Path("enlarged"),
    device: Device = "auto",
) -> None:
    """Enlarge pictures by a small network that was trained on paintings.

    Pictures of a model are enlarged as they are made by `sample --enlarge`.
    """
    from impasto.device import choose_device
    from impasto.enlarging import load_enlarger
    from impasto.enlarging.files import enlarge_files
    from impasto.progress import counting

    network = load_enlarger(choose_device(device))
    try:
        with counting("pictures") as update:
            result = enlarge_files(pictures, out, network, by, progress=update)
    except KeyboardInterrupt:
        raise StoppedError(
            "stopped; no file is left half written, and the same command goes on"
        ) from None
    for name, reason in result.left_out:
        typer.echo(f"left out: {name}: {reason}", err=True)
    if result.kept:
        typer.echo(f"{counted(len(result.kept), 'picture')} of these names were there already")
    if not result.made and not result.kept:
        raise ImpastoError(f"nothing was enlarged; {quoted(out)} has no new picture")
    typer.echo(f"{counted(len(result.made), 'picture')} in {quoted(out)}")
