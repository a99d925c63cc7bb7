"""The time-lapse: a run's grids as a video (PyAV, the extra `video`)."""

import logging
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from impasto.errors import ImpastoError
from impasto.files import atomic_file
from impasto.fonts import font
from impasto.reporting.pictures import cut, enlarge, evenly, open_picture

# The target length of the video.
_SECONDS = 15
_MOST_FRAMES = 450
_HOLD_SECONDS = 2
# Sizes in pixels. Small grids are enlarged, because the codec halves the colour resolution; large
# ones are cropped, because players have limits.
_LEAST_SIDE, _MOST_SIDE = 512, 1536
_BAND = 28


def frame_rate(frames: int) -> int:
    """Frames a second for a video of some 15 seconds, from 2 to 30."""
    return min(30, max(2, round(frames / _SECONDS)))


def _frame(grid: Image.Image, columns: int, caption: str, progress: float) -> Image.Image:
    """A grid with a progress band below."""
    kept, _, _ = cut(grid, columns, _MOST_SIDE)
    large = enlarge(kept, _LEAST_SIDE)
    # 4:2:0 video needs even sides
    width, height = large.width + large.width % 2, large.height + large.height % 2
    frame = Image.new("RGB", (width, height + _BAND), (20, 20, 20))
    frame.paste(large, (0, 0))
    draw = ImageDraw.Draw(frame)
    draw.rectangle((0, height, round(width * progress), height + 2), fill=(224, 122, 62))
    draw.text((8, height + 7), caption, fill=(235, 235, 235), font=font(14))
    return frame


def write_timelapse(
    grids: Sequence[tuple[int, Path]],
    columns: int,
    path: Path,
    caption: Callable[[int], str],
) -> int:
    """Write the grids as an H.264 video to `path` atomically, with the last one held for two
    seconds.

    Args:
        grids: (images seen, file) of each grid, the earliest first; unreadable ones are left out.
        columns: pictures side by side in a grid.
        path: of the video, an MP4.
        caption: gives the text below a grid, from images seen.

    Returns:
        The number of frames; 0, without a video, if fewer than two grids are readable.

    Raises:
        ImpastoError: PyAV is missing, or the video cannot be written.
    """
    try:
        import av
    except ImportError as error:
        raise ImpastoError(
            "the time-lapse needs PyAV; install it with pip install 'impasto[video]'"
        ) from error
    chosen = [grids[place] for place in evenly(len(grids), _MOST_FRAMES)]
    end = max((seen for seen, _ in chosen), default=0)
    frames = (
        _frame(grid, columns, caption(seen), seen / end if end else 1.0)
        for seen, file in chosen
        if (grid := open_picture(file)) is not None
    )
    first, second = next(frames, None), next(frames, None)
    if first is None or second is None:
        return 0
    rate = frame_rate(len(chosen))
    # libx264 would print its settings.
    logging.getLogger("libav").setLevel(logging.ERROR)
    with atomic_file(path) as temporary:
        try:
            with av.open(
                str(temporary), "w", format="mp4", options={"movflags": "faststart"}
            ) as video:
                return _encode(video, chain((first, second), frames), first.size, rate)
        except (av.FFmpegError, ValueError) as error:
            raise ImpastoError(f"cannot make the time-lapse {path}: {error}") from error


def _encode(video: Any, frames: Iterable[Image.Image], size: tuple[int, int], rate: int) -> int:
    """Encode frames, repeating the last for two seconds; gives the number of frames."""
    import av

    stream = _stream(video, size, rate)
    written = 0
    last = Image.new("RGB", size)

    def add(picture: Image.Image) -> None:
        nonlocal written
        if picture.size != size:
            # A grid of another size (a resumed run with another setting) is placed on a frame of
            # the first's size.
            canvas = Image.new("RGB", size, (20, 20, 20))
            canvas.paste(picture, (0, 0))
            picture = canvas
        frame = av.VideoFrame.from_image(picture)
        frame.pts = written
        frame.time_base = Fraction(1, rate)
        for packet in stream.encode(frame):
            video.mux(packet)
        written += 1

    for last in frames:
        add(last)
    for _ in range(_HOLD_SECONDS * rate):
        add(last)
    for packet in stream.encode():
        video.mux(packet)
    return written


def _stream(video: Any, size: tuple[int, int], rate: int) -> Any:
    """An H.264 stream, or an MPEG-4 one if PyAV lacks x264."""
    import av

    with_x264 = "libx264" in av.codecs_available
    stream: Any = video.add_stream("libx264" if with_x264 else "mpeg4", rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = Fraction(1, rate)
    if with_x264:
        stream.options = {"crf": "20", "preset": "veryfast"}
        stream.thread_count = 2
    return stream
