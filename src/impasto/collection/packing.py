"""Pack a source into a collection's folder, in bounded memory and resumable steps.

The steps: list the source, choose among its pictures, fit those that were not fitted before, find
duplicates, choose the held-out pictures, and write the collection. The result depends on the source and
the options only, not on interruptions, the number of machines or earlier packings.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.collection.assembling import TABLES, CollectionPlan
from impasto.collection.cluster import fit_on
from impasto.collection.fitting import Progress, Shard, fit_missing
from impasto.collection.job import PackJob, PixelFeatures
from impasto.collection.options import PackOptions
from impasto.collection.planning import UnfinishedError, plan_collection
from impasto.collection.preparing import MASTERS as MASTERS
from impasto.collection.preparing import prepare
from impasto.collection.replacing import delete_folder, replace_collection
from impasto.collection.store import Collection
from impasto.errors import ImpastoError
from impasto.files import read_json, write_json


def _nothing(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class PackReport:
    """The result of packing: the collection, and the files that were left out."""

    collection: Collection
    source_count: int
    """The number of source pictures in the collection, held-out ones included."""
    heldout_source_count: int
    left_out: list[tuple[str, str]]
    """Path in the source and reason; a reason is `kind: details`."""
    notes: list[str]
    """Notes for the user, a sentence each."""
    seconds: float
    """Time that packing took."""
    known: int = 0
    """The number of source pictures that an earlier packing had fitted."""

    def reasons(self) -> dict[str, int]:
        """The number of files left out for each kind of reason, the most frequent first."""
        kinds = Counter(reason.partition(":")[0] for _, reason in self.left_out)
        return dict(kinds.most_common())


def pack(
    source: Path | str,
    destination: Path,
    options: PackOptions | None = None,
    progress: Progress = _nothing,
    features: PixelFeatures | None = None,
) -> PackReport:
    """Pack a source into a collection.

    Fitted pictures are kept in a hidden folder beside the destination until the collection is
    complete. So an interrupted call can be repeated, and the result is the same. If the destination
    is a collection of the same source and options, only new and changed pictures are decoded, and
    the new collection replaces it.

    Args:
        source: a path or an address that some reader claims (see `readers/`), or `masters`.
        destination: the collection's folder. It must not exist, be empty, or be the result of an
            earlier call.
        options: None: `PackOptions()`.
        progress: called with the number of source pictures done and of all.
        features: computes the features for `duplicates="features"`; otherwise not needed.

    Raises:
        ImpastoError: no picture can be used, the destination is in use, or an option is invalid.
            Unusable files are no error: they are left out and reported.
    """
    began = time.monotonic()
    job = prepare(source, destination, options or PackOptions(), features)
    return _pack_whole(job, lambda: fit_missing(job, None, progress), began)


def pack_shard(
    source: Path | str,
    destination: Path,
    shard: Shard,
    options: PackOptions | None = None,
    progress: Progress = _nothing,
    features: PixelFeatures | None = None,
) -> PackReport | int:
    """Pack on several machines that share a disk. Each fits its share of the pictures, and the last one
    to end writes the collection.

    Args:
        source: as in `pack`, the same for all.
        destination: as in `pack`, on a disk that all share.
        shard: this machine's number, from 1, and the number of machines.
        options: as in `pack`, the same for all.
        progress: as in `pack`, of this machine's pictures.
        features: as in `pack`.

    Returns:
        The report; or the number of pictures that other machines still have to fit.

    Raises:
        ImpastoError: as `pack`; or the shard's number is invalid, or another machine has other options.
    """
    began = time.monotonic()
    number, of = shard
    if not 1 <= number <= of:
        raise ImpastoError(f"shard {number}/{of} is none of 1/{of} to {of}/{of}")
    job = prepare(source, destination, options or PackOptions(), features)
    _agree(job, of)
    known = fit_missing(job, shard, progress)
    try:
        return _finish(job, known, began)
    except UnfinishedError as unfinished:
        return int(unfinished.args[0])


def pack_on(
    executor: Executor,
    source: Path | str,
    destination: Path,
    options: PackOptions | None = None,
    progress: Progress = _nothing,
    features: PixelFeatures | None = None,
    shards: int | None = None,
) -> PackReport:
    """Pack on an executor's machines, which share a disk; see `cluster.py`. This process lists the
    source, finds the duplicates and writes the collection.

    Args:
        executor: any `concurrent.futures.Executor`.
        source: as in `pack`, on a disk that all machines share.
        destination: as in `pack`, on a disk that all share.
        options: as in `pack`; `workers` is not used.
        progress: as in `pack`.
        features: as in `pack`.
        shards: the number of tasks; None: a number that suits the number of pictures.

    Raises:
        ImpastoError: as `pack`; or a shard failed too often.
    """
    began = time.monotonic()
    if shards is not None and shards < 1:
        raise ImpastoError(f"shards must be 1 or more, not {shards}")
    job = prepare(source, destination, options or PackOptions(), features)
    return _pack_whole(job, lambda: fit_on(executor, job, source, shards, progress), began)


def _pack_whole(job: PackJob, fit: Callable[[], int], began: float) -> PackReport:
    """Fit all pictures, and write the collection.

    Args:
        job: the packing job.
        fit: fits the pictures, and returns the number of those that were fitted before.
        began: the time of `time.monotonic` when packing began.
    """
    try:
        known = fit()
    except ImpastoError:
        # Another process with the same job may have finished and deleted the parts.
        if not _made_meanwhile(job):
            raise
        known = 0
    try:
        return _finish(job, known, began)
    except UnfinishedError:
        raise ImpastoError(
            f"parts of {job.work} were taken away while it was packed; run it again"
        ) from None


def _finish(job: PackJob, known: int, began: float) -> PackReport:
    """Write the collection from the parts, and delete them.

    Args:
        job: the packing job.
        known: the number of source pictures that were fitted before.
        began: the time of `time.monotonic` when packing began.

    Raises:
        UnfinishedError: not all pictures are fitted yet.
    """
    try:
        plan, notes = plan_collection(job)
    except UnfinishedError:
        # Another machine may have written it meanwhile, and deleted the parts.
        if not _made_meanwhile(job):
            raise
        job.earlier = read_json(job.destination / "collection.json", "collection")
        plan, notes = plan_collection(job)
    if _is_there(plan, job.destination):
        notes.insert(0, "nothing has changed since it was packed")
        delete_folder(job.work)
    else:
        try:
            replace_collection(job.destination, plan)
        except ImpastoError:
            # Another machine may have written it at the same time, and deleted this one's files.
            if not _is_there(plan, job.destination):
                raise
    return PackReport(
        collection=Collection.open(job.destination),
        source_count=len(plan.rows),
        heldout_source_count=sum(plan.heldout),
        left_out=plan.left_out,
        notes=notes,
        seconds=time.monotonic() - began,
        known=known,
    )


def _agree(job: PackJob, of: int) -> None:
    """Check that all machines pack with the same options.

    Args:
        job: of this machine.
        of: the number of machines.

    Raises:
        ImpastoError: another machine has other options.
    """
    path = job.work / "shards-of.json"
    mine = json.loads(json.dumps({"shards": of, **job.options.recorded()}))
    if path.exists():
        theirs = read_json(path, "packing")
        for name, value in mine.items():
            if theirs.get(name) != value:
                raise ImpastoError(
                    f"{job.destination} was begun with {name} {theirs.get(name)} on another machine, "
                    f"and {value} is asked for here; give all the same, or delete {job.work}"
                )
    write_json(path, mine)


def _made_before(destination: Path) -> dict[str, Any]:
    """The `made` record of the collection at the destination; empty if there is none."""
    try:
        return dict(read_json(destination / "collection.json", "collection")["made"])
    except (ImpastoError, KeyError, TypeError, ValueError):
        return {}


def _made_meanwhile(job: PackJob) -> bool:
    """Whether the collection at the destination is the result of this job."""
    return _made_before(job.destination).get("listing") == job.digest()


def _is_there(plan: CollectionPlan, destination: Path) -> bool:
    """Whether the collection at the destination is the planned one and has all its files."""
    made = _made_before(destination)
    if any(made.get(name) != plan.made[name] for name in ("listing", "to_try_again")):
        return False
    try:
        Collection.open(destination)
    except ImpastoError:
        return False
    return all((destination / name).is_file() for name in TABLES)
