"""A folder of archives: `images.zip` beside `metadata.jsonl`, as Hugging Face has it, or a zip a class.

They are read where they lie, as if each had been unpacked into a folder of its own name: whatever would
be read then is read now. Where pictures lie beside them, archives are left out.
"""

from impasto.readers import read_opened
from impasto.sources.archives import is_archive
from impasto.sources.folder_of_archives import FolderWithArchives
from impasto.sources.listing import Listing, is_picture
from impasto.sources.trees import Folder, Source

ORDER = 9


def claims(source: Source, labels: tuple[str, ...] | None) -> bool:
    """A folder with archives and no pictures beside them."""
    if source.file is not None or not isinstance(source.tree, Folder):
        return False
    tree = source.tree
    if any(is_picture(file, tree) for file in tree.files.values()):
        return False
    return any(map(is_archive, tree.files))


def read(source: Source, labels: tuple[str, ...] | None) -> Listing:
    """List what is in them, by whatever reader claims it.

    Raises:
        ImpastoError: none of them can be read, or the reader's own.
    """
    assert isinstance(source.tree, Folder)
    tree = FolderWithArchives(source.tree, source.names_encoding)
    return read_opened(Source(source.path, tree, names_encoding=source.names_encoding), labels)
