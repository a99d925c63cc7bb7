"""Pictures as a video, written as they come: MP4 and GIF by PyAV (the extra `video`), WebP by Pillow.

PyAV could write WebP too, but without key frames: changes that are too small to be encoded from one
frame to the next are then never shown, however large they grow.
"""

import logging
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.sampling.sound import decoded

KINDS = (".mp4", ".gif", ".webp")
_MOST_GIF_RATE = 50
"""Frames a second of a GIF: it counts hundredths of a second, and players show less than two slowly."""

_AAC_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""Samples a second that AAC has for every player."""

_LOOKED_AT = 64
"""The side of the pictures that a GIF's colours are chosen from."""


def check_video(path: Path, rate: int) -> None:
    """Check, before long work, that a video can be written.

    Raises:
        ImpastoError: PyAV is missing, no video of this kind can be written, or not at this rate.
    """
    if path.suffix.lower() not in KINDS:
        raise ImpastoError(f"a video ends in {', '.join(KINDS)}, not {path}")
    if path.suffix.lower() == ".gif" and rate > _MOST_GIF_RATE:
        raise ImpastoError(f"a GIF has at most {_MOST_GIF_RATE} frames a second, not {rate}")
    if path.suffix.lower() == ".webp":
        if not features.check("webp"):
            raise ImpastoError("this Pillow cannot write WebP; write an .mp4 or .gif")
        return
    try:
        import av as av
    except ImportError as error:
        raise ImpastoError(
            f"a video {path.suffix} needs PyAV; install it with pip install 'impasto[video]', or write "
            "a .webp"
        ) from error


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: int,
    *,
    sample: Iterable[np.ndarray] = (),
    crf: int = 18,
    sound: Path | None = None,
) -> int:
    """Write pictures as a video to `path` atomically, in constant memory; gives their number.

    A GIF repeats for ever.

    Args:
        path: ends in `.mp4` or `.gif`; see `write_webp` for the other kind.
        frames: uint8 [H, W, 3] each, of the same size; for an MP4 with even sides.
        rate: frames a second.
        sample: of a GIF, frames from all over, for which its colours are chosen; by default the first.
        crf: of H.264: less is better and larger.
        sound: of an MP4, a file whose sound it gets, as AAC, up to the end of the pictures.

    Raises:
        ImpastoError: as `check_video`, the video cannot be written, or the sound not be read.
    """
    check_video(path, rate)
    import av

    # libx264 would print its settings.
    logging.getLogger("libav").setLevel(logging.ERROR)
    kind = path.suffix.lower().lstrip(".")
    options = {"movflags": "faststart"} if kind == "mp4" else {"loop": "0"}
    remaining = iter(frames)
    with atomic_file(path) as temporary:
        first = next(remaining, None)
        if first is None:
            raise ImpastoError(f"there are no frames for {path}")
        palette = _palette(list(sample) or [first]) if kind == "gif" else None
        try:
            with av.open(str(temporary), "w", format=kind, options=options) as video:
                stream = _stream(video, kind, first.shape, rate, crf)
                track = None if sound is None else _SoundTrack(video, sound)
                count = 0
                for count, picture in enumerate(chain([first], remaining), 1):
                    video.mux(stream.encode(_frame(picture, count - 1, rate, palette)))
                    if track is not None:
                        track.write_until(count / rate)
                video.mux(stream.encode())
                if track is not None:
                    track.end()
        except (av.FFmpegError, ValueError) as error:
            raise ImpastoError(f"cannot write {path}: {error}") from error
    return count


class _SoundTrack:
    """The sound of a file, written beside the pictures of a video as they come.

    Args:
        video: open for writing.
        path: of the sound.
    """

    def __init__(self, video: Any, path: Path) -> None:
        self.video = video
        self.frames = decoded(path)
        self.waiting = next(self.frames, None)
        self.samples = 0
        if self.waiting is None:
            raise ImpastoError(f"{path} holds no sound: it is 0 seconds long")
        self.rate = self.waiting.sample_rate if self.waiting.sample_rate in _AAC_RATES else 48_000
        self.stream = video.add_stream("aac", rate=self.rate)
        self.stream.layout = "mono" if self.waiting.layout.nb_channels == 1 else "stereo"

    def write_until(self, seconds: float) -> None:
        """Write what is heard before this time."""
        while self.waiting is not None and self.samples < seconds * self.waiting.sample_rate:
            frame = self.waiting
            frame.pts, frame.time_base = self.samples, Fraction(1, frame.sample_rate)
            self.samples += frame.samples
            self.video.mux(self.stream.encode(frame))
            self.waiting = next(self.frames, None)

    def end(self) -> None:
        """Write what the encoder still holds."""
        self.video.mux(self.stream.encode())


def write_webp(path: Path, frames: Iterable[np.ndarray], count: int, rate: int) -> int:
    """Write pictures as an animated WebP to `path` atomically; gives their number. It repeats for ever.

    In memory are one frame and the encoded ones.

    Args:
        path: of the file.
        frames: uint8 [H, W, 3] each, of the same size.
        count: their number.
        rate: frames a second.

    Raises:
        ImpastoError: as `check_video`, or the file cannot be written.
    """
    check_video(path, rate)
    remaining = iter(frames)
    shown = Image.fromarray(next(remaining)).copy()
    number = 0

    def seek(wanted: int) -> None:
        nonlocal number
        if wanted > number:
            shown.paste(Image.fromarray(next(remaining)))
            number += 1

    # Pillow writes what is an image of several frames, one after the other.
    for name, value in (("n_frames", count), ("seek", seek)):
        setattr(shown, name, value)
    with atomic_file(path) as temporary:
        duration = 1000 / rate
        options = {"save_all": True, "duration": duration, "loop": 0, "quality": 85, "method": 2}
        shown.save(temporary, "WEBP", **options)
    return count


def _stream(video: Any, kind: str, shape: tuple[int, ...], rate: int, crf: int) -> Any:
    """H.264 for an MP4, or MPEG-4 if PyAV lacks x264; or GIF."""
    import av

    mp4 = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    codec = {"mp4": mp4, "gif": "gif"}[kind]
    stream: Any = video.add_stream(codec, rate=rate)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = {"mp4": "yuv420p", "gif": "pal8"}[kind]
    stream.time_base = Fraction(1, rate)
    if codec == "libx264":
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        stream.thread_count = 2
    return stream


def _palette(sample: Iterable[np.ndarray]) -> Image.Image:
    """An image with a palette of the 256 colours that some frames need most."""
    frames = [Image.fromarray(frame) for frame in sample]
    for frame in frames:
        frame.thumbnail((_LOOKED_AT, _LOOKED_AT), Image.Resampling.NEAREST)
    rows = np.concatenate([np.asarray(frame).reshape(-1, 3) for frame in frames])
    return Image.fromarray(rows[None]).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)


def _frame(picture: np.ndarray, number: int, rate: int, palette: Image.Image | None) -> Any:
    import av

    if palette is None:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    else:
        indices = np.asarray(Image.fromarray(picture).quantize(palette=palette))
        colours = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
        chosen = np.array(palette.getpalette(), np.uint8).reshape(-1, 3)
        colours[: len(chosen), 1:] = chosen
        both: Any = indices, colours
        frame = av.VideoFrame.from_ndarray(both, format="pal8")
    frame.pts = number
    frame.time_base = Fraction(1, rate)
    return frame
