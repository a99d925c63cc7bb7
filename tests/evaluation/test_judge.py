"""The judge: separable features, a minimum checked by its gradient, tiles, and what cannot be fitted."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.evaluation import judge as module
from impasto.evaluation.judge import DEFAULT_STRENGTH, FOLDS, STRENGTHS, Judge, top1

NAMES = ("landscape", "marina", "portrait", "still life")
MIDDLES = torch.randn(len(NAMES), 12, generator=torch.Generator().manual_seed(1))


def features_of(labels: np.ndarray, noise: float = 1.0, seed: int = 0) -> Tensor:
    """Around their class's middle; on scales of their own, the last one not varying at all."""
    spread = torch.randn(len(labels), 12, generator=torch.Generator().manual_seed(seed))
    mixed = MIDDLES[torch.from_numpy(labels).clamp(min=0)] + noise * spread
    return F.pad(mixed * torch.logspace(-3, 3, 12) + 5, (0, 1), value=3.0)


def labels_of(count: int, classes: int = len(NAMES)) -> np.ndarray:
    return np.arange(count) % classes


def fit(
    labels: np.ndarray, features: Tensor | None = None, sources: np.ndarray | None = None
) -> Judge:
    features = features_of(labels) if features is None else features
    sources = np.arange(len(labels)) if sources is None else sources
    return Judge.fit("genre", NAMES, features, labels, sources, network_identity="net")


def test_classes_are_told_apart_and_noise_is_not() -> None:
    labels = labels_of(200)
    judge = fit(labels, features_of(labels, noise=0.3))
    told = judge.probabilities(features_of(labels, noise=0.3, seed=1))
    assert told.dtype == torch.float64
    assert told.sum(dim=1).numpy() == pytest.approx(1)
    found = judge.accuracy(features_of(labels, noise=0.3, seed=1), labels, np.arange(200))
    assert found is not None
    assert found.accuracy > 0.99
    assert found.baseline == 0.25
    assert found.warning is None
    # What has nothing to do with the classes: the strongest penalty, and no more than guessing.
    nothing = torch.randn(200, 13, generator=torch.Generator().manual_seed(5))
    blind = fit(labels, nothing)
    assert blind.facts.strength == STRENGTHS[0]
    other = torch.randn(200, 13, generator=torch.Generator().manual_seed(6))
    guessed = blind.accuracy(other, labels, np.arange(200))
    assert guessed is not None
    assert guessed.accuracy == pytest.approx(0.25, abs=0.1)


def test_it_is_the_minimum_of_what_is_said() -> None:
    # Three sources: ten tiles, one picture, one picture. Each weighs a third.
    labels = np.array([0] * 10 + [1, 2])
    sources = np.array([7] * 10 + [3, 9])
    features = features_of(labels)
    judge = fit(labels, features, sources)
    assert judge.facts.strength == DEFAULT_STRENGTH
    assert "default" in judge.facts.chosen
    shares = torch.tensor([1 / 30] * 10 + [1 / 3, 1 / 3], dtype=torch.float64)
    x = features.double()
    mean = shares @ x
    deviation = (shares @ (x - mean) ** 2).sqrt()
    assert judge.mean.numpy() == pytest.approx(mean.numpy(), rel=1e-5)
    assert judge.scale[:-1].numpy() == pytest.approx(1 / deviation[:-1].numpy(), rel=1e-4)
    assert judge.scale[-1] == 0  # does not vary, so says nothing
    weights = judge.weights.double().requires_grad_()
    bias = judge.bias.double().requires_grad_()
    logits = ((x - mean) * judge.scale.double()) @ weights.T + bias
    named = torch.tensor([0, 1, 2]).repeat_interleave(torch.tensor([10, 1, 1]))
    lost = -(shares * logits.log_softmax(dim=1)[range(12), named]).sum()
    (lost + DEFAULT_STRENGTH / 2 * (weights**2).sum()).backward()
    assert weights.grad is not None
    assert bias.grad is not None
    assert weights.grad.abs().max() < 1e-4
    assert bias.grad.abs().max() < 1e-4


def test_more_tiles_of_a_painting_change_nothing() -> None:
    labels = labels_of(40)
    features = features_of(labels)
    once = fit(labels, features)
    # The first painting comes as 60 equal tiles instead of one.
    rows = np.concatenate([np.zeros(59, np.int64), np.arange(40)])
    often = fit(labels[rows], features[rows], rows)
    assert often.facts.source_counts == once.facts.source_counts == (10, 10, 10, 10)
    assert often.facts.counts[0] == 69
    asked = features_of(labels, seed=3)
    difference = often.probabilities(asked) - once.probabilities(asked)
    assert difference.abs().max() < 0.01


def test_folds_keep_sources_together() -> None:
    sources = np.repeat(np.arange(30), 4)[np.random.default_rng(0).permutation(120)]
    targets = sources % 3
    folds = module._folds(targets, sources)
    for source in range(30):
        assert len(set(folds[sources == source])) == 1
    for kind in range(3):
        counts = [len(np.unique(sources[(folds == f) & (targets == kind)])) for f in range(FOLDS)]
        assert max(counts) - min(counts) <= 1


