"""Walks to music: how loud a sound is over time, and times at which seeds are reached.

Loudness is the root mean square over all channels in windows of 50 ms, in decibels; 0 is 40 dB or more
below the loudest window and 1 is the loudest. It is the mean of five windows, so it follows changes
within an eighth of a second.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.errors import ImpastoError
from impasto.sampling.sound import decoded

_WINDOW = 0.05
"""Seconds."""
_RANGE = 40.0
"""Decibels."""
_SMOOTHED = 5
"""Windows."""
_LEAST = 0.1
"""Speed or radius in silence, as a share of that in the loudest passage."""
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class Loudness:
    """Loudness over time, 0 to 1."""

    levels: np.ndarray
    """One value a window."""
    seconds: float
    """Length of the sound."""

    @classmethod
    def read(cls, path: Path) -> "Loudness":
        """The loudness of a sound file. In memory is one frame at a time, and a value a window.

        Raises:
            ImpastoError: as `decoded`.
        """
        import av

        powers: list[float] = []
        waiting = np.zeros(0)
        samples, rate, resampler = 0, 0, None
        for frame in decoded(path):
            if resampler is None:
                rate = frame.rate
                resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
            for part in resampler.resample(frame):
                values = part.to_ndarray().astype(np.float64)
                samples += values.shape[1]
                waiting = np.concatenate([waiting, (values**2).mean(axis=0)])
            size = max(1, round(rate * _WINDOW))
            whole = len(waiting) // size * size
            powers += waiting[:whole].reshape(-1, size).mean(axis=1).tolist()
            waiting = waiting[whole:]
        if len(waiting):
            powers.append(float(waiting.mean()))
        if not powers:
            raise ImpastoError(f"{path} holds no sound: it is 0 seconds long")
        return cls(_levels(np.array(powers)), samples / rate)

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """The loudness at some times; after the end there is silence."""
        middles = (np.arange(len(self.levels)) + 0.5) * _WINDOW
        found = np.interp(seconds, middles, self.levels)
        return np.where(seconds <= self.seconds, found, 0.0)

    def strength(self, seconds: np.ndarray) -> np.ndarray:
        """Speed or radius at some times, as a share of the largest: 0.1 in silence."""
        return _LEAST + (1 - _LEAST) * self.at(seconds)


def _levels(powers: np.ndarray) -> np.ndarray:
    """Mean squares of windows as smoothed levels from 0 to 1."""
    loudest = powers.max()
    if loudest <= 0:
        return np.zeros(len(powers))
    decibels = 10 * np.log10(np.maximum(powers / loudest, 1e-12))
    levels = np.clip(1 + decibels / _RANGE, 0, 1)
    padded = np.pad(levels, _SMOOTHED // 2, mode="edge")
    return np.convolve(padded, np.full(_SMOOTHED, 1 / _SMOOTHED), mode="valid")


def parse_beats(text: str) -> list[float]:
    """Times in seconds from a text such as `0.5,1.0,1.5`, or from the file that it names: a time at the
    beginning of each line, such as in label tracks of Audacity.

    Raises:
        ImpastoError: no times, or they do not rise.
    """
    number = r"\s*\d+(\.\d*)?\s*"
    if re.fullmatch(rf"{number}(,{number})*", text):
        return check_beats([float(part) for part in text.split(",")])
    path = Path(text).expanduser()
    if not path.is_file():
        raise ImpastoError(
            f"beats are times such as 0.5,1.0,1.5, or a file with them, not '{text}'"
        )
    if path.stat().st_size > _MOST_BYTES:
        raise ImpastoError(f"{path} is too large for a file of beats: a line each is enough")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise ImpastoError(f"{path} is no text: a file of beats has a time in each line") from None
    found: list[float] = []
    for place, line in enumerate(lines, 1):
        words = re.split(r"[\s,;]+", line.strip())
        if not words[0] or words[0].startswith("#"):
            continue
        try:
            found.append(float(words[0]))
        except ValueError:
            raise ImpastoError(
                f"{path}, line {place}: '{words[0]}' is no time in seconds, such as 1.5"
            ) from None
    return check_beats(found)


def check_beats(beats: Sequence[float]) -> list[float]:
    """The times as a list.

    Raises:
        ImpastoError: there are none, one is negative or not finite, or they do not rise.
    """
    found = list(beats)
    if not found:
        raise ImpastoError("there are no beats; give times in seconds, such as 0.5,1.0,1.5")
    if not np.isfinite(found).all() or found[0] < 0 or (np.diff(found) <= 0).any():
        raise ImpastoError("beats are times in seconds that rise, from 0 on, such as 0.5,1.0,1.5")
    return found


def knots_of(beats: Sequence[float], rate: int, count: int, *, loop: bool) -> np.ndarray:
    """The frames at which a walk is at its points: the first, the one nearest to each beat, and the end.

    The end is the last frame; of a loop it is the frame after the last, which is the first again. Beats
    after it are left out.

    Raises:
        ImpastoError: two beats have the same nearest frame.
    """
    end = count if loop else count - 1
    frames = [round(beat * rate) for beat in beats]
    if len(set(frames)) < len(frames):
        raise ImpastoError(
            f"two beats are closer than a frame at {rate} frames a second; raise --fps, or leave one out"
        )
    return np.array([0, *(frame for frame in frames if 0 < frame < end), end])


def length_of(beats: Sequence[float], rate: int, *, loop: bool) -> float:
    """Seconds of a film that ends with the last beat: at its last frame, or where a loop is closed."""
    return (round(beats[-1] * rate) + (not loop)) / rate
