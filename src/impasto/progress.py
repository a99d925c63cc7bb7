"""Long work shows how far it is: a bar on a terminal, plain lines elsewhere."""

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


class ProgressLine:
    """How many of them are done, how many a second and the time left: a bar on a terminal, now and then
    a plain line (at most one every ten seconds) elsewhere."""

    def __init__(self, total: int, start: int = 0, what: str = "images") -> None:
        self.total = total
        self.what = what
        self._start, self._began = start, time.monotonic()
        self._last_line = 0.0
        self._progress: Progress | None = None
        self._task: Any = None

    @contextlib.contextmanager
    def shown(self) -> Iterator["ProgressLine"]:
        console = Console(stderr=True)
        if not console.is_terminal:
            yield self
            return
        columns = [BarColumn(bar_width=30), TextColumn("{task.percentage:>4.1f}%"), _RunText()]
        # What is printed meanwhile goes above the bar; where output goes to a file, it goes there.
        above = sys.stdout.isatty()
        with Progress(*columns, console=console, redirect_stdout=above) as self._progress:
            self._task = self._progress.add_task("", total=self.total, text="starting")
            yield self
        self._progress = None

    def update(self, done: int) -> None:
        """Show how far it is; cheap enough for every step."""
        now = time.monotonic()
        rate = (done - self._start) / max(now - self._began, 1e-9)
        left = readable_time((self.total - done) / rate) if rate else "?"
        text = f"{done:,} of {self.total:,} {self.what}, {rate:.1f}/s, {left} left"
        if self._progress is not None:
            self._progress.update(self._task, completed=done, text=text)
        elif now - self._last_line >= 10 or done >= self.total:
            self._last_line = now
            print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress line for a stretch of work; gives the function that says how much is done."""
    with ProgressLine(total, what=what).shown() as line:
        yield line.update


@contextlib.contextmanager
def counting(what: str, unit: int = 1) -> Iterator[Callable[[int, int], None]]:
    """A progress line for work whose total is known only on the way; gives the function that says how
    much is done, and of how much.

    Args:
        what: is counted, such as pictures.
        unit: what is reported is divided by it.
    """
    with contextlib.ExitStack() as stack:
        line: ProgressLine | None = None
        shown_last = -1

        def tell(done: int, total: int) -> None:
            nonlocal line, shown_last
            done, total = done // unit, -(-total // unit)
            if total > 1 and line is None:
                line = stack.enter_context(ProgressLine(total, done, what).shown())
            if line is not None and done != shown_last:
                shown_last = done
                line.update(done)

        yield tell
