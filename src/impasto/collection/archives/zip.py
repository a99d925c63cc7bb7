"""Zip archives, with the `zipfile` module: what is stored or deflated, of any size (Zip64).

PKWARE's APPNOTE.TXT describes the format. Its directory keeps the CRC-32 of every file, so a file
counts as changed exactly when its size or its CRC-32 does, whatever else happens to the archive; and
a damaged file is found out when it is read, and leaves the others alone.

The module could read bzip2 and LZMA too, but not piece by piece: 4 KB of bzip2 may become 4 GB at
once. Hardly any zip has them.
"""

import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

from impasto.collection.archives import Archive, Member, begins_with
from impasto.collection.trees import Tree
from impasto.errors import ImpastoError

_SUFFIXES = (".zip", ".cbz")
_FIRST_BYTES = b"PK\x03\x04"
_ENCRYPTED = 0x1
_UTF_8 = 0x800
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}


def claims(path: Path) -> bool:
    """By its name, or by its first bytes; NumPy's `.npz` is a zip too, with a reader of its own."""
    if not path.is_file():
        return False
    suffix = path.suffix.lower()
    return suffix in _SUFFIXES or (suffix != ".npz" and begins_with(path, 4) == _FIRST_BYTES)


def open_archive(path: Path) -> Tree:
    """What is in a zip archive; nothing is read yet."""
    return _Zip(path)


class _Zip(Archive):
    _opened: zipfile.ZipFile | None = None

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()

    def _members(self, left_out: list[tuple[str, str]]) -> Iterator[Member]:
        if begins_with(self.place, 2) != b"PK" and not zipfile.is_zipfile(self.place):
            raise ImpastoError(
                f"{self.place} is no zip archive, or its end is missing; download it again, or give "
                "a folder"
            )
        self._opened = zipfile.ZipFile(self.place)
        for info in self._opened.infolist():
            name = _name(info)
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

    def _content(self, where: zipfile.ZipInfo) -> bytes:
        assert self._opened is not None  # Only what is listed is read.
        with self._opened.open(where) as file:
            # Not read(): that would decompress all there is, whatever the directory says.
            content = file.read(where.file_size)
            file.read(1)  # At the end, it checks the CRC-32.
            return content


def _name(info: zipfile.ZipInfo) -> str:
    """A file's name, with `/` between its parts, whatever wrote it."""
    name = info.filename
    if not info.flag_bits & _UTF_8:
        # Not said to be UTF-8, it ought to be in code page 437; but macOS does not say so.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/")
