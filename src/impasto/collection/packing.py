"""Packing: from a source to a collection's folder, in bounded memory and in steps that are kept.

The page to read: list what the source holds, choose among it, fit what was not fitted before, find
what is there twice, decide what is held out, and put the collection together. What it becomes is a
function of the source and the options alone: not of how often it was interrupted, of how many
machines worked on it, or of what was known from an earlier time.
"""

import contextlib
import csv
import datetime
import functools
import glob
import hashlib
import io
import json
import os
import platform
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from impasto import __version__
from impasto.collection.assembling import (
    FORGOTTEN,
    TABLES,
    Copied,
    Plan,
    SourceRow,
    write_collection,
)
from impasto.collection.duplicates import FINDING_VERSION, Features, find_duplicates
from impasto.collection.encoding import RAW, choose_encoding, encode
from impasto.collection.notes import of_plan, since
from impasto.collection.options import PACKING_VERSION, PackOptions
from impasto.collection.parts import (
    Done,
    Known,
    PartWriter,
    Piece,
    entry_keys,
    of_collection,
    open_parts,
)
from impasto.collection.split import held_out
from impasto.collection.store import Collection
from impasto.decoding.decode import DECODING_VERSION, decoded_otherwise
from impasto.decoding.fit import (
    FITS,
    TILE_SCALES,
    TILE_STRIDE,
    Fitted,
    fit_file,
    fit_pixels,
    fit_stream,
)
from impasto.decoding.plugins import NOT_INSTALLED
from impasto.decoding.workers import DiedError, available_cores, in_order
from impasto.errors import ImpastoError
from impasto.files import atomic_folder, check_writable, read_json, write_json
from impasto.formatting import counted, quoted
from impasto.readers import read_source
from impasto.sources.class_names import choose
from impasto.sources.listing import Content, Entry, Listing
from impasto.sources.trees import UnusableError
from impasto.sources.where import select

MASTERS = Path(__file__).parent.parent / "masters"
"""The 21 paintings inside the package, with their table."""

Progress = Callable[[int, int], None]
"""Called with the number of source pictures done and of all."""

PixelFeatures = Callable[[np.ndarray], np.ndarray]
"""Pictures, uint8 [B, R, R, 3], to a feature network's features of them, float32 [B, D]."""

Shard = tuple[int, int]
"""Which of how many machines this one is, from 1."""

_COMPUTED = ("index", "path", "sha256", "width", "height", "split")
"""Columns of `sources.csv` that packing fills in itself."""
_ALONE = 32
"""Up to this many source pictures are fitted in this process: starting others takes longer; ..."""
_BEGUN_ALONE = "begun-alone"
"""... but not where a file of this name tells that the process died of it before: one of the pictures
may have ended it, or be what it never came back from."""
_WAITING_BYTES = 2**30
"""How much of finished pictures may wait in memory for an earlier one."""
_FEATURE_SIDE = 64
"""Features are of the smallest pictures packed that have this side, in pixels."""
_GAVE_UP = "gave up"
_FOR_NOW = (_GAVE_UP, "unreadable for now", NOT_INSTALLED)
"""The kinds of reasons why a picture is left out that might be read another time."""


