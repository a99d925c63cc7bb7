"""Fit the pictures that no earlier packing has fitted, and store them in parts."""

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
"""Up to this many source pictures are fitted in this process, because starting workers takes longer."""
_BEGUN_ALONE = "begun-alone"
"""A file of this name exists while pictures are fitted in this process. If one is left over, an earlier
process died or hung on a picture, and workers are used."""
_WAITING_BYTES = 2**30
"""Most bytes of finished pictures that wait in memory for an earlier one."""
TRY_AGAIN = (GAVE_UP, "unreadable for now", NOT_INSTALLED)
"""The kinds of reasons that may not hold another time, so that the next packing tries the picture
again."""


def fit_missing(job: PackJob, shard: Shard | None, progress: Progress) -> int:
    """Fit the pictures that were not fitted before, and store them in parts.

    Args:
        job: the packing job.
        shard: the share of the pictures to fit; None: all.
        progress: called with the number of this shard's pictures done and of all.

    Returns:
        The number of the shard's pictures that were fitted before.
    """
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
    """Whether a picture is in a shard. It depends on the picture's path only, so all machines agree."""
    if shard is None:
        return True
    digest = hashlib.sha256(entry.relative.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % shard[1] == shard[0] - 1


def _fit_all(
    job: PackJob, numbers: Sequence[int]
) -> Generator[FittedSource | str | DiedError, None, None]:
    """Fit these entries, in this process or in several; yields the results in order."""
    listing, options = job.listing, job.options
    work = functools.partial(fit_picture, options, job.encodings)
    pictures = job.pictures(numbers)
    workers = options.workers or available_cores()
    if listing.decoded or options.workers == 1:
        # Sending decoded pixels to other processes takes longer than fitting.
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
    # The most tiles of one source picture, except for very long ones.
    tiles = 250 if options.fit == "tiles" else 1
    ahead = max(2, min(8 * workers, _WAITING_BYTES // (area(options.resolution) * 3 * tiles)))
    results = in_order(work, pictures, workers, ahead, options.max_seconds)
    with contextlib.closing(results):
        yield from results


def fit_picture(
    options: PackOptions, encodings: dict[Resolution, str], picture: Path | Content
) -> FittedSource | str:
    """Fit and encode one source picture; runs in the worker processes.

    Args:
        options: how pictures are fitted.
        encodings: the encoding of each resolution.
        picture: a file, its bytes, its pixels (uint8 [H, W, 3]), or the reason why there are none.

    Returns:
        The pictures, or the reason why it gives none.
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
