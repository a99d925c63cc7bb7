"""Putting a finished collection in its place: all of it or nothing, whatever dies meanwhile."""

import glob
import os
import shutil
import uuid
from pathlib import Path

from impasto.collection.assembling import CollectionPlan, write_collection
from impasto.errors import ImpastoError
from impasto.files import atomic_folder


def place_of(destination: Path) -> Path:
    """The absolute path of a collection's folder; of a link, the folder that it leads to, since that
    is what is replaced."""
    path = destination.expanduser().absolute()
    # Not resolve(), which raises where a link leads to itself.
    return Path(os.path.realpath(path)) if path.name in ("", "..") or path.is_symlink() else path


def work_folder(destination: Path) -> Path:
    """Where parts are kept while a collection is not finished: hidden, beside it."""
    return destination.with_name(f".{destination.name}.packing")


def replace_collection(destination: Path, plan: CollectionPlan) -> None:
    """Write a collection where there is none yet, or in the place of one, and clear its work folder.

    Raises:
        ImpastoError: it cannot be written; what was there is there still.
    """
    work = work_folder(destination)
    new = work / f"new-{uuid.uuid4().hex}"
    with atomic_folder(new) as folder:
        write_collection(folder, plan)
    _take_place(new, destination)
    clear(work)


def _take_place(new: Path, destination: Path) -> None:
    """Let a finished folder take a collection's place, or an empty folder's.

    Between the two renames there is no collection at all; `recover` puts the old one back if the
    process dies just there. Meanwhile it lies where no other machine clears anything away.

    Raises:
        ImpastoError: the operating system does not let it.
    """
    try:
        if destination.is_dir() and not any(destination.iterdir()):
            destination.rmdir()
        if destination.exists():
            destination.rename(
                destination.with_name(f".{destination.name}.replaced-{uuid.uuid4().hex[:8]}")
            )
        new.rename(destination)
    except OSError as error:
        raise ImpastoError(f"cannot replace {destination}: {error.strerror or error}") from error
    finally:
        recover(destination)


def recover(destination: Path) -> None:
    """Put back the collection that was being replaced when a process died, or clear it away if the
    other one has taken its place."""
    for old in destination.parent.glob(f".{glob.escape(destination.name)}.replaced-*"):
        if (destination / "collection.json").is_file():
            clear(old)
        elif not destination.exists():
            old.rename(destination)


def clear(folder: Path) -> None:
    """Remove a folder as far as that is possible."""
    shutil.rmtree(folder, ignore_errors=True)
