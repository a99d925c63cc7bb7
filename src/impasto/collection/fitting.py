"""Fit the pictures that no earlier packing has fitted, into parts that are kept."""

import contextlib
import functools
import hashlib
import io
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

from impasto.collection.encoding import RAW, encode
from impasto.collection.job import PackJob
from impasto.collection.options import PackOptions
from impasto.collection.parts import FittedSource, PartWriter
from impasto.decoding.fit import Fitted, fit_file, fit_pixels, fit_stream
from impasto.decoding.plugins import NOT_INSTALLED
from impasto.decoding.workers import GAVE_UP, DiedError, available_cores, in_order
from impasto.files import check_writable
from impasto.resolution import Resolution, area
from impasto.sources.listing import Content, Entry
from impasto.sources.trees import UnusableError

Progress = Callable[[int, int], None]
"""Called with the number of source pictures done and of all."""

Shard = tuple[int, int]
"""This machine's number, from 1, and the number of machines."""

_ALONE = 32
"""Up to this many source pictures are fitted in this process, since starting workers would take
longer, ..."""
_BEGUN_ALONE = "begun-alone"
"""... unless a file of this name is left over: then an earlier process died or hung on one of the
pictures."""
_WAITING_BYTES = 2**30
"""Most bytes of finished pictures that wait in memory for an earlier one."""
TRY_AGAIN = (GAVE_UP, "unreadable for now", NOT_INSTALLED)
"""The kinds of reasons that may pass, so the picture is tried again."""


def fit_missing(job: PackJob, shard: Shard | None, progress: Progress) -> int:
    """Fit what was not fitted before and store it in parts; returns how many were fitted already."""
    mine = [n for n, entry in enumerate(job.listing.entries) if _in_shard(entry, shard)]
    missing = job.missing(mine)
    done = len(mine) - len(missing)
    progress(done, len(mine))
    if not missing:
        return done
    results = _fit_all(job, missing)
    with contextlib.closing(results), PartWriter(job.work, job.encodings) as parts:
        for number, result in zip(missing, results, strict=True):
            kept = result.reason if isinstance(result, DiedError) else result
            parts.add(job.keys[number], kept)
            done += 1
            progress(done, len(mine))
    return len(mine) - len(missing)


def _in_shard(entry: Entry, shard: Shard | None) -> bool:
    """Whether this machine fits a picture, decided by its name so that all machines agree."""
    if shard is None:
        return True
    digest = hashlib.sha256(entry.relative.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shard[1] == shard[0] - 1


def _fit_all(
    job: PackJob, numbers: Sequence[int]
) -> Generator[FittedSource | str | DiedError, None, None]:
    """The result of each of these entries, in order, from this process or from several."""
    listing, options = job.listing, job.options
    work = functools.partial(fit_picture, options, job.encodings)
    pictures = job.pictures(numbers)
    workers = options.workers or available_cores()
    if listing.decoded or options.workers == 1:
        # Sending decoded pixels to other processes takes longer than fitting them here.
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
    # The most bytes from one source picture, very long ones excepted.
    tiles = 250 if options.fit == "tiles" else 1
    ahead = max(2, min(8 * workers, _WAITING_BYTES // (area(options.resolution) * 3 * tiles)))
    results = in_order(work, pictures, workers, ahead, options.max_seconds)
    with contextlib.closing(results):
        yield from results


def fit_picture(
    options: PackOptions, encodings: dict[Resolution, str], picture: Path | Content
) -> FittedSource | str:
    """Fit one source picture: its encoded pictures, or the reason why there are none.

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


def _stored(fitted: Fitted, encodings: dict[Resolution, str]) -> FittedSource:
    stored = {
        resolution: pixels
        if encodings[resolution] == RAW
        else encode(pixels, encodings[resolution])
        for resolution, pixels in fitted.pixels.items()
    }
    return FittedSource(
        stored,
        fitted.frames,
        fitted.width,
        fitted.height,
        fitted.sha256,
        fitted.fingerprint,
        fitted.salvaged,
        fitted.file_bytes,
        fitted.guessed_bits,
    )
