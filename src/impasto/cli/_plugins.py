"""The option `--plugin`, the same for all commands that have it."""

from pathlib import Path
from typing import Annotated

import typer


def _use(paths: list[Path] | None) -> list[Path] | None:
    from impasto.plugins import use_plugin

    for path in paths or []:
        use_plugin(path)
    return paths


Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        callback=_use,
        help="Run this Python file and use the networks, terms, recipes, ... in it. It can do all "
        "that you can, so give only files that you trust. May be repeated.",
    ),
]
"""Files that are run before the command is."""
