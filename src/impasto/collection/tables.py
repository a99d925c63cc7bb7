"""Read and write the CSV tables of a collection, such as `sources.csv`."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from impasto.collection.shards import RESTORE
from impasto.errors import ImpastoError
from impasto.files import refuse_pointer_file


def read_table(path: Path, *, required: bool = True) -> list[dict[str, str]]:
    """The rows of a table, by column; missing cells at a row's end are blank.

    Args:
        path: of the table.
        required: whether a missing file is an error; if not, it has no rows.

    Raises:
        ImpastoError: the file is missing, unreadable or damaged.
    """
    refuse_pointer_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except FileNotFoundError:
        if not required:
            return []
        raise ImpastoError(f"{path} is missing; restore it from a copy") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImpastoError(f"{path} is damaged ({error}); {RESTORE}") from error
    for number, row in enumerate(rows, start=1):
        if None in row:  # csv puts the cells beyond the last column there
            raise ImpastoError(
                f"{path} is damaged: row {number:,} has more cells than there are columns; {RESTORE}"
            )
    return rows


def write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table: its header, then its rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        table.writerows(rows)
