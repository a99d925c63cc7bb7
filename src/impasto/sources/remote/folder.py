"""A folder at an address as a tree of files."""

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.messages import say
from impasto.sources.archives import MOST_BYTES, is_hidden, plain_name
from impasto.sources.remote.path import RemotePath, refused
from impasto.sources.remote.store import Info, RemoteError, read_ahead
from impasto.sources.trees import File, Folder, UnusableError

_EVERY = 10.0
"""Seconds between messages on a long listing."""
_ASK = 8
"""After each this many consecutive failures, it is checked whether the folder is available."""
_GIVE_UP = 32
"""After this many consecutive failures, the work ends if there is no answer, or if access was always
refused."""


class RemoteFolder(Folder):
    """A folder at an address. Several of its pictures are read at the same time."""

    def __init__(self, place: RemotePath) -> None:
        super().__init__(place)
        self.place: RemotePath = place

    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files: dict[str, File] = {}
        left_out: list[tuple[str, str]] = []
        store = self.place.store
        found: dict[str, Info] = {}
        try:
            with _telling(self.place) as tell:
                found = dict(store.files(self.place.key, tell))
        except RemoteError as error:
            raise refused(self.place, error) from error
        packed = [
            path.removesuffix("collection.json")
            for path in found
            if path.rpartition("/")[2] == "collection.json"
        ]
        if "" in packed:
            raise ImpastoError(f"{self.place} is a collection; copy it to the disk to use it")
        for path, info in sorted(found.items()):
            name = plain_name(path)
            if not name or is_hidden(name) or path.startswith(tuple(packed)):
                continue
            if name in files:
                left_out.append((name, "unreadable: another file's name reads the same"))
            else:
                files[name] = File(name, max(0, info.size), info.stamp, self.place / path)
        if store.weak_stamps:
            self.notes.append(
                f"{store.root} gives some files neither an ETag nor a date: if one is replaced by "
                "another of the same size, packing again does not notice"
            )
        return files, left_out

    def read(self, name: str) -> bytes:
        # The user may name a hidden file, which is not listed.
        place = self._place(name) if name in self.files else self.place / name
        try:
            return place.store.read_or_end(place.key, size=self._size(name))
        except RemoteError as error:
            if error.errno == errno.EACCES:
                # Unlike a picture, a table must not be left out, because labels would be lost.
                place.store.mark_lost(place.key, error)
            raise UnusableError(f"unreadable for now: {error.strerror}") from error

    def _read(self, name: str) -> bytes:
        """The bytes of a picture.

        Raises:
            RemoteError: it cannot be read.
            UnusableError: it is too large.
        """
        return self.place.store.read(self._place(name).key, size=self._size(name))

    def _size(self, name: str) -> int:
        """A file's size in bytes; -1 if it is unknown.

        Raises:
            UnusableError: the file is too large.
        """
        size = self.files[name].size if name in self.files else 0
        if size > MOST_BYTES:
            raise UnusableError(
                f"too large: {size:,} bytes; from elsewhere than the disk, at most {MOST_BYTES:,} are "
                "read"
            )
        return size or -1

    def _place(self, name: str) -> RemotePath:
        place = self.files[name].path
        assert isinstance(place, RemotePath)
        return place

    def contents(self, names: Sequence[str]) -> Iterator[bytes | UnusableError]:
        """The bytes of each file, or the reason why there are none, with several requests at a time.

        Raises:
            ImpastoError: the folder is no longer available, or access is refused.
        """
        # Consecutive failures, which are held back until their cause is known.
        failed: list[UnusableError] = []
        some_read = False
        for future in read_ahead(self._read, names, lambda name: self.files[name].size):
            try:
                content: bytes | UnusableError = future.result()
                some_read = True
            except UnusableError as reason:
                content = reason
            except RemoteError as error:
                failed.append(UnusableError(f"unreadable for now: {error.strerror}"))
                self._check(len(failed), error, some_read)
                if len(failed) < _GIVE_UP:
                    continue
                content = failed.pop()
            yield from failed
            failed.clear()
            yield content
        yield from failed

    def _check(self, failed: int, error: RemoteError, some_read: bool) -> None:
        """Decide whether to go on after consecutive failures.

        Args:
            failed: their number.
            error: the last one.
            some_read: whether a file was read before.

        Raises:
            ImpastoError: the work ends.
        """
        store = self.place.store
        if failed % _ASK == 0:
            try:
                store.check_available(self.place.key)
            except RemoteError as unreachable:
                store.mark_lost(self.place.key, unreachable)
        if failed >= _GIVE_UP:
            if error.errno == errno.EACCES and not some_read:
                raise refused(self.place, error) from error
            if error.again:
                store.mark_lost(self.place.key, error)
        store.check()


@contextlib.contextmanager
def _telling(place: RemotePath) -> Iterator[Callable[[int], None]]:
    """Report the progress of a listing now and then. Yields a function that takes the number of
    files."""
    ended, began, count = threading.Event(), time.monotonic(), 0

    def tell(number: int) -> None:
        nonlocal count
        count = number

    def speak() -> None:
        while not ended.wait(_EVERY):
            so_far = f"{counted(count, 'file')} in " if count else ""
            say(f"listing {place}: {so_far}{time.monotonic() - began:.0f} s", to_stderr=True)

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield tell
    finally:
        ended.set()
