"""A training that runs saves and draws when it is asked to, and its weights stay those it would have."""

from pathlib import Path

import pytest
import torch

from impasto import asking
from impasto.asking import SAMPLE, SAVE, Asked, ask
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.sampling.model import Model
from impasto.training import train
from impasto.training.run_folder import Stats
from impasto.training.trainer import Trainer
from tests.helpers.training import small


def test_what_is_asked_is_done_once_and_changes_no_weight(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"training__stats_every": 64, "training__samples_every": 64}
    config = small("first_look", **settings, training__checkpoint_every=64)
    plain = train(config, tiny, run=tmp_path / "plain", device="cpu")
    monkeypatch.setattr(asking, "PAUSE", 0.0)
    step = Trainer.step

    def asked_in(self: Trainer) -> object:
        for images, what in ((16, SAVE), (32, SAMPLE)):
            if self.state.images_seen == images:
                ask(tmp_path / "asked", what)
        return step(self)

    monkeypatch.setattr(Trainer, "step", asked_in)
    run = train(config, tiny, run=tmp_path / "asked", device="cpu")
    rows = [row["images_seen"] for row in Stats(run).rows()]
    assert [row["images_seen"] for row in Stats(plain).rows()] == [64]
    assert rows == [24, 40, 64]
    grids = {path.name for path in (run / "samples").glob("fakes-*.png")}
    assert "fakes-000000000040.png" in grids
    assert "fakes-000000000024.png" not in grids
    assert (run / "checkpoints" / "000000000024").is_dir()
    assert not (run / "checkpoints" / "000000000040").exists()
    weights = [Model.load(each).generator.state_dict() for each in (plain, run)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_looks_are_rare_and_earlier_wishes_forgotten(tmp_path: Path) -> None:
    ask(tmp_path, SAVE)
    asked = Asked(tmp_path, alone=True)
    assert asked.now() == set()
    ask(tmp_path, SAVE)
    assert asked.now() == set(), "a second has not passed"
    assert (tmp_path / SAVE).exists()
    assert Asked(tmp_path, alone=False).now() == set()
    assert (tmp_path / SAVE).exists()
    with pytest.raises(ImpastoError, match="cannot write"):
        ask(tmp_path / "nowhere", SAVE)
