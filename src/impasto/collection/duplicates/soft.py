"""Find copies among pictures with little detail, such as colour fields, mist and night skies.

Perceptual hashes of such pictures are noise. Thousands of them agree once mean and contrast are
normalised. So brightness and colours are compared without normalisation, within limits that grow with
the detail. The limits cover the effects of JPEG compression and resizing. Pairs within them are
**alike**.

Alike pictures are copies only if they also share structure beyond a smooth gradient. Two grey
monochromes of one shade have no structure, or different structure, and are never copies. Pictures of
thin lines on a plain ground are never copies either, because a thumbnail does not show the lines:
Debian's 650 drawings of thin stars are alike in hundreds of pairs, and all different.

Measured on generated pictures and 266 paintings with detail below 8, each saved at 0.37 to 1.5 times
its size and JPEG quality 30 to 75: see docs/notebook.md.
"""

import numpy as np

from impasto.collection.duplicates.comparing import colour_differences, largest, outside
from impasto.collection.duplicates.neighbours import (
    Points,
    block_vectors,
    principal_coordinates,
    true_pairs,
)
from impasto.decoding.fingerprint import SIDE, THUMB

SOFT = 10.0
"""Pictures with less detail than this are compared here. Hashes begin at 8, with an overlap because
the detail of copies differs a little."""
_MEAN = 2.0
"""Limit of the difference in mean brightness, in levels from 0 to 255. JPEG of quality 30 shifts a
picture of one colour by up to 2."""
_RMS = (1.0, 0.2)
"""Limit of the root mean square difference after removing the means, in levels: the first number
plus the second times the mean detail of the two pictures."""
_LIGHT = (2.6, 2.0)
"""The same for the distance of any pixel from the range of the other picture's 3 x 3 neighbourhood,
..."""
_COLOUR = (4.0, 0.6)
"""... and for both colour differences."""
ALIKE = 1.5
"""Alike pictures may exceed the last two limits by this factor, because JPEG compression changes
small dots and edges between colours most."""
_FAINT = 0.5
"""Structure with a smaller root mean square (in levels) is rounding noise."""
_AGREES = 0.75
"""Least correlation of the structure of copies. Copies with more than noise have 0.8 and more;
different pictures within the limits above at most 0.4."""
_PLAIN = 0.3
"""The ground is plain if more than this share of pixels have one brightness, within a level."""
_THIN, _NOISE = 0.15, 0.5
"""Lines on it are thin if detail exceeds this share of the structure, after subtracting the second
number, the detail that JPEG noise adds."""
_SPARSE = 0.68
"""Lines are also thin if the structure's mean absolute value is below this share of its root mean
square: faint lines have 0.55 to 0.68, blurred shapes 0.8, canvas 0.7 to 0.8."""
_MOVED = (0.12, 0.14)
"""A shape has moved if shifting the picture by more than the first number (in 32nds of a side)
explains a difference above the second (root mean square, in levels). Copies with shapes shift by up
to 0.1; in copies without shapes a shift explains up to 0.13."""
_BLOCK, _COLOUR_BLOCK = 4, 2
"""Brightness and colours are first compared by means over blocks of this side, in pixels."""
_ROUNDING = 0.02
"""More than the error of single precision, in levels and in correlations."""
_AT_ONCE = 256
"""Pictures whose structure is computed at once; bounds memory."""


