"""WikiArt's shape at full size: packed in bounded memory, every label right, pictures a second.

    python -m benchmarks.wikiart_shape [--rows 81444] [--resolution 64] [--duplicates none]
                                       [--folder DIR] [--only parquet|lists]

makes 81,444 small pictures (JPEGs of 100 to 250 px, cuts of the masters, turned, mirrored and with
their colours exchanged, so that they look different) with 27 styles, 11 genres and 129 artists, of
which one genre and one artist say that they are unknown, about as unevenly as WikiArt has them:

- as huggan/wikiart is published: 72 parquet files of one row group each, whose classes have their
  names in `dataset_infos.json` only;
- as ArtGAN's authors publish it: files in folders by style, and lists for style, genre and artist.

It packs each by `impasto pack`, compares every label of every picture, and the pixels of some, with
what was made, and writes it out again by `impasto unpack`. Printed: pictures a second of the whole
command and of processor time, and the peak of memory: of the main process (RssAnon, sampled), the
same with the files that it has mapped, which the system takes back when it needs to (VmHWM), and of
all processes together.

`--one-file` measures instead what one file of the published size takes to be read: 1,131 pictures of
465 KB in one row group, as pages of 1,024 pictures.
"""

import argparse
import contextlib
import csv
import io
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks._command import run as run_command
from impasto.collection import Collection, PackOptions
from impasto.collection.packing import MASTERS
from impasto.decoding.fit import fit_stream

ROWS, FILES = 81_444, 72
COUNTS = {"artist": 129, "genre": 11, "style": 27}
UNKNOWN = {"artist": "Unknown Artist", "genre": "Unknown Genre"}
"""Classes that are none; huggan/wikiart has the first and the last so."""
_SHARES = {"artist": 0.45, "genre": 0.2}
"""Of pictures in those."""
_EVERY = 4
"""Each so many pictures, one is for validation in the lists."""
_BOTH = 144
"""Each so many, one is for training in one list and for validation in another: 566 of WikiArt's."""
_SAMPLE_SECONDS = 0.1


@cache
def _masters() -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(MASTERS.glob("*.jpg"))]


def picture(number: int) -> bytes:
    """The JPEG of a row, always the same."""
    random = np.random.default_rng(number)
    painting = _masters()[number % len(_masters())]
    share = random.uniform(0.15, 0.9, 2)
    width, height = painting.width * share[0], painting.height * share[1]
    left = random.uniform(0, painting.width - width)
    top = random.uniform(0, painting.height - height)
    width_out, height_out = random.integers(100, 251, 2).tolist()
    box = (left, top, left + width, top + height)
    cut = painting.resize((width_out, height_out), Image.Resampling.BILINEAR, box=box)
    cut = cut.transpose(Image.Transpose(int(random.integers(7))))
    bands = [cut.getchannel(int(number)) for number in random.permutation(3)]
    file = io.BytesIO()
    Image.merge("RGB", bands).save(file, "JPEG", quality=80)
    return file.getvalue()


@dataclass(frozen=True)
class Rows:
    """What is made."""

    names: dict[str, list[str]]
    """The classes of each field."""
    numbers: dict[str, np.ndarray]
    """Each row's class in them, int64 [rows]."""

    @property
    def count(self) -> int:
        return len(self.numbers["style"])

    def label(self, field: str, row: int) -> str:
        """A class by its name, blank where it says that it is unknown."""
        name = self.names[field][self.numbers[field][row]]
        return "" if name == UNKNOWN.get(field) else name


def rows(count: int) -> Rows:
    """Classes as unevenly spread as WikiArt's are, each with a picture at least."""
    random = np.random.default_rng(0)
    names: dict[str, list[str]] = {}
    numbers: dict[str, np.ndarray] = {}
    for field, classes in COUNTS.items():
        names[field] = [f"{field}_{number:03}" for number in range(classes)]
        weights = 1 / np.arange(1, classes + 1.0)
        if field in UNKNOWN:
            at = 0 if field == "artist" else classes - 1
            names[field][at] = UNKNOWN[field]
            weights[at] = 0
            weights /= weights.sum() / (1 - _SHARES[field])
            weights[at] = _SHARES[field]
        drawn = random.choice(classes, count, p=weights / weights.sum())
        drawn[:classes] = np.arange(classes)
        numbers[field] = random.permutation(drawn)
    return Rows(names, numbers)


