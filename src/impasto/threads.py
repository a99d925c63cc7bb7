"""How many CPU threads torch computes with, while other programs come and go.

Threads wait for each other thousands of times in a training step. If another program holds one core,
each of these waits lasts until the system takes that core away from it, some milliseconds: two threads
then made 4 images a second where one made 127. So the number of threads follows what is measured. Sums
are divided among threads, so the last bits of results depend on it; each change is reported.
"""

import contextlib
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

import torch

from impasto.messages import say

_SLOWER = 1.6
"""Three units in a row that take so many times the best one's time are slowed by other programs: two
threads are 1.4 to 1.9 times as fast as one, so beyond this one thread may be faster."""
_MUCH_SLOWER = 3.0
"""So is a single unit that takes so many times the best one's time."""
_FIRST_LOOK, _LAST_LOOK = 2.0, 60.0
"""Seconds between two looks whether the cores are free again. They double up to the second."""
_FREE_LOOKS = 3
"""Looks in a row that must find the cores free."""
_CROWDED = 3.0
"""A small sum by several threads that takes so many times as long as by one waits for a core."""
_LOOK = 0.03
"""Seconds of a look, so that it meets several time slices of other programs."""
_WAITING = 0.1
"""So large a share of threads' time, waited for cores, means that other programs hold some."""
_GRAIN = 2**15
"""Values of a sum by one thread: torch gives each thread at least so many (at::internal::GRAIN_SIZE)."""


_in_unit: ContextVar[bool] = ContextVar("in_unit", default=False)


def waited() -> float | None:
    """Seconds that the threads of this process have waited for a core, added up; None where the system
    does not say (Linux does)."""
    try:
        return sum(
            int(path.read_text().split()[1]) * 1e-9
            for path in Path("/proc/self/task").glob("*/schedstat")
        )
    except (OSError, IndexError, ValueError):  # no such file, or a thread that has just ended
        return None


def is_crowded(threads: int) -> bool:
    """Whether other programs hold the cores that so many threads would need: a measurement of 30
    milliseconds. Where the system does not say how long threads wait, it takes under a millisecond, and
    some ten where a core has to be waited for."""
    values = torch.zeros(threads * _GRAIN)
    if waited() is not None:
        return _wait_in_sums(values, threads)

    def seconds(count: int) -> float:
        torch.set_num_threads(count)
        values.add_(1)  # the first one starts the threads
        sums, passed, began = 0, 0.0, time.perf_counter()
        while sums < 50 and passed < 0.02:
            values.add_(1)
            sums, passed = sums + 1, time.perf_counter() - began
        return passed / sums

    before = torch.get_num_threads()
    try:
        return seconds(threads) > _CROWDED * seconds(1)
    finally:
        torch.set_num_threads(before)


def _wait_in_sums(values: torch.Tensor, threads: int) -> bool:
    """Whether so many threads wait for cores while they add to the values."""
    number = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        before, began = waited() or 0.0, time.perf_counter()
        while (passed := time.perf_counter() - began) < _LOOK:
            values.add_(1)
        return (waited() or 0.0) - before > _WAITING * threads * passed
    finally:
        torch.set_num_threads(number)


def is_fixed() -> bool:
    """Whether the user has chosen the number of threads, by OMP_NUM_THREADS."""
    return "OMP_NUM_THREADS" in os.environ


def threads_a_process(threads: int, processes: int) -> int:
    """The number of CPU threads of each of several processes: one, unless OMP_NUM_THREADS says
    otherwise; of a single process, `threads`."""
    if processes == 1:
        return threads
    return torch.get_num_threads() if is_fixed() else 1