def soft_distances(
    fingerprints: np.ndarray, one: int, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compare a picture with others, all with little detail.

    Args:
        fingerprints: `fingerprint.FINGERPRINT` [S].
        one: number of the picture.
        others: numbers of the others, int64 [B].

    Returns:
        The distance of each, float32 [B]; pictures of a distance up to `ALIKE` are alike. And whether
        each is a copy, bool [B]: its distance is at most 1, and its structure is the same.
    """
    detail = (fingerprints["detail"][others] + fingerprints["detail"][one]) / 2
    own = fingerprints["light"][one][None].astype(np.float32)
    light = fingerprints["light"][others].astype(np.float32)
    difference = light - own
    mean = difference.mean(axis=(1, 2))
    rms = _spread(difference - mean[:, None, None])
    far = np.maximum(np.abs(mean) / _MEAN, rms / _limit(_RMS, detail))
    far[far > 1] = np.inf
    left = np.flatnonzero(far <= 1)
    if len(left):
        beyond = largest(outside(own, light[left]))
        far[left] = np.maximum(far[left], beyond / _limit(_LIGHT, detail[left]))
        left = left[far[left] <= ALIKE]
    if len(left):
        own_colour = colour_differences(fingerprints, np.array([one]))
        beyond = largest(outside(own_colour, colour_differences(fingerprints, others[left])))
        far[left] = np.maximum(far[left], beyond / _limit(_COLOUR, detail[left]))
    copies = np.zeros(len(others), dtype=bool)
    left = np.flatnonzero(far <= 1)
    if len(left):
        colour = colour_differences(fingerprints, others[left])
        same = _agree(own[..., None], light[left][..., None]) | _agree(own_colour, colour)
        same &= ~_too_fine(fingerprints, others[left]) & ~_too_fine(fingerprints, np.array([one]))
        copies[left] = same & ~_moved(own, light[left])
    return far.astype(np.float32), copies


class SoftIndex:
    """Finds pairs of pictures with little detail whose brightness is nearly the same.

    Attributes:
        points: a point for each picture, with its mean brightness as level. Alike pictures are
        neighbours. no_copies: bool [N], whether a picture can only be alike others, and be no copy.
    """

    def __init__(self, fingerprints: np.ndarray, numbers: np.ndarray) -> None:
        self._fingerprints, self._numbers = fingerprints, numbers
        count = len(numbers)
        means, self.no_copies = np.empty(count, np.float32), np.empty(count, bool)
        # Pictures without structure share the first row, which is 0.
        self._row = np.zeros(count, np.int64)
        structures = [np.zeros((1, SIDE**2 // _BLOCK**2 + 1), np.float32)]
        colours = [np.zeros((1, 2 * THUMB**2 // _COLOUR_BLOCK**2 + 1), np.float32)]
        rows = 1
        for start in range(0, count, _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            light = fingerprints["light"][numbers[some]].astype(np.float32)
            means[some] = light.mean(axis=(1, 2))
            usable = ~_too_fine(fingerprints, numbers[some])[:, None]
            structure = _directions(_structure(light[..., None]), _BLOCK) * usable
            colour = _structure(colour_differences(fingerprints, numbers[some]))
            colour = _directions(colour, _COLOUR_BLOCK) * usable
            copied = structure.any(axis=1) | colour.any(axis=1)
            self.no_copies[some] = ~copied
            structures.append(structure[copied])
            colours.append(colour[copied])
            self._row[start + np.flatnonzero(copied)] = rows + np.arange(copied.sum())
            rows += int(copied.sum())
        self._structure, self._colour = np.concatenate(structures), np.concatenate(colours)
        # The distance is the root mean square of the difference, and its limit the sum of two radii.
        radii = _limit(_RMS, fingerprints["detail"][numbers]) / 2 + _ROUNDING
        places = principal_coordinates(
            lambda some: block_vectors(self._brightness(numbers[some]), _BLOCK), count
        )
        self.points = Points(places, radii.astype(np.float32), means, _MEAN)
        self._squares = np.square(places).sum(axis=1)

    def alike(
        self, ones: np.ndarray, others: np.ndarray, side: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The pairs among some pictures and others that may be alike. Pairs on one side already are
        given only if they may be copies.

        Args:
            ones: indices of pictures, int64 [P].
            others: indices of pictures, int64 [Q].
            side: the side of each picture, int64 [N].

        Returns:
            Positions in `ones` and in `others`, of each pair.
        """
        places, radii = self.points.places, self.points.radii
        squares = self._squares[ones][:, None] + self._squares[others]
        squares -= 2 * (places[ones] @ places[others].T)
        near = squares <= np.square(radii[ones][:, None] + radii[others]) + _ROUNDING
        one_side = side[ones][:, None] == side[others]
        if (near & one_side).any():
            near &= ~one_side | self.may_be_copies(ones, others)
        row, column = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not len(row):
            return row, column
        ones, others, near = ones[row], others[column], near[np.ix_(row, column)]
        light = self._brightness(self._numbers[ones]).reshape(len(ones), -1)
        other_light = self._brightness(self._numbers[others]).reshape(len(others), -1)
        squares = np.square(light).sum(axis=1)[:, None] + np.square(other_light).sum(axis=1)
        squares -= 2 * (light @ other_light.T)
        near &= squares <= np.square(radii[ones][:, None] + radii[others])
        inside, beside = true_pairs(near)
        return row[inside], column[beside]

    def may_be_copies(self, ones: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether each of some pictures [P] and each of others [Q] have enough and similar structure,
        bool [P, Q]. If not, they can only be alike."""
        least = _AGREES - _ROUNDING
        ones, others = self._row[ones], self._row[others]
        may: np.ndarray = self._structure[ones] @ self._structure[others].T >= least
        may |= self._colour[ones] @ self._colour[others].T >= least
        return may

    def _brightness(self, numbers: np.ndarray) -> np.ndarray:
        """The brightness of pictures minus its mean, divided by 32, float32 [B, 32, 32, 1]. The
        Euclidean distance of two is the root mean square difference in levels."""
        light = self._fingerprints["light"][numbers].astype(np.float32)
        brightness: np.ndarray = (light - light.mean(axis=(1, 2), keepdims=True)) / SIDE
        return brightness[..., None]


def _directions(structure: np.ndarray, block: int) -> np.ndarray:
    """Unit vectors, float32 [B, K], whose dot products are at least the correlations of the structures
    [B, H, W, C]; 0 where the structure is only noise.

    They hold the sums over blocks, and the length of the remainder.
    """
    means, squares = block_vectors(structure, block)
    rest = np.sqrt(np.maximum(squares - np.square(means).sum(axis=1, dtype=np.float64), 0))
    clear = _spread(structure) >= _FAINT
    lengths = np.where(clear, np.sqrt(squares), np.inf)
    found: np.ndarray = (np.column_stack([means, rest]) / lengths[:, None]).astype(np.float32)
    return found


def _limit(limit: tuple[float, float], detail: np.ndarray) -> np.ndarray:
    return limit[0] + limit[1] * detail


def _agree(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether pictures [B, H, W, C] have the same structure as one [1, H, W, C], bool [B], both with and
    without their smooth gradients."""
    fine, own_fine = _structure(others), _structure(one)
    clear = (_spread(own_fine) >= _FAINT) & (_spread(fine) >= _FAINT)
    whole = others - others.mean(axis=(1, 2), keepdims=True)
    own_whole = one - one.mean(axis=(1, 2), keepdims=True)
    close = _correlation(own_whole, whole) >= _AGREES
    agree: np.ndarray = clear & close & (_correlation(own_fine, fine) >= _AGREES)
    return agree


def _moved(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether others [B, H, W] are shifted copies of one [1, H, W], by least squares, bool [B]."""
    difference = (others - one).reshape(len(others), -1, 1)
    slopes = np.stack(np.gradient((one + others) / 2, axis=(1, 2)), -1).reshape(len(others), -1, 2)
    slopes -= slopes.mean(axis=1, keepdims=True)
    turned = slopes.transpose(0, 2, 1)
    # The stiffness keeps noise in flat areas from acting as slopes.
    by = np.linalg.solve(turned @ slopes + 20 * np.eye(2), turned @ difference)
    explained = _spread(slopes @ by)
    moved: np.ndarray = (np.abs(by).max(axis=(1, 2)) > _MOVED[0]) & (explained > _MOVED[1])
    return moved


def _too_fine(fingerprints: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Whether pictures show thin lines or dots on a plain ground, bool [B]."""
    light = fingerprints["light"][numbers]
    count = len(light)
    values = light.reshape(count, -1) + 256 * np.arange(count)[:, None]
    shares = np.bincount(values.ravel(), minlength=256 * count).reshape(count, 256) / SIDE**2
    plain = (shares[:, :-2] + shares[:, 1:-1] + shares[:, 2:]).max(axis=1) > _PLAIN
    structure = _structure(light[..., None].astype(np.float32))
    height = _spread(structure)
    lines = np.sqrt(np.maximum(fingerprints["detail"][numbers] ** 2 - _NOISE**2, 0))
    sparse = _means(np.abs(structure)) < _SPARSE * height
    fine: np.ndarray = plain & ((lines > _THIN * height) | sparse)
    return fine


def _structure(pictures: np.ndarray) -> np.ndarray:
    """Pictures [B, H, W, C] minus the best-fitting second-order surface of each channel."""
    count, height, width, channels = pictures.shape
    smooth = _SMOOTH[height]
    flat = pictures.reshape(count, height * width, channels)
    fine: np.ndarray = flat - smooth @ (smooth.T @ flat)
    return fine.reshape(pictures.shape)


def _surfaces(side: int) -> np.ndarray:
    """An orthonormal basis of the surfaces of second order, float32 [side * side, 6]."""
    place = np.linspace(-1, 1, side)
    down, across = np.meshgrid(place, place, indexing="ij")
    surfaces = (np.ones_like(down), down, across, down**2, across**2, down * across)
    return np.linalg.qr(np.stack([each.ravel() for each in surfaces], axis=1))[0].astype(np.float32)


_SMOOTH = {side: _surfaces(side) for side in (SIDE, THUMB)}


def _spread(pictures: np.ndarray) -> np.ndarray:
    """Root mean square of each of [B, ...], [B]."""
    return np.sqrt(_means(np.square(pictures)))


def _correlation(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Cosine of each of [B, ...] and one [1, ...], [B]."""
    cosine: np.ndarray = _means(one * others) / np.maximum(_spread(one) * _spread(others), 1e-6)
    return cosine


def _means(values: np.ndarray) -> np.ndarray:
    """The mean of each of [B, ...], [B]."""
    means: np.ndarray = values.mean(axis=tuple(range(1, values.ndim)))
    return means
