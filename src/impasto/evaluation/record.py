"""`metrics.jsonl`: a row for each evaluation, of one checkpoint (or folder) by one feature network.

Read without torch, so that reports can.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from impasto.files import read_json_lines, write_error

METRICS_FILE = "metrics.jsonl"
EVALUATION_FOLDER = "evaluation"
"""In a run: what evaluations leave beside their rows, in folders named by images seen."""


PICTURE = {"train": "training picture", "heldout": "held-out picture", "all": "picture"}
"""What a picture of a split is called."""


class _Record(BaseModel):
    # Rows of a newer impasto may say more.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Better = Literal["higher", "lower", "nearest to 1"]
"""Which end of a score is better."""


class ScoreRow(_Record):
    """One number, of all pictures or of one class."""

    name: str
    """`kid-lite0`, `fid`, `top1-judge`: what is measured and by what."""
    field: str | None = None
    """The label field, for scores by class and for those that a field's judge gives."""
    cls: str | None = None
    """The class; None: all pictures."""
    value: float | None
    """None where there are too few pictures for any number; `warning` says so."""
    low: float | None = None
    high: float | None = None
    """95% interval: where another draw of as many pictures would mostly lie."""
    deviation: float | None = None
    """Of an Inception Score: the standard deviation of ten equal parts' scores, as the literature
    reports it; no interval of the whole's score."""
    pictures: int
    """Pictures that are judged."""
    reference: int
    """Real ones that they are compared with; 0 where there is no such comparison."""
    better: Better | None = None
    """What its metric's file declares (`BETTER`), as those of plugins may."""
    warning: str | None = None


class SubjectRecord(_Record):
    """What was evaluated."""

    kind: Literal["run", "model", "pictures"]
    name: str
    images_seen: int | None = None
    weights_sha256: str | None = None
    recipe: str | None = None


class NetworkRecord(_Record):
    """The feature network."""

    name: str
    weights_sha256: str
    resize: str
    width: int


class ComparedCollection(_Record):
    """Where the real pictures come from."""

    name: str
    hash: str
    resolution: int


class ReferenceRecord(_Record):
    """The real pictures that are compared with."""

    split: Literal["train", "heldout", "all"]
    pictures: int
    sources: int
    available: int
    """Pictures of that split; more than `pictures` where a sample of them was taken."""


class PicturesRecord(_Record):
    """The generated pictures."""

    count: int
    """With classes as frequent as in the collection; all overall scores are of these."""
    extra: int = 0
    """More of rare classes, for scores by class only."""
    per_class: int = 0
    """As many of each class at least."""
    first_seed: int = 0
    truncation: float | None = None
    fit: str | None = None
    """How pictures of a folder or an archive were brought to size: crop, squash or pad."""
    left_out: int = 0
    """Files of it that could not be used; `left-out.csv` beside the row's table has their reasons."""


class JudgeRecord(_Record):
    """A field's judge, and how far it can be trusted: its accuracy on held-out pictures."""

    field: str
    classes: tuple[str, ...]
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    """What always naming the commonest class would get."""
    made_baseline: float | None = None
    """And of the generated pictures, if all were named as the class asked for most often: a Top-1 that
    is no better says nothing."""
    pictures: int = 0
    sources: int = 0
    warning: str | None = None


class SecondsRecord(_Record):
    """Where the time went."""

    pictures: float
    features: float
    scores: float


class EvaluationRow(_Record):
    """A row of `metrics.jsonl`."""

    format: Literal[1] = 1
    created: str
    impasto: str
    during_training: bool = False
    subject: SubjectRecord
    network: NetworkRecord
    collection: ComparedCollection
    reference: ReferenceRecord
    pictures: PicturesRecord
    scores: tuple[ScoreRow, ...]
    heldout: tuple[ScoreRow, ...] = ()
    """What held-out real pictures score against the same reference: what a perfect model would, where
    there are as many of them as generated ones, or the score does not depend on that."""
    memorisation: dict | None = None
    judges: tuple[JudgeRecord, ...] = ()
    notes: tuple[str, ...] = ()
    """What was not scored, or not as one may think."""
    folder: str | None = None
    """Where the row's table and closest pairs lie, relative to the folder of `metrics.jsonl`: in it are
    `scores.txt`, `nearest.png` and `nearest.csv`, and `left-out.csv` where files were left out. None:
    nowhere."""
    seconds: SecondsRecord

    def score(self, name: str, field: str | None = None, cls: str | None = None) -> ScoreRow | None:
        """The score of that name, overall by default; None if there is none."""
        for row in self.scores:
            if (row.name, row.field, row.cls) == (name, field, cls):
                return row
        return None


_COPIED_BY_CHANCE = 0.01


def copied_by_chance(row: EvaluationRow) -> float:
    """The share that would be called copied of pictures that copy nothing: 1% by its definition, a
    little more where the limit rests on few pictures."""
    told = (row.memorisation or {}).get("expected")
    return max(_COPIED_BY_CHANCE, told) if isinstance(told, float) else _COPIED_BY_CHANCE


def copied_at_most_by_chance(row: EvaluationRow) -> float:
    """What that share may well be by chance alone: the limit is itself found among real pictures."""
    told = (row.memorisation or {}).get("expected_at_most")
    chance = copied_by_chance(row)
    return max(chance, told) if isinstance(told, float) else chance


def read_rows(path: Path) -> list[EvaluationRow]:
    """The rows of a `metrics.jsonl`, in order; none if there is no such file.

    Lines that are no such rows (cut short by a kill, of another format) are left out.

    Raises:
        ImpastoError: the file cannot be read.
    """
    rows = []
    for line in read_json_lines(path):
        try:
            rows.append(EvaluationRow.model_validate(line))
        except ValidationError:
            continue
    return rows


def append_row(path: Path, row: EvaluationRow) -> None:
    """Add one row.

    Raises:
        ImpastoError: it cannot be written.
    """
    text = json.dumps(row.model_dump(mode="json"), ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise write_error(error, path) from error
