"""The base of remote stores: retries, and parallel requests."""

import errno
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

from impasto.errors import ImpastoError
from impasto.formatting import one_line
from impasto.messages import say

PATIENCE = 120.0
"""Seconds during which a failed read is retried."""
FIRST_PATIENCE = 15.0
"""The same before the first successful read, because the address may be wrong."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds before the second try, which double for each further one; and their maximum."""
SILENCE = 20.0
"""Seconds to wait for a connection, or for the next bytes."""
SLOWEST = 50_000
"""Bytes a second. Slower responses are aborted and requested again; see `seconds_for`."""
AT_ONCE = 16
"""Most requests at the same time."""
WAITING_BYTES = 2**27
"""Most bytes that are read ahead; a single larger file is allowed."""
_EVERY = 30.0
"""Seconds between messages on retries."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""HTTP status codes after which a retry may help."""
_WORDS = {
    401: "not allowed without credentials",
    403: "not allowed",
    404: "not found",
    410: "gone",
    429: "too many requests",
}

Item = TypeVar("Item")
Result = TypeVar("Result")


class RemoteError(OSError):
    """A failed read at an address; `strerror` is the reason for the user.

    Attributes:
        again: whether a retry may help.
        after: seconds that the server asks to wait before, or 0.
    """

    def __init__(
        self, reason: str, number: int = errno.EIO, *, again: bool = False, after: float = 0.0
    ) -> None:
        super().__init__(number, cleaned(reason))
        self.again, self.after = again, after


def refusal(status: int, after: float = 0.0) -> RemoteError:
    """The error for an HTTP status.

    Args:
        status: from 400.
        after: see `RemoteError`.
    """
    word = _WORDS.get(status, "the server failed" if status >= 500 else "refused")
    numbers = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 410: errno.ENOENT}
    number = numbers.get(status, errno.EIO)
    return RemoteError(f"{word} ({status})", number, again=status in PASSING, after=after)


def cleaned(text: str) -> str:
    """A message on one line of at most 300 characters. The user, the password and the query are removed
    from all addresses in it."""
    text = re.sub(r"(?<=://)[^\s/@]*@", "", one_line(text))
    return re.sub(r"\?[^\s'\")>]*=[^\s'\")>]*", "", text)[:300]


def seconds_for(size: int) -> float:
    """The time limit for reading this many bytes, in seconds."""
    return SILENCE + max(0, size) / SLOWEST


class Info(NamedTuple):
    """The size and stamp of a file or folder."""

    size: int
    """Bytes; -1 if unknown."""
    stamp: str
    """See `File.stamp`."""
    is_folder: bool = False


