"""Whether a path is a collection, and what to do where it is none."""

import re
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.formatting import quoted
from impasto.resolution import Resolution
from impasto.sources.listing import holds_pictures


def pack_command(folder: Path, resolution: Resolution) -> str:
    """The command that packs a folder of pictures."""
    name = folder.resolve().name or "pictures"
    destination = Path("collections") / f"{name}-{resolution}"
    return f"impasto pack {quoted(folder)} {quoted(destination)} --resolution {resolution}"


def check_is_collection(path: Path, resolution: Resolution) -> None:
    """Raise an error with advice if `path` is no collection.

    Raises:
        ImpastoError: `path` is missing, a file, a folder of pictures, or another folder.
    """
    if not path.exists():
        if path.absolute().with_name(f".{path.name}.packing").exists():
            raise ImpastoError(
                f"{path} is not packed to its end yet; give the same impasto pack command again"
            )
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # A Path makes one slash of two.
            raise ImpastoError(
                f"{path} is an address, and a collection lies on disk; copy it, or pack the pictures "
                "there with `impasto pack`"
            )
        raise ImpastoError(
            f"there is no {path}; give a collection made with `impasto pack`, or the word masters"
        )
    if (path / "collection.json").is_file():
        return
    if path.is_dir() and holds_pictures(path):
        raise ImpastoError(
            f"{path} is a folder of pictures, not a collection; first run "
            f"`{pack_command(path, resolution)}`"
        )
    raise ImpastoError(
        f"{path} is not a collection: a collection is a folder made with `impasto pack`, with a "
        "collection.json in it"
    )
