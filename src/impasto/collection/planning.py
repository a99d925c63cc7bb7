"""Plan a collection once all pictures are fitted: duplicates, held-out pictures, classes, and notes for
the user."""

import datetime
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from impasto import __version__
from impasto.collection.assembling import CollectionPlan, Copied, SourceRow, in_buckets
from impasto.collection.duplicates import Features, find_duplicates
from impasto.collection.fitting import TRY_AGAIN
from impasto.collection.job import PackJob
from impasto.collection.notes import change_notes, plan_notes
from impasto.collection.options import PACKING_VERSION, PackOptions
from impasto.collection.parts import FittedIndex
from impasto.collection.replacing import delete_folder
from impasto.collection.split import held_out
from impasto.collection.store import Collection
from impasto.decoding.decode import DECODING_VERSION
from impasto.decoding.fingerprint import FINGERPRINT
from impasto.decoding.fit import TILE_SCALES, TILE_STRIDE, describe_fit
from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted
from impasto.resolution import area, short_side
from impasto.sources.listing import Entry

_FEATURE_SIDE = 64
"""Features are computed from the smallest packed resolution of at least this side, in pixels."""


class UnfinishedError(Exception):
    """Some pictures are not fitted yet; the first argument is their number."""


@dataclass
class _Gathered:
    """The entries of a listing after fitting.

    Attributes:
        left_out: path and reason of each file that is not packed.
        rows: the usable source pictures.
        entries: their entries, in the same order.
        unusable: key and reason of each permanently unusable picture.
        try_again: paths of the pictures that may be readable another time.
    """

    left_out: list[tuple[str, str]]
    rows: list[SourceRow] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    unusable: list[tuple[bytes, str]] = field(default_factory=list)
    try_again: list[str] = field(default_factory=list)


def plan_collection(job: PackJob) -> tuple[CollectionPlan, list[str]]:
    """Plan the collection of a job.

    Returns:
        The plan, and notes for the user.

    Raises:
        UnfinishedError: not all pictures are fitted yet.
        ImpastoError: no picture can be used.
    """
    listing, options = job.listing, job.options
    gathered = _gather(job)
    rows = gathered.rows
    if not rows:
        delete_folder(job.work)  # There is nothing to continue.
        raise ImpastoError(
            no_pictures_message(job.source_name, gathered.left_out, "no usable picture")
        )
    kept, heldout, copies, alike = _exclude_and_hold_out(job, rows, gathered.entries)
    order = in_buckets(rows, job.encodings)
    plan = CollectionPlan(
        name=options.name or ("masters" if job.source_name == "masters" else job.destination.name),
        fields=[],
        rows=[rows[number] for number in order if kept[number]],
        heldout=[heldout[number] for number in order if kept[number]],
        duplicates=[rows[number] for number in order if not kept[number]],
        copies=copies,
        encodings=job.encodings,
        fit={
            "name": options.fit,
            "is": describe_fit(options.fit, options.resolution),
            **_fit_parameters(options),
        },
        made=_packing_record(job, gathered.try_again),
        left_out=gathered.left_out,
        forgotten=job.forgotten,
        unusable=gathered.unusable,
        alike=alike,
    )
    plan.fields = _fields_with_classes(listing.fields, plan.rows)
    notes = [*listing.notes, *_notes(job, gathered, plan)]
    return plan, notes + plan_notes(plan, options)


def _gather(job: PackJob) -> _Gathered:
    """Find the fitted pictures of every entry.

    Raises:
        UnfinishedError: some entries are not fitted yet.
    """
    known = FittedIndex(job.pieces())
    gone = {row["sha256"]: row["when"] for row in job.forgotten}
    gathered = _Gathered(list(job.listing.left_out))
    unfinished = 0
    for key, entry in zip(job.keys, job.listing.entries, strict=True):
        place = known.find(key)
        if place is None:
            unfinished += 1
            continue
        row = SourceRow(entry.relative, entry.labels, entry.about, *place)
        if (reason := row.piece.reason(row.position)) is not None:
            gathered.left_out.append((entry.relative, reason))
            if reason.startswith(TRY_AGAIN):
                gathered.try_again.append(entry.relative)
            else:
                gathered.unusable.append((key, reason))
        elif row.sha256 in gone:
            # A removed picture is in the source under another name.
            reason = f"forgotten: on {gone[row.sha256]}, by impasto forget"
            gathered.left_out.append((entry.relative, reason))
        else:
            gathered.rows.append(row)
            gathered.entries.append(entry)
    if unfinished:
        raise UnfinishedError(unfinished)
    return gathered


def _notes(job: PackJob, gathered: _Gathered, plan: CollectionPlan) -> list[str]:
    """Notes on duplicates, truncated files, the split, and changes since the last packing."""
    notes = []
    if plan.duplicates:
        notes.append(
            f"{counted(len(plan.duplicates), 'picture')} excluded as the same or nearly the same as "
            f"another: see them with impasto inspect {quoted(job.destination)} --duplicates"
        )
    rows = gathered.rows
    if salvaged := [row for row in rows if row.piece.facts.salvaged[row.position]]:
        notes.append(
            f"{counted(len(salvaged), 'truncated picture')} packed with a grey part, such as "
            f"{salvaged[0].relative}"
        )
    if {entry.heldout for entry in gathered.entries} in ({True}, {False}):
        notes.append(
            "all packed pictures are on one side of the source's split, so --heldout and --seed choose "
            "the held-out ones"
        )
    if job.earlier is not None:
        notes += change_notes(_earlier_split(job.destination), plan)
    return notes


