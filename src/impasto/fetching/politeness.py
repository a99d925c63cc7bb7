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

_LONGEST_WAIT = 600.0
"""Most seconds to wait when a server asks for a pause. A host that asks for more is skipped for the
rest of the run."""
_LONGEST_BACKOFF = 60.0
"""Most seconds between two tries, if the server names no time."""
_FAILURES = 10
"""Failures in a row after which a host is skipped for the rest of the run."""


class StoppedWaitingError(Exception):
    """`Politeness.stop` was set during a wait."""


def host_of(url: str) -> str:
    """Host and port of an address, as the key for rates.

    Digits in the first label are removed, so numbered hosts (uploads3.wikiart.org) count as one.

    Raises:
        ValueError: the address or its port is invalid.
    """
    parts = urllib.parse.urlsplit(url)
    host, port = (parts.hostname or "").lower(), parts.port or ""
    labels = host.split(".")
    if len(labels) > 2 and not labels[-1].isdigit():
        labels[0] = re.sub(r"\d+", "", labels[0])
    return f"{'.'.join(labels)}:{port}"


class Politeness:
    """Rates, retries with backoff, and skipped hosts; thread-safe.

    Args:
        rate: most requests a second to one host; 0 for no limit.
        retries: tries after the first.
        sleep: waits this many seconds, for tests. None: waits until `stop` is set.
        clock: the time in seconds, for tests.
        chance: a random number in [0, 1), for the jitter of the backoff.

    Attributes:
        stop: set to end all waits.
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
        self._next_request: dict[str, float] = {}
        """By host: the time of the next allowed request."""
        self._delays: dict[str, float] = {}
        """By host: least seconds between requests."""
        self._failures: dict[str, int] = {}
        """By host: failures in a row."""
        self._skipped: dict[str, str] = {}
        """By skipped host: the reason."""

    def wait(self, url: str) -> None:
        """Wait until the address's host may be asked, and count that request.

        Raises:
            StoppedWaitingError: `stop` was set.
        """
        host = host_of(url)
        while True:
            if self.stop.is_set():
                raise StoppedWaitingError
            with self._lock:
                now = self._clock()
                delay = self._next_request.get(host, now) - now
                if delay <= 0:
                    least = 1 / self.rate if self.rate else 0.0
                    self._next_request[host] = now + max(least, self._delays.get(host, 0.0))
                    return
            self._sleep(delay)

    def pause(self, url: str, seconds: float) -> None:
        """Send the address's host no requests for this time."""
        with self._lock:
            until = self._clock() + seconds
            host = host_of(url)
            self._next_request[host] = max(self._next_request.get(host, until), until)

    def slow_down(self, url: str, seconds: float) -> None:
        """Keep at least this many seconds, 60 at most, between requests to the address's host."""
        with self._lock:
            self._delays[host_of(url)] = min(seconds, _LONGEST_BACKOFF)

    def skipped(self, url: str) -> str | None:
        """Why the address's host is skipped for the rest of the run; None if it is not."""
        with self._lock:
            return self._skipped.get(host_of(url))

    def with_retries(self, url: str, attempt: Callable[[], T]) -> T:
        """Call `attempt()`, again if it fails and a retry may help, and return its result.

        A pause that a host asks for applies to all its requests. Progress, such as more of a large
        file, resets the count of retries.

        Raises:
            FetchError: the last one, with the number of tries.
        """
        tries = failures = 0
        while True:
            if reason := self.skipped(url):
                error = FetchError(reason)
                error.tries = tries
                raise error
            tries += 1
            try:
                result = attempt()
            except FetchError as error:
                error.tries = tries
                failures = 1 if error.gained else failures + 1
                if (error.after or 0) > _LONGEST_WAIT:
                    self._skip(url, f"asks to wait {readable_time(error.after or 0)}")
                    raise
                if not error.again or failures > self.retries:
                    self._count_failure(url, error)
                    raise
                # The exponent is bounded, since 2.0 ** 1024 would overflow.
                backoff = min(_LONGEST_BACKOFF, 2.0 ** min(failures - 1, 10))
                jittered = backoff * (0.5 + self._chance() / 2)
                self.pause(url, jittered if error.after is None else error.after)
            else:
                with self._lock:
                    self._failures[host_of(url)] = 0
                return result

    def _skip(self, url: str, why: str) -> None:
        with self._lock:
            host = host_of(url)
            name = host.removesuffix(":")
            self._skipped[host] = f"not tried: {name} {why}; run it again later"

    def _count_failure(self, url: str, error: FetchError) -> None:
        with self._lock:
            host = host_of(url)
            count = self._failures.get(host, 0) + 1 if error.host else 0
            self._failures[host] = count
        if count >= _FAILURES:
            self._skip(url, f"failed {count} times in a row")
