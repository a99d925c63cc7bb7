"""A folder of pictures, at any depth, without labels."""

from impasto.errors import ImpastoError
from impasto.sources.folders import layout
from impasto.sources.heldout import listed
from impasto.sources.json_sidecars import add_descriptions
from impasto.sources.listing import Listing, entry_of, pictures, read_from, suffix_of
from impasto.sources.resized import without_smaller
from impasto.sources.trees import Source

ORDER = 90

_TABLES = (".csv", ".tsv", ".jsonl")


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """Any folder or archive that no other reader claims."""
    return source.file is None


def _could_be_classes(names: list[str]) -> list[str]:
    """A note if there may be folders by class."""
    folders = layout(names, levels=1)
    # With pictures beside them.
    if len(folders.tops(names)) >= (1 if folders.splits else 2):
        return ["no labels were asked for; --labels class would take the folders' names"]
    if folders.passed and not folders.splits:
        return [folders.skipped_note()]
    return []


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List the folder; `test` and `val` beside `train` are held out.

    Raises:
        ImpastoError: labels were asked for, but there are neither tables nor class folders.
    """
    listing = Listing("a folder")
    files = without_smaller(list(pictures(source.tree, listing)), listing)
    folders = layout((file.name for file in files), len(labels or ()))
    if labels and files:
        more = [folders.skipped_note()] if folders.skipped_note() else []
        tables = [
            name
            for name in source.tree.files
            if suffix_of(name) in _TABLES or name.rpartition("/")[2].lower() == "metadata.json"
        ]
        if tables:
            more.append(f"a table counts by the name metadata.csv, or as SOURCE: {listed(tables)}")
        raise ImpastoError(
            f"no labels '{', '.join(labels)}' in {source.path}: it has neither a table metadata.csv nor "
            f"a folder for each class; {'; '.join(['leave --labels out, or add one of them', *more])}"
        )
    listing.entries = [entry_of(file, heldout=folders.heldout(file.name)) for file in files]
    listing.notes += folders.notes()
    if labels is None:
        listing.notes += _could_be_classes([file.name for file in files])
    add_descriptions(source.tree, listing)
    return read_from(source.tree, listing)
