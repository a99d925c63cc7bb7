"""Fit pictures on a cluster: shards of the work as tasks of a `concurrent.futures` executor.

The executor may be dask's, Ray's, MPI's or a pool of processes. Its machines read the source from a
shared disk, and write parts to a shared disk. A task fits the pictures of its shard in its own process,
and keeps them in parts. If a worker is lost, its shard is submitted again with the remaining pictures.
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

from impasto.collection.facts import FACTS
from impasto.collection.fitting import Progress, fit_picture
from impasto.collection.job import PackJob
from impasto.collection.options import PackOptions
from impasto.collection.parts import PartWriter
from impasto.collection.preparing import prepare
from impasto.errors import ImpastoError
from impasto.files import check_writable, write_text
from impasto.formatting import counted, error_text
from impasto.resolution import Resolution
from impasto.sources.listing import Content

_MOST_TRIES = 3
"""A shard is submitted at most this many times."""
_USUAL_SHARDS, _FEWEST_PICTURES, _MOST_PICTURES = 64, 8, 512
"""By default there are this many shards, but none has fewer pictures than the second number, or more
than the third."""
_MOST_SUBMITTED = 1024
"""Most tasks that are submitted and not done; bounds memory."""
_COUNT_EVERY = 1.0
"""Seconds between counts of the fitted pictures."""
_VISIBLE_WITHIN = 60.0
"""Most seconds until a file that one machine has written is visible on another: NFS caches folders for
at most so long."""


@dataclass(frozen=True)
class _Task:
    """A shard as it is sent to a machine of the executor."""

    source: Path | str
    destination: Path
    options: PackOptions
    work: Path
    token: str
    """The name of a file in `work`. A machine that sees it shares the disk."""
    digest: str
    """The digest of the job."""
    numbers: tuple[int, ...]
    """Numbers of the listing's entries to fit."""
    files: tuple[tuple[bytes, Path], ...] | None
    """The keys and files of these entries. None: they are in archives, so the machine lists the source
    itself."""
    encodings: dict[Resolution, str]
    tries: int = 0
    """How often the shard was submitted before. It makes tasks differ, because dask does not run an
    equal task again after a failure."""


@dataclass
class _Shard:
    """A part of the work, as this process keeps it."""

    number: int
    """From 1."""
    numbers: list[int]
    """Numbers of the listing's entries that remain to be fitted."""
    tries: int = 0
    """How often it was submitted."""


def fit_on(
    executor: Executor,
    job: PackJob,
    source: Path | str,
    shards: int | None,
    progress: Progress,
) -> int:
    """Fit the pictures that were not fitted before on an executor's machines.

    Args:
        executor: what runs the tasks.
        job: the packing job.
        source: the source of the job, as the caller gave it.
        shards: the number of tasks; None: a number that suits the number of pictures.
        progress: called now and then with the number of pictures done and of all.

    Returns:
        The number of pictures that were fitted before.

    Raises:
        ImpastoError: a shard failed too often, or a machine does not see the shared disk.
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
    """Divide entries, by their numbers, into shards of consecutive ones."""
    size = min(_MOST_PICTURES, max(_FEWEST_PICTURES, -(-len(missing) // _USUAL_SHARDS)))
    if shards is not None:
        size = -(-len(missing) // shards)
    starts = range(0, len(missing), size)
    return [
        _Shard(number, list(missing[start : start + size]))
        for number, start in enumerate(starts, start=1)
    ]


def _wait_for_parts(job: PackJob) -> None:
    """Wait until this machine sees everything that the others have written.

    Raises:
        ImpastoError: something is not visible after `_VISIBLE_WITHIN` seconds.
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
    """Runs shards as tasks of an executor."""

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
        """Run all shards; yields now and then, so that the caller can report progress.

        Raises:
            ImpastoError: a shard failed too often, or the executor is broken.
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
            # After an interruption or an error, running tasks end by themselves and keep their pictures.
            for future in self._running:
                future.cancel()

    def _submit(self, shard: _Shard) -> None:
        """Submit a shard.

        Raises:
            ImpastoError: the executor accepts no tasks.
        """
        files = None
        if self._job.listing.contents is None:
            keys, entries = self._job.keys, self._job.listing.entries
            paths = ((number, entries[number].path) for number in shard.numbers)
            # Absolute, because the executor's processes have other working directories.
            files = tuple((keys[number], path.absolute()) for number, path in paths if path)
        numbers = tuple(shard.numbers)
        task = replace(self._task, numbers=numbers, files=files, tries=shard.tries)
        shard.tries += 1
        try:
            self._running[self._executor.submit(fit_task, task)] = shard
        except Exception as error:
            # A pool of processes is broken for good when one of them dies.
            raise ImpastoError(
                f"the executor takes no more tasks ({_one_line(error)}); what is fitted is kept: the "
                "same call with a new executor goes on from there"
            ) from error

    def _retry(self, shard: _Shard, error: BaseException) -> None:
        """Queue a failed shard again with its remaining pictures.

        Args:
            shard: the failed one.
            error: why it failed.

        Raises:
            ImpastoError: it failed too often, or for a reason that a retry does not change.
        """
        which = f"shard {shard.number} of {self._of}"
        if isinstance(error, ImpastoError):
            raise ImpastoError(f"{which}: {error}") from error
        shard.numbers = self._job.missing(shard.numbers)
        if not shard.numbers:
            return
        if shard.tries >= _MOST_TRIES:
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
        # The task was cancelled, as by dask when its scheduler is lost.
        return error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error_text(error)}"


class _PartCounter:
    """Counts the source pictures in new parts."""

    def __init__(self, work: Path) -> None:
        self._work, self._seen = work, {path.name for path in work.glob("part-*")}
        self._pictures = 0

    def new(self) -> int:
        """The number of source pictures in all parts that were added since this object was made."""
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

    Returns:
        The number of pictures.

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
    """The key and the content of each picture of a shard.

    Args:
        task: the shard.
        host: this machine's name, for messages.

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
    """The job as this machine sees it. It is cached, so that a process lists the source once for all
    shards of a call; `token` differs in each call."""

    def unused(pixels: Any) -> Any:
        raise AssertionError("features are computed where the collection is written")

    return prepare(source, destination, options, unused)
