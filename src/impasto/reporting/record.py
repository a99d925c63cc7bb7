"""Read a run folder, finished or not: settings, statistics, grids, evaluations.

Only files are read, so reports work during training and on other machines. Only `run.json` is
required.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from impasto.config import FIRST_STAGE
from impasto.diagnosis import EVENTS, GAVE_UP, WENT_BACK
from impasto.diagnosis.curves import Counts, Floats
from impasto.errors import ImpastoError
from impasto.evaluation.record import METRICS_FILE, EvaluationRow, read_rows
from impasto.files import read_json, read_json_lines
from impasto.reporting.grid_files import ClassGrids, class_grids_of, grids_in, tall_of
from impasto.sampling.model import COPYING, SMOOTHED_KID, stalled

# In these rows null means a non-finite number; elsewhere, a value not recorded.
_MUST_BE_FINITE = ("loss/", "score/")


@dataclass(frozen=True)
class RunLabels:
    """A label field of the run's collection: its name, and (class, training pictures) of each."""

    name: str
    classes: tuple[tuple[str, int], ...]

    @property
    def known(self) -> int:
        """The number of training pictures with a known class."""
        return sum(count for _, count in self.classes)

    @property
    def commonest(self) -> float:
        """The largest class's share of the training pictures of known class."""
        return max((count for _, count in self.classes), default=0) / max(1, self.known)


@dataclass(frozen=True)
class Event:
    """An event of the doctor in training.

    Attributes:
        images_seen: its moment.
        kind: `begun`, `passed`, `went back` or `gave up`.
        symptom: its short name.
        words: what was seen.
        then: the intervention or advice; may be empty.
    """

    images_seen: int
    kind: str
    symptom: str
    words: str
    then: str


@dataclass(frozen=True)
class RunRecord:
    """The contents of a run folder.

    Attributes:
        folder: of the run.
        run: the contents of `run.json`.
        images_seen: [N], rising; the end of each interval.
        series: name in `stats.jsonl` -> [N]; NaN: not recorded there, infinity: not finite.
        grids: (images seen, file) of each grid of generated pictures, the earliest first.
        reals: the grid of real pictures, if it exists.
        class_grids: one for each label field that the run is conditioned on.
        evaluations: the rows of `metrics.jsonl`, in order.
        doctor: the doctor's events, in order.
        rows: the rows of `stats.jsonl`.
    """

    folder: Path
    run: dict[str, Any]
    images_seen: Counts
    series: dict[str, Floats]
    grids: list[tuple[int, Path]]
    reals: Path | None
    class_grids: list[ClassGrids]
    evaluations: list[EvaluationRow]
    doctor: list[Event]
    rows: list[dict[str, Any]]
    of_model: bool = False  # a model by itself, see record_of_model.py

    def get(self, *names: str, default: Any = None) -> Any:
        """The value in `run.json` at the path `names`, or `default` if it is missing."""
        value: Any = self.run
        for name in names:
            if not isinstance(value, dict) or value.get(name) is None:
                return default
            value = value[name]
        return value

    def count(self, *names: str) -> int | None:
        """The value in `run.json` at `names` if it is a positive integer, else None."""
        value = self.get(*names)
        is_count = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return value if is_count else None

    def last(self, name: str) -> float | None:
        """The last recorded number of a series, if there is one."""
        values = self.series.get(name)
        if values is None or not np.isfinite(values).any():
            return None
        return float(values[np.isfinite(values)][-1])

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def pictures(self) -> int | None:
        """Training pictures: the images of one epoch."""
        return self.count("collection", "count")

    @property
    def collection_hash(self) -> str | None:
        """Content hash of the training collection."""
        value = self.get("collection", "hash")
        return value if isinstance(value, str) else None

    @property
    def images_done(self) -> int:
        """Images seen up to the last row or grid."""
        rows = int(self.images_seen[-1]) if len(self.images_seen) else 0
        return max(rows, self.grids[-1][0] if self.grids else 0)

    @property
    def steps(self) -> int | None:
        """Generator steps up to the last row, if recorded.

        Steps in which the discriminator trains alone do not count.
        """
        steps = self.series.get("step")
        if steps is None or not np.isfinite(steps).any():
            return None
        known = np.isfinite(steps)
        alone = steps[known & (self.images_seen <= self.pretrain_images)]
        return int(steps[known][-1] - (alone[-1] if len(alone) else 0))

    @property
    def images_per_step(self) -> float | None:
        """Images in one step, if recorded and the same throughout."""
        steps = self.series.get("step")
        if steps is None:
            return None
        known = np.isfinite(steps) & (steps > 0)
        images, steps = self.images_seen[known], steps[known]
        if not len(steps):
            return None
        each = float(images[-1] / steps[-1])
        return each if bool((np.abs(images - each * steps) <= each).all()) else None

    @property
    def pretrain_images(self) -> int:
        """Images for which the discriminator trains alone, before the generator's first step."""
        return self.count("config", "training", "pretrain_images") or 0

    @property
    def images_planned(self) -> int | None:
        """Planned length of the run, if `run.json` has it."""
        return self.count("config", "training", "images")

    @property
    def ended_early(self) -> bool:
        """Whether it ended because its smoothed KID had not improved for `evaluation.patience`."""
        smoothed = self.series.get(SMOOTHED_KID)
        if smoothed is None:
            return False
        copying = self.series.get(COPYING, np.zeros(len(smoothed)))
        rows = [
            {"images_seen": int(seen), SMOOTHED_KID: float(value), COPYING: copied == 1}
            for seen, value, copied in zip(self.images_seen, smoothed, copying, strict=True)
            if np.isfinite(value)
        ]
        only = self.get("config", "evaluation", "only_if_copying") is True
        patience = self.count("config", "evaluation", "patience")
        return stalled(rows, patience, only_if_copying=only)

    @property
    def given_up(self) -> Event | None:
        """The symptom for which the doctor stopped the run, unless it was resumed since."""
        last = self.doctor[-1] if self.doctor else None
        ended = last is not None and last.kind == GAVE_UP and last.images_seen >= self.images_done
        return last if ended else None

    @property
    def probability(self) -> bool:
        """Whether scores are probabilities, not a critic's."""
        return bool(self.get("score", default="probability") == "probability")

    @property
    def balance(self) -> str | None:
        """The label field whose classes are balanced equally, if any."""
        equal = self.get("config", "training", "balance_by", default="equal") == "equal"
        return self.turns if equal else None

    @property
    def turns(self) -> str | None:
        """The label field whose classes are balanced, if any."""
        field = self.get("config", "training", "balance")
        return field if isinstance(field, str) else None

    def shown(self, field: RunLabels) -> dict[str | None, float]:
        """The share of training of each class (None: unknown) of the balanced field; empty for
        others."""
        entries = self.get("classes_shown", default=[])
        if field.name != self.turns or not isinstance(entries, list):
            return {}
        return {
            each.get("class"): float(each["share"])
            for each in entries
            if isinstance(each, dict) and isinstance(each.get("share"), int | float)
        }

    def commonest(self, field: RunLabels) -> float:
        """The share of the most frequent class in training, among known classes."""
        known = [share for name, share in self.shown(field).items() if name is not None]
        return max(known) / sum(known) if sum(known) else field.commonest

    @property
    def fields(self) -> list[RunLabels]:
        """The collection's label fields, whether the run is conditioned on them or not."""
        fields = self.get("collection", "fields", default=[])
        return [
            RunLabels(
                str(item.get("name", "label")),
                tuple(
                    (str(name), count)
                    for name, count in zip(item["classes"], item["counts"], strict=False)
                    if isinstance(count, int)
                ),
            )
            for item in (fields if isinstance(fields, list) else [])
            if isinstance(item, dict)
            and isinstance(item.get("classes"), list)
            and isinstance(item.get("counts"), list)
        ]

    @property
    def first_stage(self) -> Path | None:
        """The run of the first stage, in this run's folder, if it has begun."""
        stage = self.folder / FIRST_STAGE
        return stage if (stage / "run.json").exists() else None

    @property
    def whole(self) -> Path | None:
        """The run that this one is the first stage of, if it is one."""
        folder = self.folder.resolve()
        if folder.name != FIRST_STAGE or not (folder.parent / "run.json").exists():
            return None
        return folder.parent

    @property
    def columns(self) -> int:
        """Pictures side by side in a grid."""
        return self.count("grid", "columns") or 8

    @property
    def tall(self) -> float:
        """The height of a picture divided by its width."""
        return tall_of(self.run)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The whole rows of `stats.jsonl`, in rising order of `images_seen`.

    A killed run may end in half a line, and a resumed one may repeat rows: the later ones count.
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
        # While the discriminator trains alone, the generator has no loss.
        alone = "generator" in name and row["images_seen"] <= pretrain_images
        if value is ... or (value is None and alone):
            continue
        if isinstance(value, int | float) and math.isfinite(value):
            values[index] = value
        elif name.startswith(_MUST_BE_FINITE):
            values[index] = np.inf
    return values


