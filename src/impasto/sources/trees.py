"""Trees of files: folders, and archives that are read without unpacking, with the same methods.

A reader sees names and bytes only. Each kind of archive is a file in `archives/`.
"""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError
from impasto.registry import module_names
from impasto.sources.remote.path import Place, RemotePath
from impasto.tabular import decoded
from impasto.tabular import tidy as tidy


class UnusableError(Exception):
    """A file gives no picture. The text is the reason for `left-out.csv`: `kind: details`."""


def unreadable(error: BaseException | None) -> str:
    """The kind of reason for an error in reading: `unreadable for now` if `system_error` finds an
    OSError, else `unreadable`."""
    return "unreadable" if system_error(error) is None else "unreadable for now"


def system_error(error: BaseException | None) -> OSError | None:
    """The OSError that an error is or was caused by; None if there is none. Only errors with a number
    count, as those of the system and of servers have."""
    # `zipfile` raises BadZipFile where reading fails, so the cause has to be looked at.
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


@dataclass(frozen=True)
class File:
    """A file in a tree."""

    name: str
    """Its path in the tree, as valid Unicode, with `/` on every system."""
    size: int
    """Uncompressed bytes."""
    stamp: str
    """A text that changes when the file does, made without reading it: size and modification time, or a
    stored checksum."""
    path: Place | None = None
    """Its path or address; None for a file in an archive."""

    @property
    def on_disk(self) -> Path | None:
        """Its path if it is a file on disk, else None."""
        return self.path if isinstance(self.path, Path) else None


class Tree(ABC):
    """A folder's or an archive's files, by name. Subclasses define `_list()` and `read()`.

    Attributes:
        place: the folder or the archive.
        notes: notes for the user, a sentence each; complete once the tree is listed.
        picture_by_bytes: by name of files whose first bytes were read: whether they are pictures.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.notes: list[str] = []
        self.picture_by_bytes: dict[str, bool] = {}

    @cached_property
    def _listed(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files, left_out = self._list()
        return dict(sorted(files.items())), left_out

    @property
    def files(self) -> dict[str, File]:
        """The files by name, sorted. The first access lists them.

        Raises:
            ImpastoError: the tree cannot be read at all.
        """
        return self._listed[0]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Name and reason of what cannot be listed."""
        return self._listed[1]

    @abstractmethod
    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        """The files by name, and the names and reasons of what cannot be listed.

        Raises:
            ImpastoError: the tree cannot be read at all.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnusableError: the file is missing or damaged, or cannot be read.
        """

    def close(self) -> None:  # noqa: B027  # A folder has nothing open.
        """Close open files. An archive's tree cannot be read afterwards."""

    def contents(self, names: Sequence[str]) -> Iterator[bytes | UnusableError]:
        """The bytes of each file, or the reason why there are none. Archives are read fastest in the
        order of their files."""
        for name in names:
            try:
                yield self.read(name)
            except UnusableError as reason:
                yield reason


@dataclass
class Source:
    """A source as readers receive it."""

    path: Place
    """The user's path or address: a folder, an archive, or another file."""
    tree: Tree
    """The folder, the archive's files, or the file's folder."""
    file: str | None = None
    """The name in the tree, if the path is another file."""
    names_encoding: str | None = None
    """The encoding of file names in archives that do not declare one; None: the archive's own rule."""
    kept: dict[str, Any] = field(default_factory=dict)
    """By name of a reader's module: results of `claims` that its reading uses again."""


def readable(name: str) -> str:
    r"""A file's name as text that can be written.

    Bytes that are not UTF-8 are shown as `\xe9` (on Windows, characters that are not UTF-16 as
    `\ud83d`), so that different names stay different: folders may be classes.
    """
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return name.encode("utf-8", "backslashreplace").decode()


_LITTER = frozenset(
    {
        *("__pycache__", "__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found"),
        "system volume information",
    }
)


def is_litter(folder: str) -> bool:
    """Whether a folder of this name is skipped: a hidden one, or one that programs make, such as
    thumbnails on a network drive (`@eaDir`) or a recycle bin."""
    return folder.startswith(".") or folder.lower() in _LITTER


