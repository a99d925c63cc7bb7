"""The time-lapse: a run's grids as a video (PyAV, the extra `video`)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from impasto.fonts import font
from impasto.reporting.pictures import cut, enlarge, evenly, open_picture
from impasto.sampling.video import write_video

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


def _frame(
    grid: Image.Image, columns: int, tall: float, caption: str, progress: float
) -> Image.Image:
    """A grid with a progress band below."""
    kept, _, _ = cut(grid, columns, _MOST_SIDE, tall)
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
    tall: float = 1.0,
) -> int:
    """Write the grids as an H.264 video to `path` atomically, with the last one held for two
    seconds.

    Args:
        grids: (images seen, file) of each grid, the earliest first; unreadable ones are left out.
        columns: pictures side by side in a grid.
        path: of the video, an MP4.
        caption: gives the text below a grid, from images seen.
        tall: the height of a picture divided by its width.

    Returns:
        The number of frames; 0, without a video, if fewer than two grids are readable.

    Raises:
        ImpastoError: PyAV is missing, or the video cannot be written.
    """
    chosen = [grids[place] for place in evenly(len(grids), _MOST_FRAMES)]
    end = max((seen for seen, _ in chosen), default=0)
    frames = (
        _frame(grid, columns, tall, caption(seen), seen / end if end else 1.0)
        for seen, file in chosen
        if (grid := open_picture(file)) is not None
    )
    first, second = next(frames, None), next(frames, None)
    if first is None or second is None:
        return 0
    rate = frame_rate(len(chosen))
    return write_video(path, _held(chain((first, second), frames), rate), rate, crf=20)


def _held(frames: Iterable[Image.Image], rate: int) -> Iterator[np.ndarray]:
    """The frames in the first one's size, the last held for two seconds."""
    canvas: Image.Image | None = None
    for picture in frames:
        if canvas is None or picture.size == canvas.size:
            canvas = picture
        else:
            # A grid of another size (a resumed run with another setting) is placed on a frame of the
            # first's size.
            canvas = Image.new("RGB", canvas.size, (20, 20, 20))
            canvas.paste(picture, (0, 0))
        yield np.asarray(canvas)
    assert canvas is not None
    for _ in range(_HOLD_SECONDS * rate):
        yield np.asarray(canvas)
