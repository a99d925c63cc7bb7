"""Folders by class: the folders that a picture lies in name its classes, from the top.

With `--labels style,artist`, a picture in `Cubism/juan-gris` is of that style and artist. A folder that
holds all pictures names nothing, and `train`, `val` and `test` name what is held out (`folders.py`).
"""

from impasto.collection.folders import layout
from impasto.collection.listing import (
    Listing,
    entry_of,
    is_picture,
    pictures,
    read_from,
)
from impasto.collection.trees import Source, tidy
from impasto.errors import ImpastoError
from impasto.words import counted

ORDER = 50


def _names(source: Source) -> list[str]:
    return [name for name, file in source.tree.files.items() if is_picture(file)]


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Two class folders or more and no picture outside them (but held-out ones: those of a test are
    often not told); one will do where labels are asked."""
    if source.file is not None or labels == ():
        return False
    names = _names(source)
    folders = layout(names, levels=len(labels or ("class",)))
    if not labels and any(not folders.levels(name) and not folders.heldout(name) for name in names):
        return False
    return len(folders.tops(names)) >= (1 if labels else 2)


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the folders; where a picture lies in fewer than there are labels, the rest is not known.

    Raises:
        ImpastoError: no picture lies in as many folders as labels were asked for.
    """
    fields = labels or ("class",)
    listing = Listing("folders by class", fields=tuple(fields))
    files = list(pictures(source.tree, listing))
    folders = layout([file.name for file in files], levels=len(fields))
    deepest = max(len(folders.levels(file.name)) for file in files)
    if deepest < len(fields):
        raise ImpastoError(
            f"folders by class hold one label each, but --labels names {len(fields)}: "
            f"{', '.join(fields)}; the pictures in {source.path} are {counted(deepest, 'folder')} "
            "deep at most: name as many, or add a table metadata.csv"
        )
    outside = 0
    for file in files:
        levels = [tidy(level) for level in folders.levels(file.name)[: len(fields)]]
        outside += len(levels) < len(fields)
        classes = (*levels, *[""] * (len(fields) - len(levels)))
        heldout = folders.heldout(file.name)
        listing.entries.append(entry_of(file, labels=classes, heldout=heldout))
    if outside:
        listing.notes.append(
            f"{counted(outside, 'picture')} in fewer folders than there are labels: of those, what no "
            "folder tells is not known"
        )
    listing.notes += folders.notes()
    return read_from(source.tree, listing)
