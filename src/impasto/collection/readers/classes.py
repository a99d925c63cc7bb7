"""Folders by class: the folder at the top that a picture lies in names its class."""

from pathlib import Path

from impasto.collection.listing import PICTURE_SUFFIXES, Entry, Listing, pictures, tidy, walk
from impasto.errors import ImpastoError

ORDER = 50


def claims(source: Path, labels: tuple[str, ...] | None) -> bool:
    """Two class folders or more and no picture outside them; one will do where labels are asked."""
    if not source.is_dir() or labels == ():
        return False
    tops: set[str] = set()
    for path, relative in walk(source):
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        top, slash, _ = relative.partition("/")
        if slash:
            tops.add(top)
        elif not labels:
            return False
    return len(tops) >= (1 if labels else 2)


def read(source: Path, labels: tuple[str, ...] | None) -> Listing:
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
    for path, relative in pictures(source, listing):
        top, slash, _ = relative.partition("/")
        listing.entries.append(Entry(path, relative, (tidy(top) if slash else "",)))
    return listing
