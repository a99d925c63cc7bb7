"""`metrics.jsonl`: a row for each evaluation, of one checkpoint (or folder) by one feature network.

This file does without torch, for reports.
"""

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.config import PictureSize
from impasto.files import read_json_lines, write_error

METRICS_FILE = "metrics.jsonl"
EVALUATION_FOLDER = "evaluation"
"""The folder of evaluations' files in a run, with subfolders named by images seen."""


PICTURE = {"train": "training picture", "heldout": "held-out picture", "all": "picture"}
"""The name of a split's pictures in text."""


class _Record(BaseModel):
    # A newer impasto's rows may have more fields.
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Better = Literal["higher", "lower", "nearest to 1"]
"""Which end of a score is better."""


class ScoreRow(_Record):
    """A score, of all pictures or of one class."""

    name: str
    """The score and its network or judge: `kid-lite0`, `fid`, `top1-judge`."""
    field: str | None = None
    """The label field, for scores by class and scores by a judge."""
    cls: str | None = None
    """The class; None: all pictures."""
    value: float | None
    """None with too few pictures; then `warning` says so."""
    low: float | None = None
    high: float | None = None
    """End of the 95% interval for other pictures of the same number."""
    deviation: float | None = None
    """For an Inception Score: the standard deviation over ten equal parts, as the literature
    reports it. It is not an interval of the score."""
    pictures: int
    """The number of scored pictures."""
    reference: int
    """The number of reference pictures; 0 without a comparison."""
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
    """The reference collection."""

    name: str
    hash: str
    resolution: PictureSize


class ReferenceRecord(_Record):
    """The reference pictures."""

    split: Literal["train", "heldout", "all"]
    pictures: int
    sources: int
    available: int
    """Pictures of that split; more than `pictures` if they were sampled."""


class PicturesRecord(_Record):
    """The generated pictures."""

    count: int
    """Pictures with classes as frequent as in the collection, for overall scores."""
    extra: int = 0
    """Extra pictures of rare classes, for scores by class only."""
    per_class: int = 0
    """The least number of pictures of each class."""
    first_seed: int = 0
    truncation: float | None = None
    made_with: str | None = None
    """Settings of sampling that were changed, in words: `8 steps, euler, guidance 2`."""
    fit: str | None = None
    """How pictures of a folder or an archive were resized: crop, squash or pad."""
    left_out: int = 0
    """The number of unusable files; `left-out.csv` beside the row's table has the reasons."""


class JudgeRecord(_Record):
    """A field's judge, with its accuracy on held-out pictures."""

    field: str
    classes: tuple[str, ...]
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    """The accuracy of always predicting the most frequent class."""
    made_baseline: float | None = None
    """The Top-1 of always predicting the most requested class; a Top-1 no better than this means
    nothing."""
    pictures: int = 0
    sources: int = 0
    warning: str | None = None


class SecondsRecord(_Record):
    """The seconds spent."""

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
    """Scores of held-out real pictures against the same reference. A perfect model would get these,
    if the counts are equal or the score does not depend on them."""
    memorisation: dict | None = None
    judges: tuple[JudgeRecord, ...] = ()
    notes: tuple[str, ...] = ()
    """Notes on what was not scored, or with limitations."""
    folder: str | None = None
    """The folder of the row's files, relative to `metrics.jsonl`: `scores.txt`, `nearest.png`,
    `nearest.csv`, and `left-out.csv` if files were left out. None: no files."""
    seconds: SecondsRecord
    sizes: tuple[PictureSize, ...] = Field((), exclude=True)
    """All sizes, of the mean of several (`by_size.py`), which is in no file. Its counts of generated
    pictures are of each size, and those of real pictures of all."""

    def score(self, name: str, field: str | None = None, cls: str | None = None) -> ScoreRow | None:
        """The score of this name, overall by default; None if there is none."""
        for row in self.scores:
            if (row.name, row.field, row.cls) == (name, field, cls):
                return row
        return None


_COPIED_BY_CHANCE = 0.01


def copied_by_chance(row: EvaluationRow) -> float:
    """The expected share of `copied` for pictures that copy nothing: 1% by definition, a little
    more if the limit is from few pictures."""
    expected = (row.memorisation or {}).get("expected")
    return max(_COPIED_BY_CHANCE, expected) if isinstance(expected, float) else _COPIED_BY_CHANCE


def copied_at_most_by_chance(row: EvaluationRow) -> float:
    """The upper bound of that share by chance, because the limit is uncertain."""
    expected = (row.memorisation or {}).get("expected_at_most")
    chance = copied_by_chance(row)
    return max(chance, expected) if isinstance(expected, float) else chance


def read_rows(path: Path) -> list[EvaluationRow]:
    """The rows of a `metrics.jsonl`, in order; empty if there is no such file.

    Invalid lines (truncated by a kill, or of another format) are left out.

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
