"""Trees of files: a folder on disk, or an archive that is read where it lies, as one thing.

A reader sees names and bytes, and does not know where they are. Which archives there are is in
`archives/`, one file a kind.
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
from impasto.tabular import decoded
from impasto.tabular import tidy as tidy


class UnusableError(Exception):
    """What gives no picture; the text is the reason for `left-out.csv`, `kind: details`."""


def unreadable(error: BaseException | None) -> str:
    """The kind of reason where an error keeps something from being read: `unreadable`, or `unreadable
    for now` where it, or what it came of, is the operating system's."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return "unreadable for now"
        error = error.__cause__
    return "unreadable"


@dataclass(frozen=True)
class File:
    """A file in a tree."""

    name: str
    """Its path in the tree, with `/` on every system and as text that can be written."""
    size: int
    """Its bytes, uncompressed."""
    stamp: str
    """Changes when the file does, and is known without reading it: size and time, or a checksum."""
    path: Path | None = None
    """Where it lies if it is a file of its own."""


class Tree(ABC):
    """Files by name. A kind of tree has `_list()` and `read()`.

    Attributes:
        place: the folder or the archive.
        notes: what the user may want to know of it, a sentence each; complete once it is listed.
        looked_into: whether a file is a picture by its first bytes, of those whose names do not say it.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.notes: list[str] = []
        self.looked_into: dict[str, bool] = {}

    @cached_property
    def _listed(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files, left_out = self._list()
        return dict(sorted(files.items())), left_out

    @property
    def files(self) -> dict[str, File]:
        """The files by name, sorted; listed when first asked for."""
        return self._listed[0]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Name and reason, of what could not be listed."""
        return self._listed[1]

    @abstractmethod
    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        """The files by name, and name and reason of what cannot be listed.

        Raises:
            ImpastoError: the tree cannot be read at all.
        """

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            UnusableError: it is damaged or cannot be read.
        """

    def close(self) -> None:  # noqa: B027  # A folder has nothing open.
        """Let go of what is open; an archive's tree cannot be read any more."""

    def contents(self, names: Sequence[str]) -> Iterator[bytes | UnusableError]:
        """The bytes of many files, or why there are none, in the order of the names; an archive
        may be read most quickly in the order in which it lists them."""
        for name in names:
            try:
                yield self.read(name)
            except UnusableError as reason:
                yield reason


@dataclass
class Source:
    """What a reader is given."""

    path: Path
    """What the user gave: a folder, an archive, or another file."""
    tree: Tree
    """The folder, what is in the archive, or the folder that the file lies in."""
    file: str | None = None
    """The name of that other file, in the tree's folder."""
    names_encoding: str | None = None
    """Of file names in archives that do not say theirs; None: each kind's own rule."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What readers found out when they were asked whether they claim it, for when they read it; each
    reader under the name of its module."""


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
    """Whether a folder of this name is passed over: hidden, or made by a program for itself, such as
    thumbnails on a network drive (`@eaDir`) or a bin for deleted files."""
    return folder.startswith(".") or folder.lower() in _LITTER


def stamp_of(status: os.stat_result) -> str:
    """The stamp of a file on disk."""
    return f"{status.st_size}-{status.st_mtime_ns}"


def walk(
    folder: Path, on_error: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, str]]:
    """Every file below a folder with its relative path, sorted, links followed once.

    Hidden files and folders are passed over, and so are packed collections. `on_error` is called for
    folders that cannot be read.
    """
    seen: set[tuple[int, int]] = set()
    for place, folders, files in os.walk(folder, onerror=on_error, followlinks=True):
        status = Path(place).stat()
        identity = (status.st_dev, status.st_ino)
        # A link that leads back up would otherwise be walked for ever.
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
    """A folder on disk; its files are not opened before they are asked for."""

    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files: dict[str, File] = {}
        left_out: list[tuple[str, str]] = []

        def unreadable(error: OSError) -> None:
            name = readable(os.path.relpath(error.filename, self.place))
            left_out.append((name, f"unreadable: a folder: {error.strerror}"))

        for path, name in walk(self.place, unreadable):
            try:
                status = path.stat()
            except OSError as error:
                left_out.append((name, f"unreadable: {error.strerror}"))
                continue
            if name in files:  # A name may be spelt as the bytes of another are shown.
                left_out.append((name, "unreadable: another file's name reads the same"))
                continue
            files[name] = File(name, status.st_size, stamp_of(status), path)
        return files, left_out

    def read(self, name: str) -> bytes:
        file = self.files.get(name)
        # One that was asked for by its own name may be hidden from a listing.
        path = self.place / name if file is None or file.path is None else file.path
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnusableError(f"unreadable for now: {error.strerror or error}") from error


def open_source(path: Path, names_encoding: str | None = None) -> Source:
    """The tree that a path stands for.

    Raises:
        ImpastoError: it cannot be read.
    """
    if path.is_dir():
        return Source(path, Folder(path), names_encoding=names_encoding)
    if (tree := archive_at(path, names_encoding)) is not None:
        return Source(path, tree, names_encoding=names_encoding)
    return Source(path, Folder(path.absolute().parent), path.name, names_encoding)


def archive_at(path: Path, names_encoding: str | None = None) -> Tree | None:
    """What is in an archive; None where the file is none."""
    for name in module_names("sources/archives"):
        archive = importlib.import_module(f"impasto.sources.archives.{name}")
        if archive.claims(path):
            tree: Tree = archive.open_archive(path, names_encoding)
            return tree
    return None


def decoded_file(tree: Tree, name: str) -> tuple[str, list[str]]:
    """A file's text, and what is to be noted of its encoding (`tabular.decoded`).

    Raises:
        ImpastoError: it cannot be read, or is no text.
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
        ImpastoError: it cannot be read, or is no text.
    """
    return decoded_file(tree, name)[0]
