"""Packing: from a source to a collection folder, in one pass and in bounded memory."""

import contextlib
import csv
import datetime
import functools
import hashlib
import io
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from impasto import __version__
from impasto.collection.fitting import (
    FITS,
    TILE_SCALES,
    TILE_STRIDE,
    Fitted,
    Fitting,
    fit_file,
    fit_pixels,
    fit_stream,
)
from impasto.collection.listing import ABOUT, Content, Entry, Listing
from impasto.collection.readers import read_source
from impasto.collection.split import held_out
from impasto.collection.store import FORMAT, FORMAT_VERSION, Collection, content_hash
from impasto.collection.trees import UnusableError
from impasto.collection.workers import DiedError, available_cores, in_order
from impasto.collection.writer import ShardWriter, shard_name
from impasto.errors import ImpastoError, choices
from impasto.files import atomic_folder, sha256_of_file, write_json

PACKING_VERSION = 1
"""Raised whenever the same source and options would give other pixels, labels or split."""

MASTERS = Path(__file__).parent.parent / "masters"
"""The 21 paintings inside the package, with their table."""

Progress = Callable[[int, int], None]
"""Called with the number of source pictures done and of all."""

_COMPUTED = ("index", "path", "sha256", "width", "height", "split")
"""Columns of `sources.csv` that packing fills in itself."""
_ALONE = 32
"""Up to this many source pictures are packed in this process: starting others takes longer."""
_WAITING_BYTES = 2**30
"""How much of finished pictures may wait in memory for an earlier one."""


