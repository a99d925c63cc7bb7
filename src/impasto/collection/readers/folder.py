"""A folder of pictures, at any depth, without labels."""

from impasto.collection.listing import Listing, entry_of, pictures, read_from
from impasto.collection.trees import Source
from impasto.errors import ImpastoError

ORDER = 90


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Any folder or archive that no other reader wants."""
    return source.file is None


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the folder.

    Raises:
        ImpastoError: labels were asked for, and there is nothing to take them from.
    """
    if labels:
        raise ImpastoError(
            f"no labels '{', '.join(labels)}' in {source.path}: it has neither a table metadata.csv nor "
            "a folder for each class; leave --labels out, or add one of them"
        )
    listing = Listing("a folder")
    listing.entries = [entry_of(file) for file in pictures(source.tree, listing)]
    return read_from(source.tree, listing)
