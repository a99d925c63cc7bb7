"""A denoiser is trained like any other generator: resumed bit for bit, sampled, and never made to paint
where no term looks at what it paints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.networks.flow import Generator
from impasto.sampling import Model
from impasto.settings import change
from impasto.training import resume, train
from impasto.training.memory import graph_bytes
from impasto.training.resolve import resolve
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import session, small

FLOW: dict[str, Any] = {
    "labels": ["style", "genre"],
    "latent": {"distribution": "normal"},
    "generator": {"network": "flow", "patch": 4, "steps": 2},
    "discriminator": None,
    "discriminator_optimiser": None,
    "objective": [{"term": "flow", "augment": 0.5}],
    "training.hide_labels": 0.3,
    "training.ema_half_life": 20,
}


def flow(**settings: Any) -> RunConfig:
    more = {name.replace("__", "."): value for name, value in settings.items()}
    return change(small(), {**FLOW, **more})


def test_a_run_that_died_ends_as_one_that_did_not(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = flow(training__accumulate=2, training__images=32)
    whole = train(config, labelled, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(StoppedByTest):
            train(config, labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    pictures = Model.load(whole).sample([3, 4], {"genre": "marina"})
    assert pictures.shape == (2, 32, 32, 3)
    assert not np.array_equal(pictures[0], pictures[1])


def test_it_paints_nothing_in_training_steps(
    labelled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: nn.Module, latents: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise AssertionError("it paints")

    ready = session(flow(), labelled)
    with monkeypatch.context() as patch:
        patch.setattr(Generator, "forward", refuse)
        assert set(ready.trainer.step()) == {"loss/generator", "term/flow/generator"}
        # Neither does the estimate of a step's memory, which would count all steps of sampling.
        assert graph_bytes(ready.config, (4, 4)) > 0


def test_it_learns(labelled: Collection) -> None:
    config = flow(objective=[{"term": "flow"}], generator_optimiser__learning_rate=2e-3)
    trainer = session(config, labelled).trainer
    losses = [trainer.step()["loss/generator"].item() for _ in range(12)]
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:2])


def test_what_it_never_learns_is_refused(labelled: Collection) -> None:
    with pytest.raises(ImpastoError, match="network 'flow' begins with normal noise"):
        resolve(flow(latent__distribution="uniform"), labelled)
    resolve(flow(generator__guidance=2.0), labelled)
    only = {"labels": ["style"], "generator__guidance": 2.0, "training__hide_labels": 0}
    # Some of the pictures have no style, so it does learn such ones, ...
    resolve(flow(**only), labelled)
    known = labelled.only("style=Cubism")
    with pytest.raises(ImpastoError, match=r"this run learns none .* training.hide_labels=0.1"):
        resolve(flow(**only), known)
    resolve(flow(**{**only, "training__hide_labels": {"start": 1, "end": 0, "images": 9}}), known)
