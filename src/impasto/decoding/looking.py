"""Pictures looked at in processes of their own: a file that ends its process, or keeps it too long,
costs that file alone."""

import functools
import io
import math
import stat
from collections.abc import Generator, Iterable
from pathlib import Path

from impasto.decoding.decode import Stream
from impasto.decoding.fit import Fitting, size_of, square_of
from impasto.decoding.workers import DiedError, available_cores, in_order
from impasto.sources.trees import UnusableError

Picture = Path | bytes | UnusableError
"""A file, its bytes, or why there are none."""

_FILES_A_PROCESS = 64
"""To start one more process for fewer takes longer than to look at them."""
_AHEAD = 8
"""Files that each process may be ahead of the answers."""


def opened(picture: Path | bytes) -> Stream:
    """A file at its beginning.

    Raises:
        UnusableError: it cannot be read.
    """
    if isinstance(picture, bytes):
        return io.BytesIO(picture)
    try:
        if not stat.S_ISREG(picture.stat().st_mode):  # Opening a pipe would wait for ever.
            raise UnusableError("unreadable: not a file")
        return picture.open("rb")
    except OSError as error:
        raise UnusableError(f"unreadable for now: {error.strerror or error}") from error


def sizes_of(
    pictures: Iterable[Picture], count: int, max_pixels: int, seconds: float
) -> Generator[tuple[int, int] | str, None, None]:
    """Width and height of each picture as its header says, or why there is none; in their order.

    Args:
        pictures: `count` of them, drawn as they are needed.
        count: their number.
        max_pixels: a picture of more is left out.
        seconds: the longest that one may take.

    Raises:
        ImpastoError: the processes do not start.
    """
    size = functools.partial(_size, max_pixels)
    for found in in_order(size, pictures, *_processes(count), seconds):
        yield _gave_up(found) if isinstance(found, DiedError) else found


def unusable(
    pictures: Iterable[Picture], count: int, how: Fitting, seconds: float
) -> Generator[str | None, None, None]:
    """Why each picture cannot become a square; None: it can. The rest is as for `sizes_of`."""
    for found in in_order(functools.partial(_try, how), pictures, *_processes(count), seconds):
        yield _gave_up(found) if isinstance(found, DiedError) else found


def _processes(count: int) -> tuple[int, int]:
    """How many processes, and how far they may be ahead."""
    processes = max(1, min(available_cores(), math.ceil(count / _FILES_A_PROCESS)))
    return processes, _AHEAD * processes


def _gave_up(error: DiedError) -> str:
    return f"gave up: {error}"


def _size(max_pixels: int, picture: Picture) -> tuple[int, int] | str:
    """Runs in the worker processes, as `_try` does."""
    try:
        if isinstance(picture, UnusableError):
            raise picture
        with opened(picture) as stream:
            return size_of(stream, max_pixels)
    except UnusableError as reason:
        return str(reason)


def _try(how: Fitting, picture: Picture) -> str | None:
    try:
        if isinstance(picture, UnusableError):
            raise picture
        with opened(picture) as stream:
            square_of(stream, how)
    except UnusableError as reason:
        return str(reason)
    return None
