"""Readers: one file a kind of source, so that a new kind touches no other file.

A reader is a module with:
- `ORDER: int`: readers of lower order are tried first;
- `claims(source: Source, labels: tuple[str, ...] | None) -> bool`, whether it reads this source; a
  folder only if it has found pictures there that it can read, since another reader may read the
  rest;
- `read(source: Source, labels: tuple[str, ...] | None) -> Listing`, what is in it; `labels` are the
  fields the user asked for, None for the source's own.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from impasto.errors import ImpastoError
from impasto.registry import load_module, names
from impasto.sources.listing import Content, Listing, clean_names
from impasto.sources.remote.path import Place, RemotePath
from impasto.sources.remote.store import Store
from impasto.sources.trees import Source, open_source


def _readers() -> list[ModuleType]:
    modules = [load_module("readers", name, "reader") for name in names("readers")]
    return sorted(modules, key=lambda module: module.ORDER)


def read_source(
    source: Place, labels: tuple[str, ...] | None, names_encoding: str | None = None
) -> Listing:
    """List a source with the first reader that claims it.

    Args:
        source: a folder, an archive or another file, on disk or at an address.
        labels: the fields asked for; None: the source's own.
        names_encoding: the encoding of file names in archives that do not declare one; None: see
            `archives/`.

    Raises:
        ImpastoError: there is no such source, no reader for it, or the labels are not in it.
    """
    if isinstance(source, RemotePath):
        source.check()
    elif not source.exists():
        raise ImpastoError(
            f"there is no {source}; SOURCE is a folder of pictures, an archive of one, a table "
            "beside them, another kind that `impasto pack --help` names, or the word masters"
        )
    elif (source / "collection.json").is_file():
        raise ImpastoError(f"{source} is a collection already; pack from the pictures themselves")
    if isinstance(source, Path):
        return clean_names(read_opened(open_source(source, names_encoding), labels))
    return _read_remote(source, labels, names_encoding)


def _read_remote(
    source: RemotePath, labels: tuple[str, ...] | None, names_encoding: str | None
) -> Listing:
    """As `read_source`, of an address; each picture's source is its address, if nothing else is."""
    try:
        opened = open_source(source, names_encoding)
        listing = clean_names(read_opened(opened, labels))
    finally:
        source.store.check()  # A reader may go on without what it could not read.
    _name_addresses(listing, opened)
    if listing.contents is not None:
        listing.contents = partial(_checked, source.store, listing.contents)
    return listing


def _checked(
    store: Store, contents: Callable[[Sequence[int]], Iterator[Content]], numbers: Sequence[int]
) -> Iterator[Content]:
    """The contents, as long as their place can be reached.

    Raises:
        ImpastoError: it cannot any more.
    """
    for content in contents(numbers):
        store.check()
        yield content


def _name_addresses(listing: Listing, opened: Source) -> None:
    """Say of each picture where it was read, if its source does not say where it comes from."""
    if "source" in listing.fields:
        return
    files = opened.tree.files if opened.file is None else {}
    for entry in listing.entries:
        file = files.get(entry.relative)
        entry.about.setdefault(
            "source", str(opened.path if file is None else file.path or opened.path)
        )


def read_opened(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List an opened source with the first reader that claims it.

    Raises:
        ImpastoError: there is no reader for it, or the labels are not in it.
    """
    for reader in _readers():
        if reader.claims(source, labels):
            listing: Listing = reader.read(source, labels)
            listing.notes += source.tree.notes
            return listing
    raise ImpastoError(
        f"{source.path} is of no kind that can be read; give a folder of pictures, a zip or tar of one, "
        "a table that lists them in a column 'file', parquet or .npz"
    )
