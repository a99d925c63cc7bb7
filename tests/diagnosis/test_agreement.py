"""What is told live, row by row, is what the report finds afterwards."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.config import RunConfig
from impasto.diagnosis import BEGUN, PASSED, Setup, Watch, diagnose, replay
from impasto.evaluation.record import EvaluationRow
from impasto.reporting.findings import evaluation_findings, run_findings
from impasto.reporting.record import read_record
from impasto.training.doctor import Doctor
from tests.helpers.report_runs import (
    FAULTS,
    evaluation,
    healthy,
    score_row,
    stats_rows,
    with_fault,
    write_evaluations,
    write_run,
)
from tests.helpers.training import small

Row = dict[str, Any]
Told = list[tuple[int, Row]]


def live(rows: list[Row], setup: Setup) -> tuple[Told, Watch]:
    """What a watch tells that sees each row as it comes, and the watch."""
    watch, told = Watch(setup), []
    for row in rows:
        if watch.divergence(row) is None:
            told += [(row["images_seen"], event) for event in watch.look(row)]
    return told, watch


def check(rows: list[Row], setup: Setup, resumed: int) -> set[str]:
    """Hold a watch on a run, one that was stopped and resumed, and the report to each other; gives the
    symptoms that all three name."""
    told, watch = live(rows, setup)
    again = Watch(setup)
    before = replay(again, json.loads(json.dumps(rows[:resumed])))
    after = [(row["images_seen"], e) for row in rows[resumed:] for e in again.look(row)]
    assert [*before, *after] == told
    concluded = watch.conclude()
    assert again.conclude() == concluded
    begun = {e["symptom"] for e in [*(e for _, e in told), *concluded] if e["event"] == BEGUN}
    found = diagnose(rows, setup)
    assert found == watch.findings()
    assert {finding.kind for finding in found} == begun
    lasting = {
        finding.kind for finding in found if "It has passed since, after" not in finding.sentence
    }
    assert lasting == set(watch.lasting)
    # Each symptom begins, passes, and only then begins again.
    for symptom in begun:
        kinds = [e["event"] for _, e in told if e["symptom"] == symptom]
        assert kinds == [BEGUN, PASSED] * (len(kinds) // 2) + [BEGUN] * (len(kinds) % 2)
    return begun


@pytest.mark.parametrize("at", [0.25, 0.6])
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "nan"])
def test_of_each_fault_the_doctor_and_the_report_say_the_same(fault: str, at: float) -> None:
    for seed in range(3):
        rows = stats_rows(*with_fault(fault, at, seed=seed))
        assert check(rows, Setup(), 120) == {FAULTS[fault]}, f"seed {seed}"


def test_of_healthy_runs_neither_says_anything() -> None:
    for seed in range(10):
        assert check(stats_rows(*healthy(seed=seed)), Setup(), 90) == set(), f"seed {seed}"


NAMES = (
    "loss/discriminator",
    "loss/generator",
    "term/bce/discriminator",
    "term/bce/generator",
    "score/real",
    "score/fake",
    "accuracy/real",
    "accuracy/fake",
    "diversity/fake",
    "diversity/real",
    "score/shown",
    "score/heldout",
    "score/sampled",
    "evaluation/copied-low",
    "evaluation/copied-by-chance",
)


@given(
    seed=st.integers(0, 100_000),
    count=st.integers(1, 260),
    stretches=st.integers(1, 6),
    critic=st.booleans(),
    alone=st.integers(0, 60),
    resumed=st.integers(0, 260),
)
@settings(max_examples=40)
def test_of_any_run_the_doctor_and_the_report_say_the_same(
    seed: int, count: int, stretches: int, critic: bool, alone: int, resumed: int
) -> None:
    """Stretches of rows around random levels, in which a random half of the statistics is noted."""
    random = np.random.default_rng(seed)
    rows: list[Row] = []
    for stretch in np.array_split(np.arange(count), stretches):
        levels = {
            name: float(random.choice([0.01, 0.5, 0.99, 3.0]))
            for name in NAMES
            if random.random() < 0.8
        }
        for number in stretch.tolist():
            row: Row = {"images_seen": 100 * (number + 1), "step": 20 * (number + 1)}
            for name, level in levels.items():
                if random.random() < 0.9:
                    row[name] = abs(level + float(random.normal(0, 0.02)))
            rows.append(row)
    setup = Setup(critic=critic, pretrain_images=100 * alone)
    check(rows, setup, min(resumed, count))


def test_random_runs_have_symptoms() -> None:
    """The test above is not of silence: its levels make each symptom of every row."""
    rows: list[Row] = []
    for number in range(60):
        row: Row = {"images_seen": 100 * (number + 1), "step": 20 * (number + 1)}
        row |= {name: 0.5 for name in NAMES if not name.startswith("diversity")}
        row |= {"accuracy/real": 0.99, "accuracy/fake": 0.01, "evaluation/copied-low": 0.99}
        row |= {"diversity/real": 1.0, "diversity/fake": 0.01, "score/shown": 0.99}
        row |= {"score/sampled": 0.01, "score/heldout": 0.3}
        rows.append(row)
    assert check(rows, Setup(), 30) == {
        "generator wins",
        "collapse",
        "copying",
        "knows by heart",
    }


def sure_hinge() -> list[Row]:
    """A hinge run whose discriminator takes 99% of both kinds for what they are, from row 60 on."""
    rows = stats_rows(*healthy(150))
    for number, row in enumerate(rows):
        won = number >= 60
        row |= {
            "accuracy/real": 0.99 if won else 0.8,
            "accuracy/fake": 0.99 if won else 0.8,
            "term/hinge/discriminator": 0.06 if won else 1.2,
            "term/hinge/generator": 2.5 if won else 1.0,
            "score/real": 1.6,
            "score/fake": -1.6,
        }
    return rows


def test_a_hinge_run_that_is_lost_is_lost_to_the_doctor_and_to_the_report(tmp_path: Path) -> None:
    rows = sure_hinge()
    config = small(objective=[{"term": "hinge"}])
    doctor = Doctor([], config, adversarial="hinge", score="critic")
    told = [event for row in rows for event in doctor.look(row)]
    assert [event["symptom"] for event in told] == ["discriminator wins"]
    assert "99% of the real and 99% of the generated" in told[0]["words"]
    assert doctor.closing_lines(()) == ["doctor: not passed by the end: discriminator wins"]
    run = run_of(tmp_path / "run", rows, config)
    (finding,) = run_findings(read_record(run))
    assert (finding.kind, finding.sentence) == ("discriminator wins", told[0]["words"])
    assert finding.began_at_images == told[0]["began_at_images"] == rows[60]["images_seen"]


def run_of(folder: Path, rows: list[Row], config: RunConfig) -> Path:
    """A run's folder with these rows, as a version that did not note the adversarial term left it."""
    objective = [term.model_dump() for term in config.objective]
    told: Row = {"config": {"objective": objective, "training": {}}, "score": "critic"}
    run = write_run(folder, *healthy(1), grids=0, **told)
    (run / "stats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def test_what_an_old_doctor_told_is_shown_though_the_rules_say_otherwise(tmp_path: Path) -> None:
    rows = stats_rows(*healthy(60))
    event = {"event": "begun", "symptom": "generator wins", "words": "It wins.", "advice": "Wait."}
    rows[30]["doctor"] = [event]
    run = run_of(tmp_path / "run", rows, small(objective=[{"term": "hinge"}]))
    record = read_record(run)
    assert run_findings(record) == []
    assert [(told.symptom, told.words) for told in record.doctor] == [
        ("generator wins", "It wins.")
    ]


def test_what_evaluations_show_too_is_told_once(tmp_path: Path) -> None:

    run = write_run(tmp_path / "run", *with_fault("collapse", 0.5), grids=0)
    write_evaluations(run, [evaluation(150_000, [score_row("diversity-lite0", 0.2, 0.05)])])
    record = read_record(run)
    assert [f.kind for f in evaluation_findings(record.evaluations)] == ["collapse"]
    (finding,) = run_findings(record)
    assert finding.kind == "collapse"
    assert "became alike: the distance between them fell" in finding.sentence
    assert "By evaluation: The generated pictures are alike" in finding.sentence
    assert finding.began_at_images < 150_000


def test_of_evaluations_in_training_the_last_two_must_agree_on_copies() -> None:
    """As the doctor asks while it trains; one that was asked for counts singly."""

    def kinds(*lows: float, during_training: bool) -> list[str]:
        told = [
            evaluation(
                1000 * number,
                [score_row("copied-lite0", low + 0.01, 0.01)],
                during_training=during_training,
            )
            for number, low in enumerate(lows, 1)
        ]
        rows = [EvaluationRow.model_validate(row) for row in told]
        return [finding.kind for finding in evaluation_findings(rows)]

    assert kinds(0.005, 0.05, during_training=True) == []
    assert kinds(0.05, 0.05, during_training=True) == ["copying"]
    assert kinds(0.005, 0.05, during_training=False) == ["copying"]
