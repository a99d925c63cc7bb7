"""One address into one file: resumed, checked, and whole under its name or not there."""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import ImpastoError
from impasto.fetching.client import Answer, Client, FetchError
from impasto.files import sha256_of_file, write_error, write_json

_START = 512
"""Bytes that `look` is shown at least, unless there are fewer."""
_PROGRESS = 1_000_000
"""Bytes kept by which a broken attempt counts as progress."""


def _nothing(start: bytes) -> None: ...


def _silent(done: int, total: int) -> None: ...


@dataclass
class Download:
    """What is wanted, and what is known of it beforehand."""

    url: str
    part: Path
    """Where it grows; the caller gives it its name when it is whole."""
    resume: bool = True
    """Go on with what an earlier attempt left, if it is of the same content: by the server's mark
    (a strong ETag, or a date), or where the content's hash is known."""
    sha256: str | None = None
    most: int | None = None
    """Bytes; what is larger is not wanted."""
    seconds: float | None = None
    """For one attempt."""
    since: str | None = None
    """An HTTP date: nothing is fetched if the server knows of no change since then."""
    look: Callable[[bytes], None] = _nothing
    """Is shown the first bytes, and raises FetchError where the rest is not wanted."""
    tell: Callable[[int, int], None] = _silent
    """Called with the bytes that are there and those there will be (0: not known)."""

    @property
    def _note(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def discard(self) -> None:
        """Remove what was left of it."""
        for path in (self.part, self._note):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise write_error(error, path) from error

    def finish(self, path: Path) -> None:
        """Give the whole file its name."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.part.replace(path)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(error, path) from error

    def attempt(self, client: Client) -> bool:
        """Fetch it, or the rest of it, into `part`; False where it has not changed `since`.

        Raises:
            FetchError: it is not whole. What arrived is kept if it can be gone on with.
            ImpastoError: it cannot be written.
        """
        have, mark = self._kept()
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and mark:
            headers["If-Range"] = mark
        if self.since:
            headers["If-Modified-Since"] = self.since
        with client.get(self.url, headers) as answer:
            if answer.status == 304 and self.since:
                return False
            self._take(answer, have, mark)
        self._check(resumed=have > 0)
        return True

    def _kept(self) -> tuple[int, str | None]:
        """Bytes there to go on with, and the mark to name to the server."""
        try:
            have = self.part.stat().st_size
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return 0, None
        if not self.resume or not isinstance(note, dict) or note.get("url") != self.url:
            return 0, None
        mark = note.get("mark")
        same = self.sha256 is not None and note.get("sha256") == self.sha256
        return (have, mark) if mark or same else (0, None)

    def _take(self, answer: Answer, have: int, mark: str | None) -> None:
        if answer.status == 416 and have:
            # Either all of it is there, or it is shorter now than what is there.
            if answer.headers.get("Content-Range", "").strip() == f"bytes */{have}":
                return
            self.discard()
            raise FetchError("changed while it was fetched", again=True)
        answer.check()
        total = answer.length
        if answer.status == 206:
            start, total = _range(answer)
            other = mark and _mark(answer) not in (None, mark)
            if not have or start != have or other or answer.encoding:
                self.discard()
                raise FetchError("the server sent another part than was asked for", again=True)
        else:
            have = 0  # the server does not do ranges, or the content is another by now
            self.discard()
            mark = _mark(answer)
            if self.resume and (mark or self.sha256):
                write_json(self._note, {"url": self.url, "mark": mark, "sha256": self.sha256})
        # A compressed archive that the server calls compressed for the way is wanted as it is.
        decode = bool(answer.encoding) and not re.search(r"\.t?gz$", self.url.partition("?")[0])
        if decode:
            total = None
        began, count = time.monotonic(), have
        try:
            pieces = answer.pieces(None if self.most is None else self.most - have, decode)
            with self.part.open("ab" if have else "wb") as file:
                for piece in pieces if have else _headed(pieces):
                    if count == 0:
                        self.look(piece)
                    file.write(piece)
                    count += len(piece)
                    self.tell(count, total or 0)
                    if self.seconds is not None and time.monotonic() - began > self.seconds:
                        raise FetchError(f"not there after {self.seconds:,.0f} s", host=True)
                file.flush()
                os.fsync(file.fileno())
        except FetchError as error:
            error.gained = self._note.exists() and count - have >= _PROGRESS
            if not error.again:
                self.discard()
            raise
        except OSError as error:
            raise write_error(error, self.part) from error
        if answer.status == 206 and total is not None and count != total:
            self.discard()
            raise FetchError(f"another size: {count:,} bytes, not {total:,}", again=True)

    def _check(self, resumed: bool) -> None:
        """Whether the file in `part` is the one that is wanted.

        Raises:
            FetchError: it is not, and is gone.
        """
        wrong = what_is_wrong(self.part, None, self.sha256)
        if wrong:
            self.discard()
            # Two parts may be of two contents; what came in one piece would come again as it did.
            raise FetchError(wrong, again=resumed or not wrong.startswith("another SHA"))


def _headed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first at least `_START` bytes long."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= _START:
            break
    if start:
        yield start
    yield from pieces


def _mark(answer: Answer) -> str | None:
    """What names this very content to the server: a strong ETag, else the date of its last change.

    A body that was compressed for the way has a length of its own, and parts of it fit nothing.
    """
    if answer.encoding:
        return None
    etag = answer.headers.get("ETag", "").strip()
    if etag and not etag.startswith("W/"):
        return etag
    return answer.headers.get("Last-Modified")


def _range(answer: Answer) -> tuple[int, int | None]:
    """First byte of a part, and bytes of the whole, by `Content-Range`; -1 where it has none."""
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)",
        answer.headers.get("Content-Range", "").strip(),
    )
    if not found:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def what_is_wrong(
    path: Path, size: int | None, sha256: str | None = None, git_sha1: str | None = None
) -> str:
    """How a file differs from what it should be, as far as that is known; empty if it does not.

    Raises:
        ImpastoError: it cannot be read.
    """
    try:
        found = path.stat().st_size
        if size is None and found == 0:
            return "empty"
        if size is not None and found != size:
            return f"another size: {found:,} bytes, not {size:,}"
        if sha256 and (digest := sha256_of_file(path)) != sha256:
            return f"another SHA-256: {digest}, not {sha256}"
        if git_sha1 and (digest := git_sha1_of_file(path)) != git_sha1:
            return f"another SHA-1 (git's): {digest}, not {git_sha1}"
    except OSError as error:
        raise ImpastoError(f"cannot read {path}: {error.strerror or error}") from error
    return ""


def git_sha1_of_file(path: Path) -> str:
    """What git names a file's content by: SHA-1 of `blob`, its length, a zero and the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
