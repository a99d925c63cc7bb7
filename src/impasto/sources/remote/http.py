"""Folders on web servers. Files are found by the links on pages, described by HEAD and read by GET.

Any page can be the listing of a folder, such as those of Apache, nginx or Python's http.server: its
links to paths below it are the folder's files or, with a final `/`, its folders.
"""

import errno
import re
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from html.parser import HTMLParser
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

import urllib3
from urllib3 import exceptions

from impasto import __version__
from impasto.sources.remote.connections import connections, proxy_for, retry_after
from impasto.sources.remote.store import (
    AT_ONCE,
    SILENCE,
    Info,
    RemoteError,
    Store,
    read_ahead,
    refusal,
    seconds_for,
)
from impasto.sources.trees import is_litter

_LARGEST = 2**30
"""Most bytes of a file that is read as a whole."""
_LARGEST_PAGE = 2**26
"""Most bytes of a page."""
_DEEPEST = 32
"""Most levels of folders, because links on a server may form cycles."""
_PIECE = 2**17
"""Bytes that are read from a connection at once."""


class HttpStore(Store):
    """The store of a web server's files.

    Args:
        address: of a file or a folder on it.
    """

    login = "if it is yours to read, put the user and the password before the host: https://USER:PASSWORD@HOST"

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        super().__init__(f"{parts.scheme}://{_host(parts)}/")
        self.key = unquote(parts.path, errors="surrogateescape").strip("/")
        """The key that the address names."""
        self._query = f"?{parts.query}" if parts.query else ""
        self._folders = {self.key} if parts.path.endswith("/") else {""}
        self._headers = {"User-Agent": f"impasto/{__version__}", "Accept-Encoding": "identity"}
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers |= urllib3.make_headers(basic_auth=login)

    def address(self, key: str) -> str:
        """The address for messages, without the query, which may be a signature."""
        return self.root + quote(key.encode("utf-8", "surrogateescape"))

    def _url(self, key: str) -> str:
        slash = "/" if key and key in self._folders else ""
        return self.address(key) + slash + (self._query if key == self.key else "")

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        return connections(
            proxy_for(self.root),
            maxsize=AT_ONCE,
            timeout=urllib3.Timeout(connect=SILENCE / 2, read=SILENCE),
            retries=urllib3.Retry(
                total=None, connect=0, read=0, other=0, status=0, redirect=10, raise_on_status=False
            ),
        )

    def _ask(self, method: str, url: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """Send a request; returns the response, whose body is not read yet.

        Raises:
            RemoteError: there is no connection, or the status is not 200 or 206.
        """
        try:
            response = self._pool.request(
                method, url, headers={**self._headers, **headers}, preload_content=False
            )
        except exceptions.HTTPError as error:
            raise _failure(error) from error
        if response.status in (200, 206):
            return response
        response.close()
        after = retry_after(response.headers.get("Retry-After"))
        raise refusal(response.status, after or 0.0)

    def _info(self, key: str) -> Info:
        url = self._url(key)
        try:
            response = self._ask("HEAD", url)
        except RemoteError as error:
            if error.errno == errno.ENOENT or error.again:
                raise
            # Some servers do not support HEAD, and some addresses are signed for GET only.
            response = self._ask("GET", url, Range="bytes=0-0")
        response.close()
        final = urlsplit(urljoin(url, response.geturl() or url))
        if final.path.endswith("/"):
            self._folders.add(key)
            return Info(0, "", is_folder=True)
        whole = re.fullmatch(r"bytes 0-\d+/(\d+)", response.headers.get("Content-Range", ""))
        length = whole[1] if whole else response.headers.get("Content-Length", "")
        size = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else -1
        if response.status == 206 and not whole:
            size = -1
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        self.weak_stamps |= not mark
        return Info(size, f"{size}-{mark}")

    def _read(self, key: str, start: int, end: int | None) -> bytes:
        size = self._known[key].size if key in self._known else -1
        if end is None:
            return _body(self._ask("GET", self._url(key)), seconds_for(size), _LARGEST)
        response = self._ask("GET", self._url(key), Range=f"bytes={start}-{end - 1}")
        if response.status == 200 and (start or response.headers.get("Content-Length") != str(end)):
            response.close()
            raise RemoteError("its server sends no parts of files; download it", errno.ENOTSUP)
        return _body(response, seconds_for(end - start), end - start)

    def names(self, key: str) -> list[str]:
        files, _ = self.retry(lambda: self._page(key))
        return [name for name in files if "/" not in name]

    def _page(self, key: str) -> tuple[list[str], list[str]]:
        """The files and the folders that a folder's page links to, by their paths from there."""
        self._folders.add(key)
        url = self._url(key)
        response = self._ask("GET", url)
        kind = response.headers.get("Content-Type", "")
        if "html" not in kind:
            response.close()
            raise RemoteError(f"its page is no listing of files ({kind or 'of no type'})")
        base = urlsplit(urljoin(url, response.geturl() or url))
        links = _Links()
        links.feed(
            _body(response, seconds_for(_LARGEST_PAGE), _LARGEST_PAGE).decode("utf-8", "replace")
        )
        top = unquote(base.path, errors="surrogateescape").rpartition("/")[0] + "/"
        found: dict[str, None] = {}
        for link in links.found:
            parts = urlsplit(urljoin(base.geturl(), link))
            path = unquote(parts.path, errors="surrogateescape")
            # Links with a query only sort the page in another way.
            if (
                (parts.scheme, parts.netloc) == base[:2]
                and path.startswith(top)
                and not parts.query
            ):
                found[path.removeprefix(top)] = None
        files = [path for path in found if path and not path.endswith("/")]
        return files, [path.strip("/") for path in found if path.endswith("/")]

    def _files(self, key: str, tell: Callable[[int], None]) -> Iterator[tuple[str, Info]]:
        paths: dict[str, None] = {}
        folders, seen = [""], {""}
        while folders:
            folder = folders.pop()
            place = "/".join(part for part in (key, folder) if part)
            files, below = self.retry(lambda place=place: self._page(place))  # type: ignore[misc]
            prefix = f"{folder}/" if folder else ""
            paths |= dict.fromkeys(prefix + name for name in files if not _is_litter(name))
            for name in below:
                path = prefix + name
                if (
                    name
                    and path not in seen
                    and path.count("/") < _DEEPEST
                    and not _is_litter(name)
                ):
                    seen.add(path)
                    folders.append(path)
        prefix = f"{key}/" if key else ""
        futures = read_ahead(lambda path: self.retry(lambda: self._info(prefix + path)), paths)
        for number, (path, future) in enumerate(zip(paths, futures, strict=True), start=1):
            try:
                info = future.result()
            except RemoteError as error:
                if error.again:
                    raise
                info = Info(-1, "")  # Reading it will report the error.
            # Only now is it known that a link without a final slash leads to a folder.
            if not info.is_folder:
                yield path, info
            tell(number)


def _is_litter(path: str) -> bool:
    return any(map(is_litter, path.split("/")))


def _host(parts: SplitResult) -> str:
    """The host and its port, without user and password."""
    return parts.netloc.rpartition("@")[2]


class _Links(HTMLParser):
    """Collects the addresses that a page links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _body(response: urllib3.BaseHTTPResponse, seconds: float, most: int) -> bytes:
    """Read the body of a response. The connection can be used again if the body is complete.

    Args:
        response: not read yet.
        seconds: time limit.
        most: most bytes.

    Raises:
        RemoteError: the connection failed, the body is too long, or it took too long.
    """
    pieces: list[bytes] = []
    count, until = 0, time.monotonic() + seconds
    try:
        while piece := response.read1(_PIECE):
            pieces.append(piece)
            count += len(piece)
            if count > most:
                raise RemoteError(f"more than {most:,} bytes came", errno.EFBIG)
            if time.monotonic() > until:
                raise RemoteError("it came too slowly", again=True)
    except exceptions.HTTPError as error:
        raise _failure(error) from error
    finally:
        if response.length_remaining:
            response.close()
        response.release_conn()
    return b"".join(pieces)


def _failure(error: exceptions.HTTPError) -> RemoteError:
    """The `RemoteError` for an error of urllib3, whose own texts contain the whole address."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, exceptions.NameResolutionError):
        return RemoteError("no server of that name is known", again=True)
    if isinstance(cause, exceptions.NewConnectionError):
        return RemoteError("no connection", again=True)
    if isinstance(cause, exceptions.TimeoutError):
        return RemoteError("no answer in time", again=True)
    if isinstance(cause, exceptions.SSLError):
        return RemoteError("the connection is not safe: its certificate is not trusted")
    if isinstance(error, exceptions.MaxRetryError) and "redirects" in str(cause):
        return RemoteError("it leads from one address to the next without end")
    if isinstance(cause, exceptions.LocationValueError | exceptions.LocationParseError):
        return RemoteError("it is no address", errno.ENOENT)
    return RemoteError("the connection broke off", again=True)
