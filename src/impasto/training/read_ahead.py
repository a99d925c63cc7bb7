"""Read batches of pictures ahead in a thread."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_CALLS = 256
"""Number of recent calls that are searched for a pattern; it must occur in them twice."""


class Batch(NamedTuple):
    """Pixels uint8 [B, H, W, 3], or latents in their place, and labels int64 [B, F] of some pictures."""

    pixels: Tensor
    labels: Tensor
    there: torch.cuda.Event | None = None
    """On CUDA, the event after which they are on the device."""


class SideStream:
    """Copies batches to a CUDA device on a separate stream, while it computes."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._stream = torch.cuda.Stream(device)

    def send(self, batch: Batch) -> Batch:
        """The batch on the device, through pinned memory. May be called in any thread."""
        with torch.cuda.stream(self._stream):
            pixels, labels = (
                each.pin_memory().to(self.device, non_blocking=True)
                for each in (batch.pixels, batch.labels)
            )
            return Batch(pixels, labels, self._stream.record_event())

    def receive(self, batch: Batch) -> None:
        """Make the current stream wait until the batch is on the device."""
        assert batch.there is not None
        current = torch.cuda.current_stream(self.device)
        current.wait_event(batch.there)
        for each in (batch.pixels, batch.labels):
            each.record_stream(current)  # so that its memory is not reused before that


class ReadAhead:
    """Batches of pictures by number, with the next ones read ahead in a thread.

    The next ones are predicted from the distances between earlier calls' `start`, which are equal or
    repeat a pattern: a process with parts 0 and 1 of 4 requests 0, 1, 4, 5, 8. Other batches are read on
    request, so a batch depends on its number only.

    An error in the thread is raised when its batch is requested. The thread never blocks on storing a
    batch, and ends with this object or with Python.

    Args:
        rows_of: gives the rows [count] of pictures from number `start`; called in the caller's
            thread.
        read: gives the batch of these rows; called in either thread.
        ahead: number of batches to read ahead.
        kept: number of pictures to keep for repeated requests: with `training.accumulate`, the
            generator's update uses the parts of the discriminator's.
    """

    def __init__(
        self,
        rows_of: Callable[[int, int], np.ndarray],
        read: Callable[[np.ndarray], Batch],
        *,
        ahead: int,
        kept: int = 0,
    ) -> None:
        self._rows_of = rows_of
        self._read = read
        self._ahead = ahead
        self._kept = kept
        self._thread = ThreadPoolExecutor(1, "impasto-read-ahead")
        self._batches: dict[tuple[int, int], Future[Batch]] = {}
        self._distances: deque[int] = deque(maxlen=_CALLS)
        self._last: int | None = None

    def batch(self, start: int, count: int) -> Batch:
        """Pictures number `start` to `start + count - 1`."""
        if self._last is not None:
            self._distances.append(start - self._last)
        self._last = start
        found = self._batches.get((start, count))
        if found is None:
            found = Future()
            found.set_result(self._read(self._rows_of(start, count)))
            self._batches[start, count] = found
        for following in self._next_starts(start):
            if (following, count) not in self._batches:
                rows = self._rows_of(following, count)
                self._batches[following, count] = self._thread.submit(self._read, rows)
        while len(self._batches) > 1 + self._ahead + self._kept // count:
            self._batches.pop(next(iter(self._batches))).cancel()
        return found.result()

    def _next_starts(self, start: int) -> list[int]:
        """The predicted starts of the next calls."""
        distances = list(self._distances)
        for length in range(1, len(distances) // 2 + 1):
            if distances[length:] == distances[:-length]:
                break
        else:
            return []
        starts = []
        for place in range(self._ahead):
            start += distances[-length + place % length]
            starts.append(start)
        return [each for each in starts if each >= 0]
