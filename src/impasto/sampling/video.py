"""Pictures as a video: MP4, GIF or animated WebP, written as they come (PyAV, the extra `video`)."""

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from impasto.errors import ImpastoError
from impasto.files import atomic_file

KINDS = (".mp4", ".gif", ".webp")
_MOST_GIF_RATE = 50
"""Frames a second of a GIF: it counts hundredths of a second, and players show less than two slowly."""


def check_video(path: Path, rate: int) -> None:
    """Check, before long work, that a video can be written.

    Raises:
        ImpastoError: PyAV is missing, no video of this kind can be written, or not at this rate.
    """
    if path.suffix.lower() not in KINDS:
        raise ImpastoError(f"a video ends in {', '.join(KINDS)}, not {path}")
    if path.suffix.lower() == ".gif" and rate > _MOST_GIF_RATE:
        raise ImpastoError(f"a GIF has at most {_MOST_GIF_RATE} frames a second, not {rate}")
    try:
        import av
    except ImportError as error:
        raise ImpastoError(
            "a video needs PyAV; install it with pip install 'impasto[video]'"
        ) from error
    codec = {".gif": "gif", ".webp": "libwebp_anim"}.get(path.suffix.lower())
    if codec is not None and codec not in av.codecs_available:
        raise ImpastoError(f"this PyAV cannot write {path.suffix} ({codec}); write an .mp4")


def write_video(path: Path, frames: Iterable[np.ndarray], rate: int, *, crf: int = 18) -> int:
    """Write pictures as a video to `path` atomically, in constant memory; gives their number.

    GIF and WebP repeat for ever.

    Args:
        path: ends in `.mp4`, `.gif` or `.webp`.
        frames: uint8 [H, W, 3] each, of the same size; for an MP4 with even sides.
        rate: frames a second.
        crf: of H.264: less is better and larger.

    Raises:
        ImpastoError: as `check_video`, or the video cannot be written.
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
        try:
            with av.open(str(temporary), "w", format=kind, options=options) as video:
                stream = _stream(video, kind, first.shape, rate, crf)
                count = 0
                with _palettes(kind, first.shape, rate) as encoded:
                    for count, picture in enumerate(_with(first, remaining), 1):
                        for frame in encoded(_frame(picture, count - 1, rate)):
                            video.mux(stream.encode(frame))
                    for frame in encoded(None):
                        video.mux(stream.encode(frame))
                video.mux(stream.encode())
        except (av.FFmpegError, ValueError) as error:
            raise ImpastoError(f"cannot write {path}: {error}") from error
    return count


def _with(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _frame(picture: np.ndarray, number: int, rate: int) -> Any:
    import av

    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame.pts = number
    frame.time_base = Fraction(1, rate)
    return frame


def _stream(video: Any, kind: str, shape: tuple[int, ...], rate: int, crf: int) -> Any:
    """H.264 for an MP4, or MPEG-4 if PyAV lacks x264; GIF or animated WebP."""
    import av

    mp4 = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    codec = {"mp4": mp4, "gif": "gif", "webp": "libwebp_anim"}[kind]
    stream: Any = video.add_stream(codec, rate=rate)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = {"mp4": "yuv420p", "gif": "pal8", "webp": "bgra"}[kind]
    stream.time_base = Fraction(1, rate)
    if codec == "libx264":
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        stream.thread_count = 2
    elif kind == "webp":
        stream.options = {"quality": "85"}
    return stream


@contextlib.contextmanager
def _palettes(
    kind: str, shape: tuple[int, ...], rate: int
) -> Iterator[Callable[[Any], Iterable[Any]]]:
    """Gives what turns a frame into the frames to encode, and None into the remaining ones.

    A GIF's frames have 256 colours each, which ffmpeg chooses for each frame by itself.
    """
    if kind != "gif":
        yield lambda frame: [] if frame is None else [frame]
        return
    import av

    graph = av.filter.Graph()
    height, width = shape[:2]
    source = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1, rate)
    )
    split, chosen = graph.add("split"), graph.add("palettegen", "stats_mode=single")
    used = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=3")
    sink = graph.add("buffersink")
    source.link_to(split)
    split.link_to(chosen, 0, 0)
    split.link_to(used, 1, 0)
    chosen.link_to(used, 0, 1)
    used.link_to(sink)
    graph.configure()

    def through(frame: Any) -> Iterator[Any]:
        graph.vpush(frame)
        while True:
            try:
                yield graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    yield through
