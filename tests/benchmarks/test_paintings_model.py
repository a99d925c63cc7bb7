"""The command that makes the model `paintings`: what it refuses, and what it writes."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import _shipped_model, paintings_model
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.files import read_json
from impasto.sampling.model import Model
from impasto.training import train
from tests.helpers.training import small


@pytest.fixture
def made(labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The scores that the model gets; the command's arguments are set."""
    scores = {"copied-lite0": 0.01, "copied-by-chance-at-most": 0.02}
    config = small("r3gan_32", resolution=16, training__images=16, labels=["style"])
    run = train(config, labelled, run=tmp_path / "run", device="cpu")
    monkeypatch.setattr(_shipped_model, "scores", lambda *_: scores)
    monkeypatch.setattr(paintings_model, "open_or_pack", lambda *_: labelled)
    given = ("paintings_model", "--data", "pictures", "--run", run, "--to", tmp_path / "model")
    monkeypatch.setattr("sys.argv", list(map(str, given)))
    return scores


def _all_free(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Any = lambda _: [{"licence": "public domain (maker died 1893)"}]  # noqa: E731
    monkeypatch.setattr(Collection, "source_table", rows)


def test_it_writes_the_model_and_how_it_was_made(
    made: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _all_free(monkeypatch)
    paintings_model.main()
    model = Model.load(tmp_path / "model")
    record = read_json(tmp_path / "model" / "made.json", "record")
    assert record["weights_sha256"] == model.record.weights_sha256
    assert (record["images_seen"], record["scores"]) == (16, made)
    assert "--labels style" in record["made_by"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "run"]
    with pytest.raises(ImpastoError, match="exists already"):
        paintings_model.main()


def test_it_refuses_pictures_that_are_not_free_and_copies(
    made: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImpastoError, match="in the public domain only"):
        paintings_model.main()
    _all_free(monkeypatch)
    made["copied-lite0"] = 0.03
    with pytest.raises(ImpastoError, match="copies more than chance explains"):
        paintings_model.main()
    assert not (tmp_path / "model").exists()
