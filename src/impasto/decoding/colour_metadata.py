"""A file's colour information besides its ICC profile: PNG's chunks (W3C PNG, third edition, 11.3.2)
and code points (ITU-T H.273). They are converted to a curve for the samples and an ICC profile of the
primaries.
"""

import functools
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from impasto.decoding.heif_boxes import CodePoints
from impasto.sources.trees import UnusableError

Curve = Callable[[np.ndarray], np.ndarray]
"""A function of samples that gives sRGB's samples, both float64 from 0 to 1."""

Primaries = tuple[float, ...]
"""x and y of white, red, green and blue (CIE 1931), 8 numbers."""


@dataclass(frozen=True)
class Tones:
    """How samples are converted to sRGB: first by the curve, then by the profile."""

    curve: Curve | None = None
    """Applied to each colour sample, not to opacity; None: no curve."""
    profile: bytes = b""
    """The ICC profile of the curve's result; empty: it is sRGB."""


_CHUNKS = (b"IHDR", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"sBIT")
_LONGEST = 64
"""Most bytes of such a chunk; longer ones are ignored."""
_GAMMA_SRGB = 2.2
"""An exponent of this stands for sRGB's curve, since a gAMA chunk can only give an exponent."""
_GAMMA_TOLERANCE = 0.05
"""A gamma within this share of sRGB's counts as sRGB, as in libpng. Most PNGs with a gamma have
0.45455."""
_GAMMAS = (16, 625_000_000)
"""Least and greatest plausible gAMA, in units of 1/100,000."""
_PRIMARIES_TOLERANCE = 0.0015
"""Primaries that differ from sRGB's by at most this, in x and y, count as sRGB's."""

