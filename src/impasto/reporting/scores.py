"""Evaluations for the pages: which have equal conditions, and when one is better than another."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from impasto.diagnosis.curves import Counts
from impasto.evaluation.record import PICTURE, EvaluationRow, JudgeRecord, ScoreRow
from impasto.evaluation.score_kinds import (
    Kind,
    base_of,
    interval_text,
    kind_of,
    place_of,
    title_of,
    value_text,
)
from impasto.formatting import counted
from impasto.reporting.charts import Line
from impasto.reporting.elements import Cell
from impasto.resolution import Resolution, Size


def _badness(kind: Kind, score: ScoreRow) -> tuple[float, float, float] | None:
    """(value, low, high), transformed so that lower is better; None without an interval or a known
    direction."""
    if score.value is None or score.low is None or score.high is None:
        return None
    value, low, high = score.value, score.low, score.high
    if kind.better == "unknown":
        return None
    if kind.better == "lower":
        return value, low, high
    if kind.better == "higher":
        return -value, -high, -low
    ends = (abs(low - 1), abs(high - 1))
    return abs(value - 1), 0.0 if low <= 1 <= high else min(ends), max(ends)


_ALIKE = 1.1
"""Counts of pictures within this factor count as equal, because seeds draw their classes."""


def best_of(name: str, scores: Sequence[ScoreRow | None]) -> int | None:
    """The index of the best score, if its interval overlaps no other's.

    None if intervals overlap, there are fewer than two scores, one has no interval, or their
    numbers of pictures differ clearly, which biases some scores.
    """
    known = [(place, score) for place, score in enumerate(scores) if score is not None]
    if len(known) < 2:
        return None
    for counts in ([score.pictures for _, score in known], [score.reference for _, score in known]):
        if max(counts) > _ALIKE * min(counts):
            return None
    ranked, kind = [], kind_of(name, scores)
    for place, score in known:
        badness = _badness(kind, score)
        if badness is None:
            return None
        ranked.append((badness, place))
    ranked.sort()
    (_, _, highest), best = ranked[0]
    return best if all(highest < low for (_, low, _), _ in ranked[1:]) else None


# Tables


_NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


class TableNotes:
    """Numbered warnings below a table, each once. Warnings that differ in numbers only are merged,
    with the range of the numbers."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def mark(self, warning: str | None) -> int:
        """The number of a cell's warning; 0 without one."""
        if not warning:
            return 0
        pattern = _NUMBER.sub("#", warning)
        self._texts.setdefault(pattern, []).append(warning)
        return list(self._texts).index(pattern) + 1

    @property
    def texts(self) -> list[str]:
        """The warnings, in the order of their numbers."""
        return [_ranged(texts) for texts in self._texts.values()]


def _ranged(texts: Sequence[str]) -> str:
    """Merge texts that differ in numbers only: `20 to 62 pictures are few`."""
    columns = iter(zip(*(_NUMBER.findall(text) for text in texts), strict=True))

    def said(_: re.Match[str]) -> str:
        numbers = sorted(set(next(columns)), key=lambda text: float(text.replace(",", "")))
        return numbers[0] if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"

    return _NUMBER.sub(said, texts[0])


def cell(score: ScoreRow | None, notes: TableNotes, *, best: bool = False) -> Cell:
    """A table's cell: the value, its interval below, the number of its warning."""
    if score is None:
        return Cell()
    return Cell(value_text(score), interval_text(score), notes.mark(score.warning), best)


def judged(row: EvaluationRow, name: str, of: str | None) -> ScoreRow | None:
    """An overall score; a Top-1 without a warning gets its judge's."""
    score = row.score(name, of)
    judge = _judge(row, name, of)
    if score is None or judge is None or judge.warning is None or score.warning is not None:
        return score
    return score.model_copy(update={"warning": f"of the judge's accuracy: {judge.warning}"})


def commonest_row(
    rows: Sequence[EvaluationRow], name: str, of: str | None, *, heldout: bool
) -> tuple[str, list[Cell]] | None:
    """A table's row below a Top-1: the baseline of always predicting the most frequent class, for
    each evaluation's pictures and, with `heldout`, for the held-out ones. None if unknown."""
    judges = [_judge(row, name, of) for row in rows]
    shares = [None if judge is None else judge.made_baseline for judge in judges]
    if all(share is None for share in shares):
        return None
    if heldout:
        shares.append(next((judge.baseline for judge in judges if judge is not None), None))
    cells = [Cell("" if share is None else f"{100 * share:.1f}%") for share in shares]
    return f"always the commonest {of}", cells