def stamp_of(status: os.stat_result) -> str:
    """The stamp of a file on disk."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def file_at(path: Place) -> File:
    """A path or an address as a `File`.

    Raises:
        OSError: the file cannot be found.
    """
    if isinstance(path, RemotePath):
        info = path.store.info(path.key)
        return File(path.name, max(0, info.size), info.stamp, path)
    status = path.stat()
    return File(path.name, status.st_size, stamp_of(status), path.absolute())


def walk(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, str]]:
    """Every file below a folder, with its path from there, sorted.

    Links are followed. A folder that was seen already, hidden files and folders, and packed collections
    are skipped.

    Args:
        folder: the folder.
        on_error: called for each unreadable folder.
    """
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        status = Path(place).stat()
        identity = (status.st_dev, status.st_ino)
        # A link to a folder above would make an endless walk.
        if identity in seen or "collection.json" in files:
            folders.clear()
            continue
        if status.st_ino:
            seen.add(identity)
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in sorted(files):
            if not name.startswith("."):
                path = Path(place, name)
                yield path, readable(path.relative_to(folder).as_posix())


class Folder(Tree):
    """A folder on disk; `RemoteFolder` is one at an address. Files are opened only when they are
    read."""

    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files: dict[str, File] = {}
        left_out: list[tuple[str, str]] = []

        top = self.place
        assert isinstance(top, Path)

        def unreadable(error: OSError) -> None:
            name = readable(os.path.relpath(error.filename, top))
            left_out.append((name, f"unreadable: a folder: {error.strerror}"))

        for path, name in walk(top, unreadable):
            try:
                status = path.stat()
            except OSError as error:
                left_out.append((name, f"unreadable: {error.strerror}"))
                continue
            if name in files:  # A name may be equal to the escaped form of another.
                left_out.append((name, "unreadable: another file's name reads the same"))
                continue
            files[name] = File(name, status.st_size, stamp_of(status), path)
        return files, left_out

    def read(self, name: str) -> bytes:
        file = self.files.get(name)
        # The user may name a hidden file, which is not listed.
        path = self.place / name if file is None or file.path is None else file.path
        assert isinstance(path, Path)
        try:
            if path.exists() and not path.is_file():
                raise UnusableError("unreadable: not a file")  # Reading a pipe would not end.
            return path.read_bytes()
        except OSError as error:
            raise UnusableError(f"unreadable for now: {error.strerror or error}") from error


def open_source(path: Place, names_encoding: str | None = None) -> Source:
    """Open a path or an address as a source.

    Raises:
        ImpastoError: it cannot be read.
    """
    if path.is_dir():
        return Source(path, _folder(path), names_encoding=names_encoding)
    if (tree := archive_at(path, names_encoding)) is not None:
        return Source(path, tree, names_encoding=names_encoding)
    return Source(path, _folder(path.absolute().parent), path.name, names_encoding)


def _folder(place: Place) -> Folder:
    if isinstance(place, RemotePath):
        from impasto.sources.remote.folder import RemoteFolder

        return RemoteFolder(place)
    return Folder(place)


def archive_at(path: Place, names_encoding: str | None = None) -> Tree | None:
    """An archive as a tree; None if the file is no archive.

    Args:
        path: the file.
        names_encoding: see `Source`.
    """
    for name in module_names("sources/archives"):
        archive = importlib.import_module(f"impasto.sources.archives.{name}")
        if archive.claims(path):
            tree: Tree = archive.open_archive(path, names_encoding)
            return tree
    return None


def decoded_file(tree: Tree, name: str) -> tuple[str, list[str]]:
    """A file's text, and notes on its encoding (`tabular.decoded`).

    Raises:
        ImpastoError: the file cannot be read, or is no text.
    """
    place = str(tree.place / name)
    try:
        content = tree.read(name)
    except UnusableError as reason:
        raise ImpastoError(f"cannot read {place}: {reason}") from reason
    return decoded(content, place)


def read_text(tree: Tree, name: str) -> str:
    """A file's text, whatever its encoding.

    Raises:
        ImpastoError: the file cannot be read, or is no text.
    """
    return decoded_file(tree, name)[0]
