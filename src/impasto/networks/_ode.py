"""From noise to a picture: the differential equation of a flow, integrated in a few steps.

A noisy picture at time t is z = t x + (1 - t) e, with the picture x and standard normal noise e. So
t = 0 is noise and t = 1 is the picture. A denoiser gives the mean of x for a z and t, and the flow is
dz/dt = (denoised - z) / (1 - t) (Liu et al. 2022, arXiv:2209.03003; in terms of the denoised picture
Li and He 2025, arXiv:2511.13720, equation 6).

In terms of the noise level sigma = (1 - t) / t, the noisy picture is z / t = x + sigma e, as in
Karras et al. 2022 (arXiv:2206.00364). Euler's steps are the same in both terms.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

Method = Literal["heun", "euler"]

_LEAST_SIGMA, _MOST_SIGMA, _RHO = 0.002, 80.0, 7.0


def even_times(steps: int) -> list[float]:
    """`steps` equal steps of time, from 0 to 1."""
    return [step / steps for step in range(steps + 1)]


def karras_times(steps: int) -> list[float]:
    """Times of noise levels from 80 to 0.002, with shorter steps at lower levels, and 1 at the end
    (Karras et al. 2022, arXiv:2206.00364, equation 5, rho = 7)."""
    high, low = _MOST_SIGMA ** (1 / _RHO), _LEAST_SIGMA ** (1 / _RHO)
    shares = [step / max(1, steps - 1) for step in range(steps)]
    levels = [(high + share * (low - high)) ** _RHO for share in shares]
    return [*(1 / (1 + level) for level in levels), 1.0]


def integrate(
    denoise: Callable[[Tensor, float], Tensor],
    noise: Tensor,
    times: Sequence[float],
    method: Method,
) -> Tensor:
    """The picture that the flow leads to from this noise.

    The last step is always Euler's; it ends at the denoised picture itself. Heun's method calls the
    denoiser twice in every other step (Karras et al. 2022, algorithm 1, but with steps of time in
    place of the noise level, which err less on a Gaussian).

    Args:
        denoise: gives the denoised pictures of noisy ones at a time below 1.
        noise: [B, C, H, W], standard normal.
        times: rising, the last one 1.
        method: `heun` (second order) or `euler` (first order).

    Returns:
        [B, C, H, W].
    """

    def velocity(noisy: Tensor, time: float) -> Tensor:
        return (denoise(noisy, time) - noisy) / (1 - time)

    noisy = (1 - times[0]) * noise
    for time, following in itertools.pairwise(times):
        slope = velocity(noisy, time)
        after = noisy + (following - time) * slope
        if method == "heun" and following < 1:
            slope = (slope + velocity(after, following)) / 2
            after = noisy + (following - time) * slope
        noisy = after
    return noisy


def _passes(times: Sequence[float], method: Method) -> list[tuple[float, float, float, bool]]:
    """What each pass of the denoiser in `integrate` does: its time, the length of the step, the share
    of the slope before in the step's slope, and whether it ends the step."""
    found: list[tuple[float, float, float, bool]] = []
    for time, following in itertools.pairwise(times):
        twice = method == "heun" and following < 1
        found.append((time, following - time, 0.0, not twice))
        if twice:
            found.append((following, following - time, 0.5, True))
    return found


def integrate_in_a_loop(
    denoise: Callable[[Tensor, Tensor, Tensor], Tensor],
    noise: Tensor,
    times: Sequence[float],
    method: Method,
    strength: Callable[[float], float],
) -> Tensor:
    """What `integrate` computes, as a graph that holds the denoiser once and not once for each pass.

    Such a graph can be exported (ONNX); torch itself runs `integrate` sooner.

    Args:
        denoise: gives the denoised pictures of noisy ones at a time, with a strength of guidance.
        noise: [B, C, H, W].
        times: see `integrate`.
        method: see `integrate`.
        strength: gives the strength of guidance at a time.
    """
    # Torch has no public name for this yet.
    from torch._higher_order_ops.scan import scan

    def one(
        state: tuple[Tensor, ...], values: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        begun, noisy, before = state
        time, length, share, guidance, ends = values
        slope = (denoise(noisy, time, guidance) - noisy) / (1 - time)
        after = begun + length * (share * before + (1 - share) * slope)
        new = (begun + ends * (after - begun), after, slope)
        # The state keeps its memory format, whatever the denoiser's is.
        return tuple(each.contiguous() for each in new), time.clone()

    passes = _passes(times, method)
    columns = [
        *zip(*(each[:3] for each in passes), strict=True),
        [strength(time) for time, *_ in passes],
        [float(ends) for *_, ends in passes],
    ]
    begun = (1 - times[0]) * noise
    state = (begun, begun.clone(), torch.zeros_like(begun))
    (_, images, _), _ = scan(one, state, tuple(noise.new_tensor(each) for each in columns))
    return images
