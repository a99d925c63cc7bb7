"""HTTP requests, with checked redirects and timeouts for slow servers."""

import contextlib
import http.client
import io
import os
import re
import time
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3
from urllib3 import exceptions

from impasto import __version__
from impasto.formatting import readable_time
from impasto.sources.remote.connections import connections, proxy_for, retry_after
from impasto.sources.remote.store import PASSING

SLOWEST = 1_000
"""Bytes a second. A response slower than this for the whole timeout counts as stuck."""

_PIECE = 1 << 17
_REDIRECTS = 10
_MOVED = (301, 302, 303, 307, 308)

_WORDS = {
    401: "not allowed",
    403: "not allowed",
    404: "not found",
    410: "gone",
    429: "too many requests",
    451: "withheld for legal reasons",
}
# A compressed body that exceeds both when decompressed is a bomb.
_BOMB_RATIO, _BOMB_BYTES = 200, 50_000_000


class FetchError(Exception):
    """A failed request; the text is the reason for the user.

    Attributes:
        again: whether to try again.
        after: seconds to wait before the next try, if the server names them.
        host: whether the whole host fails, not this address only.
        status: the HTTP status, if there was a response.
        gained: whether the attempt made progress: enough bytes arrived and were kept.
        tries: the number of attempts.
    """

    def __init__(
        self,
        reason: str,
        *,
        again: bool = False,
        after: float | None = None,
        host: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.again, self.after, self.host, self.status = again, after, host, status
        self.gained = False
        self.tries = 1


def refusal(status: int, retry_after_header: str | None) -> FetchError:
    """The error for an HTTP status, with the seconds to wait if the server names them."""
    passing = status in PASSING
    word = _WORDS.get(status, "the server failed" if status >= 500 else "refused")
    return FetchError(
        f"{word} ({status})",
        again=passing,
        after=retry_after(retry_after_header) if passing else None,
        host=passing or status in (401, 403),
        status=status,
    )


class _Watched(io.RawIOBase):
    """Reads a response, and gives up if it only trickles or never ends.

    A socket's timeout restarts with every byte, so a server that sends single bytes or endless
    headers could block for ever. Here headers and the first byte of the body must arrive within the
    window, and then each window must bring the bytes that `SLOWEST` requires.
    """

    def __init__(self, raw: io.RawIOBase, window: float | None) -> None:
        self._raw, self._window = raw, window or float("inf")
        self._since: float | None = None
        self._count = 0
        self.expect()

    def expect(self) -> None:
        """Start the window for all headers, or for the first byte of the body."""
        self._until = time.monotonic() + self._window

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer) or 0
        now = time.monotonic()
        if self._since is None:
            self._since = now
        self._count += count
        if count and now - self._since >= self._window:
            if self._count < SLOWEST * self._window:
                raise TimeoutError("trickles")
            self._since, self._count = now, 0
        if count and now > self._until:
            raise TimeoutError("does not come to an end")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self._watched = _Watched(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._watched, _PIECE)

    def read1(self, n: int = -1) -> bytes:
        self._watched.expect()
        return super().read1(n)


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _SafeConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SafePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SafeConnection


