"""A run folder as it lies on disk, finished or not: what was trained on what, and what came of it.

Only files are read, so a report can be made while the training goes on, or on another machine.
Nothing but `run.json` has to be there.
"""

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from impasto.errors import ImpastoError
from impasto.files import read_json, read_json_lines
from impasto.report.findings import Counts, Floats

# A null in one of these rows is a number that broke; elsewhere it is a value that was not taken.
_MUST_BE_FINITE = ("loss/", "score/")


@dataclass(frozen=True)
class Record:
    """What a run folder holds.

    Attributes:
        folder: of the run.
        run: `run.json` as it is.
        images_seen: [N], rising; the end of each interval.
        series: name in `stats.jsonl` -> [N]; NaN: not recorded there, infinity: not finite.
        grids: (images seen, file) of each grid of generated pictures, the earliest first.
        reals: the grid of real pictures, if there.
    """

    folder: Path
    run: dict[str, Any]
    images_seen: Counts
    series: dict[str, Floats]
    grids: list[tuple[int, Path]]
    reals: Path | None

    def get(self, *names: str, default: Any = None) -> Any:
        """`run.json` at `names`, or `default` where any of them is missing."""
        value: Any = self.run
        for name in names:
            if not isinstance(value, dict) or value.get(name) is None:
                return default
            value = value[name]
        return value

    def count(self, *names: str) -> int | None:
        """`run.json` at `names` if that is a whole number above zero, else None."""
        value = self.get(*names)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return value if is_count else None

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def pictures(self) -> int | None:
        """Training pictures: the images of one epoch."""
        return self.count("collection", "count")

    @property
    def images_done(self) -> int:
        """Images seen up to the last row or grid."""
        rows = int(self.images_seen[-1]) if len(self.images_seen) else 0
        return max(rows, self.grids[-1][0] if self.grids else 0)

    @property
    def steps(self) -> int | None:
        """Steps of the game up to the last row, if told: one optimiser step of the generator each."""
        steps = self.series.get("step")
        if steps is None or not np.isfinite(steps).any():
            return None
        return int(steps[np.isfinite(steps)][-1])

    @property
    def images_planned(self) -> int | None:
        """Length of the whole run, if `run.json` tells."""
        return self.count("config", "training", "images")

    @property
    def probability(self) -> bool:
        """Whether scores are probabilities, rather than a critic's."""
        return bool(self.get("score", default="probability") == "probability")

    @property
    def columns(self) -> int:
        """Pictures side by side in a grid."""
        return self.count("grid", "columns") or 8

    def epochs(self, images: int) -> float | None:
        """Passes over the training pictures that `images` make."""
        return images / self.pictures if self.pictures else None


def _rows(path: Path) -> list[dict[str, Any]]:
    """The whole rows of `stats.jsonl`, in rising order of `images_seen`.

    A run that was killed may end in half a line, and one that went on from a checkpoint may tell
    the same stretch twice: then the later telling holds.
    """
    rows: list[dict[str, Any]] = []
    for row in read_json_lines(path):
        seen = row.get("images_seen")
        if not isinstance(seen, int):
            continue
        while rows and rows[-1]["images_seen"] >= seen:
            rows.pop()
        rows.append(row)
    return rows


def _series(rows: list[dict[str, Any]], name: str, pretrain_images: int) -> Floats:
    values = np.full(len(rows), np.nan)
    for index, row in enumerate(rows):
        value = row.get(name, ...)
        # While the discriminator trains alone, the generator has no loss that could break.
        alone = "generator" in name and row["images_seen"] <= pretrain_images
        if value is ... or (value is None and alone):
            continue
        if isinstance(value, int | float) and math.isfinite(value):
            values[index] = value
        elif name.startswith(_MUST_BE_FINITE):
            values[index] = np.inf
    return values


def _grids(folder: Path) -> list[tuple[int, Path]]:
    found = []
    for path in folder.glob("fakes-*.png"):
        match = re.fullmatch(r"fakes-(\d+)\.png", path.name)
        if match:
            found.append((int(match[1]), path))
    return sorted(found)


def read_record(folder: Path) -> Record:
    """Read the run in `folder`.

    Raises:
        ImpastoError: there is no run, or its `run.json` is damaged.
    """
    if not folder.is_dir():
        raise ImpastoError(f"{folder} is not a folder; give the folder of a run")
    path = folder / "run.json"
    if not path.exists():
        hint = (
            f"; for the newest run in it, use --latest {folder}"
            if any(folder.glob("*/run.json"))
            else "; give a folder that 'impasto train' made"
        )
        raise ImpastoError(f"{folder} is not a run (it has no run.json){hint}")
    run = read_json(path, "run")
    if not isinstance(run, dict):
        raise ImpastoError(f"{path} is damaged (no JSON object); restore it from a copy")
    rows = _rows(folder / "stats.jsonl")
    config = run.get("config")
    training = config.get("training") if isinstance(config, dict) else None
    pretrain = training.get("pretrain_images") if isinstance(training, dict) else None
    names = sorted({name for row in rows for name in row} - {"images_seen"})
    reals = folder / "samples" / "reals.png"
    return Record(
        folder=folder,
        run=run,
        images_seen=np.array([row["images_seen"] for row in rows], dtype=np.int64),
        series={
            name: _series(rows, name, pretrain if isinstance(pretrain, int) else 0)
            for name in names
        },
        grids=_grids(folder / "samples"),
        reals=reals if reals.exists() else None,
    )


def _created(folder: Path) -> datetime:
    """When a run was begun, as `run.json` says or as its date on disk."""
    path = folder / "run.json"
    try:
        created = datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8"))["created"])
    except (OSError, ValueError, KeyError, TypeError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return created.astimezone(UTC)


def newest_run(folder: Path) -> Path:
    """The run in `folder` that was begun last; `folder` itself, if that is a run.

    Raises:
        ImpastoError: there is no run.
    """
    if (folder / "run.json").exists():
        return folder
    if not folder.is_dir():
        raise ImpastoError(f"{folder} is not a folder; give a folder with runs in it")
    runs = [path.parent for path in folder.glob("*/run.json")]
    if not runs:
        raise ImpastoError(f"{folder} has no run in it; train one with 'impasto train'")
    return max(runs, key=lambda run: (_created(run), run.name))
