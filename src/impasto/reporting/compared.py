"""Compared runs, with one checkpoint each and their evaluations with equal settings."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from impasto.evaluation.by_size import of_all_sizes, of_several_sizes
from impasto.evaluation.record import EvaluationRow
from impasto.formatting import counted
from impasto.reporting.record import RunRecord
from impasto.reporting.scores import Conditions, replaces

T = TypeVar("T")

MOST_RUNS = 6
"""Most lines in a chart with distinct colours."""


@dataclass(frozen=True)
class Asked:
    """The requested settings of scores; None: those that the runs share.

    Attributes:
        pictures: number of generated pictures.
        per_class: least number of each class.
        reference: most reference pictures.
    """

    pictures: int | None = None
    per_class: int | None = None
    reference: int | None = None

    def fits(self, row: EvaluationRow) -> bool:
        reference = row.reference
        return (
            self.pictures in (None, row.pictures.count)
            and self.per_class in (None, row.pictures.per_class)
            and (
                self.reference is None
                or reference.pictures == min(self.reference, reference.available)
            )
        )


@dataclass(frozen=True)
class Compared:
    """A run that is compared, by one of its checkpoints.

    Attributes:
        record: of the run, as it was read.
        name: unique among the compared runs.
        images_seen: of the checkpoint.
        weights_sha256: of the checkpoint.
        asked: the requested settings of its scores.
    """

    record: RunRecord
    name: str
    images_seen: int
    weights_sha256: str
    asked: Asked = Asked()

    def of(self, collection_hash: str) -> list[EvaluationRow]:
        """Evaluations of the run on a collection; of several sizes each, and the mean of all."""
        mine = [row for row in self.record.evaluations if row.collection.hash == collection_hash]
        return [*mine, *map(of_all_sizes, of_several_sizes(mine))]

    def scored(self, collection_hash: str) -> dict[Conditions, list[EvaluationRow]]:
        """Evaluations of the checkpoint on a collection, with the requested settings."""
        mine = [
            row
            for row in self.record.evaluations
            if row.collection.hash == collection_hash
            and row.subject.images_seen == self.images_seen
            and row.subject.weights_sha256 in (None, self.weights_sha256)
            and self.asked.fits(row)
        ]
        found: dict[Conditions, list[EvaluationRow]] = {}
        for row in (*mine, *map(of_all_sizes, of_several_sizes(mine))):
            found.setdefault(Conditions.of(row), []).append(row)
        return found


def scored_alike(
    runs: Sequence[Compared], collection_hash: str
) -> list[dict[Conditions, EvaluationRow]]:
    """For each run, the evaluations of its checkpoint on a collection, one of each kind: of
    several, one with as many pictures of each class as the other runs, or else the most."""
    every = [run.scored(collection_hash) for run in runs]

    def chosen(key: Conditions, rows: Sequence[EvaluationRow]) -> EvaluationRow:
        portions = [
            {row.pictures.per_class for row in found[key]} for found in every if key in found
        ]
        shared = max(set.intersection(*portions), default=None)
        best, *others = [row for row in rows if shared in (None, row.pictures.per_class)]
        for row in others:
            best = row if replaces(row, best) else best
        return best

    return [{key: chosen(key, rows) for key, rows in found.items()} for found in every]


def at_own_resolutions(scored: Sequence[Mapping[Conditions, T]]) -> list[dict[Conditions, T]]:
    """For each run, what it has by conditions; these leave the resolution open if runs of several
    resolutions share no others."""
    runs = Counter(key for found in scored for key in found)
    if len({(key.resolution, key.sizes) for key in runs}) < 2 or max(runs.values()) > 1:
        return [dict(found) for found in scored]
    return [{key.at_own_resolution(): row for key, row in found.items()} for found in scored]


def size_of(row: EvaluationRow) -> str:
    """The size of the pictures of an evaluation, or all sizes of a mean, in words."""
    return " and ".join(map(str, row.sizes)) or str(row.collection.resolution)


def sentence(runs: Sequence[Compared], collection: str) -> str:
    """`2 runs compared on masters: a after 1,000 images, b after 2,000 images`."""
    each = ", ".join(f"{run.name} after {run.images_seen:,} images" for run in runs)
    return f"{counted(len(runs), 'run')} compared on {collection}: {each}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