def _nothing(done: int, total: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class PackOptions:
    """How a collection is made.

    Raises:
        ImpastoError: a value that makes no sense; the message says which would.
    """

    resolution: int = 64
    """Side of the packed pictures, in pixels."""
    labels: tuple[str, ...] | None = None
    """Label fields: columns of the table, or one name for folders by class; None: the source's."""
    fit: str = "crop"
    """How a picture becomes square: a name in `FITS`."""
    heldout: float = 0.1
    """Share of the source pictures that is kept from training, in [0, 1)."""
    seed: int = 0
    """Another seed holds out others."""
    background: tuple[int, int, int] = (255, 255, 255)
    """Red, green, blue (0 to 255) of what `pad` leaves free."""
    max_upscale: float = 1.25
    """A picture or tile that would have to be enlarged by more is left out."""
    max_pixels: int = 200_000_000
    """A picture of more pixels is left out before it is decoded: it may be a trap."""
    exact: bool = False
    """Decode every JPEG in full; by default it is reduced while decoding, to twice the target."""
    workers: int | None = None
    """Processes; None: one for each core. The result is the same for any number."""
    name: str | None = None
    """The collection's name; None: that of its folder."""

    def __post_init__(self) -> None:
        if self.fit not in FITS:
            raise ImpastoError(f"unknown fit '{self.fit}'; there is {choices(list(FITS))}")
        if not 4 <= self.resolution <= 4096:
            raise ImpastoError(f"resolution must be from 4 to 4096 pixels, not {self.resolution}")
        if not 0 <= self.heldout < 1:
            raise ImpastoError(f"heldout is a share from 0 to below 1, not {self.heldout}")
        if self.workers is not None and self.workers < 1:
            raise ImpastoError(f"workers must be 1 or more, not {self.workers}")
        if not 1 <= self.max_upscale <= 16:
            raise ImpastoError(f"max_upscale must be from 1 to 16, not {self.max_upscale}")
        if self.max_pixels < 1:
            raise ImpastoError(f"max_pixels must be 1 or more, not {self.max_pixels}")
        if len(self.background) != 3 or not all(0 <= part <= 255 for part in self.background):
            raise ImpastoError(f"background is three numbers from 0 to 255, not {self.background}")
        if self.labels is not None and len(set(self.labels)) < len(self.labels):
            raise ImpastoError(f"labels names a field twice: {', '.join(self.labels)}")
        if self.labels is not None and not all(self.labels):
            raise ImpastoError("labels has an empty name in it; separate names by single commas")

    def fitting(self) -> Fitting:
        return Fitting(
            self.fit,
            (self.resolution,),
            self.exact,
            self.background,
            self.max_upscale,
            self.max_pixels,
        )


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

    def reasons(self) -> dict[str, int]:
        """How many were left out for each kind of reason, most frequent first."""
        kinds = Counter(reason.partition(":")[0] for _, reason in self.left_out)
        return dict(kinds.most_common())


@dataclass
class _Packed:
    """What is known of the packed pictures while they go to the shards."""

    entries: list[Entry] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    sha256: list[str] = field(default_factory=list)
    pictures: list[int] = field(default_factory=list)
    """How many pictures each source picture has given."""


def attempt(how: Fitting, picture: Path | Content) -> Fitted | str:
    """The square pictures of a file, of its bytes or of pixels, or the reason why there are none.

    Runs in the worker processes.
    """
    try:
        if isinstance(picture, Path):
            return fit_file(picture, how)
        if isinstance(picture, bytes):
            return fit_stream(io.BytesIO(picture), how)
        if isinstance(picture, UnusableError):
            raise picture
        return fit_pixels(picture, how)
    except UnusableError as reason:
        return str(reason)


def _fit_all(
    listing: Listing, options: PackOptions
) -> Generator[Fitted | str | DiedError, None, None]:
    """The result of each entry, in order, from this process or from several."""
    work = functools.partial(attempt, options.fitting())
    paths: Iterable[Path | Content] = [entry.path for entry in listing.entries if entry.path]
    if listing.contents is not None:
        paths = listing.contents(range(len(listing.entries)))
    if listing.decoded:
        # To send them to other processes and back takes longer than to fit them.
        yield from map(work, paths)
        return
    workers = options.workers or available_cores()
    if workers == 1 or len(listing.entries) <= _ALONE:
        yield from map(work, paths)
        return
    # What one source picture may give, at most but for very long ones.
    tiles = 250 if options.fit == "tiles" else 1
    ahead = min(8 * workers, _WAITING_BYTES // (options.resolution**2 * 3 * tiles))
    with contextlib.closing(in_order(work, paths, workers, ahead)) as results:
        yield from results


def _listing(source: Path | str, options: PackOptions) -> tuple[Listing, str]:
    """What the source holds, and where it is: a path that holds from any folder, or `masters`."""
    if str(source) == "masters":
        # A folder of that name is still to be had, as ./masters (and as a Path with a parent).
        labels = options.labels if options.labels is not None else ("style", "genre", "artist")
        return read_source(MASTERS, labels), "masters"
    return read_source(Path(source), options.labels), str(Path(source).expanduser().absolute())


def _free_destination(destination: Path) -> Path:
    """The destination's absolute path.

    Raises:
        ImpastoError: something is there already, other than an empty folder.
    """
    # Not resolve(): what a link is called is what the user asked for.
    path = destination.expanduser().absolute()
    if path.name in ("", ".."):
        path = path.resolve()
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return path
    if path.exists() or path.is_symlink():
        raise ImpastoError(
            f"{destination} exists already and is not an empty folder; choose another name or "
            "remove it first"
        )
    return path


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """`atomic_folder`, but an empty folder may be there; if the block fails, it is there again."""
    was_there = path.exists()
    if was_there:
        try:
            path.rmdir()
        except OSError as error:
            raise ImpastoError(f"cannot replace {path}: {error.strerror or error}") from error
    try:
        with atomic_folder(path) as folder:
            yield folder
    except BaseException:
        if was_there:
            path.mkdir(exist_ok=True)
        raise


def pack(
    source: Path | str,
    destination: Path,
    options: PackOptions | None = None,
    progress: Progress = _nothing,
) -> PackReport:
    """Make a collection of a source.

    The work is done in a hidden folder beside the destination, which takes its name at the end:
    whatever happens, there is never half a collection.

    Args:
        source: a folder of pictures, a table (CSV) beside them, the archive of CIFAR-10 or
            CIFAR-100 (binary version), or the word `masters`.
        destination: the collection's folder; must not exist, or be empty.
        options: how; None: `PackOptions()`.
        progress: called now and then with source pictures done and in all.

    Raises:
        ImpastoError: no usable picture, or anything else that the user can put right. A bad file
            is no error: it is left out and reported.
    """
    began = time.monotonic()
    options = options or PackOptions()
    destination = _free_destination(destination)
    listing, named = _listing(source, options)
    if not listing.entries:
        raise ImpastoError(_nothing_in(named, listing.left_out, "no pictures"))
    for name in listing.fields:
        if name in _COMPUTED:
            raise ImpastoError(f"a label cannot be called '{name}': sources.csv has such a column")
        if any(sign in name for sign in "/\\="):
            raise ImpastoError(
                f"a label cannot be called '{name}': files are called after it, and classes asked "
                "for as name=class; rename it, without / \\ and ="
            )
    with _new_folder(destination) as folder:
        left_out = list(listing.left_out)
        packed = _write_pictures(folder, listing, options, progress, left_out)
        if not packed.entries:
            raise ImpastoError(_nothing_in(named, left_out, "no usable picture"))
        heldout = _held_out(packed, options)
        notes = listing.notes + _copies(packed, heldout) + _hint(packed, options)
        _write_csv(folder / "left-out.csv", ["path", "reason"], left_out)
        name = options.name or ("masters" if named == "masters" else destination.name)
        _write_description(folder, name, named, listing, packed, heldout, options)
    return PackReport(
        collection=Collection.open(destination),
        source_count=len(packed.entries),
        heldout_source_count=sum(heldout),
        left_out=left_out,
        notes=notes,
        seconds=time.monotonic() - began,
    )


def _nothing_in(source: str, left_out: list[tuple[str, str]], what: str) -> str:
    message = f"{what} in {source}"
    if left_out:
        path, reason = left_out[0]
        message += f"; {len(left_out)} left out, such as {path} ({reason})"
        if reason.startswith("too small"):
            message += "; lower --resolution or raise --max-upscale"
    return message


def _write_pictures(
    folder: Path,
    listing: Listing,
    options: PackOptions,
    progress: Progress,
    left_out: list[tuple[str, str]],
) -> _Packed:
    """Write the shards and `pictures.csv`, a source picture at a time."""
    packed = _Packed()
    entries = listing.entries
    header = ["index", "source", "left", "top", "right", "bottom", "mirrored"]
    results = _fit_all(listing, options)
    progress(0, len(entries))
    count = 0
    with (
        contextlib.closing(results),
        ShardWriter(folder, options.resolution) as shards,
        (folder / "pictures.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(header)
        for done, (entry, result) in enumerate(zip(entries, results, strict=True), start=1):
            if isinstance(result, DiedError):
                left_out.append((entry.relative, f"unreadable: {result}"))
            elif isinstance(result, str):
                left_out.append((entry.relative, result))
            else:
                shards.append(result.pixels[options.resolution])
                for frame in result.frames:
                    box = [f"{edge:g}" for edge in frame.box]
                    table.writerow([count, len(packed.entries), *box, int(frame.mirrored)])
                    count += 1
                packed.entries.append(entry)
                packed.sizes.append((result.width, result.height))
                packed.sha256.append(result.sha256)
                packed.pictures.append(len(result.frames))
            progress(done, len(entries))
    return packed


def _held_out(packed: _Packed, options: PackOptions) -> list[bool]:
    """Whether each source picture is held out: as the source says, or else by rank."""
    told = [entry.heldout for entry in packed.entries if entry.heldout is not None]
    if len(told) == len(packed.entries):
        return told
    return held_out(
        [entry.relative for entry in packed.entries],
        packed.sha256,
        [entry.labels for entry in packed.entries],
        options.heldout,
        options.seed,
    )


def _classes(
    listing: Listing, packed: _Packed
) -> tuple[list[tuple[str, tuple[str, ...]]], np.ndarray]:
    """Each field with its class names, and the labels of the source pictures, int64 [S, F]."""
    labels = np.full((len(packed.entries), len(listing.fields)), -1, dtype=np.int64)
    fields = []
    for column, name in enumerate(listing.fields):
        given = [entry.labels[column] for entry in packed.entries]
        classes = tuple(sorted(set(given) - {""}))
        if not classes:
            raise ImpastoError(f"label '{name}' is blank for every picture; leave it out of labels")
        index = {label: position for position, label in enumerate(classes)}
        labels[:, column] = [index.get(label, -1) for label in given]
        fields.append((name, classes))
    return fields, labels


def _write_description(
    folder: Path,
    name: str,
    source: str,
    listing: Listing,
    packed: _Packed,
    heldout: list[bool],
    options: PackOptions,
) -> None:
    """Write all but the pixels: arrays, `sources.csv` and `collection.json`."""
    fields, source_labels = _classes(listing, packed)
    source_of = np.repeat(np.arange(len(packed.entries), dtype=np.int64), packed.pictures)
    labels = source_labels[source_of]
    split = np.asarray(heldout, dtype=np.uint8)[source_of]
    np.save(folder / "labels.npy", labels, allow_pickle=False)
    np.save(folder / "split.npy", split, allow_pickle=False)
    np.save(folder / "source.npy", source_of, allow_pickle=False)
    _write_sources(folder / "sources.csv", listing, packed, heldout)

    shards: list[dict[str, Any]] = []
    while (path := folder / shard_name(len(shards))).exists():
        count = int(np.load(path, mmap_mode="r", allow_pickle=False).shape[0])
        shards.append(
            {
                "file": path.name,
                "pictures": count,
                "bytes": path.stat().st_size,
                "sha256": sha256_of_file(path),
            }
        )
    arrays = {
        file: sha256_of_file(folder / file) for file in ("labels.npy", "split.npy", "source.npy")
    }
    shard_digests = [str(shard["sha256"]) for shard in shards]
    description: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": name,
        "count": len(source_of),
        "source_count": len(packed.entries),
        "resolution": options.resolution,
        "fit": {"name": options.fit, "is": FITS[options.fit].says, **_fit_parameters(options)},
        "fields": [
            {
                "name": field_name,
                "classes": [
                    {"name": label, "train_pictures": train, "sources": sources}
                    for label, train, sources in zip(
                        classes,
                        _count(labels[split == 0, column], len(classes)),
                        _count(source_labels[:, column], len(classes)),
                        strict=True,
                    )
                ],
            }
            for column, (field_name, classes) in enumerate(fields)
        ],
        "splits": {
            split_name: {
                "pictures": int((split == value).sum()),
                "sources": heldout.count(bool(value)),
            }
            for value, split_name in enumerate(("train", "heldout"))
        },
        "content_hash": content_hash(
            options.resolution,
            shard_digests,
            arrays["labels.npy"],
            arrays["split.npy"],
            fields,
        ),
        "shards": shards,
        "arrays": arrays,
        "made": {
            "impasto": __version__,
            "packing_version": PACKING_VERSION,
            "pillow": PIL.__version__,
            "python": platform.python_version(),
            "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "source": source,
            "kind": listing.kind,
            "options": {key: value for key, value in asdict(options).items() if key != "workers"},
        },
    }
    write_json(folder / "collection.json", description)


def _count(labels: np.ndarray, classes: int) -> list[int]:
    """How often each class is among labels [N], where -1 is unknown."""
    counts: list[int] = np.bincount(labels[labels >= 0], minlength=classes).tolist()
    return counts


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


def _write_csv(path: Path, header: list[str], rows: Any) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)


def _write_sources(path: Path, listing: Listing, packed: _Packed, heldout: list[bool]) -> None:
    """`sources.csv`; a label that is also described (artist) is one column, not two."""
    extra = [name for name in listing.fields if name not in ABOUT]
    header = ["index", "path", *ABOUT, "sha256", "width", "height", "split", *extra]

    def row(index: int) -> list[str | int]:
        entry = packed.entries[index]
        told = dict(zip(listing.fields, entry.labels, strict=True)) | entry.about
        return [
            index,
            entry.relative,
            *(told.get(name, "") for name in ABOUT),
            packed.sha256[index],
            *packed.sizes[index],
            "heldout" if heldout[index] else "train",
            *(told[name] for name in extra),
        ]

    _write_csv(path, header, (row(index) for index in range(len(packed.entries))))


def _copies(packed: _Packed, heldout: list[bool]) -> list[str]:
    copies = len(packed.sha256) - len(set(packed.sha256))
    if not copies:
        return []
    notes = [f"{copies} of the source pictures are the same file as another (all were packed)"]
    digests = list(zip(packed.sha256, heldout, strict=True))
    train = {digest for digest, held in digests if not held}
    # Only a split that comes with the source has such.
    if shared := sum(held and digest in train for digest, held in digests):
        notes.append(
            f"{shared} of those held out are among those for training too, as in the source"
        )
    return notes


def _hint(packed: _Packed, options: PackOptions) -> list[str]:
    if options.fit == "tiles" or len(packed.entries) >= 1000:
        return []
    return [
        f"a collection of {len(packed.entries)} is small to learn from; --fit tiles makes many "
        "overlapping tiles of each"
    ]


def options_key(options: PackOptions, source_digests: list[str]) -> str:
    """A digest of all that decides a collection's contents, for the cache."""
    told = {key: value for key, value in asdict(options).items() if key != "workers"}
    text = json.dumps([PACKING_VERSION, FORMAT_VERSION, told, source_digests], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
