"""`impasto resume`: an interrupted run goes on."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli.train import tell_finished


def command(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    data: Annotated[
        str | None, typer.Option(help="Where its collection is now, if it has moved.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Another device than before: cpu, cuda, cuda:1, mps.")
    ] = None,
) -> None:
    """Go on with an interrupted run, from its newest checkpoint."""
    from impasto.training import resume

    resume(run, data=data, device=device)
    tell_finished(run)