def no_pictures_message(source: str, left_out: list[tuple[str, str]], what: str) -> str:
    """The message of the error for a source without usable pictures.

    Args:
        source: the source's name.
        left_out: path and reason of each file that is left out.
        what: the beginning, such as `no pictures`.
    """
    message = f"{what} in {source}"
    if left_out:
        path, reason = left_out[0]
        message += f"; {len(left_out)} left out, such as {path} ({reason})"
        if reason.startswith("too small"):
            message += "; lower --resolution or raise --max-upscale"
    return message


def _earlier_split(destination: Path) -> dict[str, str]:
    """By path of each picture in the earlier collection: `train` or `heldout`."""
    try:
        return {row["path"]: row["split"] for row in Collection.open(destination).source_table()}
    except (ImpastoError, KeyError):
        return {}


def _exclude_and_hold_out(
    job: PackJob, rows: list[SourceRow], entries: list[Entry]
) -> tuple[list[bool], list[bool], dict[str, Copied], dict[str, int]]:
    """Find duplicates, and choose the held-out pictures.

    Args:
        job: the packing job.
        rows: the usable source pictures.
        entries: their entries.

    Returns:
        Whether each row is kept; whether each is held out; by path, the duplicates; and by path, the
        number of the set of alike pictures.
    """
    options = job.options
    given = [entry.heldout for entry in entries if entry.heldout is not None]
    # The source decides the split only if it has remaining pictures on both sides.
    decided = len(given) == len(rows) and len(set(given)) == 2
    found = find_duplicates(
        _fingerprints(rows),
        np.array([row.size for row in rows]),
        [sum(map(bool, row.labels)) for row in rows],
        [row.relative for row in rows],
        file_bytes=[int(row.piece.facts.file_bytes[row.position]) for row in rows],
        excluded=options.duplicates,
        pinned=np.array(given) if decided else None,
        features=None if job.features is None else _features_of(rows, job),
    )
    kept = [
        k or row.relative in options.keep for k, row in zip(found.kept.tolist(), rows, strict=True)
    ]
    heldout = given
    if not decided:
        heldout = held_out(
            [row.relative for row in rows],
            found.side.tolist(),
            [row.labels for row in rows],
            options.heldout,
            options.seed,
            kept,
        )
    copies = {
        row.relative: Copied(int(group), kind, float(distance))
        for row, group, kind, distance in zip(
            rows, found.group, found.kind, found.distance, strict=True
        )
        if group >= 0
    }
    alike = {
        row.relative: int(number)
        for row, number in zip(rows, found.alike, strict=True)
        if number >= 0
    }
    return kept, heldout, copies, alike


def _fingerprints(rows: list[SourceRow]) -> np.ndarray:
    """The rows' fingerprints, `fingerprint.FINGERPRINT` [S]."""
    # A list of them first would hold them in memory twice.
    found = np.empty(len(rows), FINGERPRINT)
    for number, row in enumerate(rows):
        found[number] = row.piece.facts.fingerprints[row.position]
    return found


def _features_of(rows: list[SourceRow], job: PackJob) -> Features:
    """A function from row numbers, int64 [B], to the features of each row's first picture, float32 [B,
    D]."""
    side = min(
        (side for side in job.encodings if short_side(side) >= _FEATURE_SIDE),
        default=max(job.encodings, key=area),
        key=area,
    )

    def features(numbers: np.ndarray) -> np.ndarray:
        assert job.features is not None
        some = [rows[number] for number in numbers]
        sizes = [row.bucket or side for row in some]
        found = np.zeros((len(some), 0), np.float32)
        for size in dict.fromkeys(sizes):
            mine = [place for place, each in enumerate(sizes) if each == size]
            pixels = [some[place].piece.pixels(size, some[place].first) for place in mine]
            each = job.features(np.concatenate(pixels))
            found = found if found.size else np.zeros((len(some), each.shape[1]), each.dtype)
            found[mine] = each
        return found

    return features


def _fields_with_classes(
    names: Sequence[str], rows: Sequence[SourceRow]
) -> list[tuple[str, tuple[str, ...]]]:
    """The label fields with their class names, sorted.

    Raises:
        ImpastoError: no row has a class in some field.
    """
    fields = []
    for column, name in enumerate(names):
        classes = tuple(sorted({row.labels[column] for row in rows} - {""}))
        if not classes:
            raise ImpastoError(
                f"label '{name}' is blank for every picture that can be used; leave it out of labels"
            )
        fields.append((name, classes))
    return fields


def _packing_record(job: PackJob, try_again: list[str]) -> dict[str, Any]:
    """How the collection was packed, as `made` in `collection.json`."""
    return {
        "impasto": __version__,
        "packing_version": PACKING_VERSION,
        "decoding_version": DECODING_VERSION,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "source": job.source_name,
        "kind": job.listing.kind,
        "listing": job.digest(),
        "to_try_again": try_again,
        "options": job.options.recorded(),
    }


def _fit_parameters(options: PackOptions) -> dict[str, Any]:
    """The parameters of the fit, as in `collection.json`."""
    if options.fit == "pad":
        return {"background": list(options.background)}
    if options.fit == "tiles":
        return {
            "scales": list(TILE_SCALES),
            "stride": TILE_STRIDE,
            "max_upscale": options.max_upscale,
        }
    return {}
