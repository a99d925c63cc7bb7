"""`impasto resume`: an interrupted run goes on, or a finished one for longer."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import tell_finished


def command(
    run: Annotated[Path, typer.Argument(help="The run's folder.")],
    data: Annotated[
        str | None, typer.Option(help="Where its collection is now, if it has moved.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Another device than before: cpu, cuda, cuda:1, mps.")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Another length: train until N real images in all, such as 200k.", metavar="N"
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Go on with an interrupted run, from its newest checkpoint; with --images, with a finished one."""
    from impasto.messages import say
    from impasto.training import resume
    from impasto.training.choosing import parse_count
    from impasto.training.run_folder import how_to_go_on

    before = None if images is not None else how_to_go_on(run)
    resume(run, data=data, device=device, images=None if images is None else parse_count(images))
    tell_finished(run)
    if before is not None:
        say(before)
