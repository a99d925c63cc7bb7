"""A folder of archives: `images.zip` beside `metadata.jsonl`, as Hugging Face has it, or a zip a class.

They are read as if each were unpacked into a folder of its own name. Archives beside pictures are
left out.
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
    """List their contents with the reader that claims these.

    Raises:
        ImpastoError: none of them can be read, or the reader raises it.
    """
    assert isinstance(source.tree, Folder)
    tree = FolderWithArchives(source.tree, source.names_encoding)
    return read_opened(Source(source.path, tree, names_encoding=source.names_encoding), labels)
