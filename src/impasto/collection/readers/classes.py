"""Folders by class: the folder at the top that a picture lies in names its class."""

from impasto.collection.listing import (
    PICTURE_SUFFIXES,
    Listing,
    entry_of,
    pictures,
    read_from,
    suffix_of,
)
from impasto.collection.trees import Source, tidy
from impasto.errors import ImpastoError

ORDER = 50


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Two class folders or more and no picture outside them; one will do where labels are asked."""
    if source.file is not None or labels == ():
        return False
    tops: set[str] = set()
    for name in source.tree.files:
        if suffix_of(name) not in PICTURE_SUFFIXES:
            continue
        top, slash, _ = name.partition("/")
        if slash:
            tops.add(top)
        elif not labels:
            return False
    return len(tops) >= (1 if labels else 2)


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the folders; a picture that lies in none of them has no known class.

    Raises:
        ImpastoError: more than one label was asked for.
    """
    names = labels or ("class",)
    if len(names) > 1:
        raise ImpastoError(
            f"folders by class hold one label, but --labels names {len(names)}: {', '.join(names)}; "
            "give one name for it, or add a table metadata.csv"
        )
    listing = Listing("folders by class", fields=tuple(names))
    for file in pictures(source.tree, listing):
        top, slash, _ = file.name.partition("/")
        listing.entries.append(entry_of(file, labels=(tidy(top) if slash else "",)))
    return read_from(source.tree, listing)
