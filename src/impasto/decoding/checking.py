"""Check pictures in worker processes before any long work: their sizes, and whether they can be used.

A file that crashes its process or takes too long costs that file alone.
"""

import functools
import math
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TypeVar

from impasto.decoding.decode import Stream
from impasto.decoding.fit import Fitting, open_picture, picture_of, size_of
from impasto.decoding.workers import DiedError, available_cores, in_order
from impasto.sources.trees import UnusableError

Picture = Path | bytes | UnusableError
"""A file, its bytes, or the reason why it cannot be read."""
Result = TypeVar("Result")

_FILES_A_PROCESS = 64
"""Fewer files than this take less time than starting another process."""
_AHEAD = 8
"""Most results of each process that are in progress or wait for an earlier one."""


def sizes_of(
    pictures: Iterable[Picture], count: int, max_pixels: int, seconds: float
) -> Generator[tuple[int, int] | str, None, None]:
    """Width and height of each picture by its header, or the reason why there are none; in order.

    Args:
        pictures: drawn only as needed.
        count: the number of pictures.
        max_pixels: a picture of more pixels gives a reason.
        seconds: the time limit for a picture.

    Raises:
        ImpastoError: the processes do not start.
    """
    return _check(functools.partial(size_of, max_pixels=max_pixels), pictures, count, seconds)


def reasons_unusable(
    pictures: Iterable[Picture], count: int, how: Fitting, seconds: float
) -> Generator[str | None, None, None]:
    """The reason why each picture cannot be decoded and fitted, or None if it can; in order.

    Args:
        pictures: drawn only as needed.
        count: the number of pictures.
        how: the wanted size.
        seconds: the time limit for a picture.

    Raises:
        ImpastoError: the processes do not start.
    """
    return _check(functools.partial(_decode, how), pictures, count, seconds)


def _check(
    check: Callable[[Stream], Result], pictures: Iterable[Picture], count: int, seconds: float
) -> Generator[Result | str, None, None]:
    """The result of `check` for each picture, or the reason why there is none."""
    processes = max(1, min(available_cores(), math.ceil(count / _FILES_A_PROCESS)))
    work = functools.partial(_check_one, check)
    for result in in_order(work, pictures, processes, _AHEAD * processes, seconds):
        yield result.reason if isinstance(result, DiedError) else result


def _check_one(check: Callable[[Stream], Result], picture: Picture) -> Result | str:
    """Runs in the worker processes."""
    try:
        if isinstance(picture, UnusableError):
            raise picture
        with open_picture(picture) as stream:
            return check(stream)
    except UnusableError as reason:
        return str(reason)


def _decode(how: Fitting, stream: Stream) -> None:
    picture_of(stream, how)
