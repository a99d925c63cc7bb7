"""Tar archives, plain or compressed by gzip, bzip2 or xz, with the `tarfile` module.

The files of a plain archive are read directly. A compressed archive can only be read from its beginning.
So it is decompressed once, as a whole, into an unnamed temporary file: in memory up to 64 MB, above that
in impasto's cache folder. Until the program ends, that takes as much disk space as the unpacked archive.
"""

import bz2
import gzip
import lzma
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import IO, Any

from impasto.errors import ImpastoError
from impasto.files import cache_folder, write_error
from impasto.sources.archives import Archive, Member, first_bytes, names_note
from impasto.sources.remote.path import Place
from impasto.sources.trees import UnusableError, file_at

SUFFIXES = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"),
    *(".tar.zst", ".tzst"),
)
_BLOCK = 512
_MAGIC_AT = 257  # "ustar", in the first block of most

# By the first bytes, because some browsers remove .gz from a name without decompressing the file.
_COMPRESSED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": lambda file: bz2.BZ2File(file),
    b"\xfd7zXZ\0": lambda file: lzma.LZMAFile(file),  # noqa: SIM115
}
_ZSTANDARD = b"\x28\xb5\x2f\xfd"

_IN_MEMORY = 2**26
"""Most bytes of a decompressed archive that are kept in memory."""
_SUSPECT_BYTES = 2**30
_SUSPECT_RATIO = 100
"""An archive that exceeds both when it is decompressed is refused as a decompression bomb. Pictures are
compressed already, and even uncompressed drawings are compressed by a smaller factor."""
_LONGEST_HEADER = 2**20
"""Most bytes of an extended header. PAX sets no limit."""


def claims(path: Place) -> bool:
    """Whether it is a tar archive, by its name or its first bytes."""
    if not path.is_file():
        return False
    if path.name.lower().endswith(SUFFIXES):
        return True
    return first_bytes(path, _BLOCK)[_MAGIC_AT : _MAGIC_AT + 5] == b"ustar"


def open_archive(path: Place, names_encoding: str | None = None) -> "Tar":
    """A tar archive as a tree; nothing is read yet."""
    return Tar(path, names_encoding)


class Tar(Archive):
    """A tar archive."""

    def close(self) -> None:
        if "_plain" in self.__dict__:
            self._plain.close()

    @cached_property
    def _plain(self) -> IO[bytes]:
        """The decompressed archive as an open file.

        Raises:
            ImpastoError: it is compressed by Zstandard, or see `_decompressed`.
        """
        file = self.place.open("rb")
        first = file.read(6)
        file.seek(0)
        if first.startswith(_ZSTANDARD):
            file.close()
            raise ImpastoError(
                f"{self.place} is compressed by Zstandard, which is not read; decompress it with "
                f"zstd -d {self.place.name}, and give the .tar"
            )
        for magic, decompress in _COMPRESSED.items():
            if first.startswith(magic):
                with file, decompress(file) as stream:
                    return self._decompressed(stream)
        return file

    def _decompressed(self, stream: IO[bytes]) -> IO[bytes]:
        """Decompress the archive into a temporary file.

        Raises:
            ImpastoError: the disk is full, or the archive is likely a decompression bomb.
        """
        packed = self.place.stat().st_size
        folder = cache_folder()
        with suppress(OSError):  # The folder may not be needed. If it is, writing fails below.
            folder.mkdir(parents=True, exist_ok=True)
        plain = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(folder))  # noqa: SIM115
        total = 0
        while chunk := stream.read(2**20):
            total += len(chunk)
            if total > max(_SUSPECT_BYTES, _SUSPECT_RATIO * packed):
                raise ImpastoError(
                    f"{self.place} becomes more than {_SUSPECT_RATIO} times larger when it is "
                    "decompressed; if you trust it, decompress it, and give the .tar"
                )
            try:
                plain.write(chunk)
            except OSError as error:
                raise ImpastoError(
                    f"{write_error(error, folder)} (to decompress {self.place}); or set "
                    "IMPASTO_CACHE to another folder"
                ) from error
        return plain

    def _members(self, left_out: list[tuple[str, str]]) -> Iterator[Member]:
        stamp = file_at(self.place).stamp
        plain = self._plain
        plain.seek(0)
        headers: Any = _Headers(plain)  # It has a file's read and seek.
        with tarfile.open(
            fileobj=headers, mode="r:", encoding="utf-8", errors="surrogateescape"
        ) as archive:
            before = -1
            guessed: list[str] = []
            while (member := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # It would grow.
                if member.offset <= before or member.size < 0:
                    raise tarfile.ReadError("a header leads backwards")
                before = member.offset
                if member.isdir():
                    continue
                name = self._name(member, guessed)
                if member.issym() or member.islnk():
                    left_out.append((name, "a link: links in an archive are not followed"))
                elif not member.isreg() or member.issparse():
                    left_out.append((name, "not a file: a device, a pipe or a sparse file"))
                else:
                    where = (member.offset_data, member.size)
                    yield Member(name, member.size, f"{stamp}-{where[0]}", where)
            end = archive.offset
        if guessed:
            self.notes.append(names_note(guessed, "Windows-1252 or code page 437"))
        # `tarfile` ends silently at anything that is no header.
        plain.seek(end)
        block = plain.read(_BLOCK)
        if block.strip(b"\0"):
            raise tarfile.ReadError(f"no header at byte {end:,}")
        if not block:
            reason = "unreadable: the archive has no end mark; it may have been cut short"
            left_out.append((f"the end of {self.place.name}", reason))

    def _name(self, member: tarfile.TarInfo, guessed: list[str]) -> str:
        """A file's name.

        Names in PAX headers are UTF-8. Other names are in the encoding that the user gave, else in UTF-8
        if they are valid. Names that are not are decoded as Windows-1252 or code page 437, so that
        different names stay different, and added to `guessed`.
        """
        given = member.name.encode("utf-8", "surrogateescape")
        if given.isascii() or "path" in member.pax_headers:
            return member.name
        if self.names_encoding is not None:
            return self._decoded(given)
        for encoding in ("utf-8", "cp1252"):
            try:
                name = given.decode(encoding)
                break
            except UnicodeError:
                continue
        else:
            name = given.decode("cp437")
        if encoding != "utf-8":
            guessed.append(name)
        return name

    def _content(self, where: tuple[int, int]) -> bytes:
        offset, size = where
        try:
            self._plain.seek(offset)
            return self._plain.read(size)
        except OSError as error:
            raise UnusableError(f"unreadable for now: {error.strerror or error}") from error


class _Headers:
    """A file with a limit on each read, since a damaged header may declare any length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError("a header of an impossible length")
        return self._file.read(size)
