"""A folder of PNGs by class, such as train/Cubism/00000012.png, with a table, metadata.csv.

torchvision's ImageFolder (OUT/train), Hugging Face's imagefolder and `impasto pack` read it. Pictures of
unknown class are in a folder `unknown`, which other tools read as a class. Without it, imagefolder would
drop all classes.
"""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from impasto.collection.unpacking import Job, picture_name
from impasto.files import atomic_folder
from impasto.sources.trees import is_litter

TITLE = "a folder by class with metadata.csv"
DEFAULT_SPLIT = "all"
SINGLE_FIELD = True
NEEDS_CLASS = False
RECORDS_SPLIT = True

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST = 80
"""Most characters of a folder's name, which are at most 240 bytes (file systems allow 255)."""


def write(job: Job, out: Path) -> None:
    """Write the folder.

    Raises:
        ImpastoError: it cannot be written.
    """
    collection = job.collection
    (column,) = job.fields or (None,)
    # The table has all fields, also the one by which there are folders.
    fields = [field.name for field in collection.fields]
    # The label -1 indexes the last name, `unknown`.
    names = [] if column is None else folder_names([*collection.fields[column].classes, "unknown"])
    columns, sources = job.provenance(leave_out=fields)
    with (
        atomic_folder(out) as folder,
        (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(["file_name", "split", *fields, *columns])
        for part, index, picture in job.pictures():
            labels = collection.labels[index].tolist()
            place = Path(part) if column is None else Path(part, names[labels[column]])
            (folder / place).mkdir(parents=True, exist_ok=True)
            path = place / picture_name(index)
            (folder / path).write_bytes(picture)
            classes = zip(collection.fields, labels, strict=True)
            table.writerow(
                [
                    path.as_posix(),
                    part,
                    *(field.classes[at] if at >= 0 else "" for field, at in classes),
                    *(sources[int(collection.sources[index])][name] for name in columns),
                ]
            )


def folder_names(classes: Sequence[str]) -> list[str]:
    """A folder name for each class, valid and unique on every system."""
    names: list[str] = []
    taken: set[str] = set()
    for label in classes:
        name = _FORBIDDEN.sub("_", label)[:_LONGEST].strip(" .") or "_"
        if is_litter(name) or _RESERVED.match(name):
            name = f"_{name}"
        free, number = name, 2
        while free.casefold() in taken:
            free = f"{name}-{number}"
            number += 1
        taken.add(free.casefold())
        names.append(free)
    return names
