"""Pictures looked at in processes of their own: a file that ends its process, or keeps it too long,
costs that file alone."""

import functools
import math
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import TypeVar

from impasto.decoding.decode import Stream
from impasto.decoding.fit import Fitting, opened, picture_of, size_of
from impasto.decoding.workers import DiedError, available_cores, in_order
from impasto.sources.trees import UnusableError

Picture = Path | bytes | UnusableError
"""A file, its bytes, or why there are none."""
Found = TypeVar("Found")

_FILES_A_PROCESS = 64
"""To start one more process for fewer takes longer than to look at them."""
_AHEAD = 8
"""Files that each process may be ahead of the answers."""


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
    return _looked_at(functools.partial(size_of, max_pixels=max_pixels), pictures, count, seconds)


def unusable(
    pictures: Iterable[Picture], count: int, how: Fitting, seconds: float
) -> Generator[str | None, None, None]:
    """Why each picture cannot become a square; None: it can. The rest is as for `sizes_of`."""
    return _looked_at(functools.partial(_try, how), pictures, count, seconds)


def _looked_at(
    look: Callable[[Stream], Found], pictures: Iterable[Picture], count: int, seconds: float
) -> Generator[Found | str, None, None]:
    """What `look` finds in each picture, or why nothing."""
    processes = max(1, min(available_cores(), math.ceil(count / _FILES_A_PROCESS)))
    work = functools.partial(_found, look)
    for found in in_order(work, pictures, processes, _AHEAD * processes, seconds):
        yield found.reason if isinstance(found, DiedError) else found


def _found(look: Callable[[Stream], Found], picture: Picture) -> Found | str:
    """Runs in the worker processes."""
    try:
        if isinstance(picture, UnusableError):
            raise picture
        with opened(picture) as stream:
            return look(stream)
    except UnusableError as reason:
        return str(reason)


def _try(how: Fitting, stream: Stream) -> None:
    picture_of(stream, how)