class ThreadChoice:
    """Chooses the number of threads for units of work of about the same size, such as training steps.

    Args:
        most: threads where nothing else runs; by default torch's number. With 1, nothing is chosen.
        what: name of a unit, for messages.
        crowded: whether so many threads would have to wait for cores.
        clock: seconds.
        waited: seconds that this process's threads have waited for cores, added up; None: not known.
    """

    def __init__(
        self,
        most: int | None = None,
        what: str = "step",
        *,
        crowded: Callable[[int], bool] = is_crowded,
        clock: Callable[[], float] = time.monotonic,
        waited: Callable[[], float | None] = waited,
    ) -> None:
        most = torch.get_num_threads() if most is None else most
        halves = {max(1, most >> k) for k in range(most.bit_length())}
        self.counts = sorted({most, max(1, most - 1), *halves}, reverse=True)
        """The numbers to choose from, the largest first."""
        self.changes: list[int] = []
        """The numbers gone over to since this list was last emptied."""
        self._what, self._crowded, self._clock, self._waited = what, crowded, clock, waited
        self._place = 0
        self._begun = False
        self._best: dict[int, float] = {}
        self._recent: deque[float] = deque(maxlen=3)
        # The place before a change on trial, and its seconds.
        self._left: tuple[int, float] | None = None
        self._wait, self._next_look, self._free = _FIRST_LOOK, 0.0, 0

    @property
    def threads(self) -> int:
        """The number of now."""
        return self.counts[self._place]

    @contextlib.contextmanager
    def unit(self) -> Iterator[None]:
        """The block that does one unit of work."""
        if len(self.counts) == 1:
            yield
            return
        self._look()
        torch.set_num_threads(self.threads)
        before, began = self._waited(), self._clock()
        token = _in_unit.set(True)
        try:
            yield
        finally:
            _in_unit.reset(token)
        seconds, after = self._clock() - began, self._waited()
        if before is None or after is None:
            self._judge(seconds, waiting=False)
        else:
            self._judge(seconds, waiting=after - before > _WAITING * self.threads * seconds)

    def _look(self) -> None:
        """Before a unit: begin with as many threads as do not wait; later, see if there may be more."""
        now = self._clock()
        if not self._begun:
            self._begun = True
            place = self._uncrowded()
            if place:
                self._go_to(place)
                self._report("other programs hold the processor")
            self._next_look = now + (self._wait if place else 0.0)
        elif self._place and self._left is None and now >= self._next_look:
            self._free = 0 if self._crowded(self.counts[self._place - 1]) else self._free + 1
            if self._free == 0:
                self._wait = min(2 * self._wait, _LAST_LOOK)
            self._next_look = now + (self._wait if self._free == 0 else _FIRST_LOOK / 4)
            if self._free >= _FREE_LOOKS:
                self._try(self._place - 1)

    def _try(self, place: int) -> None:
        """Go over to another number on trial: it is judged by its first units."""
        slow = statistics.median(self._recent) if self._recent else float("inf")
        self._left = (self._place, slow)
        self._go_to(place)
        self._recent.clear()
        self._free = 0

    def _go_to(self, place: int) -> None:
        self._place = place
        self.changes.append(self.threads)

    def _judge(self, seconds: float, *, waiting: bool) -> None:
        """After a unit: go over to fewer threads if it was slow or its threads waited for cores, or
        decide a trial."""
        self._recent.append(seconds)
        if self._left is not None:
            self._decide(*self._left)
            return
        best = self._best[self.threads] = min(seconds, self._best.get(self.threads, seconds))
        if self.threads == 1:
            return
        slow = len(self._recent) == 3 and statistics.median(self._recent) > _SLOWER * best
        # All units may have been slow so far. If fewer threads were no faster, it waits to try again.
        waiting = waiting and self._clock() >= self._next_look
        if slow or waiting or seconds > _MUCH_SLOWER * best:
            if not slow:  # of this one, not of those before it
                self._recent = deque([seconds], maxlen=3)
            # Fewer even if these seem free: the other program may come and go.
            self._try(max(self._uncrowded(), self._place + 1))

    def _uncrowded(self) -> int:
        """The place of the largest number, from that of now, that would not have to wait for cores."""
        place = self._place
        while self.counts[place] > 1 and self._crowded(self.counts[place]):
            place += 1
        return place

    def _decide(self, before: int, seconds: float) -> None:
        """Stay with a number on trial, or go back."""
        fewer = self._place > before
        now = min(self._recent)
        if now < seconds * (1.0 if fewer else 0.95):
            self._left = None
            self._best[self.threads] = now
            self._report(
                f"a {self._what} takes {now:.2g} s with it and took {seconds:.2g} s with "
                f"{self.counts[before]}"
            )
            if not fewer:
                self._wait = _FIRST_LOOK
        elif len(self._recent) < 2 and now < _MUCH_SLOWER * seconds:
            return  # one more
        else:
            self._left = None
            if fewer:  # units have become larger; nobody else slows them
                self._best[self.counts[before]] = seconds
            self._go_to(before)
            self._wait = min(2 * self._wait, _LAST_LOOK)
        self._recent.clear()
        self._next_look = self._clock() + self._wait

    def _report(self, why: str) -> None:
        word = "thread" if self.threads == 1 else "threads"
        say(f"computing with {self.threads} {word}: {why}", to_stderr=True)


@contextlib.contextmanager
def chosen_threads(what: str, *, free: bool = True) -> Iterator[ThreadChoice]:
    """A choice for a block of work; afterwards torch has the number of threads it had before.

    Args:
        what: name of a unit of work, for messages.
        free: whether there is a choice; there is none where the user has made it, nor inside a unit of
            other work, whose number it is.
    """
    before = torch.get_num_threads()
    try:
        free = free and not is_fixed() and not _in_unit.get()
        yield ThreadChoice(before if free else 1, what)
    finally:
        torch.set_num_threads(before)
