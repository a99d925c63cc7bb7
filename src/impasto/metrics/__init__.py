"""Metrics: pure functions of features, in float64, one file each, found by its name.

A metric is a file with

    NEEDS: tuple[str, ...]      ("features",) or ("logits",)
    LEAST: tuple[int, int]      the fewest generated and real images that give a value
    LIMIT: int | None           the most images of each side that are used, chosen by the seed
    def ranges(width: int) -> dict[str, tuple[float, float]]      its scores, each with its range
    def prepare(fake: Sample, real: Sample) -> Prepared
    def warning(fakes: int, reals: int, width: int) -> str | None
    BETTER: dict[str, str]      optional: of each score "higher", "lower" or "nearest to 1"

`prepare` computes factors, kernels and distances once. It returns a function that gives the
file's scores for any subset of the generated images. Scores with another kind of interval come
from an optional function `beside(values, count, width, half_widths, seed) -> list[Score]`.

`BETTER` is for metrics of plugins. `KINDS` in evaluation/score_kinds.py has the other metrics' scores,
with titles, since pages are made without torch.

**The interval** is for other seeds at the same number of generated images; the reference is
fixed. It is the delete-one-block jackknife (Kuensch 1989, "The jackknife and the bootstrap for
general stationary observations", for blocks; Efron and Tibshirani 1993, eq. 11.5, for the error).
A seeded permutation divides the generated images into B = 20 blocks, the score is computed
without each block, and

    error^2 = (B - 1) / B * sum_b (score_b - mean of score_b)^2

The half-width of the 95% interval is the error times Student's t with B - 1 degrees of freedom
(2.093 for 20 blocks).

A share with the same value in all blocks has an error of 0. Then the half-width is the rule of
three (Hanley and Lippman-Hand 1983): 3 / images. For other scores at the end of their range (a
density of 0, an Inception Score of 1) that is an order of magnitude.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.formatting import counted
from impasto.registry import load_module

BLOCKS = 20

STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
)  # fmt: skip
"""97.5% quantiles of Student's t for 1 to 19 degrees of freedom."""

_ROUNDING = 1e-6
"""Differences up to this are rounding errors of sums of float32 features."""

Prepared = Callable[[Tensor], dict[str, float]]
"""Indices of generated images [N] int64, each at most once -> score by name."""


@dataclass(frozen=True)
class Moments:
    """The mean and covariance of features of any number of images, for the Fréchet distance."""

    count: int
    mean: Tensor
    """[D] float64."""
    covariance: Tensor
    """[D, D] float64, unbiased (divided by count - 1; zero for one picture)."""

    @classmethod
    def of(cls, features: Tensor) -> "Moments":
        """Moments of features [N, D], N >= 1. Computed in chunks, without a float64 copy of all
        features."""
        count, width = features.shape
        mean = features.mean(0, dtype=torch.float64)
        scatter = mean.new_zeros(width, width)
        for chunk in features.split(4096):
            centred = chunk.double() - mean
            scatter.addmm_(centred.T, centred)
        return cls(count, mean, scatter / max(count - 1, 1))

    def joined(self, other: "Moments") -> "Moments":
        """Moments of the images of both (Chan, Golub and LeVeque 1979, eq. 2.1, for many
        dimensions)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        scatter = self.covariance * (self.count - 1) + other.covariance * (other.count - 1)
        scatter += torch.outer(apart, apart) * (self.count * other.count / count)
        mean = self.mean + apart * (other.count / count)
        return Moments(count, mean, scatter / max(count - 1, 1))


@dataclass(frozen=True)
class Sample:
    """A feature network's output for a set of images."""

    features: Tensor
    """[N, D] float32 on the CPU."""
    logits: Tensor | None
    """[N, K] float32, or None if the network has none."""
    moments: Moments | None = None
    """Moments of all images, where there were more than features are kept of."""