def _judge(row: EvaluationRow, name: str, of: str | None) -> JudgeRecord | None:
    """The judge of a Top-1; None for other scores."""
    if base_of(name) != "top1":
        return None
    return next((judge for judge in row.judges if judge.field == of), None)


# Equal conditions


@dataclass(frozen=True)
class Conditions:
    """The conditions that must be equal to compare scores.

    `resolution` is None for several runs, each at its own, and for means of several sizes; `sizes` are
    these, each None for several runs.
    """

    network: str
    weights_sha256: str
    resize: str
    collection_hash: str
    split: str
    reference: int
    pictures: int
    truncation: float | None
    made_with: str | None
    resolution: Resolution | None
    collection: str = field(compare=False)
    sizes: tuple[Resolution | None, ...] = ()

    @classmethod
    def of(cls, row: EvaluationRow) -> "Conditions":
        return cls(
            row.network.name,
            row.network.weights_sha256,
            row.network.resize,
            row.collection.hash,
            row.reference.split,
            row.reference.pictures,
            row.pictures.count,
            row.pictures.truncation,
            row.pictures.made_with,
            None if row.sizes else row.collection.resolution,
            row.collection.name,
            row.sizes,
        )

    def at_own_resolution(self) -> "Conditions":
        """These conditions without the resolution, for comparing evaluations at different ones."""
        return replace(self, resolution=None, sizes=(None,) * len(self.sizes))

    def __str__(self) -> str:
        parts = [] if self.truncation is None else [f"truncation {self.truncation:g}"]
        parts += [] if self.made_with is None else [self.made_with]
        cut = f" ({', '.join(parts)})" if parts else ""
        if self.sizes:
            named = [str(size) for size in self.sizes if size is not None]
            sizes = ", ".join(named) or f"{len(self.sizes)} of each run"
            return (
                f"{counted(self.pictures, 'generated picture')}{cut} of each size ({sizes}) against the "
                f"{PICTURE[self.split]}s of {self.collection} of that size, {self.reference:,} in all, "
                f"as {self.network} sees them, squashed to squares; means, each size weighted by its "
                "share of the real pictures"
            )
        at = "each run's resolution" if self.resolution is None else f"{self.resolution} pixels"
        return (
            f"{counted(self.pictures, 'generated picture')}{cut} against "
            f"{counted(self.reference, PICTURE[self.split])} of {self.collection} at {at}, as "
            f"{self.network} sees them"
            + (", squashed to squares" if isinstance(self.resolution, Size) else "")
        )


@dataclass(frozen=True)
class Alike:
    """Evaluations of a run with equal conditions, which a line may join.

    Attributes:
        conditions: the common conditions.
        rows: one for each moment, the earliest first.
    """

    conditions: Conditions
    rows: list[EvaluationRow]

    @property
    def images_seen(self) -> Counts:
        """[M] moments."""
        return np.array([row.subject.images_seen for row in self.rows], dtype=np.int64)

    @property
    def newest(self) -> EvaluationRow:
        return self.rows[-1]

    @property
    def overall(self) -> list[tuple[str, str | None]]:
        """(name, field of the judge) of the overall scores, in the order of tables."""
        found = {
            (score.name, score.field)
            for row in self.rows
            for score in row.scores
            if score.cls is None and base_of(score.name) != "accuracy"
        }
        return sorted(found, key=lambda pair: (place_of(pair[0]), pair[1] or "", pair[0]))

    def line(
        self, name: str, of: str | None = None, cls: str | None = None, *, title: str = ""
    ) -> Line | None:
        """A score over time with its intervals; None if it was never measured.

        Scores by class join only moments with the same least number of each class.
        """
        found = [row.score(name, of, cls) for row in self.rows]
        if cls is not None:
            asked = self.newest.pictures.per_class
            found = [
                score if row.pictures.per_class == asked else None
                for row, score in zip(self.rows, found, strict=True)
            ]
        if all(score is None or score.value is None for score in found):
            return None

        def column(part: Literal["value", "low", "high"]) -> np.ndarray:
            values = [None if score is None else getattr(score, part) for score in found]
            return np.array([np.nan if v is None else v for v in values], dtype=np.float64)

        return Line(
            title or title_of(name, of),
            column("value"),
            column("low"),
            column("high"),
            smooth=False,
        )

    def heldout(self, name: str, of: str | None = None) -> ScoreRow | None:
        """The newest score of held-out real pictures."""
        found = (heldout_score(row, name, of) for row in reversed(self.rows))
        return next((score for score in found if score is not None), None)

    def made_baseline(self, of: str | None) -> float | None:
        """The newest Top-1 baseline of always predicting the most frequent class."""
        for row in reversed(self.rows):
            for judge in row.judges:
                if judge.field == of and judge.made_baseline is not None:
                    return judge.made_baseline
        return None


