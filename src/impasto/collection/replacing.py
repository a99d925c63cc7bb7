"""Move a finished collection to its place, atomically."""

import glob
import os
import shutil
import uuid
from pathlib import Path

from impasto.collection.assembling import CollectionPlan, write_collection
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, expand_home


def collection_folder(destination: Path) -> Path:
    """The absolute path of a collection's folder; of a link its target, which is what gets replaced."""
    path = expand_home(destination).absolute()
    # Not resolve(), which raises on a link to itself.
    return Path(os.path.realpath(path)) if path.name in ("", "..") or path.is_symlink() else path


def work_folder(destination: Path) -> Path:
    """The hidden folder beside a collection with the parts of an unfinished packing."""
    return destination.with_name(f".{destination.name}.packing")


def replace_collection(destination: Path, plan: CollectionPlan) -> None:
    """Write a collection, replacing an earlier one, and delete its work folder.

    Raises:
        ImpastoError: it cannot be written; the earlier collection is unchanged.
    """
    work = work_folder(destination)
    new = work / f"new-{uuid.uuid4().hex}"
    with atomic_folder(new) as folder:
        write_collection(folder, plan)
    _move_into_place(new, destination)
    delete_folder(work)


def _move_into_place(new: Path, destination: Path) -> None:
    """Move a finished folder over a collection or an empty folder.

    Between the two renames there is no collection; `recover` puts the old one back if the process
    dies just then. Meanwhile it lies where no other machine deletes it.

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
    """After a crash in replacing: put the old collection back, or delete it if the new one is in
    place."""
    for old in destination.parent.glob(f".{glob.escape(destination.name)}.replaced-*"):
        if (destination / "collection.json").is_file():
            delete_folder(old)
        elif not destination.exists():
            old.rename(destination)


def delete_folder(folder: Path) -> None:
    """Delete a folder, ignoring errors."""
    shutil.rmtree(folder, ignore_errors=True)