def _events(rows: list[dict[str, Any]]) -> list[Event]:
    """The doctor's events; invalid ones are left out."""
    found = []
    for row in rows:
        events = row.get(EVENTS)
        for event in events if isinstance(events, list) else ():
            if not isinstance(event, dict):
                continue
            kind, symptom, words = (event.get(key) for key in ("event", "symptom", "words"))
            if not all(isinstance(text, str) for text in (kind, symptom, words)):
                continue
            seen_at, advice = event.get("seen_at"), event.get("advice") or ""
            then = str(advice)
            if kind == GAVE_UP:
                then = f"The run was stopped. {advice}"
            if kind == WENT_BACK:
                back, factor = event.get("back_to"), event.get("learning_rate_factor")
                if not isinstance(back, int) or not isinstance(factor, float):
                    continue
                then = f"Went back to {back:,} images, {event.get('remedy')}"
                then += f" ({factor:.3g} of what was set)."
            moment = seen_at if isinstance(seen_at, int) else row["images_seen"]
            found.append(Event(moment, str(kind), str(symptom), str(words), then))
    return found


def read_record(folder: Path) -> RunRecord:
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
    names = sorted({name for row in rows for name in row} - {"images_seen", EVENTS})
    reals = folder / "samples" / "reals.png"
    return RunRecord(
        folder=folder,
        run=run,
        images_seen=np.array([row["images_seen"] for row in rows], dtype=np.int64),
        series={
            name: _series(rows, name, pretrain if isinstance(pretrain, int) else 0)
            for name in names
        },
        grids=grids_in(folder / "samples"),
        reals=reals if reals.exists() else None,
        class_grids=class_grids_of(run, folder / "samples"),
        evaluations=read_rows(folder / METRICS_FILE),
        doctor=_events(rows),
        rows=rows,
    )


def _created(folder: Path) -> datetime:
    """A run's start, from `run.json` or its date on disk."""
    path = folder / "run.json"
    try:
        created = datetime.fromisoformat(read_json(path, "run")["created"])
    except (ImpastoError, ValueError, KeyError, TypeError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return created.astimezone(UTC)


def newest_run(folder: Path) -> Path:
    """The newest run in `folder`, or `folder` itself if it is a run.

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
