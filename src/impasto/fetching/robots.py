"""Sites' rules for programs: robots.txt (RFC 9309)."""

import threading
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from impasto.fetching.client import Client, FetchError
from impasto.fetching.politeness import Politeness

_MOST = 500 * 1024
"""Bytes of a robots.txt that are read, the minimum in RFC 9309."""


class Robots:
    """The robots.txt of each host, fetched once; thread-safe."""

    def __init__(self, client: Client, politeness: Politeness) -> None:
        self._client, self._politeness = client, politeness
        self._known: dict[str, RobotFileParser | FetchError] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def check(self, url: str) -> None:
        """Check that its host's robots.txt allows an address.

        Raises:
            FetchError: it does not, or cannot be fetched because the server fails.
        """
        home = urljoin(url, "/robots.txt")
        with self._lock:
            lock = self._locks.setdefault(home, threading.Lock())
        with lock:
            if home not in self._known:
                self._known[home] = self._read(home)
        rules = self._known[home]
        if isinstance(rules, FetchError):
            raise FetchError(f"its robots.txt cannot be read: {rules}", host=True)
        try:
            allowed = rules.can_fetch(self._client.agent, url)
        except ValueError as error:  # the parser decodes the address first, which may fail
            raise FetchError("not an address that can be asked") from error
        if not allowed:
            raise FetchError(f"the robots.txt of {urlsplit(url).hostname} asks programs not to")

    def _read(self, home: str) -> RobotFileParser | FetchError:
        rules = RobotFileParser(home)
        try:
            text = self._politeness.with_retries(home, lambda: self._client.read(home, _MOST)[1])
        except FetchError as error:
            # A 4xx allows everything. A file that is too large or broken counts as unavailable.
            if error.status is None or error.status >= 500 or error.again:
                return error
            text = b""
        rules.parse(text.decode("utf-8", "replace").splitlines())
        delay = rules.crawl_delay(self._client.agent)
        if delay is not None:
            self._politeness.slow_down(home, float(delay))
        return rules
