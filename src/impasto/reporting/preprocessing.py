"""A painting before and after preprocessing.

This is optional in a report: if the collection has moved or its source is gone, the page says so.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from impasto.collection import Collection
from impasto.decoding.colour import to_rgb
from impasto.errors import ImpastoError
from impasto.files import read_json, sha256_of_file
from impasto.reporting.record import RunRecord
from impasto.resolution import parse_resolution

Box = tuple[float, float, float, float]

# Sources to try before giving up; an unmounted disk lacks all.
_TRIES = 50
_BEFORE_SIDE = 960
_MASTERS = Path(__file__).parent.parent / "masters"

_SAYS = {
    "crop": "The network sees the square in the centre (outlined).",
    "aspect": "The network sees the part in the centre (outlined), in the nearest of several shapes.",
    "squash": "The network sees all of it, squeezed into a square.",
    "pad": "The network sees all of it, on a square background.",
    "tiles": "The network sees squares cut from it; one of them is outlined.",
}


@dataclass(frozen=True)
class BeforeAndAfter:
    """A painting and its packed picture.

    Attributes:
        title: its title, or its file's name.
        size: width and height of the source picture, in pixels.
        before: the source picture, shrunk to fit 960 pixels, with the packed part outlined.
        after: the packed picture, [R, R].
        says: a sentence on the preprocessing.
    """

    title: str
    size: tuple[int, int]
    before: Image.Image
    after: Image.Image
    says: str


def before_and_after(record: RunRecord) -> tuple[BeforeAndAfter | None, str]:
    """A pair from the run's collection, and ''; or None, and the reason."""
    path = record.get("collection", "path")
    if not isinstance(path, str):
        return None, "the run does not say where its collection is"
    if not Path(path).is_dir():
        return None, f"the collection is no longer at {path}"
    try:
        resolution = record.get("collection", "resolution")
        seen = None if resolution is None else parse_resolution(resolution)
        only = record.get("collection", "only")
        part = only if isinstance(only, str) else None
        return _pair(Collection.open(Path(path), seen).only(part))
    except (ImpastoError, OSError, ValueError, KeyError, IndexError, SyntaxError) as error:
        return None, f"the collection at {path} cannot be read ({error})"


def _pair(collection: Collection) -> tuple[BeforeAndAfter | None, str]:
    named = str(read_json(collection.path / "collection.json", "collection")["made"]["source"])
    root = _root(named)
    table = collection.source_table()
    chosen: tuple[int, int, Path] | None = None
    for index, source in _training_sources(collection):
        row = table[source]
        file = root / row["path"]
        if not file.is_file():
            continue
        width, height = int(row["width"]), int(row["height"])
        # A picture that is not square shows the fitting.
        telling = max(width, height) >= 1.2 * min(width, height)
        if chosen is None or telling:
            chosen = index, source, file
        if telling:
            break
    if chosen is None:
        return None, f"the source pictures are not to be found at {named}"
    index, source, file = chosen
    row = table[source]
    if row.get("sha256") and sha256_of_file(file) != row["sha256"]:
        return None, f"the source picture {file} has changed since it was packed"
    pixels = collection.images(np.array([index]))[0]
    box, mirrored = _box(collection.path / "pictures.csv", index)
    says = _SAYS.get(collection.fit, "")
    if not isinstance(collection.resolution, int):
        says = says.replace("square", "rectangle")
    if mirrored:
        says += " It is also mirrored."
    pair = BeforeAndAfter(
        title=row.get("title") or Path(row["path"]).name,
        size=(int(row["width"]), int(row["height"])),
        before=_before(file, (int(row["width"]), int(row["height"])), box),
        after=Image.fromarray(pixels),
        says=says,
    )
    return pair, ""


def _root(named: str) -> Path:
    """The root of the source table's paths: the source, or a table's folder."""
    path = _MASTERS if named == "masters" else Path(named)
    return path.parent if path.is_file() else path


def _training_sources(collection: Collection) -> list[tuple[int, int]]:
    """(picture, source) of the first training picture of each of the first sources."""
    train = collection.train_indices
    sources, first = np.unique(collection.sources[train], return_index=True)
    pairs = zip(train[first].tolist(), sources.tolist(), strict=True)
    return sorted(pairs)[:_TRIES]


def _box(path: Path, index: int) -> tuple[Box | None, bool]:
    """The part of its source that picture `index` shows, and whether it is mirrored."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["index"] == str(index):
                edges = [float(row[edge]) for edge in ("left", "top", "right", "bottom")]
                return (edges[0], edges[1], edges[2], edges[3]), row["mirrored"] == "1"
    return None, False


def _before(file: Path, size: tuple[int, int], box: Box | None) -> Image.Image:
    """The source picture, upright and shrunk, with `box` outlined if it is a part."""
    with Image.open(file) as image:
        image.draft("RGB", (_BEFORE_SIDE, _BEFORE_SIDE))
        upright = to_rgb(ImageOps.exif_transpose(image))
    upright.thumbnail((_BEFORE_SIDE, _BEFORE_SIDE), Image.Resampling.LANCZOS)
    if box is None or box == (0, 0, *size):
        return upright
    across, down = upright.width / size[0], upright.height / size[1]
    left, top, right, bottom = (
        edge * scale for edge, scale in zip(box, (across, down, across, down), strict=True)
    )
    draw = ImageDraw.Draw(upright)
    # Two colours, to be visible on any painting.
    for inset, colour in ((0, (0, 0, 0)), (2, (255, 255, 255)), (4, (0, 0, 0))):
        edges = (left + inset, top + inset, right - 1 - inset, bottom - 1 - inset)
        if edges[2] > edges[0] and edges[3] > edges[1]:
            draw.rectangle(edges, outline=colour, width=2)
    return upright