_D65 = (0.3127, 0.329)
_C = (0.31, 0.316)
ADOBE_RGB: Primaries = (*_D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
_SRGB_PRIMARIES = (*_D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# ITU-T H.273, table 2.
_PRIMARIES: dict[int, Primaries] = {
    1: _SRGB_PRIMARIES,
    2: _SRGB_PRIMARIES,  # Unspecified.
    4: (*_C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*_D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*_D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (*_C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*_D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1, 0, 0, 1, 0, 0),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*_D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*_D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
# Table 3. Camera curves (BT.709, 601, 2020, SMPTE 240M, xvYCC, BT.1361) and the exponent 2.2 are
# treated as sRGB's, as browsers do.
_AS_SRGB = (1, 2, 4, 6, 7, 11, 12, 13, 14, 15)
_LINEAR = 8
_EXPONENTS = {5: 2.8, 17: 2.6}
_HDR = {16: "PQ", 18: "HLG"}


def srgb_of_linear(light: np.ndarray) -> np.ndarray:
    """sRGB samples of linear light, both from 0 to 1 (IEC 61966-2-1)."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _power(exponent: float, samples: np.ndarray) -> np.ndarray:
    return srgb_of_linear(np.clip(samples, 0, 1) ** exponent)


def _from_video_range(depth: int, curve: Curve | None, samples: np.ndarray) -> np.ndarray:
    """Scale video-range samples of this many bits (in 8 bits, black is 16 and white 235) to the full
    range, and apply a curve."""
    codes = samples * (2**depth - 1) / 2 ** (depth - 8)
    spread = np.clip((codes - 16) / 219, 0, 1)
    return spread if curve is None else curve(spread)


def png_chunks(file: io.BufferedReader | io.BytesIO) -> dict[bytes, bytes]:
    """The content of a PNG's chunks `_CHUNKS` by their names; empty for other files."""
    found: dict[bytes, bytes] = {}
    file.seek(0)
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return found
    while len(head := file.read(8)) == 8 and head[4:] not in (b"IDAT", b"IEND"):
        length = int.from_bytes(head[:4], "big")
        if head[4:] in _CHUNKS and length <= _LONGEST:
            found.setdefault(head[4:], file.read(length))
            length = 0
        file.seek(length + 4, io.SEEK_CUR)
    return found


def tones_of_png(chunks: dict[bytes, bytes], profile: bytes) -> Tones:
    """A PNG's conversion to sRGB: by the chunk cICP, else the ICC profile, else sRGB, else gAMA and
    cHRM.

    Args:
        chunks: from `png_chunks`.
        profile: the ICC profile; empty if there is none.

    Raises:
        UnusableError: sRGB cannot show its colours, or they are unknown.
    """
    code_points = chunks.get(b"cICP", b"")
    depth = max(8, chunks.get(b"IHDR", bytes(13))[8])
    if len(code_points) == 4:
        primaries, transfer, matrix, full = code_points
        if matrix != 0:
            raise UnusableError(
                f"unreadable: its cICP chunk says that its colours are no red, green and blue (matrix "
                f"coefficients {matrix}); save it as sRGB"
            )
        return tones_of_code_points((primaries, transfer, matrix, bool(full)), depth)
    if profile or b"sRGB" in chunks:
        return Tones(profile=profile)
    curve = None
    if len(chunks.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(chunks[b"gAMA"], "big")
        same = abs(gamma / 100_000 * _GAMMA_SRGB - 1) < _GAMMA_TOLERANCE
        if _GAMMAS[0] <= gamma <= _GAMMAS[1] and not same:
            curve = functools.partial(_power, 100_000 / gamma)
    primaries_profile = b""
    if len(chunks.get(b"cHRM", b"")) == 32:
        numbers = struct.unpack(">8i", chunks[b"cHRM"])
        primaries_profile = profile_of_primaries(tuple(n / 100_000 for n in numbers))
    return Tones(curve, primaries_profile)


def tones_of_code_points(points: CodePoints, depth: int = 8) -> Tones:
    """The conversion to sRGB of colours described by code points.

    Args:
        points: the code points; their matrix coefficients are ignored.
        depth: bits of a sample.

    Raises:
        UnusableError: sRGB cannot show them, or they are unknown.
    """
    primaries, transfer, _, full = points
    if transfer in _HDR:
        raise UnusableError(
            f"unreadable: of high dynamic range ({_HDR[transfer]}), brighter than sRGB's white; "
            "export it as sRGB"
        )
    if primaries not in _PRIMARIES or not (
        transfer in _AS_SRGB or transfer in _EXPONENTS or transfer == _LINEAR
    ):
        raise UnusableError(
            f"unreadable: of colours that are not known here (code points {primaries}, {transfer} of "
            "ITU-T H.273); save it as sRGB"
        )
    curve: Curve | None = None
    if transfer == _LINEAR:
        curve = srgb_of_linear
    elif transfer in _EXPONENTS:
        curve = functools.partial(_power, _EXPONENTS[transfer])
    if not full:
        curve = functools.partial(_from_video_range, depth, curve)
    return Tones(curve, profile_of_primaries(_PRIMARIES[primaries]))


# Bradford's matrix from XYZ to sharpened cone responses.
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of ICC profiles


@functools.lru_cache(maxsize=32)
def profile_of_primaries(primaries: Primaries) -> bytes:
    """An ICC profile (ICC.1:2022) with these primaries and sRGB's curve; empty if they are sRGB's, or
    describe no colour space."""
    if (
        max(abs(a - b) for a, b in zip(primaries, _SRGB_PRIMARIES, strict=True))
        <= _PRIMARIES_TOLERANCE
    ):
        return b""
    white, *points = (
        (x, y, 1 - x - y) for x, y in zip(primaries[::2], primaries[1::2], strict=True)
    )
    columns = np.array(points).T
    if white[1] <= 0 or abs(np.linalg.det(columns)) < 1e-4:
        return b""
    white_xyz = np.array(white) / white[1]
    shares = np.linalg.solve(columns, white_xyz)
    if shares.min() <= 0:
        return b""
    adapted = np.linalg.solve(
        _BRADFORD, np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white_xyz)) @ _BRADFORD
    )
    red, green, blue = (adapted @ (columns * shares)).T
    # Exponent, then a, b, c, d of IEC 61966-2-1.
    curve = (
        b"para" + bytes(4) + b"\0\3\0\0" + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    )
    tags = {
        b"wtpt": b"XYZ " + bytes(4) + _fixed(*_D50),
        b"rXYZ": b"XYZ " + bytes(4) + _fixed(*red),
        b"gXYZ": b"XYZ " + bytes(4) + _fixed(*green),
        b"bXYZ": b"XYZ " + bytes(4) + _fixed(*blue),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    at = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", at + len(body), len(content))
        body += content
    head = struct.pack(">I4xI", at + len(body), 0x04300000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + _fixed(*_D50).ljust(60, b"\0") + table + body


def _fixed(*numbers: float) -> bytes:
    """Numbers as ICC's s15Fixed16Number."""
    return struct.pack(f">{len(numbers)}i", *(round(number * 65536) for number in numbers))