def test_tiles_do_not_fool_the_choice_of_strength() -> None:
    # Every painting's tiles are all but alike, and the class has nothing to do with them: with tiles
    # of one painting on both sides of a fold, the weakest penalty would look best.
    random = torch.Generator().manual_seed(2)
    paintings = torch.randn(24, 30, generator=random).repeat_interleave(20, dim=0)
    tiles = paintings + 0.05 * torch.randn(480, 30, generator=random)
    labels = np.repeat(labels_of(24), 20)
    together = fit(labels, tiles, np.repeat(np.arange(24), 20))
    apart = fit(labels, tiles, np.arange(480))
    assert together.facts.strength == STRENGTHS[0]
    assert apart.facts.strength == STRENGTHS[-1]


def test_a_class_without_pictures_is_never_named() -> None:
    labels = labels_of(60, classes=3)
    labels[0] = -1  # unknown: left out
    judge = fit(labels, features_of(labels, noise=0.2))
    assert "still life" not in [judge.facts.classes[number] for number in judge.named]
    assert judge.facts.counts == (19, 20, 20, 0)
    everything = labels_of(80)
    asked = features_of(everything, noise=0.2, seed=4)
    assert (judge.probabilities(asked)[:, 3] == 0).all()
    found = top1(judge, asked, everything)
    assert found is not None
    assert (found.pictures, found.unknown) == (60, 20)
    assert found.accuracy > 0.99
    assert found.by_class[3].accuracy is None
    assert found.by_class[3].interval is None
    assert found.by_class[0].interval is not None
    json.dumps(found.numbers(), allow_nan=False)


def test_top1_says_what_pictures_look_like_instead() -> None:
    labels = labels_of(120)
    judge = fit(labels, features_of(labels, noise=0.2))
    made = features_of(np.ones(40, np.int64), noise=0.2, seed=9)  # all look like the second class
    found = top1(judge, made, labels_of(40))
    assert found is not None
    assert found.accuracy == pytest.approx(0.25)
    assert found.interval[0] < 0.25 < found.interval[1]
    assert [each.accuracy for each in found.by_class] == [0, 1, 0, 0]
    assert (found.confusion[:, 1] == 10).all()
    assert top1(judge, made, np.full(40, -1)) is None
    assert top1(judge, made[:0], labels_of(0)) is None


def test_few_pictures_are_said_in_words() -> None:
    labels = np.array([0, 0, 0, 0, 0, 1])  # one picture of a class
    judge = fit(labels)
    assert judge.facts.strength == DEFAULT_STRENGTH
    found = judge.accuracy(features_of(labels, seed=1), labels, np.arange(6))
    assert found is not None
    assert found.warning is not None
    assert "too few" in found.warning
    assert judge.accuracy(features_of(labels)[:0], labels[:0], labels[:0]) is None
    with pytest.raises(ImpastoError, match=r"no judge of genre.*all are of 'landscape'"):
        fit(np.zeros(5, np.int64))
    with pytest.raises(ImpastoError, match=r"no judge of genre.*there is none"):
        fit(np.full(5, -1))


def test_bad_features_are_refused() -> None:
    labels = labels_of(20)
    features = features_of(labels)
    judge = fit(labels, features)
    with pytest.raises(ImpastoError, match="another feature network"):
        judge.probabilities(features[:, :4])
    features[3, 2] = torch.nan
    with pytest.raises(ImpastoError, match="not finite"):
        judge.probabilities(features)
    with pytest.raises(ImpastoError, match="not finite"):
        fit(labels, features)


def test_it_is_saved_without_pickles(tmp_path: Path) -> None:
    labels = labels_of(40, classes=3)
    judge = fit(labels)
    again = fit(labels)
    assert torch.equal(judge.weights, again.weights)
    assert torch.equal(judge.bias, again.bias)
    judge.save(tmp_path / "judge")
    assert {file.name for file in (tmp_path / "judge").iterdir()} == {
        "judge.json",
        "judge.safetensors",
    }
    loaded = Judge.load(tmp_path / "judge", network_identity="net")
    assert loaded.facts == judge.facts
    asked = features_of(labels, seed=8)
    assert torch.equal(loaded.probabilities(asked), judge.probabilities(asked))
    with pytest.raises(ImpastoError, match="exists already"):
        judge.save(tmp_path / "judge")
    with pytest.raises(ImpastoError, match="another network"):
        Judge.load(tmp_path / "judge", network_identity="other")
    with pytest.raises(ImpastoError, match="is not a judge"):
        Judge.load(tmp_path, network_identity="net")
    record = tmp_path / "judge" / "judge.json"
    text = record.read_text()
    for broken in (
        text.replace('"chosen"', '"picked"'),
        text.replace('"counts": [', '"counts": [1, '),
        "[]",
    ):
        record.write_text(broken)
        with pytest.raises(ImpastoError, match=r"damaged|format"):
            Judge.load(tmp_path / "judge", network_identity="net")
    record.write_text(text)
    (tmp_path / "judge" / "judge.safetensors").write_bytes(b"nothing")
    with pytest.raises(ImpastoError, match="damaged"):
        Judge.load(tmp_path / "judge", network_identity="net")
