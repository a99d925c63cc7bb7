"""Fetch the pictures of a table of URLs, with each one's source and licence.

`impasto pack` reads the resulting folder's `metadata.csv` as a table of labels; it has the
addresses too, so it can be given to `impasto fetch` again.
"""

import contextlib
import email.utils
import hashlib
import io
import re
import threading
import time
import urllib.parse
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from impasto.errors import ImpastoError, StoppedError
from impasto.fetching.client import Client, FetchError, check_scheme, switched_off
from impasto.fetching.completeness import is_whole
from impasto.fetching.download import Download
from impasto.fetching.download_log import UNKNOWN, DownloadLog, FetchedPicture
from impasto.fetching.folder import fetching_into, remove, slug
from impasto.fetching.politeness import Politeness, StoppedWaitingError, host_of
from impasto.fetching.robots import Robots
from impasto.files import sha256_of_file
from impasto.formatting import counted
from impasto.sources.file_kinds import BEGINNING, RAW, camera_raw, describe_other, picture_suffix

T = TypeVar("T")

_HOSTS = 16
"""Most hosts at once."""
_STOPPING = 2.0
"""Seconds to wait for open requests when stopping."""


@dataclass(frozen=True)
class WantedPicture:
    """A picture to fetch."""

    url: str
    cells: dict[str, str] = field(default_factory=dict)
    """The table's cells about it, by column."""
    sha256: str | None = None
    """Its expected SHA-256, if the table has one."""


@dataclass
class WantedPictures:
    """A table of pictures to fetch, each address once."""

    rows: list[WantedPicture]
    columns: tuple[str, ...] = ()
    """The table's columns besides `COLUMNS`; they are copied."""
    notes: list[str] = field(default_factory=list)
    """Lines about the table for the user."""
    left_out: dict[str, str] = field(default_factory=dict)
    """By place of each unreadable row, such as `line 7 of urls.csv`: the reason."""


_MOST = 100_000_000
"""Bytes of one picture, unless another number is asked for."""


@dataclass(frozen=True)
class PictureOptions:
    """Options for fetching pictures."""

    rate: float = 1.0
    """Most requests a second to a host; 0: no limit."""
    per_host: int = 1
    """Most simultaneous requests to a host, 1 to 64."""
    retries: int = 5
    """Tries after the first."""
    timeout: float = 30.0
    """Seconds, for a connection and for the next bytes."""
    most: int | None = None
    """Most bytes of a picture or file; None: 100 MB for a picture, no limit for a file."""
    seconds: float = 600.0
    """Most seconds for a picture."""
    contact: str = ""
    """A mail address or page of the user, sent to the servers."""
    robots: bool = True
    """Whether to obey robots.txt."""
    refresh: bool = False
    """Whether to check present pictures for changes."""
    licence: str = UNKNOWN
    """The licence of pictures whose row has none."""

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("the rate", self.rate, 0, 1e6),
            ("the number of retries", self.retries, 0, 1e6),
            ("the number of requests at once", self.per_host, 1, 64),
            ("the largest picture, in bytes,", self.most_of_a_picture, 1, 1e12),
            ("the timeout, in seconds,", self.timeout, 0.1, 1e6),
        ):
            if not least <= value <= most:
                raise ImpastoError(
                    f"{name} cannot be {value}; at least {least} and at most {most:,.0f}"
                )

    @property
    def most_of_a_picture(self) -> int:
        """Most bytes of a picture."""
        return _MOST if self.most is None else self.most


@dataclass
class PicturesReport:
    """The result of fetching a table."""

    wanted: int
    """The number of the table's rows, unreadable ones included."""
    there: int = 0
    """The number of the table's pictures in the folder now."""
    fetched: int = 0
    bytes: int = 0
    """Bytes of the fetched pictures."""
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)
    """By address, or place of an unreadable row: the reason."""
    notes: list[str] = field(default_factory=list)

    def reasons(self) -> dict[str, int]:
        """The number of failures for each reason, most frequent first, without details."""
        return dict(Counter(why.partition(":")[0] for why in self.failed.values()).most_common())


