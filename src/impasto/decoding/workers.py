"""Map a function over items in several processes, with results in order.

It differs from `multiprocessing.Pool` in three ways. A file that kills its process (a decoder's crash,
no memory) costs only that file. Ctrl-C ends all processes at once and silently. Memory holds only a few
results for each process.
"""

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any, Generic, TypeVar

from impasto.errors import ImpastoError

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED = 2
"""Most items that a process has at once. With a second one, it need not wait for the next."""
_QUEUED_BYTES = 4096
"""Most bytes of an item that is sent to a busy process. It has to fit in a pipe's buffer (the smallest,
macOS's, holds 8 KB). Sending more would block until the process reads. If the process is itself sending
a long answer, both would wait for ever."""
_READY = "ready"
GAVE_UP = "gave up"
"""The kind of reason for a picture that ended its process or took too long."""


class DiedError(Exception):
    """A process ended, or was ended, without a result for an item; the text says why."""

    @property
    def reason(self) -> str:
        """The reason why a picture is left out, such as `gave up: it took more than 60 s`."""
        return f"{GAVE_UP}: {self}"


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Block Ctrl-C (SIGINT) in processes that are started in this block.

    They inherit the blocked signal, so even one that is still importing prints no traceback. Only this
    process handles Ctrl-C, and ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Started here, because the first process would start it with the signal unblocked.
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep processes that are started in this block from importing the running script. Importing would
    run a script that has no guard `if __name__ == "__main__"`."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The worker process: answer each item until the connection closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The other end closes when the parent is done or dead.
    with contextlib.suppress(EOFError, OSError):
        connection.send(_READY)
        while True:
            index, item = connection.recv()
            connection.send((index, function(item)))


@dataclass(eq=False)
class _Worker(Generic[Item]):
    """A process, and the items that it has."""

    process: BaseProcess
    connection: Connection
    ready: bool = False
    given: deque[tuple[int, Item]] = field(default_factory=deque)
    spent: float = 0.0
    """Seconds for which this process waited for it since it began its first queued item."""

    def give(self, item: tuple[int, Item]) -> bool:
        """Send it an item; False if sending could block."""
        message = ForkingPickler.dumps(item)
        if self.given and len(message) > _QUEUED_BYTES:
            return False
        if not self.given:
            self.spent = 0.0
        self.given.append(item)
        # `_receive` notices a dead process.
        with contextlib.suppress(OSError):
            self.connection.send_bytes(message)
        return True

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _start(function: Callable[[Item], Result]) -> _Worker[Item]:
    # Spawn, not fork: a fork of a process with threads in it can hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function), daemon=True)
    with _interrupt_blocked(), _main_hidden():
        process.start()
    theirs.close()
    return _Worker(process, ours)


class _Queue(Generic[Item]):
    """The items that no process has, with their numbers. Items that were given back come first."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._rest = enumerate(items)
        self._back: list[tuple[int, Item]] = []
        self.taken = 0
        """The number of items drawn so far."""
        self.ended = False

    def take(self, limit: int) -> tuple[int, Item] | None:
        """The next item, if its number is below the limit; else None."""
        if self._back:
            return self._back.pop()
        if self.ended or self.taken >= limit:
            return None
        item = next(self._rest, None)
        if item is None:
            self.ended = True
            return None
        self.taken += 1
        return item

    def give_back(self, items: Iterable[tuple[int, Item]]) -> None:
        self._back.extend(sorted(items, key=lambda item: -item[0]))


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    processes: int,
    ahead: int,
    seconds: float | None = None,
) -> Generator[Result | DiedError, None, None]:
    """Yield `function(item)` for each item, in the items' order.

    `function` must be importable (from elsewhere than the script that runs) and not raise; items and
    results must pickle. If a process dies on an item or takes too long, the item's result is a
    `DiedError` and another process is started.

    Args:
        function: applied to each item.
        items: drawn only as needed.
        processes: the number of processes.
        ahead: the most results in progress or waiting for an earlier one, which bounds memory.
        seconds: the time limit for an item, from when its process begins it; None: no limit.

    Raises:
        ImpastoError: the processes do not start.
    """
    queue = _Queue(items)
    done: dict[int, Result | DiedError] = {}
    workers: list[_Worker[Item]] = []
    next_index = 0
    try:
        # Added one by one, so that the running ones are ended if the next cannot be started.
        for _ in range(processes):
            worker: _Worker[Item] = _start(function)
            workers.append(worker)
        while True:
            _give_out(queue, workers, next_index + max(1, ahead))
            if queue.ended and next_index == queue.taken:
                return
            heard, waited = _listen(workers, seconds)
            for position, worker in enumerate(workers):
                worker.spent += waited
                failure = _receive(worker, worker.connection in heard, seconds, done)
                if failure is not None:
                    workers[position] = _replace(worker, function, queue, done, failure)
            while next_index in done:
                yield done.pop(next_index)
                next_index += 1
    finally:
        for worker in workers:
            worker.end()


def _give_out(queue: _Queue[Item], workers: list[_Worker[Item]], limit: int) -> None:
    """Give items with numbers below the limit to the workers that are ready for more."""
    for worker in workers:
        while worker.ready and len(worker.given) < _QUEUED:
            item = queue.take(limit)
            if item is None or not worker.give(item):
                queue.give_back([item] if item else [])
                break


def _receive(
    worker: _Worker[Any], answered: bool, seconds: float | None, done: dict[int, Any]
) -> DiedError | None:
    """Put a worker's answer into `done`. Returns a failure if it has died or takes too long."""
    if not answered:
        if seconds is not None and worker.given and worker.spent > seconds:
            return DiedError(f"it took more than {seconds:g} s")
        return None
    try:
        answer = worker.connection.recv()
    except (EOFError, OSError):
        return DiedError("decoding it ended the process")
    worker.spent = 0.0
    if answer == _READY:
        worker.ready = True
    else:
        worker.given.popleft()
        done[answer[0]] = answer[1]
    return None


def _listen(workers: list[_Worker[Any]], seconds: float | None) -> tuple[list[Any], float]:
    """The connections with an answer, and the seconds waited for one.

    Only these seconds count towards a time limit, and of each wait at most its intended length. So time
    in which this process is busy, or all are stopped (Ctrl-Z), does not count.
    """
    most = None if seconds is None else max(0.05, min(1.0, seconds / 10))
    began = time.monotonic()
    heard = wait([worker.connection for worker in workers], most)
    waited = time.monotonic() - began
    return heard, waited if most is None else min(waited, most)


def _replace(
    worker: _Worker[Item],
    function: Callable[[Item], Result],
    queue: _Queue[Item],
    done: dict[int, Result | DiedError],
    reason: DiedError,
) -> _Worker[Item]:
    """Record the failure of a process's item, and start another process for its remaining items.

    Raises:
        ImpastoError: the process had not started.
    """
    worker.end()
    if not worker.ready:
        raise ImpastoError(
            "the worker processes do not start, perhaps for lack of memory; packing needs none with "
            "--workers 1"
        )
    if worker.given:
        index, _ = worker.given.popleft()
        done[index] = reason
        queue.give_back(worker.given)
    return _start(function)