def _nothing(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class PackReport:
    """What packing made, and what it left out."""

    collection: Collection
    source_count: int
    heldout_source_count: int
    left_out: list[tuple[str, str]]
    """Relative path and reason; reasons read `kind: details`."""
    notes: list[str]
    seconds: float
    known: int = 0
    """How many source pictures had been fitted before."""

    def reasons(self) -> dict[str, int]:
        """How many were left out for each kind of reason, most frequent first."""
        kinds = Counter(reason.partition(":")[0] for _, reason in self.left_out)
        return dict(kinds.most_common())


@dataclass
class _Job:
    """A packing: what is to be done, and where."""

    named: str
    """The source, as the description names it."""
    destination: Path
    options: PackOptions
    listing: Listing
    encodings: dict[int, str]
    keys: list[bytes]
    """Of the entries."""
    earlier: dict[str, Any] | None
    """The description of the collection that is there already, of the same source and options."""
    forgotten: list[dict[str, str]] = field(default_factory=list)
    features: PixelFeatures | None = None
    checked: frozenset[bytes] | None = None
    """What `_outdated` has found."""

    @property
    def work(self) -> Path:
        return work_folder(self.destination)

    def pieces(self) -> list[Piece]:
        """All that was fitted before."""
        pieces = open_parts(self.work)
        if self.earlier is not None:
            with contextlib.suppress(ImpastoError, OSError, ValueError, KeyError, TypeError):
                pieces.append(of_collection(self.destination, self.earlier))
                if self.earlier["made"].get("decoding_version") != DECODING_VERSION:
                    pieces[-1].outdated = self._outdated(pieces[-1])
        return pieces

    def _outdated(self, piece: Piece) -> frozenset[bytes]:
        """Keys of source pictures that an earlier version packed, or could not, and that this one may
        decode otherwise: told by the beginnings of their files."""
        if self.checked is None:
            facts = piece.facts
            unusable = {key.tobytes() for key in facts.keys[facts.counts == 0]}
            usable = {key.tobytes() for key in facts.keys[facts.counts > 0]}
            numbers = [number for number, key in enumerate(self.keys) if key in usable]
            changed = {
                self.keys[number]
                for number, picture in zip(numbers, self.pictures(numbers), strict=True)
                if may_differ(picture)
            }
            self.checked = frozenset(unusable | changed)
        return self.checked

    def pictures(self, numbers: Sequence[int]) -> Iterable[Path | Content]:
        """What there is to decode of these entries."""
        if self.listing.contents is not None:
            return self.listing.contents(numbers)
        return (path for path in (self.listing.entries[n].path for n in numbers) if path)

    def digest(self) -> str:
        """Of all that decides what the collection becomes, as far as the source's stamps tell."""
        entries = [
            [key.hex(), entry.labels, entry.about, entry.heldout]
            for key, entry in zip(self.keys, self.listing.entries, strict=True)
        ]
        told = [
            PACKING_VERSION,
            DECODING_VERSION,
            FINDING_VERSION,
            self.options.told(),
            self.listing.fields,
            entries,
        ]
        text = json.dumps([*told, self.listing.left_out, self.forgotten], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def may_differ(picture: Path | Content) -> bool:
    """`decoded_otherwise`, of a picture as a source gives it."""
    if isinstance(picture, bytes):
        return decoded_otherwise(io.BytesIO(picture))
    if not isinstance(picture, Path):
        return False
    try:
        with picture.open("rb") as file:
            return decoded_otherwise(file)
    except OSError:
        return False


def fit(options: PackOptions, encodings: dict[int, str], picture: Path | Content) -> Done | str:
    """A picture's square ones as they are stored, or the reason why there are none.

    Runs in the worker processes.
    """
    how = options.fitting()
    try:
        if isinstance(picture, UnusableError):
            raise picture
        if isinstance(picture, Path):
            fitted = fit_file(picture, how)
        elif isinstance(picture, bytes):
            fitted = fit_stream(io.BytesIO(picture), how)
        else:
            fitted = fit_pixels(picture, how)
    except UnusableError as reason:
        return str(reason)
    return _stored(fitted, encodings)


def _stored(fitted: Fitted, encodings: dict[int, str]) -> Done:
    stored = {
        resolution: pixels
        if encodings[resolution] == RAW
        else encode(pixels, encodings[resolution])
        for resolution, pixels in fitted.pixels.items()
    }
    return Done(
        stored,
        fitted.frames,
        fitted.width,
        fitted.height,
        fitted.sha256,
        fitted.look,
        fitted.salvaged,
        fitted.file_bytes,
        fitted.guessed_bits,
    )


def _fit_all(job: _Job, numbers: Sequence[int]) -> Generator[Done | str | DiedError, None, None]:
    """The result of each of these entries, in order, from this process or from several."""
    listing, options = job.listing, job.options
    work = functools.partial(fit, options, job.encodings)
    pictures = job.pictures(numbers)
    workers = options.workers or available_cores()
    if listing.decoded or options.workers == 1:
        # To send what is decoded to other processes and back takes longer than to fit it.
        yield from map(work, pictures)
        return
    begun = job.work / _BEGUN_ALONE
    if len(numbers) <= _ALONE and not begun.exists():
        check_writable(job.work)
        begun.touch()
        try:
            yield from map(work, pictures)
        finally:
            begun.unlink(missing_ok=True)
        return
    # What one source picture may give, at most but for very long ones.
    tiles = 250 if options.fit == "tiles" else 1
    ahead = max(2, min(8 * workers, _WAITING_BYTES // (options.resolution**2 * 3 * tiles)))
    results = in_order(work, pictures, workers, ahead, options.max_seconds)
    with contextlib.closing(results):
        yield from results


def _listing(source: Path | str, options: PackOptions) -> tuple[Listing, str]:
    """What the source holds, and where it is: a path that holds from any folder, or `masters`."""
    if str(source) == "masters":
        # A folder of that name is still to be had, as ./masters (and as a Path with a parent).
        labels = options.labels if options.labels is not None else ("style", "genre", "artist")
        return read_source(MASTERS, labels), "masters"
    path = Path(source).expanduser()
    return read_source(path, options.labels, options.names_encoding), str(path.absolute())


def place_of(destination: Path) -> Path:
    """A collection's place, from any folder; where it is a link, that of the folder itself, which is
    what is to be replaced."""
    path = destination.expanduser().absolute()
    # Not resolve(), which raises where a link leads to itself.
    return Path(os.path.realpath(path)) if path.name in ("", "..") or path.is_symlink() else path


def _there_already(
    path: Path, given: Path, named: str, options: PackOptions
) -> dict[str, Any] | None:
    """The description of a collection at the destination that was packed of the same source with the
    same options, and so may be packed again.

    Raises:
        ImpastoError: something else is there, other than an empty folder.
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
    wanted, before = json.loads(json.dumps(options.told())), made.get("options", {})
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


_DESCRIBING = (
    *("labels", "names_encoding", "where", "merge", "min_class", "heldout", "seed", "duplicates"),
)
"""Options that may change from one packing of a collection to the next: they choose and describe, and
no picture looks different for it."""


def _prepare(
    source: Path | str, destination: Path, options: PackOptions, features: PixelFeatures | None
) -> _Job:
    """List the source and choose among it; see what is there already.

    Raises:
        ImpastoError: nothing to pack, or anything else that the user can put right.
    """
    if options.duplicates == "features" and features is None:
        raise ImpastoError("duplicates by features take a feature network; give pack() one")
    path = place_of(destination)
    recover(path)
    listing, named = _listing(source, options)
    earlier = _there_already(path, destination, named, options)
    if not listing.entries:
        raise ImpastoError(_nothing_in(named, listing.left_out, "no pictures"))
    _check_fields(listing)
    listing = choose(listing, options.where, options.merge, options.min_class)
    forgotten = _forgotten(path) if earlier is not None else []
    listing = _without(listing, forgotten)
    if not listing.entries:
        raise ImpastoError(_nothing_in(named, listing.left_out, "no pictures are left"))
    encodings = {side: choose_encoding(options.encoding, side) for side in options.resolutions}
    fitting = options.fitting()
    keys = entry_keys(listing.entries, fitting, encodings)
    return _Job(named, path, options, listing, encodings, keys, earlier, forgotten, features)


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
    """What `impasto forget` took out of a collection."""
    try:
        with (path / FORGOTTEN).open(encoding="utf-8", newline="") as file:
            told = list(csv.DictReader(file))
        return [{name: row[name] for name in ("path", "sha256", "when")} for row in told]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise ImpastoError(
            f"cannot read {path / FORGOTTEN} ({error}), which names what must not come back; restore "
            "it from a copy"
        ) from error


def _without(listing: Listing, forgotten: list[dict[str, str]]) -> Listing:
    """The listing without what was taken out of the collection, by name."""
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


def _nothing_in(source: str, left_out: list[tuple[str, str]], what: str) -> str:
    message = f"{what} in {source}"
    if left_out:
        path, reason = left_out[0]
        message += f"; {len(left_out)} left out, such as {path} ({reason})"
        if reason.startswith("too small"):
            message += "; lower --resolution or raise --max-upscale"
    return message


def _mine(entry: Entry, shard: Shard | None) -> bool:
    """Whether a picture is for this machine: by its name, so that all machines agree."""
    if shard is None:
        return True
    digest = hashlib.sha256(entry.relative.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shard[1] == shard[0] - 1


def _fit_missing(job: _Job, shard: Shard | None, progress: Progress) -> int:
    """Fit what was not fitted before into parts; returns how many had been."""
    known = Known(job.pieces())
    mine = [n for n, entry in enumerate(job.listing.entries) if _mine(entry, shard)]
    missing = [number for number in mine if known.find(job.keys[number]) is None]
    done = len(mine) - len(missing)
    progress(done, len(mine))
    if not missing:
        return done
    results = _fit_all(job, missing)
    with contextlib.closing(results), PartWriter(job.work, job.encodings) as parts:
        for number, result in zip(missing, results, strict=True):
            told = f"{_GAVE_UP}: {result}" if isinstance(result, DiedError) else result
            parts.add(job.keys[number], told)
            done += 1
            progress(done, len(mine))
    return len(mine) - len(missing)


def _plan(job: _Job) -> tuple[Plan, list[str]]:
    """What the collection is made of, and what the user may want to know about it.

    Raises:
        _UnfinishedError: not all pictures are fitted yet.
    """
    known = Known(job.pieces())
    listing, options = job.listing, job.options
    gone = {row["sha256"]: row["when"] for row in job.forgotten}
    rows: list[SourceRow] = []
    told: list[Entry] = []
    left_out = list(listing.left_out)
    unusable: list[tuple[bytes, str]] = []
    for_now: list[str] = []
    unknown = 0
    for key, entry in zip(job.keys, listing.entries, strict=True):
        place = known.find(key)
        if place is None:
            unknown += 1
            continue
        row = SourceRow(entry.relative, entry.labels, entry.about, *place)
        if (reason := row.piece.reason(row.position)) is not None:
            left_out.append((entry.relative, reason))
            if reason.startswith(_FOR_NOW):
                for_now.append(entry.relative)
            else:
                unusable.append((key, reason))
        elif row.sha256 in gone:
            # Under another name.
            reason = f"forgotten: on {gone[row.sha256]}, by impasto forget"
            left_out.append((entry.relative, reason))
        else:
            rows.append(row)
            told.append(entry)
    if unknown:
        raise _UnfinishedError(unknown)
    if not rows:
        _clear(job.work)  # There is nothing in it to go on from.
        raise ImpastoError(_nothing_in(job.named, left_out, "no usable picture"))
    notes = list(listing.notes)
    kept, heldout, copies, alike = _without_copies(job, rows, told)
    aside = [row for row, keep in zip(rows, kept, strict=True) if not keep]
    if aside:
        notes.append(
            f"{counted(len(aside), 'picture')} set aside as the same or nearly the same as another: "
            f"see them with impasto inspect {quoted(job.destination)} --duplicates"
        )
    if salvaged := [row for row in rows if row.piece.facts.salvaged[row.position]]:
        notes.append(
            f"{counted(len(salvaged), 'picture')} cut short and taken all the same, such as "
            f"{salvaged[0].relative}"
        )
    plan = Plan(
        name=options.name or ("masters" if job.named == "masters" else job.destination.name),
        fields=[],
        rows=[row for row, keep in zip(rows, kept, strict=True) if keep],
        heldout=[held for held, keep in zip(heldout, kept, strict=True) if keep],
        aside=aside,
        copies=copies,
        encodings=job.encodings,
        fit={"name": options.fit, "is": FITS[options.fit].says, **_fit_parameters(options)},
        made=_made(job, for_now),
        left_out=left_out,
        forgotten=job.forgotten,
        unusable=unusable,
        alike=alike,
    )
    plan.fields = _classes(listing.fields, plan.rows)
    if {entry.heldout for entry in told} in ({True}, {False}):
        notes.append(
            "what is left is of one part of the source only, so --heldout and --seed choose after all"
        )
    if job.earlier is not None:
        notes += since(_sides_before(job.destination), plan)
    return plan, notes + of_plan(plan, options)


def _sides_before(destination: Path) -> dict[str, str]:
    """Which pictures of the collection that is there are for training, and which held out."""
    try:
        return {row["path"]: row["split"] for row in Collection.open(destination).source_table()}
    except (ImpastoError, KeyError):
        return {}


def _without_copies(
    job: _Job, rows: list[SourceRow], told: list[Entry]
) -> tuple[list[bool], list[bool], dict[str, Copied], dict[str, int]]:
    """Which pictures are kept, which of all are held out, which are copies of which, and which cannot
    be told apart."""
    options = job.options
    given = [entry.heldout for entry in told if entry.heldout is not None]
    # Where all that is left is of one part, the source has not divided it.
    decided = len(given) == len(rows) and len(set(given)) == 2
    found = find_duplicates(
        np.array([row.piece.facts.looks[row.position] for row in rows]),
        np.array([row.size for row in rows]),
        [sum(map(bool, row.labels)) for row in rows],
        [row.relative for row in rows],
        file_bytes=[int(row.piece.facts.file_bytes[row.position]) for row in rows],
        aside=options.duplicates,
        pinned=np.array(given) if decided else None,
        features=None if job.features is None else _features_of(rows, job),
    )
    heldout = given
    if not decided:
        heldout = held_out(
            [row.relative for row in rows],
            found.side.tolist(),
            [row.labels for row in rows],
            options.heldout,
            options.seed,
            found.kept.tolist(),
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
    return found.kept.tolist(), heldout, copies, alike


def _features_of(rows: list[SourceRow], job: _Job) -> Features:
    """The features of source pictures by number: of the first picture that each gave."""
    side = min(
        (side for side in job.encodings if side >= _FEATURE_SIDE), default=max(job.encodings)
    )

    def features(numbers: np.ndarray) -> np.ndarray:
        assert job.features is not None
        some = [rows[number] for number in numbers]
        return job.features(np.concatenate([row.piece.pixels(side, row.first) for row in some]))

    return features


def _classes(names: Sequence[str], rows: Sequence[SourceRow]) -> list[tuple[str, tuple[str, ...]]]:
    """Each field with its class names, sorted."""
    fields = []
    for column, name in enumerate(names):
        classes = tuple(sorted({row.labels[column] for row in rows} - {""}))
        if not classes:
            raise ImpastoError(
                f"label '{name}' is blank for every picture that can be used; leave it out of labels"
            )
        fields.append((name, classes))
    return fields


def _made(job: _Job, for_now: list[str]) -> dict[str, Any]:
    return {
        "impasto": __version__,
        "packing_version": PACKING_VERSION,
        "decoding_version": DECODING_VERSION,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "source": job.named,
        "kind": job.listing.kind,
        "listing": job.digest(),
        "to_try_again": for_now,
        "options": job.options.told(),
    }


def _fit_parameters(options: PackOptions) -> dict[str, Any]:
    if options.fit == "pad":
        return {"background": list(options.background)}
    if options.fit == "tiles":
        return {
            "scales": list(TILE_SCALES),
            "stride": TILE_STRIDE,
            "max_upscale": options.max_upscale,
        }
    return {}


class _UnfinishedError(Exception):
    """Some pictures are not fitted yet; the first argument says how many."""


def pack(
    source: Path | str,
    destination: Path,
    options: PackOptions | None = None,
    progress: Progress = _nothing,
    features: PixelFeatures | None = None,
) -> PackReport:
    """Make a collection of a source.

    What was fitted is kept in a hidden folder beside the destination until the collection is there,
    whole: interrupted at any moment and called again, this goes on, and ends with the same files.
    Where the destination is a collection of the same source and options, only what is new or has
    changed is decoded, and the collection takes the other one's place.

    Args:
        source: what a reader claims (see `readers/`), or the word `masters`.
        destination: the collection's folder; it must not exist, be empty, or be what an earlier call
            has made.
        options: how; None: `PackOptions()`.
        progress: called now and then with source pictures done and in all.
        features: what `duplicates="features"` compares.

    Raises:
        ImpastoError: no usable picture, or anything else that the user can put right. A bad file
            is no error: it is left out and reported.
    """
    began = time.monotonic()
    job = _prepare(source, destination, options or PackOptions(), features)
    try:
        known = _fit_missing(job, None, progress)
    except ImpastoError:
        # Another process that packs the same may have ended, and cleared the parts away.
        if _made_before(job.destination).get("listing") != job.digest():
            raise
        known = 0
    try:
        return _finish(job, known, began)
    except _UnfinishedError:
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
    """The same work for many machines that share a disk: fit every n-th picture; the machine that
    ends last puts the collection together.

    Args:
        source: as in `pack`, the same for all.
        destination: as in `pack`, on a disk that all share.
        shard: which of how many machines this is, from 1.
        options: as in `pack`, the same for all.
        progress: as in `pack`, of this machine's pictures.
        features: as in `pack`.

    Returns:
        The report, or how many pictures the other machines have still to do.

    Raises:
        ImpastoError: as `pack`, or there is no such shard.
    """
    began = time.monotonic()
    number, of = shard
    if not 1 <= number <= of:
        raise ImpastoError(f"shard {number}/{of} is none of 1/{of} to {of}/{of}")
    job = _prepare(source, destination, options or PackOptions(), features)
    _agree(job, of)
    known = _fit_missing(job, shard, progress)
    try:
        return _finish(job, known, began)
    except _UnfinishedError as unfinished:
        return int(unfinished.args[0])


def _agree(job: _Job, of: int) -> None:
    """See to it that all machines do shares of the same work.

    Raises:
        ImpastoError: another one has begun with other options.
    """
    path = job.work / "shards-of.json"
    mine = json.loads(json.dumps({"shards": of, **job.options.told()}))
    if path.exists():
        theirs = read_json(path, "packing")
        for name, value in mine.items():
            if theirs.get(name) != value:
                raise ImpastoError(
                    f"{job.destination} was begun with {name} {theirs.get(name)} on another machine, "
                    f"and {value} is asked for here; give all the same, or delete {job.work}"
                )
    write_json(path, mine)


def _finish(job: _Job, known: int, began: float) -> PackReport:
    """Put the collection together from the parts and clear them away.

    Raises:
        _UnfinishedError: not all pictures are fitted yet.
    """
    try:
        plan, notes = _plan(job)
    except _UnfinishedError:
        # Another machine may have put it together meanwhile, and cleared the parts away.
        if _made_before(job.destination).get("listing") != job.digest():
            raise
        job.earlier = read_json(job.destination / "collection.json", "collection")
        plan, notes = _plan(job)
    if _is_there(plan, job.destination):
        notes.insert(0, "nothing has changed since it was packed")
        _clear(job.work)
    else:
        try:
            replace_collection(job.destination, plan)
        except ImpastoError:
            # So may one that ended at the same time, and cleared away what this one had written.
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


def _made_before(destination: Path) -> dict[str, Any]:
    """Of what the collection at a place was made; nothing if there is none."""
    try:
        return dict(read_json(destination / "collection.json", "collection")["made"])
    except (ImpastoError, KeyError, TypeError, ValueError):
        return {}


def _is_there(plan: Plan, destination: Path) -> bool:
    """Whether the collection at a place is the planned one, with all its files."""
    made = _made_before(destination)
    if any(made.get(name) != plan.made[name] for name in ("listing", "to_try_again")):
        return False
    try:
        Collection.open(destination)
    except ImpastoError:
        return False
    return all((destination / name).is_file() for name in TABLES)


def work_folder(destination: Path) -> Path:
    """Where parts are kept while a collection is not finished: hidden, beside it."""
    return destination.with_name(f".{destination.name}.packing")


def replace_collection(destination: Path, plan: Plan) -> None:
    """Write a collection where there is none yet, or in the place of one, and clear its work folder.

    Raises:
        ImpastoError: it cannot be written; what was there is there still.
    """
    work = work_folder(destination)
    new = work / f"new-{uuid.uuid4().hex}"
    with atomic_folder(new) as folder:
        write_collection(folder, plan)
    _take_place(new, destination)
    _clear(work)


def _take_place(new: Path, destination: Path) -> None:
    """Let a finished folder take a collection's place, or an empty folder's.

    Between the two renames there is no collection at all; `recover` puts the old one back if the
    process dies just there. Meanwhile it lies where no other machine clears anything away.

    Raises:
        ImpastoError: the operating system does not let it.
    """
    try:
        if destination.is_dir() and not any(destination.iterdir()):
            destination.rmdir()
        if destination.exists():
            destination.rename(
                destination.with_name(f".{destination.name}.replaced-{uuid.uuid4().hex[:8]}")
            )
        new.rename(destination)
    except OSError as error:
        raise ImpastoError(f"cannot replace {destination}: {error.strerror or error}") from error
    finally:
        recover(destination)


def recover(destination: Path) -> None:
    """Put back the collection that was being replaced when a process died, or clear it away if the
    other one has taken its place."""
    for old in destination.parent.glob(f".{glob.escape(destination.name)}.replaced-*"):
        if (destination / "collection.json").is_file():
            _clear(old)
        elif not destination.exists():
            old.rename(destination)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
