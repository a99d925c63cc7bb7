"""A folder of pictures, at any depth, without labels."""

from pathlib import Path

from impasto.collection.listing import Entry, Listing, pictures
from impasto.errors import ImpastoError

ORDER = 90


def claims(source: Path, labels: tuple[str, ...] | None) -> bool:
    """Any folder that no other reader wants."""
    return source.is_dir()


def read(source: Path, labels: tuple[str, ...] | None) -> Listing:
    """List the folder.

    Raises:
        ImpastoError: labels were asked for, and there is nothing to take them from.
    """
    if labels:
        raise ImpastoError(
            f"no labels '{', '.join(labels)}' in {source}: it has neither a table metadata.csv nor "
            "a folder for each class; leave --labels out, or add one of them"
        )
    listing = Listing("a folder")
    listing.entries = [Entry(path, relative) for path, relative in pictures(source, listing)]
    return listing
