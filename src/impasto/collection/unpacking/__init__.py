"""Write collections in formats of other tools. Each format is a file, so a new one changes no other.

A format is a module with:
- `TITLE: str`, its name for messages;
- `DEFAULT_SPLIT: str`, a name in `SPLITS`;
- `SINGLE_FIELD: bool`, whether it can hold only one label field;
- `NEEDS_CLASS: bool`, whether every picture must have a class if any has;
- `RECORDS_SPLIT: bool`, whether it records which pictures are held out;
- `write(job: Job, out: Path) -> None`, which writes everything or nothing.
"""

import importlib
import io
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from impasto.collection.store import Collection, LabelField
from impasto.decoding.workers import available_cores
from impasto.errors import ImpastoError, choices
from impasto.formatting import counted
from impasto.registry import module_names
from impasto.resolution import area

SPLITS = {"train": ("train",), "heldout": ("test",), "all": ("train", "test")}
"""By value of `--split`: the parts that are written, `train` and `test`."""

Progress = Callable[[int, int], None]
"""Called with the number of pictures done and of all."""

_CHUNK = 256
_CHUNK_BYTES = 2**26
"""Most pictures, and most bytes of pixels, in memory at once."""
_OWN_COLUMNS = ("index", "split")
"""Columns of `sources.csv` that are not copied, because the written files have their own."""


@dataclass(frozen=True)
class Job:
    """What is written: a collection, its label fields, and the pictures."""

    collection: Collection
    fields: tuple[int, ...]
    """The columns of `collection.labels` that are written."""
    parts: dict[str, np.ndarray]
    """The indices of the pictures of `train` and `test`; none is empty."""
    progress: Progress

    @cached_property
    def total(self) -> int:
        """The number of pictures to write."""
        return sum(map(len, self.parts.values()))

    def label_fields(self) -> list[LabelField]:
        """The label fields that are written."""
        return [self.collection.fields[column] for column in self.fields]

    def pictures(self) -> Iterator[tuple[str, int, bytes]]:
        """The part, the index and the PNG file of each picture, part by part.

        Pictures are compressed in parallel. Few are in memory at once.
        """
        picture_bytes = area(self.collection.resolution) * 3
        chunk = max(1, min(_CHUNK, _CHUNK_BYTES // picture_bytes))
        done = 0
        self.progress(done, self.total)
        with ThreadPoolExecutor(available_cores()) as threads:
            for part, indices in self.parts.items():
                for start in range(0, len(indices), chunk):
                    some = indices[start : start + chunk]
                    files = threads.map(_png, self.collection.images(some))
                    for index, file in zip(some.tolist(), files, strict=True):
                        yield part, index, file
                        done += 1
                    self.progress(done, self.total)

    def provenance(self, leave_out: Sequence[str] = ()) -> tuple[list[str], list[dict[str, str]]]:
        """Descriptions of the source pictures from `sources.csv`.

        Args:
            leave_out: columns that are not wanted.

        Returns:
            The names of the other columns that are not blank for every picture; and all rows.
        """
        rows = self.collection.source_table()
        names = list(rows[0]) if rows else []
        kept = [name for name in names if name not in (*_OWN_COLUMNS, *leave_out)]
        return [name for name in kept if any(row[name] for row in rows)], rows


@dataclass(frozen=True)
class Unpacked:
    """The result of unpacking."""

    pictures: int
    """The number of pictures written."""
    format: str
    """The format's title."""
    notes: list[str]
    """Notes for the user, a sentence each."""


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def picture_name(index: int) -> str:
    """A file name from the picture's index in the collection."""
    return f"{index:08}.png"


def formats() -> list[str]:
    """The names of the formats."""
    return module_names("collection/unpacking")


def _format(name: str) -> ModuleType:
    if name not in formats():
        raise ImpastoError(f"unknown format '{name}'; there is {choices(formats())}")
    return importlib.import_module(f"{__name__}.{name}")


def unpack(
    collection: Collection,
    out: Path,
    name: str,
    labels: tuple[str, ...] | None = None,
    split: str | None = None,
    progress: Progress = lambda done, total: None,
) -> Unpacked:
    """Write a collection in another format. If it fails, nothing is left behind.

    Args:
        collection: opened at the resolution to write.
        out: the file or folder to make; it must not exist.
        name: the format.
        labels: the label fields to write; None: all, (): none.
        split: a name in `SPLITS`; None: the format's default.
        progress: called now and then with the number of pictures done and of all.

    Raises:
        ImpastoError: `out` exists or cannot be written; a format, a split or a label field is unknown;
            the format cannot hold what was chosen; or there is no picture to write.
    """
    module = _format(name)
    if out.exists() or out.is_symlink():
        raise ImpastoError(f"{out} exists already; choose another name or remove it first")
    wanted = module.DEFAULT_SPLIT if split is None else split
    if wanted not in SPLITS:
        raise ImpastoError(f"unknown split '{split}'; there is {choices(list(SPLITS))}")
    names = [field.name for field in collection.fields] if labels is None else list(labels)
    fields = tuple(collection.field(field) for field in names)
    if module.SINGLE_FIELD and len(fields) > 1:
        raise ImpastoError(
            f"{module.TITLE} has one class a picture: add "
            f"{' or '.join(f'--labels {field}' for field in names)}"
        )
    parts, notes = _chosen(collection, module, wanted, fields)
    job = Job(collection, fields, parts, progress)
    module.write(job, out)
    return Unpacked(job.total, module.TITLE, notes)


def _chosen(
    collection: Collection, module: ModuleType, wanted: str, fields: tuple[int, ...]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The indices of the pictures to write, by part, and notes on the others.

    Args:
        collection: the collection to write.
        module: the format's module.
        wanted: a name in `SPLITS`.
        fields: columns of the label fields to write.

    Raises:
        ImpastoError: there is no picture to write.
    """
    parts = {"train": collection.train_indices, "test": collection.heldout_indices}
    notes = []
    left_out = sum(len(parts.pop(part)) for part in list(parts) if part not in SPLITS[wanted])
    if left_out:
        other = "held out" if wanted == "train" else "for training"
        notes.append(
            f"left out: {counted(left_out, 'picture')} {other}; --split all takes them along"
        )
    if module.NEEDS_CLASS and fields:
        known = {
            part: rows[collection.labels[rows, fields[0]] >= 0] for part, rows in parts.items()
        }
        unknown = sum(len(parts[part]) - len(known[part]) for part in parts)
        if unknown:
            name = collection.fields[fields[0]].name
            notes.append(
                f"left out: {counted(unknown, 'picture')} of unknown {name}, since each must have "
                "a class; --labels '' takes them along, without classes"
            )
        parts = known
    parts = {part: rows for part, rows in parts.items() if len(rows)}
    if not parts:
        raise ImpastoError(f"there is nothing to write: {'; '.join(notes) or 'no pictures'}")
    if len(parts) > 1 and not module.RECORDS_SPLIT:
        notes.append(
            "which pictures are held out is not written in it: they are the last "
            f"{len(parts['test']):,}"
        )
    return parts, notes
