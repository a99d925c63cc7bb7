"""A function over many items in several processes, the results in order.

Not `multiprocessing.Pool`, for three reasons: a file that kills its process (a decoder's crash, no
memory left) costs that file and not the whole work; Ctrl-C ends all at once and silently; and no
more results lie in memory than a few for each process.
"""

import contextlib
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from impasto.errors import ImpastoError

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED = 2
"""Items given to a process at once, so that it never waits for the next."""
_READY = "ready"


class DiedError(Exception):
    """The process that worked on an item ended without an answer."""


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def _interrupt_blocked() -> Iterator[None]:
    """Hold Ctrl-C back for a moment; processes started meanwhile never see it.

    They inherit the blocked signal, so that even one that is still importing ends without a
    traceback: this process alone handles Ctrl-C, and ends them.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # It starts with the first process if it does not run yet, and leaves the signal unblocked.
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """A worker process: answer each item that comes until there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The other end closes when the parent is done or dead; either way there is nothing left to do.
    with contextlib.suppress(EOFError, OSError):
        connection.send(_READY)
        while True:
            index, item = connection.recv()
            connection.send((index, function(item)))


@dataclass(eq=False)
class _Worker(Generic[Item]):
    process: BaseProcess
    connection: Connection
    ready: bool = False
    given: deque[tuple[int, Item]] = field(default_factory=deque)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _start(function: Callable[[Item], Result]) -> _Worker[Item]:
    # Spawn, not fork: a fork of a process with threads in it can hang.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, function), daemon=True)
    with _interrupt_blocked():
        process.start()
    theirs.close()
    return _Worker(process, ours)


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int, ahead: int
) -> Generator[Result | DiedError, None, None]:
    """Yield `function(item)` for each item, in the items' order.

    `function` must be importable and not raise; items and results must pickle. Where a process
    dies of an item, that item's result is a `DiedError` and another process takes its place.

    Args:
        function: what is done with an item.
        items: what it is done with.
        processes: how many work at once.
        ahead: how many results may be in the works or waiting for an earlier one: the bound on
            memory.

    Raises:
        ImpastoError: the processes do not even start.
    """
    todo: deque[tuple[int, Item]] = deque(enumerate(items))
    done: dict[int, Result | DiedError] = {}
    workers: list[_Worker[Item]] = []
    next_index = 0
    try:
        # One by one, so that those that run already are ended if the next cannot be started.
        for _ in range(min(processes, len(items))):
            worker: _Worker[Item] = _start(function)
            workers.append(worker)
        while next_index < len(items):
            for worker in workers:
                limit = next_index + max(1, ahead)
                while todo and len(worker.given) < _QUEUED and todo[0][0] < limit:
                    worker.given.append(todo.popleft())
                    # One that has died is found out below, where it is listened to.
                    with contextlib.suppress(OSError):
                        worker.connection.send(worker.given[-1])
            heard = wait([worker.connection for worker in workers])
            for position, worker in enumerate(workers):
                if worker.connection not in heard:
                    continue
                try:
                    answer = worker.connection.recv()
                except (EOFError, OSError):
                    workers[position] = _replace(worker, function, todo, done)
                    continue
                if answer == _READY:
                    worker.ready = True
                else:
                    worker.given.popleft()
                    done[answer[0]] = answer[1]
            while next_index in done:
                yield done.pop(next_index)
                next_index += 1
    finally:
        for worker in workers:
            worker.end()


def _replace(
    worker: _Worker[Item],
    function: Callable[[Item], Result],
    todo: deque[tuple[int, Item]],
    done: dict[int, Result | DiedError],
) -> _Worker[Item]:
    """Bury a process that died, and start another for what else it had been given."""
    worker.end()
    if not worker.ready:
        raise ImpastoError(
            "the worker processes do not start; use --workers 1, or, if this is a script of your "
            "own, call it under `if __name__ == '__main__':`"
        )
    if worker.given:
        index, _ = worker.given.popleft()
        done[index] = DiedError()
        todo.extendleft(reversed(worker.given))
    return _start(function)