def fetch_table(
    table: WantedPictures,
    folder: Path,
    options: PictureOptions | None = None,
    politeness: Politeness | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> PicturesReport:
    """Fetch a table's pictures into `folder`, with `metadata.csv` and `failed.csv` beside them.

    Complete pictures are not fetched again; failed ones are. A failure is recorded, and the other
    pictures are still fetched.

    Args:
        table: the pictures.
        folder: made if it does not exist.
        options: None: the defaults.
        politeness: None: of the options' rate and retries.
        tell: called with the number of rows done and of all rows.

    Raises:
        ImpastoError: the folder cannot be written.
        StoppedError: Ctrl-C; complete pictures are kept, and another call continues.
    """
    options = options or PictureOptions()
    politeness = politeness or Politeness(options.rate, options.retries)
    with fetching_into(folder):
        return _Fetch(table, folder, options, politeness).run(tell)


class _Fetch:
    """One fetch of a table: a queue for each host, and threads that take rows from them."""

    def __init__(
        self, table: WantedPictures, folder: Path, options: PictureOptions, politeness: Politeness
    ) -> None:
        self._table, self._folder, self._options = table, folder, options
        self._politeness = politeness
        self._client = polite_client(options, politeness)
        cells = {row.url: row.cells for row in table.rows}
        self._log = DownloadLog(folder, cells, table.columns, options.licence)
        for row, reason in table.left_out.items():
            self._log.fail(row, reason, 0)
        wanted = len(table.rows) + len(table.left_out)
        self._report = PicturesReport(wanted, notes=list(table.notes))
        self._done, self._lock = 0, threading.Lock()
        self._broken: BaseException | None = None
        self._threads: list[threading.Thread] = []

    def run(self, tell: Callable[[int, int], None]) -> PicturesReport:
        began = time.monotonic()
        self._clear()  # left over from a killed process; the folder is locked
        there = {row.url: self._log.complete(row.url) for row in self._table.rows}
        missing = [row for row in self._table.rows if self._options.refresh or not there[row.url]]
        self._done = len(self._table.rows) - len(missing)
        for url in (url for url, picture in there.items() if picture):
            self._log.remove_failure(url)
        try:
            if missing and (switch := switched_off("IMPASTO_OFFLINE")):
                self._check_all_there(switch, sum(not there[row.url] for row in missing))
            else:
                self._fetch_all(self._queues(missing), tell)
        except KeyboardInterrupt as stop:
            self._stop()
            count = sum(self._log.complete(row.url) is not None for row in self._table.rows)
            raise StoppedError(
                f"stopped: {count:,} of {counted(len(self._table.rows), 'picture')} are there; "
                "run it again to go on"
            ) from stop
        finally:
            self._log.close()
        if self._broken:
            raise self._broken
        report = self._report
        urls = [row.url for row in self._table.rows]
        report.there = sum(self._log.complete(url) is not None for url in urls)
        report.failed = self._log.reasons([*urls, *self._table.left_out])
        report.seconds = time.monotonic() - began
        return report

    def _check_all_there(self, switch: str, count: int) -> None:
        """Check that no picture is missing.

        Raises:
            ImpastoError: `count` are, and the environment variable `switch` forbids fetching them.
        """
        if count:
            raise ImpastoError(
                f"{switch} is set, and {count:,} of {counted(len(self._table.rows), 'picture')} "
                f"are not in {self._folder}; unset it to fetch them"
            )

    def _queues(self, rows: list[WantedPicture]) -> deque[deque[WantedPicture]]:
        """A queue of rows for each host, listed once for each simultaneous request to it. All hosts
        come once before any comes twice."""
        by_host: dict[str, deque[WantedPicture]] = {}
        for row in rows:
            try:
                check_scheme(row.url)
                by_host.setdefault(host_of(row.url), deque()).append(row)
            except (FetchError, ValueError):
                self._fail(row, FetchError("not an http or https address"))
        return deque(list(by_host.values()) * self._options.per_host)

    def _fetch_all(
        self, queues: deque[deque[WantedPicture]], tell: Callable[[int, int], None]
    ) -> None:
        # Not an executor, whose threads the interpreter would wait for at exit.
        self._threads += [
            threading.Thread(target=self._work, args=(queues,), daemon=True)
            for _ in range(min(len(queues), _HOSTS * self._options.per_host))
        ]
        for thread in self._threads:
            thread.start()
        shown = -1
        while any(thread.is_alive() for thread in self._threads) and not self._broken:
            next((t for t in self._threads if t.is_alive()), self._threads[0]).join(0.05)
            if self._done != shown:
                shown = self._done
                tell(shown, len(self._table.rows))
            self._log.save_if_due()
        if self._broken:
            self._stop()
        elif self._done != shown:
            tell(self._done, len(self._table.rows))

    def _stop(self) -> None:
        """Start no more requests, and ignore what still arrives."""
        self._politeness.stop.set()
        self._log.close()
        until = time.monotonic() + _STOPPING
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._clear()

    def _clear(self) -> None:
        """Delete partial files."""
        for part in self._folder.glob("*.part"):
            if re.search(r"-[0-9a-f]{16}\.part$", part.name):
                remove(part)

    def _work(self, queues: deque[deque[WantedPicture]]) -> None:
        """One thread's work: fetch the rows of one queue after another."""
        try:
            while (queue := _taken(queues)) is not None:
                while not self._politeness.stop.is_set() and (row := _taken(queue)) is not None:
                    self._fetch_row(row)
        except StoppedWaitingError:
            return
        except BaseException as error:
            self._broken = error

    def _fetch_row(self, row: WantedPicture) -> None:
        """Fetch a row's picture, with retries, or record its failure."""
        part, cut = self._part(row), set[str]()
        try:
            self._politeness.with_retries(row.url, lambda: self._picture(row, part, cut))
        except FetchError as error:
            remove(part)
            self._fail(row, error)
            return
        with self._lock:
            self._done += 1

    def _fail(self, row: WantedPicture, error: FetchError) -> None:
        self._log.fail(row.url, str(error), error.tries)
        with self._lock:
            self._done += 1

    def _picture(self, row: WantedPicture, part: Path, cut: set[str]) -> None:
        """One attempt at a picture; `cut` holds the hashes of truncated results so far.

        Raises:
            FetchError: there is no picture, or it is incomplete.
        """
        options, before = self._options, self._log.complete(row.url)
        download = Download(
            row.url,
            part,
            resume=False,
            sha256=row.sha256,
            most=options.most_of_a_picture,
            seconds=options.seconds,
            since=_http_date(before),
            look=_check_picture,
        )
        if not download.attempt(self._client):
            return  # present and unchanged
        with part.open("rb") as file:
            suffix = picture_suffix(file.read(BEGINNING))
        digest, size = sha256_of_file(part), part.stat().st_size
        if not is_whole(part, suffix):
            # Truncated twice at the same byte: the server's own file is truncated.
            again = digest not in cut
            cut.add(digest)
            raise FetchError(f"cut short: the picture ({suffix}) has no end", again=again)
        self._log.keep(row.url, part, part.stem + suffix, digest)
        with self._lock:
            self._report.fetched += 1
            self._report.bytes += size

    def _part(self, row: WantedPicture) -> Path:
        """The path of a picture's partial file: its earlier name, or one from its title or else its
        address with a hash of the address."""
        last = urllib.parse.urlsplit(row.url).path.rstrip("/").rpartition("/")[2]
        title = row.cells.get("title", "")
        name = slug(title) or slug(urllib.parse.unquote(last).partition(".")[0]) or "picture"
        known = self._log.name_of(row.url)
        if known:
            return self._folder / f"{Path(known).stem}.part"
        return self._folder / f"{name}-{hashlib.sha256(row.url.encode()).hexdigest()[:16]}.part"


def _taken(queue: deque[T]) -> T | None:
    """The next item of a shared queue; None if it is empty."""
    with contextlib.suppress(IndexError):
        return queue.popleft()
    return None


def polite_client(options: PictureOptions, politeness: Politeness) -> Client:
    """A client that waits for each host's rate and, if the options ask for it, obeys robots.txt."""
    client = Client(options.timeout, options.contact)
    client.before = politeness.wait
    if options.robots:
        plain = Client(options.timeout, options.contact, before=politeness.wait)
        robots = Robots(plain, politeness)

        def ask(url: str) -> None:
            robots.check(url)
            politeness.wait(url)

        client.before = ask
    return client


def _check_picture(start: bytes) -> None:
    """Check that a file begins as a picture.

    Raises:
        FetchError: it does not, or it is a camera's raw file.
    """
    if camera_raw(io.BytesIO(start)):
        raise FetchError(f"no picture: {RAW}")
    if not picture_suffix(start[:BEGINNING]):
        raise FetchError(f"no picture: {describe_other(start)}")


def _http_date(picture: FetchedPicture | None) -> str | None:
    """The time a picture was fetched, for `If-Modified-Since`."""
    try:
        moment = datetime.fromisoformat(picture.when) if picture else None
        return email.utils.format_datetime(moment, usegmt=True) if moment else None
    except ValueError:
        return None
