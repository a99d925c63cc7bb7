"""Inception Score (Salimans et al. 2016, arXiv:1606.03498, section 4; written out in Barratt and Sharma
2018, arXiv:1801.01973, eq. 1), with p(y|x) a classifier's probabilities of one picture and p(y) their
mean over pictures:

    exp( mean over x of KL( p(y|x) || p(y) ) )

From 1 (every picture gets the same answer) to K, the number of classes (all sure, all classes alike).
It looks at no real picture: it cannot see whether pictures resemble the collection, whether they vary
within a class, or whether they are copies. With ImageNet's 1,008 outputs it says little about art; with
the classes of the collection (the judge's probabilities) it says whether pictures can be told apart.
It is biased downwards where pictures are few for the classes.
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
    """The score of probabilities [N, K], rows that sum to 1, N at least 1."""
    given = probabilities.double()
    return _score(_negative_entropy(given).mean(), given.mean(0))


def inception_score_splits(
    probabilities: Tensor, splits: int = 10, order: Tensor | None = None
) -> tuple[float, float]:
    """Mean and deviation of the scores of `splits` equal parts, as the literature reports them.

    Args:
        probabilities: [N, K], N at least `splits`.
        order: [N] int64, a permutation to take the pictures in; None for their own order. Where
            they come class by class, parts in their own order hold few classes and score low.
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
    assert fake.logits is not None, "`scores` has asked for them"
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
