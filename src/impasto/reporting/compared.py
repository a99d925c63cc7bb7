"""Runs that are compared, by one checkpoint each, and their evaluations that were made alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from impasto.evaluation.record import EvaluationRow
from impasto.formatting import counted
from impasto.reporting.record import RunRecord
from impasto.reporting.scores import Conditions, replaces

MOST_RUNS = 6
"""Lines that a chart can tell apart by their colours."""


@dataclass(frozen=True)
class Asked:
    """What a person asked the scores to be of; None: whatever the runs share.

    Attributes:
        pictures: generated ones.
        per_class: of each class at least.
        reference: real pictures compared with, at most.
    """

    pictures: int | None = None
    per_class: int | None = None
    reference: int | None = None

    def fits(self, row: EvaluationRow) -> bool:
        told = row.reference
        return (
            self.pictures in (None, row.pictures.count)
            and self.per_class in (None, row.pictures.per_class)
            and (self.reference is None or told.pictures == min(self.reference, told.available))
        )


@dataclass(frozen=True)
class Compared:
    """A run that is compared, by one of its checkpoints.

    Attributes:
        record: of the run, as it was read.
        name: that no other of them has.
        images_seen: of the checkpoint.
        weights_sha256: of the checkpoint.
        asked: what its scores are to be of.
    """

    record: RunRecord
    name: str
    images_seen: int
    weights_sha256: str
    asked: Asked = Asked()

    def of(self, collection_hash: str) -> list[EvaluationRow]:
        """Evaluations of the run on a collection."""
        return [row for row in self.record.evaluations if row.collection.hash == collection_hash]

    def scored(self, collection_hash: str) -> dict[Conditions, list[EvaluationRow]]:
        """Evaluations of the checkpoint on a collection, as they were asked for."""
        found: dict[Conditions, list[EvaluationRow]] = {}
        for row in self.of(collection_hash):
            if (
                row.subject.images_seen == self.images_seen
                and row.subject.weights_sha256 in (None, self.weights_sha256)
                and self.asked.fits(row)
            ):
                found.setdefault(Conditions.of(row), []).append(row)
        return found


def scored_alike(
    runs: Sequence[Compared], collection_hash: str
) -> list[dict[Conditions, EvaluationRow]]:
    """Of each run, the evaluations of its checkpoint on a collection, one of each kind: where there are
    several, one with as many pictures of each class as the other runs have, or else of most."""
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


def sentence(runs: Sequence[Compared], collection: str) -> str:
    """`2 runs compared on masters: a after 1,000 images, b after 2,000 images`."""
    each = ", ".join(f"{run.name} after {run.images_seen:,} images" for run in runs)
    return f"{counted(len(runs), 'run')} compared on {collection}: {each}"


def listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
