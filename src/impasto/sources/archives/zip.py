"""Zip archives, with the `zipfile` module: stored and deflated files, of any size (Zip64).

PKWARE's APPNOTE.TXT describes the format. The directory has the CRC-32 of every file. So a file counts
as changed if its size or CRC-32 changes. Reading a damaged file is an error, and does not affect others.

bzip2 and LZMA are refused. The module cannot read them in pieces (4 KB of bzip2 may become 4 GB at
once), and hardly any zip uses them.

A name is decoded as UTF-8 if its flag says so or Info-ZIP's Unicode Path field (0x7075) matches it; else
by the user's encoding; else as UTF-8 if it is valid (macOS sets no flag); else as code page 437, the
format's default, with a note, because Windows uses other code pages.
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from impasto.errors import ImpastoError
from impasto.sources.archives import Archive, Member, first_bytes, names_note
from impasto.sources.remote.path import Place
from impasto.sources.trees import Tree

SUFFIXES = (".zip", ".cbz")
_FIRST_BYTES = b"PK\x03\x04"
_ENCRYPTED = 0x1
_UTF_8 = 0x800
_UNICODE_PATH = 0x7075
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}


def claims(path: Place) -> bool:
    """Whether it is a zip archive, by its name or first bytes; `.npz` has a reader of its own."""
    if not path.is_file():
        return False
    suffix = path.suffix.lower()
    return suffix in SUFFIXES or (suffix != ".npz" and first_bytes(path, 4) == _FIRST_BYTES)


def open_archive(path: Place, names_encoding: str | None = None) -> Tree:
    """A zip archive as a tree; nothing is read yet."""
    return _Zip(path, names_encoding)


class _Zip(Archive):
    _file: IO[bytes] | None = None
    _opened: zipfile.ZipFile | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
        if self._file is not None:
            self._file.close()

    def _members(self, left_out: list[tuple[str, str]]) -> Iterator[Member]:
        self._file = self.place.open("rb")
        if self._file.read(2) != b"PK" and not zipfile.is_zipfile(self._file):
            raise ImpastoError(
                f"{self.place} is no zip archive, or its end is missing; download it again, or give "
                "a folder"
            )
        self._opened = zipfile.ZipFile(self._file)
        guessed: list[str] = []
        for info in self._opened.infolist():
            name = self._name(info, guessed)
            if info.is_dir() or name.endswith("/"):
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                left_out.append((name, "a link: links in an archive are not followed"))
            elif info.flag_bits & _ENCRYPTED:
                left_out.append((name, "encrypted: unpack the archive with its password"))
            elif info.compress_type not in _READ:
                method = _METHODS.get(info.compress_type, f"number {info.compress_type}")
                left_out.append((name, f"unknown compression: {method}; unpack the archive"))
            else:
                stamp = f"{info.file_size}-{info.CRC:08x}"
                yield Member(name, info.file_size, stamp, info)
        if guessed:
            self.notes.append(names_note(guessed, "code page 437"))

    def _name(self, info: zipfile.ZipInfo, guessed: list[str]) -> str:
        """A file's name, with `/` between its parts on every system. A name that is decoded as code page
        437 by default is added to `guessed`."""
        name = info.filename
        if not info.flag_bits & _UTF_8 and not info.orig_filename.isascii():
            # The module has decoded it as code page 437; encoding gives the bytes back.
            given = info.orig_filename.encode("cp437").partition(b"\0")[0]
            unicode_name = _unicode_path(info.extra, given)
            if unicode_name is not None:
                name = unicode_name
            elif self.names_encoding is not None:
                name = self._decoded(given)
            else:
                try:
                    name = given.decode("utf-8")
                except UnicodeError:
                    name = given.decode("cp437")
                    guessed.append(name)
        return name.replace("\\", "/")

    def _content(self, where: zipfile.ZipInfo) -> bytes:
        assert self._opened is not None  # Only what is listed is read.
        with self._opened.open(where) as file:
            # Not read() without a size, which would decompress more than the directory declares.
            content = file.read(where.file_size)
            file.read(1)  # At the end of the file, this checks the CRC-32.
            return content


def _unicode_path(extra: bytes, given: bytes) -> str | None:
    """The name in Info-ZIP's Unicode Path field; None if there is no such field or it does not match.

    The field is: version 1, the CRC-32 of the plain name, the name in UTF-8.

    Args:
        extra: the extra fields of a file's entry.
        given: the plain name.
    """
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        content = extra[at + 4 : at + 4 + size]
        if kind == _UNICODE_PATH and len(content) == size > 5:
            version, checksum = struct.unpack_from("<BL", content)
            if version == 1 and checksum == zlib.crc32(given):
                try:
                    return content[5:].decode("utf-8")
                except UnicodeError:
                    return None
        at += 4 + size
    return None
