"""Stopping on request, and the command that goes on."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impasto.errors import ImpastoError, StoppedError
from impasto.files import WriteError
from impasto.formatting import quoted


@contextmanager
def resumable(run: Path) -> Iterator[None]:
    """Append the command that resumes the run to the messages of errors in the block."""
    try:
        yield
    except WriteError as error:
        raise ImpastoError(f"{error}; then go on: {_resume_command(run)}") from error
    except StoppedError as stopped:
        ended = stopped.exit_code == 0
        raise StoppedError(f"{stopped}; go on: {_resume_command(run)}", ended=ended) from None
    except KeyboardInterrupt:
        raise StoppedError(
            f"stopped at once; go on from the newest checkpoint: {_resume_command(run)}"
        ) from None


def _resume_command(run: Path) -> str:
    return f"impasto resume {quoted(run)}"


@contextmanager
def stop_requested() -> Iterator[list[int]]:
    """Collect requests to stop (Ctrl-C, or SIGTERM from batch systems): the numbers of their signals are
    appended to the list.

    The training loop reads it after each step. A second Ctrl-C stops at once; a second SIGTERM does not,
    since `torchrun` passes one on that a batch system sends to all processes too.
    """
    requests: list[int] = []

    def request(number: int, _frame: Any) -> None:
        if number == signal.SIGINT and number in requests:
            raise KeyboardInterrupt
        requests.append(number)

    try:
        before = {n: signal.signal(n, request) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller handles it
        yield requests
        return
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
