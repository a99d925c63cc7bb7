"""Fit pictures on a cluster: shards of the work as tasks of a `concurrent.futures` executor.

The executor may be dask's, Ray's, MPI's or a pool of processes. Its machines read the source from a
disk that all share, and write parts to one. A task fits the pictures of its shard in its own process;
what it has fitted is kept in parts. So a shard whose worker is lost is begun again with what is left.
"""

import contextlib
import functools
import socket
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from impasto.collection.fitting import Progress, fit_picture
from impasto.collection.job import PackJob
from impasto.collection.options import PackOptions
from impasto.collection.parts import FACTS, PartWriter
from impasto.collection.preparing import prepare
from impasto.errors import ImpastoError
from impasto.files import check_writable, write_text
from impasto.formatting import counted, error_text
from impasto.resolution import Resolution
from impasto.sources.listing import Content

_MOST_TRIES = 3
"""A shard is begun this often if its workers are lost."""
_USUAL_SHARDS, _FEWEST_PICTURES, _MOST_PICTURES = 64, 8, 512
"""By default there are this many shards, but none of fewer pictures than the second number, nor of more
than the third."""
_MOST_SUBMITTED = 1024
"""Tasks that the executor holds; bounds memory."""
_COUNT_EVERY = 1.0
"""How often the pictures done are counted."""
_VISIBLE_WITHIN = 60.0
"""What a machine has written may be this late to appear on another: NFS looks at folders anew after
at most so many seconds."""


@dataclass(frozen=True)
class _Task:
    """A shard as a machine of the executor gets it."""

    source: Path | str
    destination: Path
    options: PackOptions
    work: Path
    token: str
    """The name of a file in `work`, which shows that the disk is shared."""
    digest: str
    """That of the job."""
    numbers: tuple[int, ...]
    """Of the listing's entries."""
    files: tuple[tuple[bytes, Path], ...] | None
    """Keys and files of these; None: the source has to be listed again, since they are in archives."""
    encodings: dict[Resolution, str]
    begun: int = 0
    """How often the shard was begun before: dask takes equal tasks for one, which has failed already."""


@dataclass
class _Shard:
    """A part of the work, as this process sees it."""

    number: int
    numbers: list[int]
    begun: int = 0


def fit_on(
    executor: Executor,
    job: PackJob,
    source: Path | str,
    shards: int | None,
    progress: Progress,
) -> int:
    """Fit what was not fitted before on an executor's machines; returns how many were fitted already.

    Args:
        executor: what runs the tasks.
        job: what is packed.
        source: the source of the job, as it was given.
        shards: the number of tasks; None: a suitable one.
        progress: called now and then with the pictures done and of all.

    Raises:
        ImpastoError: a shard failed again and again, or a machine does not see the disk.
    """
    missing = job.missing(range(len(job.keys)))
    total = len(job.keys)
    known = total - len(missing)
    progress(known, total)
    if not missing:
        return known
    check_writable(job.work)
    token = f"shared-{uuid.uuid4().hex}"
    write_text(job.work / token, "")
    count = _PartCounter(job.work)
    try:
        tasks = _ShardTasks(executor, job, source, token, _cut_into_shards(missing, shards))
        for _ in tasks.run():
            progress(min(total, known + count.new()), total)
        _wait_for_parts(job)
        progress(total, total)
    finally:
        (job.work / token).unlink(missing_ok=True)
    return known


