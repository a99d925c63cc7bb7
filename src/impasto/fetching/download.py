"""Download one address into one file, resumable and checked. Until it is complete, it has the name of
a partial file."""

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
"""The least bytes that `look` gets, unless the file is shorter."""
_PROGRESS = 1_000_000
"""A broken attempt counts as progress if it added this many bytes."""


def _nothing(start: bytes) -> None: ...


def _silent(done: int, total: int) -> None: ...


@dataclass
class Download:
    """A file to download, with what is known of it."""

    url: str
    part: Path
    """The partial file; the caller renames it when it is complete."""
    resume: bool = True
    """Continue an earlier attempt if the content is the same: by a strong ETag or a date, or if the
    content's hash is known."""
    sha256: str | None = None
    """The expected digest."""
    most: int | None = None
    """Size limit in bytes; larger files are refused. None: no limit."""
    seconds: float | None = None
    """Time limit of an attempt; None: no limit."""
    since: str | None = None
    """An HTTP date: nothing is fetched if the server reports no change since then."""
    look: Callable[[bytes], None] = _nothing
    """Called with the first bytes, 512 or more; raises FetchError to refuse the file."""
    tell: Callable[[int, int], None] = _silent
    """Called with the bytes received and the total (0: unknown)."""

    @property
    def _note(self) -> Path:
        return self.part.with_name(self.part.name + ".json")

    def discard(self) -> None:
        """Delete the partial file.

        Raises:
            ImpastoError: it cannot be deleted.
        """
        for path in (self.part, self._note):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise write_error(error, path) from error

    def finish(self, path: Path) -> None:
        """Rename the complete file to `path`.

        Raises:
            ImpastoError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.part.replace(path)
            self._note.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(error, path) from error

    def attempt(self, client: Client) -> bool:
        """Fetch the file, or the rest of it, into `part`; False if it has not changed `since`.

        Raises:
            FetchError: it is incomplete. The bytes received are kept if they can be continued.
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
        """The number of bytes to continue from, and the ETag or date to send to the server."""
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
        """Write a response's body to `part`, after the `have` bytes in it.

        Raises:
            FetchError: the response is an error, another range or incomplete, or `look` refuses it.
            ImpastoError: it cannot be written.
        """
        if answer.status == 416 and have:
            # The partial file is complete, or the content is shorter now.
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
            have = 0  # the server does not support ranges, or the content has changed
            self.discard()
            mark = _mark(answer)
            if self.resume and (mark or self.sha256):
                write_json(self._note, {"url": self.url, "mark": mark, "sha256": self.sha256})
        # Some servers send a compressed archive's own compression as Content-Encoding; keep it.
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
        """Check the file in `part`.

        Raises:
            FetchError: it is wrong, and is deleted.
        """
        wrong = difference(self.part, None, self.sha256)
        if wrong:
            self.discard()
            # Two parts may be of different contents, so try again; a file fetched in one piece
            # would be the same.
            raise FetchError(wrong, again=resumed or not wrong.startswith("another SHA"))


def _headed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The pieces, the first ones joined to one of at least `_START` bytes."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= _START:
            break
    if start:
        yield start
    yield from pieces


def _mark(answer: Answer) -> str | None:
    """The identity of the content for If-Range: a strong ETag, else its date of change.

    None for a body with Content-Encoding, whose parts cannot be joined.
    """
    if answer.encoding:
        return None
    etag = answer.headers.get("ETag", "").strip()
    if etag and not etag.startswith("W/"):
        return etag
    return answer.headers.get("Last-Modified")


def _range(answer: Answer) -> tuple[int, int | None]:
    """The first byte and the total bytes in `Content-Range`; -1 if missing."""
    found = re.fullmatch(
        r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)",
        answer.headers.get("Content-Range", "").strip(),
    )
    if not found:
        return -1, None
    return int(found[1]), None if found[2] == "*" else int(found[2])


def difference(
    path: Path, size: int | None, sha256: str | None = None, git_sha1: str | None = None
) -> str:
    """How a file differs from its expected size and hashes; empty if it does not.

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
    """Git's hash of a file: SHA-1 of `blob`, its length, a zero and the content."""
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