def heldout_score(
    row: EvaluationRow, name: str, of: str | None = None, cls: str | None = None
) -> ScoreRow | None:
    """The score of held-out real pictures against the same reference, if measured."""
    for score in row.heldout:
        if (score.name, score.field, score.cls) == (name, of, cls):
            return score
    # For the judge, it is its accuracy.
    accuracy = row.score("accuracy-judge", of, cls) if base_of(name) == "top1" else None
    return accuracy if accuracy is not None and accuracy.pictures else None


def about_heldout(rows: Sequence[EvaluationRow]) -> str:
    """An explanation of the column of held-out real pictures; '' if no row has any."""
    counts = [score.pictures for row in rows for score in row.heldout if score.cls is None]
    if not counts:
        return ""
    held, made = max(counts), max(row.pictures.count for row in rows)
    says = f"A perfect model would score what held-out real pictures score, {held:,} here"
    if max(held, made) <= _ALIKE * min(held, made):
        return f"{says}."
    return f"{says}; but FD, recall and coverage depend on the number of pictures."


def replaces(row: EvaluationRow, other: EvaluationRow) -> bool:
    """Whether a later evaluation of a checkpoint replaces an earlier one with equal conditions: not
    if only it was made during training, nor if it has fewer pictures of each class."""
    return (not row.during_training, row.pictures.per_class) >= (
        not other.during_training,
        other.pictures.per_class,
    )


def made_alike(rows: Iterable[EvaluationRow]) -> list[Alike]:
    """Evaluations grouped by conditions: most moments first, then most generated pictures, then the
    newest."""
    found: dict[Conditions, dict[int, EvaluationRow]] = {}
    for row in rows:
        seen = row.subject.images_seen
        if row.subject.kind == "pictures" or seen is None:
            continue
        moments = found.pop(Conditions.of(row), {})
        if seen not in moments or replaces(row, moments[seen]):
            moments[seen] = row
        # Reinsert at the end, so that the last written comes last.
        found[Conditions.of(row)] = moments
    groups = [
        Alike(conditions, [moments[seen] for seen in sorted(moments)])
        for conditions, moments in reversed(found.items())
    ]
    return sorted(groups, key=lambda group: (-len(group.rows), -group.conditions.pictures))


def foundation(
    row: EvaluationRow, own: str | None = None
) -> tuple[int, bool, bool, bool, int, str]:
    """A sort key of how well founded an evaluation is: of the newest checkpoint; against the run's
    own collection, of content hash `own`; not made during training; not truncated, and with the
    model's own settings; of the most pictures; the newest."""
    return (
        row.subject.images_seen or 0,
        row.collection.hash == own,
        not row.during_training,
        row.pictures.truncation is None and row.pictures.made_with is None,
        row.pictures.count,
        row.created,
    )


def best_founded(groups: Sequence[Alike], own: str | None = None) -> list[Alike]:
    """For each feature network the group with the best founded newest evaluation, the best of all
    first; tables, sheets and findings use it."""
    chosen: dict[str, Alike] = {}
    for group in sorted(groups, key=lambda group: foundation(group.newest, own), reverse=True):
        chosen.setdefault(group.conditions.network, group)
    return list(chosen.values())


def is_curve(line: Line) -> bool:
    """Whether a line has two moments or more."""
    return int(np.isfinite(line.values).sum()) > 1
