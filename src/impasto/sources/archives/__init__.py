"""Archives, which are read without unpacking. Each kind is a file, so a new one changes no other file.

A kind of archive is a module with:
- `SUFFIXES: tuple[str, ...]`, the usual suffixes of its files;
- `claims(path: Place) -> bool`, whether this file is one, by its name or its first bytes;
- `open_archive(path: Place, names_encoding: str | None = None) -> Tree`, its files as a tree;
  `names_encoding` is the encoding of file names that do not declare one.

Nothing is unpacked under a name from inside an archive, so no name, link or device in it can reach
other files. This file holds what all kinds share.
"""

import importlib
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from impasto.errors import ImpastoError
from impasto.files import refuse_pointer_file
from impasto.formatting import counted, error_text, one_line
from impasto.registry import module_names
from impasto.sources.remote.path import Place
from impasto.sources.trees import File, Tree, UnusableError, is_litter, readable, system_error

MOST_BYTES = 2**30
"""Files in an archive of more bytes, uncompressed, are left out, because they may be decompression
bombs."""

_TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
"""Suffixes of tables; see `_wrapper`."""


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    """Its name in the archive."""
    size: int
    """Uncompressed bytes, as the archive declares."""
    stamp: str
    """See `File.stamp`."""
    where: Any
    """What `Archive._content` needs to read it."""


class Archive(Tree):
    """The tree of an archive's files. Subclasses define `_members()` and `_content()`.

    Names are relative and without `..`. Hidden files and the files of programs are skipped, as in a
    folder. An outermost folder that only wraps everything is removed from the names. Of two files of one
    name the later one counts, as after unpacking.

    Args:
        place: the archive.
        names_encoding: the encoding of names that do not declare one; None: the archive's own rule.
    """

    _where: dict[str, Any]

    def __init__(self, place: Place, names_encoding: str | None = None) -> None:
        super().__init__(place)
        self.names_encoding = names_encoding

    @abstractmethod
    def _members(self, left_out: list[tuple[str, str]]) -> Iterator[Member]:
        """The archive's files. Entries that are no files or cannot be read go to `left_out`, with their
        reasons.

        Raises:
            Exception: of any kind, if the archive is damaged.
        """

    @abstractmethod
    def _content(self, where: Any) -> bytes:
        """The bytes of a file, by `Member.where`.

        Raises:
            Exception: of any kind, if the archive is damaged.
        """

    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files: dict[str, File] = {}
        left_out: list[tuple[str, str]] = []
        self._where = {}
        try:
            for member in self._members(left_out):
                name = plain_name(member.name)
                if not name or is_hidden(name):
                    continue
                if name in files:
                    left_out.append((name, "twice in the archive: the later one counts"))
                files[name] = File(name, member.size, member.stamp)
                self._where[name] = member.where
        except ImpastoError:
            refuse_pointer_file(self.place)
            raise
        except Exception as error:
            if (unread := system_error(error)) is not None:
                raise ImpastoError(f"cannot read {self.place}: {unread.strerror}") from error
            # The modules that read archives raise almost anything on damaged ones.
            raise self.damaged(error) from error
        left_out = [(plain_name(name), reason) for name, reason in left_out]
        left_out = [(name, reason) for name, reason in left_out if name and not is_hidden(name)]
        self._skip_collections(files)
        return self._without_wrapper(files, left_out)

    def _decoded(self, name: bytes) -> str:
        """A file's name, decoded by the encoding that the user gave.

        Raises:
            ImpastoError: the name is not in this encoding.
        """
        assert self.names_encoding is not None
        try:
            return name.decode(self.names_encoding)
        except UnicodeError as error:
            shown = name.decode("ascii", "backslashreplace")
            raise ImpastoError(
                f"the name {one_line(shown)} in {self.place} is not in {self.names_encoding}; give "
                "another --names-encoding"
            ) from error

    def damaged(self, error: Exception) -> ImpastoError:
        """The error for an archive that cannot be listed.

        Raises:
            PointerError: it is a Git LFS pointer.
        """
        refuse_pointer_file(self.place)
        return ImpastoError(
            f"{self.place} is damaged or was cut short ({error_text(error)}); download it or make it "
            "again"
        )

    def _skip_collections(self, files: dict[str, File]) -> None:
        packed = {
            name.removesuffix("collection.json")
            for name in files
            if PurePosixPath(name).name == "collection.json"
        }
        if "" in packed:
            raise ImpastoError(f"{self.place} holds a collection; unpack it, and use the folder")
        for name in [name for name in files if any(name.startswith(folder) for folder in packed)]:
            del files[name], self._where[name]

    def _without_wrapper(
        self, files: dict[str, File], left_out: list[tuple[str, str]]
    ) -> tuple[dict[str, File], list[tuple[str, str]]]:
        wrapper = _wrapper(list(files))
        if not wrapper:
            return files, left_out
        length = len(wrapper)
        self._where = {name[length:]: where for name, where in self._where.items()}
        short = {
            name[length:]: File(name[length:], file.size, file.stamp)
            for name, file in files.items()
        }
        return short, [(name.removeprefix(wrapper), reason) for name, reason in left_out]

    def read(self, name: str) -> bytes:
        file = self.files.get(name)
        if file is None:
            raise UnusableError("unreadable: there is no such file in the archive")
        if file.size > MOST_BYTES:
            raise UnusableError(
                f"too large: {file.size:,} bytes; from an archive, at most {MOST_BYTES:,} are read"
            )
        try:
            content = self._content(self._where[name])
        except UnusableError:
            raise
        except MemoryError:
            raise UnusableError("too large: there was not enough memory to read it") from None
        except Exception as error:
            if (unread := system_error(error)) is not None:
                raise UnusableError(f"unreadable for now: {unread.strerror}") from error
            raise UnusableError(
                f"unreadable: damaged in the archive: {error_text(error)}"
            ) from None
        if len(content) != file.size:
            raise UnusableError(
                f"unreadable: damaged in the archive: {len(content):,} bytes of {file.size:,}"
            )
        return content


