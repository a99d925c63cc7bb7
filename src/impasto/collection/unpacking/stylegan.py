"""The zip that StyleGAN2-ADA and its successors train on, by the help text of NVlabs' dataset_tool.py.

It holds PNGs of one size, uncompressed, in folders of a thousand, and `dataset.json`: {"labels": [[name,
class], ...]} with classes as numbers from 0, or {"labels": null}. Those programs ignore other keys, so
the names of the field and of its classes are added for people and `impasto pack`.
"""

import json
import zipfile
from pathlib import Path

from impasto.collection.unpacking import Job
from impasto.errors import ImpastoError
from impasto.files import atomic_file

TITLE = "StyleGAN's zip with dataset.json"
DEFAULT_SPLIT = "train"
SINGLE_FIELD = True
NEEDS_CLASS = True
RECORDS_SPLIT = False

# The earliest time in zips; a fixed time makes the bytes reproducible.
_WHEN = (1980, 1, 1, 0, 0, 0)


def write(job: Job, out: Path) -> None:
    """Write the archive.

    Raises:
        ImpastoError: its name does not end in .zip or the pictures are no squares, both of which those
            programs require; or it cannot be written.
    """
    if not isinstance(job.collection.resolution, int):
        raise ImpastoError(
            f"StyleGAN reads squares, and these pictures are of {job.collection.resolution} px; choose "
            "--as folder or parquet"
        )
    if out.suffix != ".zip":
        raise ImpastoError(f"StyleGAN reads archives called .zip; write to {out.name}.zip")
    labels: list[list[str | int]] = []
    described: dict[str, object] = {"labels": labels if job.fields else None}
    for field in job.label_fields():
        described |= {"field": field.name, "class_names": list(field.classes)}
    with atomic_file(out) as temporary, zipfile.ZipFile(temporary, "x") as archive:
        for number, (_, index, file) in enumerate(job.pictures()):
            name = f"{number // 1000:05}/img{number:08}.png"
            archive.writestr(zipfile.ZipInfo(name, _WHEN), file)
            labels += [[name, int(job.collection.labels[index, column])] for column in job.fields]
        text = json.dumps(described, ensure_ascii=False)
        archive.writestr(zipfile.ZipInfo("dataset.json", _WHEN), text)
