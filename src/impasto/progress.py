"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from impasto.formatting import readable_time


class _RunText(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(task.fields["text"])


_SETTLED_SECONDS = 2.0
"""How long a rate is measured before it is shown."""


class ProgressLine:
    """Number done, rate and time left: a bar on a terminal, elsewhere a plain line at most every
    ten seconds.

    The rate is measured from the first number that is reported: the work before it also loads and
    prepares, and says nothing of the rest.

    Args:
        total: number of items.
        what: name of the items.
        quiet: show nothing.
    """

    def __init__(self, total: int, what: str = "images", *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.total = total
        self.what = what
        self._first: tuple[int, float] | None = None  # the first number done, and when
        self._last_line = 0.0
        self._progress: Progress | None = None
        self._task: Any = None

    @contextlib.contextmanager
    def shown(self) -> Iterator["ProgressLine"]:
        """Show the bar during the block, if there is a terminal."""
        console = Console(stderr=True)
        if self.quiet or not console.is_terminal:
            yield self
            return
        columns = [BarColumn(bar_width=30), TextColumn("{task.percentage:>4.1f}%"), _RunText()]
        # On a terminal, other output appears above the bar. In a file it is unchanged.
        above = sys.stdout.isatty()
        with Progress(*columns, console=console, redirect_stdout=above) as self._progress:
            self._task = self._progress.add_task("", total=self.total, text="starting")
            yield self
        self._progress = None

    def update(self, done: int, left: float | None = None) -> None:
        """Show the number done, and the rate once there is one; cheap enough to call at every step.

        Args:
            done: how many.
            left: the seconds left, where the caller knows better than the mean rate says.
        """
        if self.quiet:
            return
        now = time.monotonic()
        text = f"{done:,} of {self.total:,} {self.what}"
        first, since = self._first = self._first or (done, now)
        if done > first and now - since >= _SETTLED_SECONDS:
            rate = (done - first) / (now - since)
            seconds = (self.total - done) / rate if left is None else left
            text += f", {rate:.1f}/s, {readable_time(seconds)} left"
        if self._progress is not None:
            self._progress.update(self._task, completed=done, text=text)
        elif now - self._last_line >= 10 or done >= self.total:
            self._last_line = now
            print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress line for a block of work. Yields the function that reports the number done."""
    with ProgressLine(total, what=what).shown() as line:
        yield line.update


@contextlib.contextmanager
def counting(what: str, unit: int = 1) -> Iterator[Callable[[int, int], None]]:
    """A progress line for work whose total becomes known on the way.

    Yields the function that reports the number done and the total.

    Args:
        what: name of the items, such as pictures.
        unit: reported numbers are divided by this.
    """
    with contextlib.ExitStack() as stack:
        line: ProgressLine | None = None
        shown_last = -1

        def report(done: int, total: int) -> None:
            nonlocal line, shown_last
            done, total = done // unit, -(-total // unit)
            if total > 1 and line is None:
                line = stack.enter_context(ProgressLine(total, what).shown())
            if line is not None and done and done != shown_last:
                shown_last = done
                line.update(done)

        yield report