def names_note(names: list[str], taken_for: str) -> str:
    """A note on file names whose encoding was guessed.

    Args:
        names: the names.
        taken_for: the encoding.
    """
    return (
        f"{counted(len(names), 'file name')} beyond ASCII taken for {taken_for}, such as "
        f"{one_line(plain_name(names[0]))}; if that is wrong, name the right one, such as "
        "--names-encoding cp932 (Japanese), gbk (Chinese), cp949 (Korean), cp866 (Russian) or cp1252 "
        "(Western European)"
    )


@cache
def _suffixes() -> tuple[str, ...]:
    """The suffixes of all kinds of archives, the longest first."""
    kinds = module_names("sources/archives")
    modules = (importlib.import_module(f"{__name__}.{kind}") for kind in kinds)
    return tuple(sorted((end for module in modules for end in module.SUFFIXES), key=len)[::-1])


def stem_of(name: str) -> str | None:
    """The name of an archive without its suffix; None if the name has no archive's suffix."""
    for suffix in _suffixes():
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return None


def is_archive(name: str) -> bool:
    """Whether a file is an archive by its name."""
    return name.lower().endswith(_suffixes())


def first_bytes(path: Place, count: int) -> bytes:
    """The first bytes of a regular file; empty for anything else, because reading a pipe would block."""
    with suppress(OSError):
        if path.is_file():
            with path.open("rb") as file:
                return file.read(count)
    return b""


def plain_name(name: str) -> str:
    """A name from an archive in the form of a tree's names, without `..` and a leading `/`."""
    parts = [part for part in readable(name).split("/") if part not in ("", ".", "..")]
    return "/".join(parts)


def is_hidden(name: str) -> bool:
    """Whether a file is skipped because of its name or that of a folder above it."""
    *folders, last = name.split("/")
    return last.startswith(".") or any(map(is_litter, folders))


def _wrapper(names: list[str]) -> str:
    """The outermost folders that only wrap everything else, with the last `/`.

    A wrapper holds folders or tables, not only pictures: `paintings-main/` of
    `paintings-main/Baroque/1.jpg` is one, `paintings/` of `paintings/1.jpg` is not.
    """
    wrapper = ""
    while True:
        inside = [name[len(wrapper) :] for name in names]
        tops = {name.partition("/")[0] if "/" in name else "" for name in inside}
        if len(tops) != 1 or "" in tops:
            return wrapper
        top = f"{tops.pop()}/"
        below = [name.removeprefix(top) for name in inside]
        if not any("/" in name or name.lower().endswith(_TABLES) for name in below):
            return wrapper
        wrapper += top
