"""Seeds: the same seed and model always give the same image, independently of other seeds.

Torch is imported only where tensors are made, so that ONNX models are sampled without it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import TYPE_CHECKING

from impasto.config import LatentConfig
from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from torch import Tensor

MAX_SEED = 2**32 - 1


def parse_seeds(text: str) -> list[int]:
    """Seeds from a text such as `7`, `0-63` or `1,5,10-20`, in this order.

    Raises:
        ImpastoError: not such a text, or a seed above 4294967295.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()):
            raise ImpastoError(f"seeds are numbers and ranges such as 0-63 or 1,5,9, not '{text}'")
        if int(last) > MAX_SEED:
            raise ImpastoError(f"seed {last} is too large; the largest is {MAX_SEED}")
        if int(last) < int(first):
            raise ImpastoError(f"the range of seeds '{part.strip()}' runs backwards")
        if len(seeds) + int(last) - int(first) >= 10_000_000:
            raise ImpastoError(f"'{text}' asks for more than 10 million pictures at once")
        seeds.extend(range(int(first), int(last) + 1))
    return seeds


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """The seeds as a list.

    Raises:
        ImpastoError: there are no seeds, or one is not a whole number from 0 to 4294967295.
    """
    try:
        numbers = [operator.index(seed) for seed in seeds]
    except TypeError:
        raise ImpastoError(f"seeds are whole numbers, such as [0, 1, 2], not {seeds!r}") from None
    if not numbers:
        raise ImpastoError("no seeds are given; give some, such as range(16)")
    for seed in numbers:
        if not 0 <= seed <= MAX_SEED:
            raise ImpastoError(f"seeds are numbers from 0 to {MAX_SEED}, not {seed}")
    return numbers


def check_truncation(truncation: float | None) -> None:
    """Raises: ImpastoError: it is neither None nor a positive number."""
    if truncation is not None and not (
        isinstance(truncation, Real) and truncation > 0 and math.isfinite(truncation)
    ):
        raise ImpastoError(f"truncation must be a positive number, such as 0.7, not {truncation!r}")


def latents_of_seeds(
    seeds: Sequence[int], latent: LatentConfig, truncation: float | None = None
) -> Tensor:
    """Latents [B, Z] float32 on the CPU: one a seed, each from a random generator of its own.

    Args:
        seeds: 0 to 2**32 - 1.
        latent: number of values and their distribution.
        truncation: restrict values to +-truncation (the truncation trick, Brock et al. 2019,
            arXiv:1809.11096, section 3.1); smaller gives more typical and less varied images.
            Values are mapped by the distribution's quantiles instead of drawn again, so a seed's
            image changes smoothly with the truncation. None: the whole distribution. For uniform
            latents the interval [-1, 1] shrinks.

    Raises:
        ImpastoError: truncation is not positive.
    """
    import torch

    check_truncation(truncation)
    values = torch.empty(len(seeds), latent.size, dtype=torch.float64)
    for row, seed in zip(values, seeds, strict=True):
        random = torch.Generator().manual_seed(seed)
        if latent.distribution == "normal":
            row.copy_(torch.randn(latent.size, generator=random, dtype=torch.float64))
        else:
            row.copy_(torch.rand(latent.size, generator=random, dtype=torch.float64) * 2 - 1)
    if truncation is not None:
        values = _truncated(values, latent, truncation)
    return values.float()


def _truncated(values: Tensor, latent: LatentConfig, truncation: float) -> Tensor:
    import torch

    if latent.distribution == "uniform":
        return values * min(truncation, 1.0)
    within = math.erf(truncation / math.sqrt(2))  # the share of N(0, 1) inside +-truncation
    squeezed = torch.erf(values / math.sqrt(2)) * within
    # Where the argument rounds to +-1 (a value or a truncation above about 8), erfinv is infinite.
    return (torch.erfinv(squeezed) * math.sqrt(2)).clamp(-truncation, truncation)
