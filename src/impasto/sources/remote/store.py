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
"""Seconds during which a read is retried; ..."""
FIRST_PATIENCE = 15.0
"""... before the first successful read, when the address may be wrong."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds before the second try, doubled for each further one, and the maximum."""
SILENCE = 20.0
"""Seconds to wait for a connection, or for the next bytes."""
SLOWEST = 50_000
"""Bytes a second; slower responses, after `SILENCE`, are requested again."""
AT_ONCE = 16
"""Simultaneous requests."""
WAITING_BYTES = 2**27
"""Most bytes read ahead, except for a single larger file."""
_EVERY = 30.0
"""Seconds between messages on retries."""

PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Status codes that may pass."""
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
        after: seconds to wait before, by the server, or 0.
    """

    def __init__(
        self, reason: str, number: int = errno.EIO, *, again: bool = False, after: float = 0.0
    ) -> None:
        super().__init__(number, cleaned(reason))
        self.again, self.after = again, after


def refusal(status: int, after: float = 0.0) -> RemoteError:
    """The error for an HTTP status."""
    word = _WORDS.get(status, "the server failed" if status >= 500 else "refused")
    numbers = {401: errno.EACCES, 403: errno.EACCES, 404: errno.ENOENT, 410: errno.ENOENT}
    number = numbers.get(status, errno.EIO)
    return RemoteError(f"{word} ({status})", number, again=status in PASSING, after=after)


def cleaned(text: str) -> str:
    """A message on one line, without the user, the password and the query of any address in it."""
    text = re.sub(r"(?<=://)[^\s/@]*@", "", one_line(text))
    return re.sub(r"\?[^\s'\")>]*=[^\s'\")>]*", "", text)[:300]


def seconds_for(size: int) -> float:
    """The time limit for this many bytes."""
    return SILENCE + max(0, size) / SLOWEST


class Info(NamedTuple):
    """The size and stamp of a file or folder."""

    size: int
    """Bytes; -1 if unknown."""
    stamp: str
    """As `File.stamp`."""
    is_folder: bool = False


class Store(ABC):
    """A place with files by key: a path with `/` between its parts and none at its ends.

    Subclasses define `_info`, `_read`, `_files` and `names`, which raise `RemoteError`.

    Attributes:
        root: the beginning of all addresses, such as `https://host/` or `s3://`.
        name: its name in messages.
        login: the advice if access is refused.
        lost: why the work ends; nothing is read any more then.
        weak_stamps: whether some files' stamps are their size alone.
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
        """The size and stamp of a file or folder, cached."""
        if key not in self._known:
            self._known[key] = self.retry(lambda: self._info(key))
        return self._known[key]

    def check_available(self, key: str) -> None:
        """Check, without cache, whether a folder is available.

        Raises:
            RemoteError: it cannot.
        """
        self._forget()
        self._try(lambda: self._info(key), FIRST_PATIENCE)

    def read(self, key: str, start: int = 0, end: int | None = None, size: int = -1) -> bytes:
        """A file's bytes, from `start` to before `end` or all of them.

        Args:
            key: of the file.
            start: the first byte.
            end: the one after the last; None: all of the file.
            size: of the file, if it is known.
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
        """As `read`, for data that several pictures depend on: a table, a block of an archive.

        After a final failure the place is lost."""
        try:
            return self.read(key, start, end, size)
        except RemoteError as error:
            if error.again:
                self.mark_lost(key, error)
            raise

    def mark_lost(self, key: str, error: RemoteError) -> None:
        """Mark the place as lost, because essential data cannot be read."""
        self.lost = self.lost or ImpastoError(
            f"{self.address(key)} cannot be read ({error.strerror}), so the work ends here; what is "
            "done is kept: the same command goes on from there"
        )

    def check(self) -> None:
        """Raise an error if the place is lost.

        Raises:
            ImpastoError: it is.
        """
        if self.lost is not None:
            raise self.lost

    def files(self, key: str, tell: Callable[[int], None]) -> Iterator[tuple[str, Info]]:
        """All files below a folder, with their paths from there.

        Args:
            key: of the folder.
            tell: called with the number of files found.
        """
        for path, info in self._files(key, tell):
            self._known[f"{key}/{path}" if key else path] = info
            yield path, info

    def retry(self, attempt: Callable[[], Result]) -> Result:
        """Retry until success, a permanent error, or the end of `PATIENCE`.

        Raises:
            RemoteError: the error of the last try.
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
    """The results of I/O-bound work, in order, with several calls in parallel.

    The threads are daemons, so that stopping does not wait for a stalled server.

    Args:
        work: done in threads.
        items: its arguments.
        weigh: gives the bytes of an item's result; together at most `WAITING_BYTES`.
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
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work(item))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
