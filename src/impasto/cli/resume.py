"""`impasto resume`: continue an interrupted run, or train a finished one for longer."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import print_finished


def command(
    run: Annotated[Path, typer.Argument(help="The run's folder.", metavar="RUN")],
    data: Annotated[
        str | None,
        typer.Option(help="Where the collection is now, if it has moved.", metavar="COLLECTION"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Continue on another device.", metavar="cpu|cuda|cuda:N|mps")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Train until N real images in all, such as 200k; also for a finished run.",
            metavar="N",
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Resume an interrupted run, or train one for longer.

    It goes on from the newest checkpoint.
    """
    from impasto.formatting import parse_count
    from impasto.messages import say
    from impasto.processes import joined
    from impasto.training import resume
    from impasto.training.run_folder import how_to_go_on

    length = None if images is None else parse_count(images)
    with joined() as processes:
        before = processes.on_first(lambda: how_to_go_on(run) if length is None else None)
        resume(run, data=data, device=device, images=length)
        if processes.first:
            print_finished(run)
            if before is not None:
                say(before)
