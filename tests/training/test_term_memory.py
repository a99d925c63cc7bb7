"""Terms with tensors of their own, in training: prepared once, saved, and the same in portions."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.sampling.model import checkpoint_folders
from impasto.training import resume, train
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import session, small

TERMS = [
    {"term": "hinge"},
    {"term": "frechet", "weight": 0.1, "decay": 0.9, "read_at": 32},
    {"term": "drift", "weight": 0.1, "queue": 16, "read_at": 32},
    {"term": "alignment", "read_at": 32},
]


def of_features(**settings: Any) -> RunConfig:
    return small("first_look", objective=TERMS, **settings)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_run_that_died_ends_as_one_that_did_not(
    accumulate: int, tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = of_features(training__accumulate=accumulate, training__images=48)
    whole = train(config, tiny, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(config, tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    with monkeypatch.context() as patch:
        # The checkpoint has it all: the training pictures are not read again for it.
        patch.delattr("impasto.objectives.frechet.Memory.prepare")
        resume(died)
    assert fingerprint(died) == fingerprint(whole)
    state = load_file(checkpoint_folders(whole)[-1] / "state.safetensors")
    # Terms number 1 and 2 of the objective.
    assert state["memory.1.moments.lite0.batches"] == 6
    assert state["memory.1.moments.pixels.real_root"].abs().sum() > 0
    assert (state["memory.2.labels"] == 0).all()
    assert not [name for name in state if "frozen" in name]


def test_portions_average_the_moments(tiny: Collection) -> None:
    """Moments after an update in two portions: the mean of what each leaves behind by itself."""

    ready = session(of_features(training__accumulate=2), tiny)
    ready.prepare()
    features: list[torch.Tensor] = []
    term: Any = ready.objective.memory["1"]
    original = term.features

    def watched(images: torch.Tensor) -> dict[str, torch.Tensor]:
        found = original(images)
        features.append(found["pixels"].detach())
        return found

    term.features = watched
    ready.trainer.step()
    assert [len(each) for each in features] == [4, 4]
    pixels = term.moments["pixels"]
    assert torch.allclose(pixels.running_mean, torch.cat(features).mean(0), atol=1e-6)
    assert pixels.batches == 1
