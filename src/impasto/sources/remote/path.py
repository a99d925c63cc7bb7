"""A path at an address, with the methods of `Path` that archives, parquet and NumPy files need."""

import errno
import io
import os
import posixpath
import stat
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from impasto.errors import ImpastoError
from impasto.sources.remote.store import Info, RemoteError, Store

_BLOCK = 2**18
"""Bytes of a block."""
_MOST_AT_ONCE = 16
"""Most blocks of a request, in sequential reading."""
_KEPT = 128
"""Most blocks that an open file caches."""


@dataclass(frozen=True)
class RemotePath:
    """A file or a folder in a store, with the methods of `pathlib.Path` that readers use. As text it is
    the address without credentials."""

    store: Store
    key: str

    def __str__(self) -> str:
        return self.store.address(self.key)

    def __truediv__(self, name: str | PurePath) -> "RemotePath":
        name = name if isinstance(name, str) else name.as_posix()
        if name == ".":
            return self
        return RemotePath(self.store, f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        return posixpath.basename(self.key)

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self.name)[1]

    @property
    def stem(self) -> str:
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "RemotePath":
        return RemotePath(self.store, posixpath.dirname(self.key))

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.key.split("/"))

    def absolute(self) -> "RemotePath":
        return self

    def info(self) -> Info | None:
        """The size and the stamp; None if there is no such file or folder.

        Raises:
            ImpastoError: access is refused, or there is no answer.
        """
        try:
            return self.store.info(self.key)
        except RemoteError as error:
            if error.errno == errno.ENOENT:
                return None
            raise refused(self, error) from error

    def check(self) -> None:
        """Check that it can be read.

        Raises:
            ImpastoError: it does not exist, access is refused, or there is no answer.
        """
        try:
            self.store.info(self.key)
        except RemoteError as error:
            raise refused(self, error) from error

    def exists(self) -> bool:
        return self.info() is not None

    def is_dir(self) -> bool:
        return (info := self.info()) is not None and info.is_folder

    def is_file(self) -> bool:
        return (info := self.info()) is not None and not info.is_folder

    def stat(self) -> os.stat_result:
        """A `stat` result in which only the size is set, in bytes.

        Raises:
            RemoteError: there is no such file, or no answer.
        """
        size = max(0, self.store.info(self.key).size)
        return os.stat_result((stat.S_IFREG | 0o444, 0, 0, 1, 0, 0, size, 0, 0, 0))

    def open(self, mode: str = "rb") -> IO[bytes]:
        """Open the file for reading, with seek.

        Raises:
            RemoteError: there is no such file, no answer, or the size is unknown.
        """
        assert mode == "rb"
        size = self.store.info(self.key).size
        if size < 0:
            raise RemoteError("its server does not say how long it is; download it")
        return io.BufferedReader(_RemoteFile(self.store, self.key, size))

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self.store.read(self.key).decode(encoding, errors)

    def iterdir(self) -> Iterator["RemotePath"]:
        """The files directly in the folder."""
        return (self / name for name in self.store.names(self.key))


Place = Path | RemotePath
"""The place of a source or of a file in it."""


def refused(place: RemotePath, error: RemoteError) -> ImpastoError:
    """The error for users about a place that cannot be read."""
    reason = error.strerror
    if error.errno == errno.ENOENT:
        return ImpastoError(f"there is no {place} ({reason}); check the address")
    if error.errno == errno.EACCES:
        return ImpastoError(f"access to {place} is refused ({reason}); {place.store.login}")
    return ImpastoError(
        f"{place} cannot be read ({reason}); check the address and the connection, and run it again"
    )


class _RemoteFile(io.RawIOBase):
    """A file of a store, which is read in blocks. The last blocks are cached.

    In sequential reading, each request is for twice as many blocks as the one before. After a seek it is
    for one block.

    Args:
        store: the store.
        key: of the file.
        size: of the file in bytes.
    """

    def __init__(self, store: Store, key: str, size: int) -> None:
        self._store, self._key, self._size = store, key, size
        self._at = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._run = -1, 1

    def _block(self, number: int) -> bytes:
        """The bytes of a block."""
        if number not in self._blocks:
            self._run = min(2 * self._run, _MOST_AT_ONCE) if number == self._next else 1
            start = number * _BLOCK
            end = min(start + self._run * _BLOCK, self._size)
            content = self._store.read_or_end(self._key, start, end)
            self._next = number + self._run
            for place in range(self._run):
                self._blocks[number + place] = content[place * _BLOCK : (place + 1) * _BLOCK]
            while len(self._blocks) > _KEPT:
                self._blocks.popitem(last=False)
        return self._blocks[number]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        if self._at >= self._size:
            return 0
        number, within = divmod(self._at, _BLOCK)
        piece = memoryview(self._block(number))[within : within + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)
