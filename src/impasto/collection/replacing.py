"""Move a finished collection to its destination, in place of an earlier one."""

import glob
import os
import shutil
import uuid
from pathlib import Path

from impasto.collection.assembling import CollectionPlan, write_collection
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, expand_home


def collection_folder(destination: Path) -> Path:
    """The absolute path of a collection's folder. A link is resolved, so that its target is replaced."""
    path = expand_home(destination).absolute()
    # Not Path.resolve, which raises an error on a link to itself.
    return Path(os.path.realpath(path)) if path.name in ("", "..") or path.is_symlink() else path


def work_folder(destination: Path) -> Path:
    """The hidden folder beside a collection with the parts of an unfinished packing."""
    return destination.with_name(f".{destination.name}.packing")


def replace_collection(destination: Path, plan: CollectionPlan) -> None:
    """Write a collection in place of an earlier one, and delete the parts of the packing.

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

    Between the two renames there is no collection. If the process dies then, `recover` puts the old one
    back, which has a hidden name beside the destination that no other machine deletes.

    Raises:
        ImpastoError: the operating system refuses.
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
    """After a crash in `_move_into_place`: put the old collection back, or delete it if the new one is
    complete."""
    for old in destination.parent.glob(f".{glob.escape(destination.name)}.replaced-*"):
        if (destination / "collection.json").is_file():
            delete_folder(old)
        elif not destination.exists():
            old.rename(destination)


def delete_folder(folder: Path) -> None:
    """Delete a folder, ignoring errors."""
    shutil.rmtree(folder, ignore_errors=True)
