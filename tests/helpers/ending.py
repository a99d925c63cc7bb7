"""Worker processes of which some end, or take too long, as by a decoder's fault."""

import functools
import os
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

from impasto.decoding.workers import in_order

ENDS, HANGS = b"ends its process", b"takes too long"
"""What files hold that do."""


def _faulty(function: Callable[[Any], Any], item: Any) -> Any:
    content = item.read_bytes() if isinstance(item, Path) and item.is_file() else item
    if content == ENDS:
        os._exit(7)
    if content == HANGS:
        time.sleep(60)
    return function(item)


def with_faults(
    function: Callable[[Any], Any], items: Iterable[Any], *rest: Any
) -> Generator[Any, None, None]:
    """As `in_order`, with a decoder that has faults."""
    return in_order(functools.partial(_faulty, function), items, *rest)
