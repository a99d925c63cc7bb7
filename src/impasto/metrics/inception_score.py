"""Inception Score (Salimans et al. 2016, arXiv:1606.03498, section 4; written out in Barratt and
Sharma 2018, arXiv:1801.01973, eq. 1), with p(y|x) a classifier's probabilities for one image and
p(y) their mean over images:

    exp( mean over x of KL( p(y|x) || p(y) ) )

Its range is from 1 (all images get the same probabilities) to K, the number of classes (all
certain, with equally many images a class).

It uses no real image. So it does not measure whether images resemble the collection, vary within
a class, or are copies. With ImageNet's 1,008 outputs it says little about art. With the classes
of the collection (the judge's probabilities) it measures whether classes are distinct. It is
biased downwards with few images a class.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor

from impasto.metrics import Prepared, Sample

NEEDS = ("logits",)
LEAST = (2, 0)
LIMIT = None


def ranges(width: int) -> dict[str, tuple[float, float]]:
    return {"is": (1, width)}


def warning(fakes: int, reals: int, width: int) -> str | None:
    # The entropy of p(y) is too low by about (K - 1) / 2N (Miller 1955): a tenth of the score here.
    # For the 1,008 outputs of Inception that is 5,040, about the 5,000 of each of the usual splits.
    if fakes >= 5 * width:
        return None
    return (
        f"{fakes:,} generated pictures are few for {width:,} classes: the score is too low, "
        "compare only at equal counts"
    )


def inception_score(probabilities: Tensor) -> float:
    """The score of probabilities [N, K], with rows that sum to 1, N at least 1."""
    given = probabilities.double()
    return _score(_negative_entropy(given).mean(), given.mean(0))


def inception_score_splits(
    probabilities: Tensor, splits: int = 10, order: Tensor | None = None
) -> tuple[float, float]:
    """Mean and standard deviation of the scores of `splits` equal parts, as reported in the
    literature.

    Args:
        probabilities: [N, K], N at least `splits`.
        splits: number of parts.
        order: [N] int64, a permutation of the images; None keeps their order. Images sorted by
            class give parts with few classes and low scores.
    """
    given = probabilities if order is None else probabilities[order]
    count = len(given)
    edges = [part * count // splits for part in range(splits + 1)]
    parts = torch.tensor(
        [inception_score(given[a:b]) for a, b in pairwise(edges)],
        dtype=torch.float64,
    )
    return float(parts.mean()), float(parts.std(correction=0))


def prepare(fake: Sample, real: Sample) -> Prepared:
    assert fake.logits is not None, "`scores` checks for logits"
    given = fake.logits.double().softmax(1)
    certainty = _negative_entropy(given)

    def values(keep: Tensor) -> dict[str, float]:
        share = given.new_zeros(len(given))
        share[keep] = 1 / len(keep)
        return {"is": _score(share @ certainty, share @ given)}

    return values


def _negative_entropy(probabilities: Tensor) -> Tensor:
    return torch.xlogy(probabilities, probabilities).sum(-1)


def _score(certainty: Tensor, marginal: Tensor) -> float:
    """exp(E[sum p log p] - sum q log q) with q the mean of p: the mean divergence of p from q."""
    return math.exp(max(float(certainty - _negative_entropy(marginal)), 0.0))