class Answer:
    """A response whose body is not read yet.

    Attributes:
        url: the final address, after redirects.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, url: str, timeout: float) -> None:
        self._response, self.url, self._timeout = response, url, timeout
        self.status, self.headers = response.status, response.headers

    @property
    def encoding(self) -> str:
        """The body's Content-Encoding; empty if none."""
        coding = self.headers.get("Content-Encoding", "").strip().lower()
        return "" if coding == "identity" else coding

    @property
    def length(self) -> int | None:
        """The body's Content-Length, if the server sends one."""
        length = self.headers.get("Content-Length", "")
        return int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None

    def check(self) -> None:
        """Check that the status is 200 or 206.

        Raises:
            FetchError: it is not.
        """
        if self.status in (200, 206):
            return
        raise refusal(self.status, self.headers.get("Retry-After"))

    def pieces(self, most: int | None = None, decode: bool = True) -> Iterator[bytes]:
        """The body in pieces of at most 128 KB.

        Args:
            most: size limit of the body in bytes; None: no limit.
            decode: decompress the Content-Encoding gzip or deflate.

        Raises:
            FetchError: the connection broke, the body is too slow, of another length than declared,
                larger than `most` bytes, or in an unrequested encoding.
        """
        pieces = self._raw_pieces()
        if decode and self.encoding:
            pieces = self._decoded(pieces)
        elif most is not None and (self.length or 0) > most:
            raise FetchError(f"larger than {_size(most)}: {_size(self.length or 0)}")
        count = 0
        for piece in pieces:
            count += len(piece)
            if most is not None and count > most:
                raise FetchError(f"larger than {_size(most)}")
            yield piece

    def _raw_pieces(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._response.read1(_PIECE, decode_content=False)
            except (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
                raise _failure(error, self._timeout) from error
            if not piece:
                return
            yield piece

    def _decoded(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        if self.encoding not in ("gzip", "x-gzip", "deflate"):
            raise FetchError(f"compressed by '{self.encoding[:20]}', which was not asked for")
        decoder = zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes
        received = count = 0
        try:
            for piece in pieces:
                received += len(piece)
                while piece and not decoder.eof:
                    # At most a piece at a time, since a small input may decompress to a huge
                    # output.
                    opened = decoder.decompress(piece, _PIECE)
                    count += len(opened)
                    if count > max(_BOMB_BYTES, _BOMB_RATIO * received):
                        raise FetchError(f"compressed more than {_BOMB_RATIO} times: a bomb")
                    yield opened
                    piece = decoder.unconsumed_tail
                if decoder.eof:
                    return
            yield decoder.flush()
        except zlib.error as error:
            raise FetchError("damaged on the way: its compression", again=True) from error
        if not decoder.eof:
            raise FetchError("cut short: its compression has no end", again=True, host=True)


class Client:
    """An HTTP client without cookies; proxies come from the environment.

    Args:
        timeout: seconds, for a connection and for the next bytes.
        contact: a mail address or page of the user, sent to the servers.
        before: called with each address before its request, redirects included; may wait.
    """

    def __init__(
        self,
        timeout: float = 30.0,
        contact: str = "",
        before: Callable[[str], None] = lambda url: None,
    ) -> None:
        self.timeout, self.before = timeout, before
        self.agent = f"impasto/{__version__}"
        about = f" ({contact})" if contact else ""
        self._headers = {
            "User-Agent": self.agent + about,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        self._managers: dict[str, urllib3.PoolManager] = {}

    @contextlib.contextmanager
    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
        """Request `url`, follow redirects, and yield the response, which is closed at the end of the
        block.

        Raises:
            FetchError: no response, or redirects in a circle or to other schemes than http and
                https.
        """
        seen: set[str] = set()
        while True:
            check_scheme(url, "redirected to what is" if seen else "")
            if url in seen:
                raise FetchError("redirected in a circle")
            if len(seen) > _REDIRECTS:
                raise FetchError(f"redirected more than {_REDIRECTS} times")
            seen.add(url)
            self.before(url)
            response = self._send(url, {**self._headers, **(headers or {})})
            try:
                to = response.headers.get("Location")
                if response.status not in _MOVED or not to:
                    yield Answer(response, url, self.timeout)
                    return
                url = _joined(url, to)
            finally:
                response.close()

    def read(self, url: str, most: int) -> tuple[Answer, bytes]:
        """The response to `url` and its whole body of at most `most` bytes.

        Raises:
            FetchError: no response, a status other than 200 and 206, or a body that is incomplete or
                larger.
        """
        with self.get(url) as answer:
            answer.check()
            return answer, b"".join(answer.pieces(most))

    def _send(self, url: str, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._manager(url).request(
                "GET",
                url,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=urllib3.Timeout(connect=self.timeout, read=self.timeout),
            )
        except (exceptions.HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            raise _failure(error, self.timeout) from error

    def _manager(self, url: str) -> urllib3.PoolManager:
        proxy = proxy_for(url)
        if proxy not in self._managers:
            self._managers[proxy] = _pool_manager(proxy)
        return self._managers[proxy]


def _pool_manager(proxy: str) -> urllib3.PoolManager:
    """A connection pool manager; with an empty `proxy` connections are direct.

    Raises:
        ImpastoError: the proxy's kind is not supported.
    """
    manager = connections(proxy, num_pools=64, maxsize=64)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}
    return manager


def _joined(url: str, to: str) -> str:
    """The target of a `Location` header, which arrives as Latin-1 but is mostly UTF-8."""
    with contextlib.suppress(UnicodeError):
        to = to.encode("latin-1").decode("utf-8")
    try:
        return urllib.parse.urljoin(url, to)
    except ValueError as error:
        raise FetchError("redirected to what is not an address") from error


def check_scheme(url: str, what: str = "") -> None:
    """Check that an address is http or https.

    Args:
        url: the address.
        what: put before the reason in the error.

    Raises:
        FetchError: it is not.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise FetchError(f"{what} not an http or https address".strip())


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, such as `https://huggingface.co:443`.

    Raises:
        ValueError: the address or its port is invalid.
    """
    parts = urllib.parse.urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"


def switched_off(*switches: str) -> str | None:
    """The first of these environment variables that is set to 1, on, yes or true; None if none is."""
    yes = ("1", "on", "yes", "true")
    return next((name for name in switches if os.environ.get(name, "").lower() in yes), None)


def _size(count: int) -> str:
    return f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count:,} bytes"


def _failure(error: Exception, timeout: float) -> FetchError:
    """The error for a failed request or a broken response."""
    if isinstance(error, exceptions.ProxyError):
        return FetchError("no connection through the proxy", again=True, host=True)
    if isinstance(error, exceptions.NameResolutionError):
        return FetchError("no such host, or no network", again=True, host=True)
    if isinstance(error, exceptions.NewConnectionError):  # a kind of ConnectTimeoutError
        return FetchError("no connection", again=True, host=True)
    if isinstance(error, exceptions.ConnectTimeoutError):
        return FetchError(f"no connection within {readable_time(timeout)}", again=True, host=True)
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        slow = f"less than {SLOWEST:,} bytes a second, or no end, for {readable_time(timeout)}"
        return FetchError(f"stuck: {slow}", again=True, host=True)
    if isinstance(error, exceptions.SSLError):
        return FetchError("its certificate is not trusted", host=True)
    if isinstance(error, (exceptions.LocationValueError, UnicodeError)):
        return FetchError("not an address that can be asked")
    if isinstance(error.__cause__, http.client.IncompleteRead):  # includes urllib3's own
        return FetchError("cut short: the connection ended early", again=True, host=True)
    return FetchError("the connection broke", again=True, host=True)
