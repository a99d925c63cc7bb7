"""Walks as files: a video, or a folder of frames that can be gone on with."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from impasto.config import Config, Count, read_record
from impasto.errors import ImpastoError
from impasto.exploring.walks import Walk, paint_frames, times_of
from impasto.files import atomic_file, check_writable, write_json
from impasto.sampling.painter import Painter
from impasto.sampling.point_text import png_text
from impasto.sampling.points import Points
from impasto.sampling.video import KINDS, check_video, write_video, write_webp

Progress = Callable[[int], None]
RECORD = "walk.json"
_LEAST_SIDE = 512
_MOST_FRAMES = 1_000_000
_SAMPLED = 24
"""Frames that a GIF's colours are chosen from."""


class FramesRecord(Config):
    """`walk.json`: which walk the frames in a folder belong to."""

    format: int = 1
    walk: str
    """Digest of the walks, the generator and the number of frames."""
    frames: Count
    rate: Count
    columns: Count


def frames_in(seconds: float, rate: int) -> int:
    """The number of frames of a film.

    Raises:
        ImpastoError: none or too many.
    """
    if rate < 1 or not 0 < seconds * rate <= _MOST_FRAMES:
        raise ImpastoError(
            f"a walk has 1 to {_MOST_FRAMES:,} frames, not {seconds:g} seconds of {rate}"
        )
    return max(1, round(seconds * rate))


@dataclass(frozen=True)
class Film:
    """Walks of one model, side by side, and how they become frames."""

    walks: Sequence[Walk]
    painter: Painter
    seconds: float
    rate: int
    columns: int = 1
    scale: int | None = None
    """How often each pixel is repeated. None: once; in an MP4 as often as the shorter side needs to
    have at least 512 pixels, because the codec halves the resolution of colours."""
    sound: Path | None = None
    """A file whose sound an MP4 gets."""

    def __post_init__(self) -> None:
        """
        Raises:
            ImpastoError: a length or rate out of range.
        """
        frames_in(self.seconds, self.rate)

    @property
    def count(self) -> int:
        """The number of frames."""
        return frames_in(self.seconds, self.rate)

    @property
    def times(self) -> torch.Tensor:
        """The times of all frames."""
        return times_of(self.count, loop=self.walks[0].loop)

    def pictures(self, times: torch.Tensor) -> Iterator[np.ndarray]:
        """The frames at some times, uint8 [H, W, 3] each, in their own size."""
        for pixels in paint_frames(self.walks, self.painter, times, self.columns):
            yield from pixels

    def write(self, path: Path, progress: Progress = lambda done: None) -> int:
        """Write a video, or frames into a folder; gives the number of frames painted.

        An existing video is replaced. In a folder, frames of this walk that are there already are kept.

        Args:
            path: ends in `.mp4`, `.gif` or `.webp`, or is a folder.
            progress: gets the number of frames done.

        Raises:
            ImpastoError: it cannot be written, or the folder has frames of another walk.
        """
        if path.suffix.lower() not in KINDS:
            return self._write_folder(path, progress)
        enlarged = self._enlarged(path, progress)
        if path.suffix.lower() == ".webp":
            return write_webp(path, enlarged, self.count, self.rate)
        places = torch.linspace(0, self.count - 1, min(self.count, _SAMPLED)).round().long()
        sample = self.pictures(self.times[places])
        sound = self.sound if path.suffix.lower() == ".mp4" else None
        return write_video(path, enlarged, self.rate, sample=sample, sound=sound)

    def _enlarged(self, path: Path, progress: Progress) -> Iterator[np.ndarray]:
        for done, picture in enumerate(self.pictures(self.times)):
            progress(done)
            times = self.scale or 1
            if self.scale is None and path.suffix.lower() == ".mp4":
                times = -(-_LEAST_SIDE // min(picture.shape[:2]))
            yield enlarged(picture, times)
        progress(self.count)

    def _write_folder(self, folder: Path, progress: Progress) -> int:
        record = self._record()
        check_folder(folder, record)
        check_writable(folder)
        if not (folder / RECORD).exists():
            write_json(folder / RECORD, record.model_dump(mode="json"))
        names = [f"frame-{number:06d}.png" for number in range(self.count)]
        missing = [number for number, name in enumerate(names) if not (folder / name).exists()]
        done = self.count - len(missing)
        progress(done)
        times = self.times[missing]
        frames = zip(missing, self.pictures(times), self._texts(times), strict=True)
        for number, picture, text in frames:
            image = Image.fromarray(enlarged(picture, self.scale or 1))
            with atomic_file(folder / names[number]) as temporary:
                image.save(temporary, "PNG", pnginfo=text)
            done += 1
            progress(done)
        return len(missing)

    def _record(self) -> FramesRecord:
        painted = self.painter
        keys = [walk.key for walk in self.walks]
        made = painted.record.generator.model_dump(mode="json")
        parts = (painted.record.weights_sha256, made, self.scale or 1, *keys)
        digest = hashlib.sha256(
            json.dumps([*parts, self.walks[0].loop], sort_keys=True).encode()
        ).hexdigest()
        return FramesRecord(walk=digest, frames=self.count, rate=self.rate, columns=self.columns)

    def _texts(self, times: torch.Tensor) -> Iterator[PngInfo | None]:
        """The points of the frames at some times, where a frame shows one."""
        for some in times.split(self.painter.batch):
            if len(self.walks) > 1:
                yield from (None for _ in some)
                continue
            points = Points.make(self.painter.record, *self.walks[0].at(some))
            yield from (png_text(points.text(number)) for number in range(len(points)))


def check_folder(folder: Path, record: FramesRecord) -> None:
    """Check that a folder has no frames of another walk.

    Raises:
        ImpastoError: it has, or it has other files.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ImpastoError(
            f"{folder} is a file: a video ends in {', '.join(KINDS)}, and frames need a folder"
        )
    if not (folder / RECORD).exists():
        if any(folder.iterdir()):
            raise ImpastoError(f"{folder} has other files; choose another folder with --out")
        return
    if read_record(folder / RECORD, "folder of frames", FramesRecord) != record:
        raise ImpastoError(f"{folder} has frames of another walk; choose another folder with --out")


def check_target(path: Path, rate: int) -> None:
    """Check, before long work, that frames can be written there.

    Raises:
        ImpastoError: PyAV is missing, or the video cannot have this rate.
    """
    if path.suffix.lower() in KINDS:
        check_video(path, rate)
    elif path.suffix and not path.is_dir():
        raise ImpastoError(
            f"a video ends in {', '.join(KINDS)}, not {path}; a folder has no ending"
        )


def enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    """A picture [H, W, 3] with each pixel repeated in rows and columns."""
    return picture if times == 1 else picture.repeat(times, axis=0).repeat(times, axis=1)