def make_parquet(
    folder: Path,
    made: Rows,
    pictures: Iterable[bytes],
    files: int,
    group_rows: int | None = None,
) -> None:
    """As huggan/wikiart: `data/train-00000-of-00072.parquet`, and `dataset_infos.json` beside."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    features: dict[str, object] = {"image": {"decode": True, "id": None, "_type": "Image"}}
    for field, names in made.names.items():
        features[field] = {"num_classes": len(names), "names": names, "_type": "ClassLabel"}
    infos = {"huggan--wikiart": {"description": "", "features": features}}
    (folder / "dataset_infos.json").write_text(json.dumps(infos), encoding="utf-8")
    left = iter(pictures)
    for number, inside in enumerate(np.array_split(np.arange(made.count), files)):
        images = [{"bytes": next(left), "path": None} for _ in inside]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        columns = {"image": pa.array(images, kind)}
        columns |= {field: pa.array(numbers[inside]) for field, numbers in made.numbers.items()}
        name = f"train-{number:05}-of-{files:05}.parquet"
        pq.write_table(pa.table(columns), folder / "data" / name, row_group_size=group_rows)


def make_lists(folder: Path, made: Rows, pictures: Iterable[bytes]) -> None:
    """As ArtGAN's authors have it: what is of an unknown genre or artist is in no list of those."""
    lists: dict[tuple[str, str], list[tuple[str, int]]] = {
        (field, kind): [] for field in COUNTS for kind in ("train", "val")
    }
    for row, content in enumerate(pictures):
        name = f"{made.label('style', row)}/{row:06}.jpg"
        path = folder / "wikiart" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for field in COUNTS:
            if made.label(field, row):
                validation = row % _EVERY == 0 and not (field == "style" and row % _BOTH == 0)
                kind = "val" if validation else "train"
                lists[field, kind].append((name, int(made.numbers[field][row])))
    for field in COUNTS:
        place = folder / field.capitalize()
        place.mkdir()
        text = "".join(f"{number} {name}\n" for number, name in enumerate(made.names[field]))
        (place / f"{field}_class.txt").write_text(text, encoding="utf-8")
        for kind in ("train", "val"):
            with (place / f"{field}_{kind}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(lists[field, kind])


def row_of(path: str, made: Rows, files: int) -> int:
    """The row that a source picture's path stands for."""
    if ".parquet/" not in path:
        return int(Path(path).stem)
    file, _, inside = path.rpartition("/")
    number = int(Path(file).name.split("-")[1])
    starts = [part[0] for part in np.array_split(np.arange(made.count), files)]
    return int(starts[number]) + int(inside)


def check(collection: Collection, made: Rows, files: int, looked_at: int) -> list[str]:
    """Everything in which a collection is not what was made; an empty list is what is wanted."""
    table = collection.source_table()
    wrong = []
    seen = [row_of(source["path"], made, files) for source in table]
    aside = [row for row in collection.duplicates_table() if row["kept"] == "0"]
    there = seen + [row_of(row["path"], made, files) for row in aside]
    if sorted(there) != list(range(made.count)):
        missing = set(range(made.count)) - set(there)
        wrong.append(f"{len(missing)} rows are missing, such as {sorted(missing)[:5]}")
    if sorted(field.name for field in collection.fields) != sorted(COUNTS):
        return [*wrong, f"its fields are {collection.fields}"]
    for column, field in enumerate(collection.fields):
        # A list for all, so that each label is compared.
        names = [*field.classes, ""]
        for index, source in enumerate(collection.sources.tolist()):
            found = names[collection.labels[index, column]]
            expected = made.label(field.name, seen[source])
            if found != expected:
                wrong.append(f"row {seen[source]} is of {field.name} '{found}', not '{expected}'")
        known = len(set(made.names[field.name]) - {UNKNOWN.get(field.name)})
        if len(field.classes) != known:
            wrong.append(f"{field.name} has {len(field.classes)} classes, not {known}")
    how = PackOptions(resolution=collection.resolution).fitting()
    for index in np.random.default_rng(0).permutation(len(collection))[:looked_at]:
        row = seen[collection.sources[index]]
        fitted = fit_stream(io.BytesIO(picture(row)), how).pixels[collection.resolution]
        if not np.array_equal(fitted[0], collection.images(np.array([index]))[0]):
            wrong.append(f"row {row} has other pixels")
    return wrong


def _memory(process: int) -> dict[str, int]:
    """A process's lines of `status` that are memory, in bytes; none once it has ended."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        parts = [line.split() for line in lines if line.endswith(" kB")]
        return {name.rstrip(":"): 1024 * int(number) for name, number, _ in parts}
    return {}


def _family(process: int) -> list[int]:
    """A process and all that it has started."""
    found = [process]
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += _family(int(child))
    return found


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    processor_seconds: float
    resident: int
    """The main process's resident memory at most, in bytes, mapped files included."""
    own: int
    """That without files."""
    all_own: int
    """That of all processes together."""

    def peaks(self) -> str:
        return (
            f"peak memory {self.own / 1e6:,.0f} MB in the main process "
            f"({self.resident / 1e6:,.0f} MB with files it has mapped), "
            f"{self.all_own / 1e6:,.0f} MB in all"
        )


def measured(command: list[str]) -> Cost:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; the text is what it said.
    """
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    resident = own = all_own = 0
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        while process.poll() is None:
            told = {one: _memory(one) for one in _family(process.pid)}
            resident = max(resident, told[process.pid].get("VmHWM", 0))
            own = max(own, told[process.pid].get("RssAnon", 0))
            all_own = max(all_own, sum(one.get("RssAnon", 0) for one in told.values()))
            time.sleep(_SAMPLE_SECONDS)
        seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        said.seek(0)
        text = said.read()
    if process.returncode != 0:
        raise RuntimeError(text)
    print(
        "".join(
            f"    {line}\n"
            for line in text.splitlines()
            if "/s, " not in line and "packing:" not in line
        ),
        end="",
    )
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, processor, resident, own, all_own)


def _impasto(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "impasto", *arguments]


def _pictures(count: int) -> Iterator[bytes]:
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        yield from pool.imap(picture, range(count), chunksize=256)


def run(folder: Path, made: Rows, kind: str, resolution: int, duplicates: str) -> bool:
    """Make one kind, pack it and check it; whether all is as it was made."""
    began = time.monotonic()
    source, packed = folder / kind, folder / f"{kind}-packed"
    if kind == "parquet":
        make_parquet(source, made, _pictures(made.count), FILES)
    else:
        make_lists(source, made, _pictures(made.count))
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    print(
        f"{kind}: {made.count:,} rows, {size / 1e6:,.0f} MB, made in {time.monotonic() - began:.0f} s"
    )
    sizes = ["--resolution", str(resolution), "--duplicates", duplicates]
    cost = measured(_impasto("pack", str(source), str(packed), *sizes))
    print(
        f"  {made.count / cost.seconds:,.0f} pictures/s ({cost.seconds:.0f} s; "
        f"{made.count / cost.processor_seconds:,.0f} a processor second); {cost.peaks()}"
    )
    collection = Collection.open(packed)
    looked_at = min(500, len(collection))
    wrong = check(collection, made, FILES, looked_at)
    what = f"{3 * len(collection):,} labels and the pixels of {looked_at} pictures"
    print(f"  {len(wrong)} WRONG: {wrong[:3]}" if wrong else f"  {what} are right")
    shutil.rmtree(source)
    for form, out in (("parquet", folder / "out"), ("stylegan", folder / "out.zip")):
        labels = ["--labels", "style"] if form == "stylegan" else []
        cost = measured(_impasto("unpack", str(packed), str(out), "--as", form, *labels))
        print(f"  unpacked as {form}: {cost.seconds:.0f} s; {cost.peaks()}")
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    shutil.rmtree(packed)
    return not wrong


READ_ALL = (
    "import sys; from pathlib import Path; from impasto.readers import read_source\n"
    "listing = read_source(Path(sys.argv[1]), None)\n"
    "print(sum(len(c) for c in listing.contents(range(len(listing.entries)))), 'bytes read')"
)
"""A process of its own that reads each picture of a source."""


def one_file(folder: Path) -> None:
    """What a file as large as one of WikiArt's 72 takes to be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    path = folder / "train-00000-of-00072.parquet"
    images = [{"bytes": random.bytes(465_000), "path": None} for _ in range(1131)]
    pq.write_table(pa.table({"image": images}), path)
    del images
    cost = measured([sys.executable, "-c", READ_ALL, str(path)])
    print(f"one file of {path.stat().st_size / 1e6:,.0f} MB: {cost.seconds:.1f} s; {cost.peaks()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--duplicates", default="none", help="labels are checked with none only")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.add_argument("--only", choices=["parquet", "lists"])
    parser.add_argument("--one-file", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.one_file:
            one_file(folder)
            return
        made = rows(options.rows)
        kinds = [options.only] if options.only else ["parquet", "lists"]
        right = [run(folder, made, kind, options.resolution, options.duplicates) for kind in kinds]
    sys.exit(not all(right))


if __name__ == "__main__":
    run_command(main)
