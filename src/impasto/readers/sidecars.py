"""Pictures each with a JSON file beside it that tells of it, as gallery-dl writes them.

An object's names are taken as the columns of a table are (`table.py`). Which of them are labels has to
be asked for; without, the pictures are read as they would be without such files (`folder.py`,
`class_folders.py`), and the files' other columns are kept all the same.
"""

from impasto.errors import ImpastoError
from impasto.sources.columns import Classes, label_columns
from impasto.sources.folders import layout
from impasto.sources.heldout import hold_out
from impasto.sources.listing import Listing, entry_of, pictures, read_from
from impasto.sources.sidecars import beside_pictures, columns_of, tell_of
from impasto.sources.trees import Source

ORDER = 40


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A folder or archive in which most pictures have such a file, and these tell all the labels that
    are asked for."""
    if source.file is not None or not labels:
        return False
    beside = beside_pictures(source.tree)
    if not beside:
        return False
    try:
        columns = columns_of(source.tree, beside)
        return bool(label_columns("", columns, labels))
    except ImpastoError:
        return False


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the pictures; one whose file cannot be read has no known class.

    Raises:
        ImpastoError: no file tells a label.
    """
    tree, labels = source.tree, labels or ()
    listing = Listing("pictures with JSON files beside them", fields=tuple(map(str.lower, labels)))
    files = list(pictures(tree, listing))
    columns = columns_of(tree, beside_pictures(tree))
    found = label_columns(f"the JSON files in {source.path}", columns, labels)
    listing.entries = [entry_of(file) for file in files]
    tell_of(tree, listing, Classes(dict(zip(listing.fields, found, strict=True))))
    folders = layout(entry.relative for entry in listing.entries)
    own = [folders.heldout(entry.relative) for entry in listing.entries]
    hold_out(listing, own, folders.notes())
    return read_from(tree, listing)