@dataclass(frozen=True)
class Score:
    """A score with its 95% interval. With too few images there is no value, or no interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    warning: str | None


def scores(metric: str, fake: Sample, real: Sample | None, *, seed: int = 0) -> list[Score]:
    """All scores of one metric.

    Args:
        metric: name of its file.
        fake: generated images.
        real: real images; may be None for a metric that needs logits only.
        seed: divides the images into blocks, and chooses among more than `LIMIT` images.

    Returns:
        Scores. No value is NaN: it is None, and the warning gives the reason.

    Raises:
        ImpastoError: an unknown metric, no images, features that are not finite or of different
            widths, or missing logits.
    """
    module = metric_module(metric)
    if "logits" in module.NEEDS:
        if fake.logits is None:
            raise ImpastoError(
                f"{metric} needs logits, and this feature network has none; use one that classifies"
            )
        width = _checked(fake.logits, "generated")
        count = fakes = len(fake.logits)
        reals = 0
    else:
        if real is None:
            raise ImpastoError(f"{metric} compares with real pictures, and none are given")
        width = _checked(fake.features, "generated")
        if _checked(real.features, "real") != width:
            raise ImpastoError(
                f"features of generated pictures are {width} wide and those of real ones "
                f"{real.features.shape[1]}; make both with the same feature network"
            )
        fakes, reals = _image_count(fake), _image_count(real)
        if module.LIMIT is not None:
            fake, real = _chosen(fake, module.LIMIT, seed), _chosen(real, module.LIMIT, seed)
        count = len(fake.features)
    ranges: dict[str, tuple[float, float]] = module.ranges(width)
    for kind, pictures, least in zip(
        ("generated", "real"), (fakes, reals), module.LEAST, strict=True
    ):
        if pictures < least:
            reason = f"{counted(pictures, f'{kind} picture')}: at least {least} are needed"
            return [Score(name, None, None, None, reason) for name in ranges]

    values: Prepared = module.prepare(fake, fake if real is None else real)
    whole = values(torch.arange(count))
    halves = _jackknife(values, count, module.LEAST[0], seed)
    warning = module.warning(fakes, reals, width)
    found = [
        _score(name, whole[name], halves.get(name), span, count, warning)
        for name, span in ranges.items()
        if name in whole
    ]
    if hasattr(module, "beside"):
        found += module.beside(values, count, width, halves, seed)
    return found


def metric_module(name: str) -> ModuleType:
    """The module of a metric, for its constants such as `NEEDS`.

    Raises:
        ImpastoError: an unknown metric; the message lists the valid names.
    """
    return load_module("metrics", name, "metric")


def _score(
    name: str,
    value: float,
    half: float | None,
    span: tuple[float, float],
    count: int,
    warning: str | None,
) -> Score:
    """One score with its interval, clipped to its range."""
    if not math.isfinite(value):
        return Score(name, None, None, None, "not defined here: all these pictures look the same")
    if half is None or not math.isfinite(half):
        reason = "too few pictures for an interval"
        return Score(name, value, None, None, f"{warning}; {reason}" if warning else reason)
    if half < _ROUNDING and (span == (0, 1) or min(abs(value - end) for end in span) < _ROUNDING):
        half = 3 / count
    return Score(name, value, max(value - half, span[0]), min(value + half, span[1]), warning)


def _jackknife(values: Prepared, count: int, least: int, seed: int) -> dict[str, float]:
    """Half-width of the 95% interval of each score; empty where too few images would remain."""
    blocks = min(BLOCKS, count)
    left = count - math.ceil(count / blocks)
    if blocks < 2 or left < least:
        return {}
    generator = torch.Generator().manual_seed(seed)
    block_of = torch.empty(count, dtype=torch.int64)
    block_of[torch.randperm(count, generator=generator)] = torch.arange(count) % blocks
    rows = [values(torch.nonzero(block_of != block).flatten()) for block in range(blocks)]
    halves = {}
    for name in rows[0]:
        left_out = torch.tensor([row[name] for row in rows], dtype=torch.float64)
        error = math.sqrt((blocks - 1) * float(left_out.var(correction=0)))
        halves[name] = STUDENT[blocks - 2] * error
    return halves


def _checked(values: Tensor, kind: str) -> int:
    """Check features or logits [N, D] and return D."""
    if values.ndim != 2 or values.shape[1] == 0:
        raise ImpastoError(
            f"features of {kind} pictures have shape {list(values.shape)}; a row a picture is needed"
        )
    if len(values) == 0:
        raise ImpastoError(f"there is no {kind} picture to score; check the folder or the class")
    broken = int((~torch.isfinite(values).all(1)).sum())
    if broken:
        raise ImpastoError(
            f"features of {counted(broken, f'{kind} picture')} of {len(values):,} are NaN or infinite; "
            "look for broken pictures or weights"
        )
    return values.shape[1]


def _chosen(sample: Sample, limit: int, seed: int) -> Sample:
    """`limit` of the images, chosen by the seed, in their order; all if there are no more."""
    count = len(sample.features)
    if count <= limit:
        return sample
    generator = torch.Generator().manual_seed(seed)
    keep = torch.randperm(count, generator=generator)[:limit].sort().values
    logits = None if sample.logits is None else sample.logits[keep]
    return Sample(sample.features[keep], logits)


def _image_count(sample: Sample) -> int:
    """Number of images in the sample, which may exceed the number of features."""
    return sample.moments.count if sample.moments else len(sample.features)


__all__ = ["Moments", "Prepared", "Sample", "Score", "metric_module", "scores"]
