"""Pictures with a JSON file beside each that describes it, as gallery-dl writes them.

An object's keys are treated as a table's columns (`table.py`). This reader is used only if
`--labels` names some of them; otherwise `folder.py` or `class_folders.py` reads the pictures and
keeps the columns for `--where`.
"""

from impasto.errors import ImpastoError
from impasto.sources.columns import LabelColumns, label_columns
from impasto.sources.folders import layout
from impasto.sources.heldout import hold_out
from impasto.sources.json_sidecars import add_columns, columns_of, sidecars_of
from impasto.sources.listing import Listing, entry_of, pictures, read_from
from impasto.sources.trees import Source

ORDER = 40


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A folder or archive in which most pictures have such a file, and the files have all labels
    asked for."""
    if source.file is not None or not labels:
        return False
    beside = sidecars_of(source.tree)
    if not beside:
        return False
    try:
        columns = columns_of(source.tree, beside)
        return bool(label_columns("", columns, labels))
    except ImpastoError:
        return False


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the pictures; one whose file cannot be read has no class.

    Raises:
        ImpastoError: no file has a label asked for.
    """
    tree, labels = source.tree, labels or ()
    listing = Listing("pictures with JSON files beside them", fields=tuple(map(str.lower, labels)))
    files = list(pictures(tree, listing))
    columns = columns_of(tree, sidecars_of(tree))
    found = label_columns(f"the JSON files in {source.path}", columns, labels)
    listing.entries = [entry_of(file) for file in files]
    add_columns(tree, listing, LabelColumns(dict(zip(listing.fields, found, strict=True))))
    folders = layout(entry.relative for entry in listing.entries)
    own = [folders.heldout(entry.relative) for entry in listing.entries]
    hold_out(listing, own, folders.notes())
    return read_from(tree, listing)
