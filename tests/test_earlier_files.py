"""Collections, runs and models made by earlier versions still open (tests/data/version-*)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from impasto.cli import main
from impasto.collection import Collection
from impasto.sampling import find_model

MADE = sorted((Path(__file__).parent / "data").glob("version-*"))
assert MADE
pytestmark = pytest.mark.parametrize("made", MADE, ids=lambda folder: folder.name)


def _impasto(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a command in this process; it must end well."""
    monkeypatch.setattr("sys.argv", ["impasto", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


def test_a_collection_opens(made: Path) -> None:
    collection = Collection.open(made / "collection")
    collection.verify()
    known = json.loads((made / "run" / "run.json").read_text())["collection"]
    assert collection.content_hash == known["hash"]
    style, genre = collection.fields
    assert (style.name, style.classes) == ("style", ("Cubism", "Rococo", "Ukiyo-e"))
    assert (genre.name, genre.classes) == ("genre", ("landscape", "marina", "portrait"))
    # Of sources.csv: pictures 0 (Cubism, landscape), 9 (no style, marina) and 12 (Rococo, no genre).
    assert np.asarray(collection.labels)[[0, 9, 12]].tolist() == [[0, 0], [-1, 1], [1, -1]]
    assert sorted(set(range(16)) - set(collection.train_indices.tolist())) == [3, 12]


def test_a_model_paints_the_same_pictures(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = tmp_path / "pictures.png"
    _impasto(monkeypatch, "sample", made / "model", "--seeds", "0-7", "--grid", grid)
    with Image.open(grid) as now, Image.open(made / "pictures.png") as before:
        # Sums may round differently on another processor.
        assert np.abs(np.asarray(now, int) - np.asarray(before, int)).max() <= 1


def test_a_run_goes_on_to_the_same_end(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    start = load_file(find_model(run) / "generator.safetensors")
    _impasto(monkeypatch, "resume", run, "--data", made / "collection")
    assert "begun with impasto 0.1, now impasto 0.2" in capsys.readouterr().err
    end = load_file(find_model(run) / "generator.safetensors")
    meant = load_file(made / "model" / "generator.safetensors")
    assert end.keys() == meant.keys()
    weights = [name for name in meant if meant[name].is_floating_point()]
    moved = sum(float((meant[name] - start[name]).square().sum()) for name in weights)
    off = sum(float((meant[name] - end[name]).square().sum()) for name in weights)
    # Equal bit for bit on the processor that it began on, and nearly so on others.
    assert moved > 0
    assert off < 1e-3 * moved
    assert all(torch.equal(meant[name], end[name]) for name in meant.keys() - set(weights))


def test_a_run_is_reported_and_evaluated(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(made / "run", run)
    data = ("--data", made / "collection")
    rows = len((run / "metrics.jsonl").read_text().splitlines())
    _impasto(monkeypatch, "evaluate", run, *data, "--pictures", 32, "--per-class", 0)
    assert len((run / "metrics.jsonl").read_text().splitlines()) == rows + 1
    _impasto(monkeypatch, "report", run)
    assert "<html" in (run / "report.html").read_text(encoding="utf-8")
