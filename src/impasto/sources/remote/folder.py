"""A folder at an address, as the tree of the files below it."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.messages import say
from impasto.sources.archives import MOST_BYTES, is_hidden, plain_name
from impasto.sources.remote.path import RemotePath, refused
from impasto.sources.remote.store import Info, RemoteError, ahead
from impasto.sources.trees import File, Folder, UnusableError

_EVERY = 10.0
"""Seconds between two messages of a listing that takes long."""
_ASK = 8
"""After so many pictures in a row that could not be read, it is asked whether the folder can be reached
at all; ..."""
_GIVE_UP = 32
"""... and after so many for which there was no answer, the work ends."""


class RemoteFolder(Folder):
    """A folder at an address. Its pictures are read several at a time."""

    def __init__(self, place: RemotePath) -> None:
        super().__init__(place)
        self.place: RemotePath = place

    def _list(self) -> tuple[dict[str, File], list[tuple[str, str]]]:
        files: dict[str, File] = {}
        left_out: list[tuple[str, str]] = []
        store = self.place.store
        found: dict[str, Info | RemoteError] = {}
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
            if isinstance(info, RemoteError):
                left_out.append((name, f"unreadable for now: {info.strerror}"))
            elif name in files:
                left_out.append((name, "unreadable: another file's name reads the same"))
            else:
                files[name] = File(name, max(0, info.size), info.stamp, self.place / path)
        if store.weak_stamps:
            self.notes.append(
                f"{store.root} tells of some files neither a mark (ETag) nor a date: one that is "
                "replaced by another of the same size is not noticed when it is packed again"
            )
        return files, left_out

    def read(self, name: str) -> bytes:
        try:
            return self._read(name)
        except RemoteError as error:
            raise UnusableError(f"unreadable for now: {error.strerror}") from error

    def _read(self, name: str) -> bytes:
        file = self.files.get(name)
        if file is None:
            # One that was asked for by its own name may be hidden from a listing.
            return self.place.store.read((self.place / name).key)
        if file.size > MOST_BYTES:
            raise UnusableError(
                f"too large: {file.size:,} bytes; from elsewhere than the disk, at most "
                f"{MOST_BYTES:,} are read"
            )
        assert isinstance(file.path, RemotePath)
        return file.path.store.read(file.path.key, size=file.size or -1)

    def contents(self, names: Sequence[str]) -> Iterator[bytes | UnusableError]:
        """As a tree's; several are under way at a time.

        Raises:
            ImpastoError: the place cannot be reached any more.
        """
        failed: list[UnusableError] = []  # In a row; held back until it is clear what ails them.
        for future in ahead(self._read, names, lambda name: self.files[name].size):
            try:
                content: bytes | UnusableError = future.result()
            except UnusableError as reason:
                content = reason
            except RemoteError as error:
                failed.append(UnusableError(f"unreadable for now: {error.strerror}"))
                if len(failed) % _ASK == 0:
                    self._check(len(failed), error)
                if len(failed) < _GIVE_UP:
                    continue
                content = failed.pop()
            yield from failed
            failed.clear()
            yield content
        yield from failed

    def _check(self, failed: int, error: RemoteError) -> None:
        """See whether it makes sense to go on after so many failures in a row.

        Raises:
            ImpastoError: it does not.
        """
        why = error if error.again and failed >= _GIVE_UP else None
        try:
            self.place.store.is_there(self.place.key)
        except RemoteError as unreachable:
            why = unreachable
        if why is not None:
            raise ImpastoError(
                f"{self.place} cannot be read any more: {counted(failed, 'file')} in a row could not "
                f"({why.strerror}); what is done is kept: the same command goes on from there"
            ) from why


@contextlib.contextmanager
def _telling(place: RemotePath) -> Iterator[Callable[[int], None]]:
    """Say now and then how far a listing is; yields the function that takes the number of files."""
    ended, began, count = threading.Event(), time.monotonic(), 0

    def tell(number: int) -> None:
        nonlocal count
        count = number

    def speak() -> None:
        while not ended.wait(_EVERY):
            so_far = f"{counted(count, 'file')} in " if count else ""
            say(f"listing {place}: {so_far}{time.monotonic() - began:.0f} s", aside=True)

    threading.Thread(target=speak, daemon=True).start()
    try:
        yield tell
    finally:
        ended.set()
