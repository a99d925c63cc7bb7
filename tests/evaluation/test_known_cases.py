"""Each score moves when it should: real paintings, harmed in known ways, seen by the real network."""

import numpy as np
import pytest

from benchmarks import known_cases
from benchmarks.known_cases import Case, cases, measure, score_of, wrong_moves
from impasto.collection import open_or_pack
from impasto.evaluation.record import EvaluationRow
from impasto.evaluation.reference import rows_of
from impasto.features import load_network

# A part of what the benchmark measures: enough to see the direction.
LEVELS = {
    "as they are": (0,),
    "blur": (1, 4),
    "noise": (16, 64),
    "classes swapped": (0.5, 1),
    "classes dropped": (0.5, 0.75),
    "few different ones": (0.9, 0.98),
    "copies of training pictures": (0.2, 1),
}


@pytest.fixture(scope="module")
def done() -> list[tuple[Case, EvaluationRow]]:
    collection = open_or_pack("masters", 64)
    every = cases

    def some(*arguments: object) -> list[Case]:
        return [
            case
            for case in every(*arguments)  # type: ignore[arg-type]
            if case.level in LEVELS[case.name]
        ]

    train = collection.train_indices
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(known_cases, "cases", some)
        count = 300
        reference = rows_of(collection, "train", count)
        others = np.setdiff1d(train, reference)
        rows = np.sort(np.random.default_rng(1).permutation(others)[:100])
        return measure(collection, load_network("lite0"), count, rows)


def test_all_cases_are_there(done: list[tuple[Case, EvaluationRow]]) -> None:
    assert len(done) == sum(len(levels) for levels in LEVELS.values())


def test_every_score_moves_as_it_should(done: list[tuple[Case, EvaluationRow]]) -> None:
    assert wrong_moves(done) == []


def test_real_pictures_are_near_and_harmed_ones_are_not(
    done: list[tuple[Case, EvaluationRow]],
) -> None:
    plain = done[0][1]
    kid = plain.score("kid-lite0")
    assert kid is not None
    assert kid.low is not None
    assert kid.high is not None
    assert abs(kid.value or 1) < 0.02
    for case, row in done[1:]:
        if case.name in ("blur", "noise", "classes dropped"):
            harmed = row.score("kid-lite0")
            assert harmed is not None
            assert harmed.low is not None
            assert harmed.low > kid.high, case.name


def test_all_copies_are_found(done: list[tuple[Case, EvaluationRow]]) -> None:
    copies = [row for case, row in done if case.name == "copies of training pictures"]
    assert score_of(copies[-1], "copied") == 1