def _cut_into_shards(missing: Sequence[int], shards: int | None) -> list[_Shard]:
    """Cut the work into shards of pictures that follow one another in the source."""
    size = min(_MOST_PICTURES, max(_FEWEST_PICTURES, -(-len(missing) // _USUAL_SHARDS)))
    if shards is not None:
        size = -(-len(missing) // shards)
    starts = range(0, len(missing), size)
    return [
        _Shard(number, list(missing[start : start + size]))
        for number, start in enumerate(starts, start=1)
    ]


def _wait_for_parts(job: PackJob) -> None:
    """Wait until this machine sees all that the others have written.

    Raises:
        ImpastoError: it does not.
    """
    began = time.monotonic()
    while missing := job.missing(range(len(job.keys))):
        if time.monotonic() - began > _VISIBLE_WITHIN:
            raise ImpastoError(
                f"{counted(len(missing), 'picture')} that the executor's machines have fitted did not "
                f"appear in {job.work}; run it again"
            )
        time.sleep(_COUNT_EVERY)


class _ShardTasks:
    """Shards as tasks of an executor."""

    def __init__(
        self,
        executor: Executor,
        job: PackJob,
        source: Path | str,
        token: str,
        shards: list[_Shard],
    ) -> None:
        self._executor, self._job, self._of = executor, job, len(shards)
        self._waiting = deque(shards)
        self._running: dict[Future[int], _Shard] = {}
        # `named` is an absolute path, or an address without the credentials in it.
        place = source if "://" in job.source_name else job.source_name
        options = replace(job.options, workers=1)
        self._task = _Task(
            place, job.destination, options, job.work, token, job.digest(), (), None, job.encodings
        )

    def run(self) -> Iterator[None]:
        """Let all be done; yields now and then.

        Raises:
            ImpastoError: a shard failed again and again, or the executor is broken.
        """
        try:
            while self._waiting or self._running:
                while self._waiting and len(self._running) < _MOST_SUBMITTED:
                    self._submit(self._waiting.popleft())
                ended, _ = wait(self._running, _COUNT_EVERY, FIRST_COMPLETED)
                for future in sorted(ended, key=lambda each: self._running[each].number):
                    shard = self._running.pop(future)
                    if (error := _error_of(future)) is not None:
                        self._retry(shard, error)
                yield
        finally:
            # Interrupted, or in error: what has begun goes on, and keeps what it does.
            for future in self._running:
                future.cancel()

    def _submit(self, shard: _Shard) -> None:
        """Submit a shard.

        Raises:
            ImpastoError: the executor does not take it.
        """
        files = None
        if self._job.listing.contents is None:
            keys, entries = self._job.keys, self._job.listing.entries
            paths = ((number, entries[number].path) for number in shard.numbers)
            # Absolute, since a machine of the executor works in another folder.
            files = tuple((keys[number], path.absolute()) for number, path in paths if path)
        numbers = tuple(shard.numbers)
        task = replace(self._task, numbers=numbers, files=files, begun=shard.begun)
        shard.begun += 1
        try:
            self._running[self._executor.submit(fit_task, task)] = shard
        except Exception as error:
            # A pool of processes is broken for good when one of them dies.
            raise ImpastoError(
                f"the executor takes no more tasks ({_one_line(error)}); what is fitted is kept: the "
                "same call with a new executor goes on from there"
            ) from error

    def _retry(self, shard: _Shard, error: BaseException) -> None:
        """See to a shard that failed: begin it again with what is left.

        Raises:
            ImpastoError: it failed too often, or for a reason that stays.
        """
        which = f"shard {shard.number} of {self._of}"
        if isinstance(error, ImpastoError):
            raise ImpastoError(f"{which}: {error}") from error
        shard.numbers = self._job.missing(shard.numbers)
        if not shard.numbers:
            return
        if shard.begun >= _MOST_TRIES:
            first = self._job.listing.entries[shard.numbers[0]].relative
            left = len(shard.numbers)
            raise ImpastoError(
                f"{which}, of which {counted(left, 'picture')} {'is' if left == 1 else 'are'} left "
                f"from {first} on, failed {_MOST_TRIES} times, the last time with {_one_line(error)}; "
                "what is fitted is kept. If a picture ends the process that decodes it, impasto pack on "
                "one machine leaves it out"
            ) from error
        self._waiting.append(shard)


def _error_of(future: "Future[int]") -> BaseException | None:
    """Why a task failed; None if it did not."""
    try:
        return future.exception()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # One that was cancelled, as dask does when its scheduler is lost.
        return error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error_text(error)}"


class _PartCounter:
    """Counts the source pictures in new parts."""

    def __init__(self, work: Path) -> None:
        self._work, self._seen = work, {path.name for path in work.glob("part-*")}
        self._pictures = 0

    def new(self) -> int:
        """How many there are by now."""
        for part in self._work.glob("part-*"):
            if part.name in self._seen:
                continue
            with contextlib.suppress(OSError, ValueError, KeyError):
                with np.load(part / FACTS, allow_pickle=False) as facts:
                    self._pictures += len(facts["counts"])
                self._seen.add(part.name)
        return self._pictures


def fit_task(task: _Task) -> int:
    """Fit a shard's pictures into parts; runs in the executor's processes.

    Raises:
        ImpastoError: this machine does not see the source or the destination as the first one does.
    """
    host = socket.gethostname()
    if not (task.work / task.token).exists():
        raise ImpastoError(
            f"{host} does not see {task.work} as the machine that called it does: source and "
            "destination must be on a disk that all machines share, under the same path"
        )
    with PartWriter(task.work, task.encodings) as parts:
        for key, picture in _pictures(task, host):
            parts.add(key, fit_picture(task.options, task.encodings, picture))
    return len(task.numbers)


def _pictures(task: _Task, host: str) -> Iterator[tuple[bytes, Path | Content]]:
    """Keys and contents of a shard's pictures.

    Raises:
        ImpastoError: this machine sees another source, or none.
    """
    if task.files is not None:
        if not any(path.exists() for _, path in task.files):
            raise ImpastoError(
                f"{host} sees none of the pictures in {task.source}: the source must be on a disk that "
                "all machines share, under the same path"
            )
        yield from task.files
        return
    job = _job(task.source, task.destination, task.options, task.token)
    if job.digest() != task.digest:
        raise ImpastoError(
            f"{host} sees another source in {task.source}, or has another version of impasto, than the "
            "machine that called it"
        )
    keys = (job.keys[number] for number in task.numbers)
    yield from zip(keys, job.pictures(task.numbers), strict=True)


@functools.lru_cache(maxsize=1)
def _job(source: Path | str, destination: Path, options: PackOptions, token: str) -> PackJob:
    """The job as this machine sees it, listed once for all shards that it gets of a call."""

    def unused(pixels: Any) -> Any:
        raise AssertionError("features are computed where the collection is written")

    return prepare(source, destination, options, unused)
