"""Request rates, pauses and retries for each host."""

import random
import re
import threading
import time
import urllib.parse
from collections.abc import Callable
from typing import TypeVar

from impasto.fetching.client import FetchError
from impasto.formatting import readable_time

T = TypeVar("T")

_LONGEST = 600.0
"""Most seconds to wait on a server's request; a host that asks for more is skipped for the rest of
the run."""
_BACKOFF = 60.0
"""Most seconds between two tries, if the server names no time."""
_FAILURES = 10
"""Failures in a row after which a host is skipped for the rest of the run."""


class StoppedWaitingError(Exception):
    """The waiting ended because everything stops."""


def host_of(url: str) -> str:
    """Host and port of an address, for counting rates. Numbered hosts (uploads3.wikiart.org) count
    as one."""
    parts = urllib.parse.urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port or ""
    labels = host.split(".")
    if len(labels) > 2 and not labels[-1].isdigit():
        labels[0] = re.sub(r"\d+", "", labels[0])
    return f"{'.'.join(labels)}:{port}"


class Politeness:
    """Rates, retries with backoff, and skipped hosts; thread-safe.

    Args:
        rate: requests a second to one host; 0 for no limit.
        retries: tries after the first.
        sleep, clock, chance: for tests. `chance` gives numbers in [0, 1).
    """

    def __init__(
        self,
        rate: float = 0.0,
        retries: int = 5,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.rate, self.retries = rate, retries
        self.stop = threading.Event()
        self._sleep, self._clock, self._chance = sleep or self.stop.wait, clock, chance
        self._lock = threading.Lock()
        self._free: dict[str, float] = {}
        self._slow: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self._left_alone: dict[str, str] = {}

    def wait(self, url: str) -> None:
        """Wait until the host may be asked.

        Raises:
            StoppedWaitingError: `stop` was set.
        """
        host = host_of(url)
        while True:
            if self.stop.is_set():
                raise StoppedWaitingError
            with self._lock:
                now = self._clock()
                delay = self._free.get(host, now) - now
                if delay <= 0:
                    pace = 1 / self.rate if self.rate else 0.0
                    self._free[host] = now + max(pace, self._slow.get(host, 0.0))
                    return
            self._sleep(delay)

    def pause(self, url: str, seconds: float) -> None:
        """Send its host no requests for this time."""
        with self._lock:
            until = self._clock() + seconds
            host = host_of(url)
            self._free[host] = max(self._free.get(host, until), until)

    def slow_down(self, url: str, seconds: float) -> None:
        """Keep at least this many seconds between requests to its host."""
        with self._lock:
            self._slow[host_of(url)] = min(seconds, _BACKOFF)

    def left_alone(self, url: str) -> str | None:
        """Why its host is skipped for the rest of the run; None if it is not."""
        with self._lock:
            return self._left_alone.get(host_of(url))

    def persist(self, url: str, attempt: Callable[[], T]) -> T:
        """Call `attempt()`, with retries if these may help, and return its result.

        A pause that a host asks for applies to all its requests. Progress, such as more of a large
        file, resets the count of tries.

        Raises:
            FetchError: the last one, with the number of tries.
        """
        tries = strikes = 0
        while True:
            if reason := self.left_alone(url):
                error = FetchError(reason)
                error.tries = tries
                raise error
            tries += 1
            try:
                result = attempt()
            except FetchError as error:
                error.tries = tries
                strikes = 1 if error.gained else strikes + 1
                if (error.after or 0) > _LONGEST:
                    self._leave(url, f"asks to wait {readable_time(error.after or 0)}")
                    raise
                if not error.again or strikes > self.retries:
                    self._count(url, error)
                    raise
                backoff = min(_BACKOFF, 2.0 ** (strikes - 1)) * (0.5 + self._chance() / 2)
                self.pause(url, backoff if error.after is None else error.after)
            else:
                with self._lock:
                    self._failures[host_of(url)] = 0
                return result

    def _leave(self, url: str, why: str) -> None:
        with self._lock:
            host = host_of(url)
            name = host.removesuffix(":")
            self._left_alone[host] = f"not tried: {name} {why}; run it again later"

    def _count(self, url: str, error: FetchError) -> None:
        with self._lock:
            host = host_of(url)
            count = self._failures.get(host, 0) + 1 if error.host else 0
            self._failures[host] = count
        if count >= _FAILURES:
            self._leave(url, f"failed {count} times in a row")
