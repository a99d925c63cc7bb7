"""Pack a source into a collection's folder, in bounded memory and resumable steps.

The steps: list the source, choose among its pictures, fit those not fitted before, find duplicates,
choose what is held out, and write the collection. The result is a function of the source and the
options alone, not of interruptions, the number of machines or earlier packings.
"""

import csv
import json
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from impasto.collection.assembling import FORGOTTEN, TABLES, CollectionPlan
from impasto.collection.encoding import choose_encoding
from impasto.collection.fitting import Progress, Shard, fit_missing
from impasto.collection.job import PackJob, PixelFeatures
from impasto.collection.options import PackOptions
from impasto.collection.parts import entry_keys
from impasto.collection.planning import UnfinishedError, nothing_in, plan_collection
from impasto.collection.replacing import clear, place_of, recover, replace_collection
from impasto.collection.store import Collection
from impasto.errors import ImpastoError
from impasto.files import read_json, write_json
from impasto.readers import read_source
from impasto.sources.class_names import choose
from impasto.sources.listing import Listing
from impasto.sources.remote.addresses import place_at
from impasto.sources.where import select

MASTERS = Path(__file__).parent.parent / "masters"
"""The 21 paintings inside the package, with their table."""

_COMPUTED = ("index", "path", "sha256", "width", "height", "split")
"""Columns of `sources.csv` that packing computes."""
_DESCRIBING = (
    *("labels", "names_encoding", "where", "merge", "min_class", "heldout", "seed", "duplicates"),
)
"""Options that may differ between packings of a collection, because they do not change a picture's
pixels."""


