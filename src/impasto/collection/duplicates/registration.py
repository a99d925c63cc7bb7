"""Align small pictures by shift and stretch, so that crops and other margins of one picture can be
compared pixel by pixel.

Gauss-Newton on the squared difference in brightness, as B. D. Lucas and T. Kanade describe it ("An
iterative image registration technique with an application to stereo vision", 1981), over four
parameters: stretch and shift across, stretch and shift down. It goes from blurred pictures to sharp
ones, so that it converges from larger shifts.
"""

import numpy as np

FURTHEST_STRETCH = 0.25
"""A picture is stretched or shrunk by at most this share, ..."""
FURTHEST_SHIFT = 0.2
"""... and shifted by at most this share of its side."""
_STEPS = (2, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0)
"""By step: the number of times that the pictures are blurred."""
_STIFFNESS = (500.0, 50.0, 500.0, 50.0)
"""Added to the diagonal of the normal equations, so that featureless pictures are not moved."""


def register(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Align pictures with their counterparts, whatever their brightness and contrast.

    Args:
        ones: brightness of the pictures, [B, H, W].
        others: brightness of their counterparts, [B, H, W].

    Returns:
        float64 [B, 4]: (a, b, c, d). A pixel (x, y) of a picture is at (x + a x + b, y + c y + d) in its
        counterpart. Both are in pixels from the centre.
    """
    count, height, width = ones.shape
    frames = np.zeros((count, 4))
    down, across = _from_centre(height), _from_centre(width)
    limits = np.array(
        [FURTHEST_STRETCH, FURTHEST_SHIFT * width, FURTHEST_STRETCH, FURTHEST_SHIFT * height]
    )
    for blurs in _STEPS:
        fixed, moving = ones.astype(np.float64), others.astype(np.float64)
        for _ in range(blurs):
            fixed, moving = _blurred(fixed), _blurred(moving)
        slope_down, slope_across = map(np.asarray, np.gradient(moving, axis=(1, 2)))
        seen, inside = warp(moving, frames)
        fixed, _, fixed_spread = normalise(fixed, inside)
        seen, _, spread = normalise(seen, inside)
        difference = (fixed - seen) * fixed_spread[:, None, None]
        gain = (fixed_spread / spread)[:, None, None] * inside
        slope_across = warp(slope_across, frames)[0] * gain
        slope_down = warp(slope_down, frames)[0] * gain
        by = np.stack(
            (
                slope_across * across[None, None],
                slope_across,
                slope_down * down[:, None],
                slope_down,
            ),
            1,
        ).reshape(count, 4, -1)
        equations = by @ by.transpose(0, 2, 1) + np.diag(_STIFFNESS)
        steps = np.linalg.solve(equations, by @ difference.reshape(count, -1, 1))
        frames = np.clip(frames + steps[..., 0], -limits, limits)
    return frames


def warp(pictures: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Warp pictures by the result of `register`, with bilinear interpolation.

    Args:
        pictures: [B, H, W].
        frames: [B, 4], see `register`.

    Returns:
        The warped pictures, [B, H, W]; and whether each of their pixels is inside the pictures, bool
        [B, H, W].
    """
    count, height, width = pictures.shape
    across = (1 + frames[:, :1]) * _from_centre(width) + frames[:, 1:2] + (width - 1) / 2
    down = (1 + frames[:, 2:3]) * _from_centre(height) + frames[:, 3:4] + (height - 1) / 2
    inside = (np.abs(down - (height - 1) / 2) <= height / 2)[:, :, None]
    inside = inside & (np.abs(across - (width - 1) / 2) <= width / 2)[:, None, :]
    # Stretches and shifts are separable: interpolate along one axis, then along the other.
    row, share = _split(down, height)
    number = np.arange(count)[:, None]
    rows = pictures[number, row] * (1 - share)[..., None]
    rows += pictures[number, row + 1] * share[..., None]
    column, share = _split(across, width)
    turned = rows.transpose(0, 2, 1)
    taken = turned[number, column] * (1 - share)[..., None]
    taken += turned[number, column + 1] * share[..., None]
    return taken.transpose(0, 2, 1), inside


def normalise(
    pictures: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures [B, H, W] normalised to mean 0 and standard deviation 1 where `inside` is true, and 0
    elsewhere; and their mean and standard deviation before that, [B] each."""
    counts = np.maximum(inside.sum(axis=(1, 2)), 1)
    mean = (pictures * inside).sum(axis=(1, 2)) / counts
    centred = (pictures - mean[:, None, None]) * inside
    spread = np.sqrt(np.square(centred).sum(axis=(1, 2)) / counts) + 1e-6
    return centred / spread[:, None, None], mean, spread


def _from_centre(length: int) -> np.ndarray:
    return np.arange(length) - (length - 1) / 2


def _split(places: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The whole and the fractional part of coordinates, which are clipped to the picture."""
    places = places.clip(0, length - 1.001)
    before = places.astype(np.int64)
    return before, places - before


def _blurred(pictures: np.ndarray) -> np.ndarray:
    """Pictures [B, H, W] blurred by the weights 1/4, 1/2, 1/4 along both axes."""
    for axis in (1, 2):
        lines = np.moveaxis(pictures, axis, 0)
        beside = np.concatenate([lines[:1], lines[:-1]]) + np.concatenate([lines[1:], lines[-1:]])
        pictures = np.moveaxis((2 * lines + beside) / 4, 0, axis)
    return pictures
