"""Folders by class: the folders that a picture lies in name its classes, from the top.

With `--labels style,artist`, a picture in `Cubism/juan-gris` is of that style and artist. Folders
that are no classes are skipped: one that holds all pictures, parts for training and testing,
numbered parts (`folders.py` has them all). `--labels artist=2` takes the second level of folders,
whatever its names.
"""

import re
from collections.abc import Callable

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.sources.folders import Layout, layout
from impasto.sources.heldout import is_split_word, listed
from impasto.sources.json_sidecars import add_descriptions
from impasto.sources.listing import (
    Listing,
    entry_of,
    is_picture,
    pictures,
    read_from,
)
from impasto.sources.resized import without_smaller
from impasto.sources.trees import File, Source, tidy

ORDER = 50
MOST_OUTSIDE = 0.1
"""The share of pictures outside class folders with which these are still taken for classes unasked: a
stray picture should not cost all others their class."""

_LEVEL = re.compile(r"(.*)=\s*([0-9]{1,3})\s*")


def _chosen(labels: tuple[str, ...] | None) -> dict[str, int]:
    """The level of each label, from 1, if the user gives it: `artist=2`.

    Raises:
        ImpastoError: it is given for some labels only.
    """
    found = [_LEVEL.fullmatch(label) for label in labels or ()]
    chosen = {tidy(match[1]): int(match[2]) for match in found if match}
    if chosen and (len(chosen) < len(found) or 0 in chosen.values()):
        raise ImpastoError(
            f"--labels {','.join(labels or ())} is to name a level of folders, from 1, for each label, "
            "such as style=1,artist=2, or for none"
        )
    return chosen


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Two class folders or more (one, if labels are asked for), and few pictures outside them. Held-out
    ones may be outside, since test pictures often have no class."""
    if source.file is not None or labels == ():
        return False
    tree = source.tree
    files = without_smaller([file for file in tree.files.values() if is_picture(file, tree)])
    names = [file.name for file in files]
    if _chosen(labels):
        return bool(names)
    fields = labels or ("class",)
    folders = layout(names, len(fields), fields)
    outside = [name for name in names if not folders.levels(name) and not folders.heldout(name)]
    if not labels and len(outside) > MOST_OUTSIDE * len(names):
        return False
    return len(folders.tops(names)) >= (1 if labels else 2)


def _levels(
    source: Source, folders: Layout, files: list[File], labels: tuple[str, ...]
) -> tuple[tuple[str, ...], Callable[[str], list[str]]]:
    """The label fields, and a function from a picture to its class folders.

    Raises:
        ImpastoError: no picture lies in as many folders as labels were asked for.
    """
    chosen = _chosen(labels)
    if not chosen:
        deepest = max(len(folders.levels(file.name)) for file in files)
        if deepest < len(labels):
            apart = folders.skipped_note()
            raise ImpastoError(
                f"folders by class hold one label each, but --labels names {len(labels)}: "
                f"{', '.join(labels)}; the pictures in {source.path} are {counted(deepest, 'folder')} "
                f"deep at most: name as many, or add a table metadata.csv{apart and f'; {apart}'}"
            )
        return labels, lambda name: folders.levels(name)[: len(labels)]
    deepest = max(file.name.count("/") for file in files)
    if deepest < max(chosen.values()):
        raise ImpastoError(
            f"--labels {','.join(labels)}: the pictures in {source.path} are "
            f"{counted(deepest, 'folder')} deep at most, counted from there"
        )
    numbers = list(chosen.values())

    def named(name: str) -> list[str]:
        inside = name.split("/")[:-1]
        return [inside[number - 1] if number <= len(inside) else "" for number in numbers]

    return tuple(chosen), named


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the folders; a picture in fewer folders than labels lacks the last labels.

    Raises:
        ImpastoError: no picture lies in as many folders as labels were asked for.
    """
    listing = Listing("folders by class")
    files = without_smaller(list(pictures(source.tree, listing)), listing)
    names = [file.name for file in files]
    labels = labels or ("class",)
    folders = layout(names, len(labels), labels)
    listing.fields, levels_of = _levels(source, folders, files, labels)
    outside = 0
    for file in files:
        levels = [tidy(level) for level in levels_of(file.name)]
        levels += [""] * (len(listing.fields) - len(levels))
        outside += "" in levels
        heldout = folders.heldout(file.name)
        listing.entries.append(entry_of(file, labels=tuple(levels), heldout=heldout))
    if outside:
        listing.notes.append(
            f"{counted(outside, 'picture')} in fewer folders than there are labels: the missing labels "
            "are unknown"
        )
    if listing.fields == labels:
        listing.notes += folders.levels_note(labels)
    if not folders.splits:
        listing.notes += _split_names_note(listing)
    listing.notes += folders.notes()
    add_descriptions(source.tree, listing)
    return read_from(source.tree, listing)


def _split_names_note(listing: Listing) -> list[str]:
    """A note on classes with a name like `test` that count as classes because no part is beside
    them."""
    classes = {label for entry in listing.entries for label in entry.labels}
    odd = sorted(name for name in classes if is_split_word(name.lower()))
    if not odd:
        return []
    return [
        f"{listed(odd)} taken as a class like the folders beside it; if it is a part of the data set, "
        "put the others in a folder train beside it"
    ]