def _nothing(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class PackReport:
    """The result of packing: the collection, and the files left out."""

    collection: Collection
    source_count: int
    heldout_source_count: int
    left_out: list[tuple[str, str]]
    """Relative path and reason; reasons read `kind: details`."""
    notes: list[str]
    seconds: float
    known: int = 0
    """The number of source pictures that were fitted before."""

    def reasons(self) -> dict[str, int]:
        """The number left out for each kind of reason, most frequent first."""
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
    complete. So an interrupted call can be repeated, and ends with the same files. If the
    destination is a collection of the same source and options, only new and changed pictures are
    decoded, and the new collection replaces it.

    Args:
        source: a path that some reader claims (see `readers/`), or `masters`.
        destination: the collection's folder; not there yet, empty, or the result of an earlier
            call.
        options: None: `PackOptions()`.
        progress: called with the number of source pictures done and of all.
        features: computes the features for `duplicates="features"`.

    Raises:
        ImpastoError: no picture is usable, or another error that the user can mend. Bad files are
            left out and reported.
    """
    began = time.monotonic()
    job = _prepare(source, destination, options or PackOptions(), features)
    try:
        known = fit_missing(job, None, progress)
    except ImpastoError:
        # Another process with the same job may have finished and deleted the parts.
        if _made_before(job.destination).get("listing") != job.digest():
            raise
        known = 0
    try:
        return _finish(job, known, began)
    except UnfinishedError:
        raise ImpastoError(
            f"parts of {job.work} were taken away while it was packed; run it again"
        ) from None


def pack_shard(
    source: Path | str,
    destination: Path,
    shard: Shard,
    options: PackOptions | None = None,
    progress: Progress = _nothing,
    features: PixelFeatures | None = None,
) -> PackReport | int:
    """Pack on several machines that share a disk: each fits its share of the pictures, and the last
    one to end writes the collection.

    Args:
        source: as in `pack`, the same for all.
        destination: as in `pack`, on a disk that all share.
        shard: this machine's number, from 1, and the number of machines.
        options: as in `pack`, the same for all.
        progress: as in `pack`, of this machine's pictures.
        features: as in `pack`.

    Returns:
        The report, or the number of pictures that other machines have still to fit.

    Raises:
        ImpastoError: as `pack`, or there is no such shard.
    """
    began = time.monotonic()
    number, of = shard
    if not 1 <= number <= of:
        raise ImpastoError(f"shard {number}/{of} is none of 1/{of} to {of}/{of}")
    job = _prepare(source, destination, options or PackOptions(), features)
    _agree(job, of)
    known = fit_missing(job, shard, progress)
    try:
        return _finish(job, known, began)
    except UnfinishedError as unfinished:
        return int(unfinished.args[0])


def _prepare(
    source: Path | str, destination: Path, options: PackOptions, features: PixelFeatures | None
) -> PackJob:
    """List the source, choose among its pictures, and check the destination.

    Raises:
        ImpastoError: there is nothing to pack, or another error that the user can mend.
    """
    if options.duplicates == "features" and features is None:
        raise ImpastoError("duplicates by features take a feature network; give pack() one")
    path = place_of(destination)
    recover(path)
    listing, named = _listing(source, options)
    earlier = _there_already(path, destination, named, options)
    if not listing.entries:
        raise ImpastoError(nothing_in(named, listing.left_out, "no pictures"))
    _check_fields(listing)
    listing = choose(listing, options.where, options.merge, options.min_class)
    forgotten = _forgotten(path) if earlier is not None else []
    listing = _without(listing, forgotten)
    if not listing.entries:
        raise ImpastoError(nothing_in(named, listing.left_out, "no pictures are left"))
    encodings = {side: choose_encoding(options.encoding, side) for side in options.resolutions}
    fitting = options.fitting()
    keys = entry_keys(listing.entries, fitting, encodings)
    return PackJob(named, path, options, listing, encodings, keys, earlier, forgotten, features)


def _finish(job: PackJob, known: int, began: float) -> PackReport:
    """Write the collection from the parts, and delete them.

    Raises:
        UnfinishedError: not all pictures are fitted yet.
    """
    try:
        plan, notes = plan_collection(job)
    except UnfinishedError:
        # Another machine may have written it meanwhile, and deleted the parts.
        if _made_before(job.destination).get("listing") != job.digest():
            raise
        job.earlier = read_json(job.destination / "collection.json", "collection")
        plan, notes = plan_collection(job)
    if _is_there(plan, job.destination):
        notes.insert(0, "nothing has changed since it was packed")
        clear(job.work)
    else:
        try:
            replace_collection(job.destination, plan)
        except ImpastoError:
            # Or one that ended at the same time deleted what this one had written.
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


def _listing(source: Path | str, options: PackOptions) -> tuple[Listing, str]:
    """The source's listing; and its absolute path, its address without credentials, or `masters`."""
    if str(source) == "masters":
        # A folder of that name can be given as ./masters (or as a Path with a parent).
        labels = options.labels if options.labels is not None else ("style", "genre", "artist")
        return read_source(MASTERS, labels), "masters"
    place = place_at(source)
    return read_source(place, options.labels, options.names_encoding), str(place.absolute())


def _there_already(
    path: Path, given: Path, named: str, options: PackOptions
) -> dict[str, Any] | None:
    """The description of a collection at the destination with the same source and options, which
    may be packed again.

    Raises:
        ImpastoError: anything else but an empty folder is there.
    """
    if not path.exists() and not path.is_symlink():
        return None
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return None
    if not (path / "collection.json").is_file():
        raise ImpastoError(
            f"{given} exists already and is not an empty folder; choose another name or "
            "remove it first"
        )
    description = read_json(path / "collection.json", "collection")
    made = description.get("made", {}) if isinstance(description, dict) else {}
    if made.get("source") != named:
        raise ImpastoError(
            f"{given} is a collection already, of {made.get('source', 'another source')}; choose "
            "another name or remove it first"
        )
    wanted, before = json.loads(json.dumps(options.recorded())), made.get("options", {})
    for name, value in wanted.items():
        if name in ("name", *_DESCRIBING):
            continue
        if before.get(name) != value:
            raise ImpastoError(
                f"{given} is a collection already, packed with {name} {before.get(name)} where "
                f"{value} is asked for; choose another name or remove it first"
            )
    assert isinstance(description, dict)
    return description


def _check_fields(listing: Listing) -> None:
    for column, name in enumerate(listing.fields):
        if name in _COMPUTED:
            raise ImpastoError(f"a label cannot be called '{name}': sources.csv has such a column")
        if any(sign in name for sign in "/\\="):
            raise ImpastoError(
                f"a label cannot be called '{name}': files are called after it, and classes asked "
                "for as name=class; rename it, without / \\ and ="
            )
        if not any(entry.labels[column] for entry in listing.entries):
            raise ImpastoError(f"label '{name}' is blank for every picture; leave it out of labels")


def _forgotten(path: Path) -> list[dict[str, str]]:
    """The pictures that `impasto forget` removed from a collection."""
    try:
        with (path / FORGOTTEN).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return [{name: row[name] for name in ("path", "sha256", "when")} for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise ImpastoError(
            f"cannot read {path / FORGOTTEN} ({error}), which names what must not come back; restore "
            "it from a copy"
        ) from error


def _without(listing: Listing, forgotten: list[dict[str, str]]) -> Listing:
    """The listing without the pictures removed from the collection, by name."""
    when = {row["path"]: row["when"] for row in forgotten}
    left = [n for n, entry in enumerate(listing.entries) if entry.relative not in when]
    if len(left) == len(listing.entries):
        return listing
    gone = [
        (entry.relative, f"forgotten: on {when[entry.relative]}, by impasto forget")
        for entry in listing.entries
        if entry.relative in when
    ]
    return replace(select(listing, left), left_out=listing.left_out + gone)


def _agree(job: PackJob, of: int) -> None:
    """Check that all machines work on the same job.

    Raises:
        ImpastoError: another machine began with other options.
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


def _is_there(plan: CollectionPlan, destination: Path) -> bool:
    """Whether the collection at the destination is the planned one, complete."""
    made = _made_before(destination)
    if any(made.get(name) != plan.made[name] for name in ("listing", "to_try_again")):
        return False
    try:
        Collection.open(destination)
    except ImpastoError:
        return False
    return all((destination / name).is_file() for name in TABLES)
