"""How often a device is waited for: a copy of many numbers at once, not one for each tensor."""

from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import impasto.device
from impasto.collection import Collection
from impasto.evaluation.discriminator import measure
from impasto.evaluation.subjects import NotFiniteError, painted
from impasto.features import FeatureNetwork
from impasto.sampling.tensors import read_tensors, write_tensors
from impasto.training.evaluation import _finite
from impasto.training.heldout_probe import probe_heldout
from tests.helpers.training import CPU, session, small


class Waits(TorchDispatchMode):
    """Counts operations that need a number from the device before Python can go on."""

    NAMES = ("_local_scalar_dense", "nonzero", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._overloadpacket.__name__
        masked = name == "index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if name in self.NAMES or masked:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def copies_of(module: str) -> Any:
    """Counts the calls of `on_cpu` in a module."""
    return mock.patch(f"{module}.on_cpu", side_effect=impasto.device.on_cpu)


def test_weights_are_found_finite_in_one_wait() -> None:
    weights = [torch.zeros(3), torch.ones(2, 2), torch.zeros(1, dtype=torch.int64)]
    with Waits() as waits:
        assert _finite(weights)
    assert sum(waits.counts.values()) == 1
    assert not _finite([*weights, torch.tensor([1.0, torch.inf])])
    assert _finite([])


def test_the_discriminator_s_answers_are_read_at_once(labelled: Collection) -> None:
    ready = session(small("gangogh", labels=["style"], training__balance=None), labelled)
    fakes = (torch.zeros(4, 3, 32, 32), torch.tensor([[0], [1], [-1], [2]]))
    with Waits() as waits:
        found = probe_heldout(
            ready.state.discriminator, ready.objective, ready.pictures, ("style",), fakes
        )
    assert {"score/shown", "score/heldout", "score/sampled"} < found.keys()
    assert 0 <= found["accuracy/style/sampled"] <= 1
    assert sum(waits.counts.values()) == 0


def test_an_accuracy_without_known_labels_is_left_out(labelled: Collection) -> None:
    ready = session(small("gangogh", labels=["style"], training__balance=None), labelled)
    fakes = (torch.zeros(4, 3, 32, 32), torch.full((4, 1), -1))
    found = probe_heldout(
        ready.state.discriminator, ready.objective, ready.pictures, ("style",), fakes
    )
    assert "accuracy/style/shown" in found
    assert "accuracy/style/sampled" not in found


def test_statistics_are_copied_once_for_all_layers_and_batches(labelled: Collection) -> None:
    ready = session(small("artgan", labels=["style"]), labelled)
    batches = torch.randn(3, 4, 3, 32, 32).unbind()
    with copies_of("impasto.evaluation.discriminator") as copy:
        statistics = measure(ready.state.discriminator, batches, 1)
    assert len(statistics.norms) > 1
    assert copy.call_count == 3  # means, variances, deviations


def test_features_are_copied_once_for_all_parts() -> None:
    def extract(pixels: Tensor) -> tuple[Tensor, Tensor]:
        means = pixels.float().mean((1, 2))
        return means, means[:, :2]

    network = FeatureNetwork("means", 3, 2, "none", "0", False, CPU, extract)
    pixels = torch.randint(256, (20, 4, 4, 3), dtype=torch.uint8)  # three parts on a CPU
    with copies_of("impasto.features") as copy:
        found = network(pixels)
    assert copy.call_count == 1
    assert found.logits is not None
    assert torch.equal(found.features, pixels.float().mean((1, 2)))
    assert torch.equal(found.logits, found.features[:, :2])


def test_weights_are_copied_once_for_a_file(tmp_path: Path) -> None:
    weights = {"a": torch.arange(4.0), "b": torch.ones(2, 3).T}
    with copies_of("impasto.device") as copy:
        write_tensors(tmp_path / "weights.safetensors", weights)
    assert copy.call_count == 1
    read = read_tensors(tmp_path / "weights.safetensors")
    assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())


def test_painted_pictures_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def copied(_: Tensor) -> Tensor:
        raise AssertionError("copied to the CPU")

    monkeypatch.setattr(Tensor, "cpu", copied)
    with Waits() as waits:
        pixels = painted(torch.tensor([-1.0, 0, 1]).view(1, 3, 1, 1))
    assert pixels.flatten().tolist() == [0, 128, 255]
    assert sum(waits.counts.values()) == 1
    with pytest.raises(NotFiniteError):
        painted(torch.tensor([-1.0, torch.nan, 1]).view(1, 3, 1, 1))
