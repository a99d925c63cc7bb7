"""The law of memorisation: parts, the images until copies, and rows that are kept."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import memorisation_law
from benchmarks.memorisation_law import Judge, images_until, part_of, table
from impasto.collection import Collection
from impasto.features import load_network
from impasto.files import read_json_lines
from impasto.sampling.model import checkpoint_folders
from tests.helpers.stopping import StoppedByTest, stop_after


def test_parts_are_nested(labelled: Collection) -> None:
    few, more, whole = (part_of(labelled, count, 0) for count in (5, 12, 1000))
    assert (len(few.train_indices), len(more.train_indices)) == (5, 12)
    assert set(few.train_indices) < set(more.train_indices) < set(whole.train_indices)
    assert whole.condition is None
    assert set(part_of(labelled, 5, 1).train_indices) != set(few.train_indices)
    judge = Judge(load_network("lite0"), labelled, labelled.resolution)
    learned, unseen = judge.learned_and_unseen(few)
    assert set(learned.rows) == set(few.train_indices)
    known = {*labelled.train_indices.tolist(), *labelled.heldout_indices.tolist()}
    assert set(unseen.rows.tolist()) == known - set(few.train_indices.tolist())
    assert judge.fd(judge.training.sample.features) == pytest.approx(0, abs=1e-3)


def test_images_until_copies_by_hand() -> None:
    rows: list[dict[str, Any]] = [
        {"images": 1000, "copied": 0.0},
        {"images": 100_000, "copied": 0.4},
        {"images": 10_000, "copied": None},
    ]
    # A quarter of the way in logarithms, of a factor of 100.
    assert images_until(rows, 0.1) == pytest.approx(1000 * math.sqrt(10))
    assert images_until(rows, 0.5) is None
    assert images_until(rows[1:], 0.1) == 100_000


def test_it_goes_on_where_it_stood(
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "law"
    arguments = [
        *("--data", str(labelled.path), "--pictures", "5,12", "--recipes", "first_look"),
        *("--generated", "16", "--out", str(out), "--set", "resolution=32"),
        *("--set", "generator.widest=8", "--set", "generator.narrowest=4"),
        *("--set", "discriminator.widest=8", "--set", "training.batch=4"),
    ]

    def run(at: str) -> str:
        monkeypatch.setattr("sys.argv", ["memorisation_law", *arguments, "--at", at])
        memorisation_law.main()
        return capsys.readouterr().out

    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(StoppedByTest):  # in the first run, after one of its two steps
            run("8")
    assert not (out / "results.jsonl").exists()
    run("8")
    said = run("8,16")
    rows = read_json_lines(out / "results.jsonl")
    assert [(row["pictures"], row["images"]) for row in rows] == [
        (5, 8),
        (12, 8),
        (5, 16),
        (12, 16),
    ]
    assert all(0 <= row["copied"] <= 1 and np.isfinite(row["fd"]) for row in rows)
    assert said.count("images: copied") == 2  # the first two are there already
    assert "| first_look | 12 | 16 |" in said
    folders = checkpoint_folders(out / "first_look-5-0")
    assert int(folders[-1].name) == 16
    assert table(rows) in said