class Store(ABC):
    """Files by key. A key is a path with `/` between its parts and none at its ends.

    Subclasses define `_info`, `_read`, `_files` and `names`, which raise `RemoteError`.

    Attributes:
        root: the beginning of all addresses, such as `https://host/` or `s3://`.
        name: the store's name in messages.
        login: the advice if access is refused.
        lost: the error with which the work ends. Once it is set, nothing is read any more.
        weak_stamps: whether the stamps of some files are only their sizes.
    """

    login = ""

    def __init__(self, root: str) -> None:
        self.root = self.name = root
        self.weak_stamps = False
        self.lost: ImpastoError | None = None
        self._reached = False
        self._last_message = 0.0
        self._known: dict[str, Info] = {}

    def address(self, key: str) -> str:
        """The address of a key, for messages."""
        return self.root + key

    @abstractmethod
    def _info(self, key: str) -> Info: ...

    def _forget(self) -> None:  # noqa: B027  # Not all remember anything.
        """Drop cached listings."""

    @abstractmethod
    def _read(self, key: str, start: int, end: int | None) -> bytes: ...

    @abstractmethod
    def _files(self, key: str, tell: Callable[[int], None]) -> Iterator[tuple[str, Info]]: ...

    @abstractmethod
    def names(self, key: str) -> list[str]:
        """The names of the files directly in a folder."""

    def info(self, key: str) -> Info:
        """The size and stamp of a file or folder, cached.

        Raises:
            RemoteError: there is none, or it cannot be read.
        """
        if key not in self._known:
            self._known[key] = self.retry(lambda: self._info(key))
        return self._known[key]

    def check_available(self, key: str) -> None:
        """Check that a folder is available, without the cache.

        Raises:
            RemoteError: it is not.
        """
        self._forget()
        self._try(lambda: self._info(key), FIRST_PATIENCE)

    def read(self, key: str, start: int = 0, end: int | None = None, size: int = -1) -> bytes:
        """A file's bytes, from `start` to before `end` or all of them.

        Args:
            key: of the file.
            start: the first byte.
            end: the byte after the last one; None: the whole file.
            size: of the file in bytes; -1: unknown.

        Raises:
            RemoteError: the file cannot be read, or has another size.
        """
        expected = size if end is None else end - start
        content = self.retry(lambda: self._read(key, start, end))
        if 0 <= expected != len(content):
            raise RemoteError(
                f"{len(content):,} bytes came where {expected:,} should: it was changed meanwhile, or "
                "its server sends no parts of files"
            )
        return content

    def read_or_end(
        self, key: str, start: int = 0, end: int | None = None, size: int = -1
    ) -> bytes:
        """As `read`, for data on which several pictures depend, such as a table or a block of an
        archive. If retries do not help, the store is marked as lost."""
        try:
            return self.read(key, start, end, size)
        except RemoteError as error:
            if error.again:
                self.mark_lost(key, error)
            raise

    def mark_lost(self, key: str, error: RemoteError) -> None:
        """Mark the store as lost, because essential data cannot be read.

        Args:
            key: of the data.
            error: why it cannot be read.
        """
        self.lost = self.lost or ImpastoError(
            f"{self.address(key)} cannot be read ({error.strerror}), so the work ends here; what is "
            "done is kept: the same command goes on from there"
        )

    def check(self) -> None:
        """Check that the store is not lost.

        Raises:
            ImpastoError: it is lost.
        """
        if self.lost is not None:
            raise self.lost

    def files(self, key: str, tell: Callable[[int], None]) -> Iterator[tuple[str, Info]]:
        """All files below a folder, by their paths from there, with sizes and stamps.

        Args:
            key: of the folder.
            tell: called with the number of files found so far.

        Raises:
            RemoteError: the folder cannot be listed.
        """
        for path, info in self._files(key, tell):
            self._known[f"{key}/{path}" if key else path] = info
            yield path, info

    def retry(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it succeeds, fails permanently, or the time is over (`PATIENCE`).

        Raises:
            RemoteError: the last try failed, or the store is lost.
        """
        if self.lost is not None:
            raise RemoteError("something else could not be read")
        result = self._try(attempt, PATIENCE if self._reached else FIRST_PATIENCE)
        self._reached = True
        return result

    def _try(self, attempt: Callable[[], Result], limit: float) -> Result:
        began, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                return attempt()
            except RemoteError as error:
                wait = max(pause, error.after)
                if not error.again or time.monotonic() - began + wait > limit:
                    raise
                self._say(error, limit)
                time.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _say(self, error: RemoteError, limit: float) -> None:
        now = time.monotonic()
        if not self._last_message or now - self._last_message > _EVERY:
            self._last_message = now
            say(
                f"{self.name} does not answer as it should ({error.strerror}); trying again, for up to "
                f"{limit:g} s",
                to_stderr=True,
            )


def read_ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    weigh: Callable[[Item], int] = lambda _: 0,
) -> Iterator[Future[Result]]:
    """The results of calls for several items, in order, with at most `AT_ONCE` calls at the same time.

    The threads are daemons, so that the end of the program does not wait for a stalled server.

    Args:
        work: called in threads with each item.
        items: the items.
        weigh: the bytes of an item's result. Waiting results have at most `WAITING_BYTES` together.
    """
    waiting: deque[tuple[Future[Result], int]] = deque()
    held = 0
    for item in items:
        weight = weigh(item)
        while waiting and (len(waiting) >= AT_ONCE or held + weight > WAITING_BYTES):
            future, freed = waiting.popleft()
            held -= freed
            yield future
        waiting.append((_started(work, item), weight))
        held += weight
    for future, _ in waiting:
        yield future


def _started(work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Call `work` in a new thread."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
