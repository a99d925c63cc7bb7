"""Videos: their colours, and what stands in the way of one."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from impasto.errors import ImpastoError
from impasto.sampling.video import write_video, write_webp

COLOURS = [(200, 20, 30), (20, 60, 190), (240, 230, 60), (10, 120, 40)]


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((16, 24, 3), colour, np.uint8)


def test_a_gif_has_the_colours_of_all_its_frames(tmp_path: Path) -> None:
    frames = [plain(colour) for colour in COLOURS]
    target = tmp_path / "plain.gif"
    assert write_video(target, iter(frames), 10, sample=frames) == 4
    shown = Image.open(target)
    assert shown.size == (24, 16)
    for number, colour in enumerate(COLOURS):
        shown.seek(number)
        assert np.abs(np.asarray(shown.convert("RGB")).astype(int) - colour).max() <= 2


def test_a_gif_without_a_sample_has_the_first_frames_colours(tmp_path: Path) -> None:
    write_video(tmp_path / "plain.gif", [plain(COLOURS[0])] * 3, 10)
    shown = np.asarray(Image.open(tmp_path / "plain.gif").convert("RGB"))
    assert np.abs(shown.astype(int) - COLOURS[0]).max() <= 2


def shown(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """The pictures of a GIF or WebP, and for how many milliseconds each is shown."""
    image: Any = Image.open(path)
    found, durations = [], []
    for number in range(image.n_frames):
        image.seek(number)
        found.append(np.asarray(image.convert("RGB")).astype(int))
        durations.append(image.info["duration"])
    return found, durations


@pytest.mark.parametrize("kind", ["mp4", "gif", "webp"])
def test_changes_too_small_for_one_frame_add_up(kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    coarse = [Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8)) for _ in range(2)]
    first, last = (np.asarray(each.resize((32, 32))).astype(float) for each in coarse)
    shares = np.linspace(0, 1, 150)
    frames = [np.rint(first + (last - first) * share).astype(np.uint8) for share in shares]
    target = tmp_path / f"slow.{kind}"
    if kind == "webp":
        write_webp(target, iter(frames), 150, 20)
    else:
        write_video(target, iter(frames), 20, sample=frames[::4])
    if kind == "mp4":
        with av.open(str(target)) as video:
            found = [each.to_ndarray(format="rgb24").astype(int) for each in video.decode(video=0)]
        durations = [50] * 150
    else:
        found, durations = shown(target)
    assert sum(durations) == 7500
    starts = np.cumsum([0, *durations[:-1]])
    for number, frame in enumerate(frames):
        place = int(np.searchsorted(starts, number * 50, side="right")) - 1
        assert np.abs(found[place] - frame).mean() < 12, number


def test_what_cannot_be_a_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for name, frames, rate, message in (
        ("a.avi", [plain(COLOURS[0])], 10, "a video ends in"),
        ("a.gif", [plain(COLOURS[0])], 60, "at most 50 frames a second"),
        ("a.mp4", [], 10, "there are no frames"),
        ("a.mp4", [plain(COLOURS[0])[:15]], 10, "cannot write"),  # H.264 needs even sides
        ("file/a.mp4", [plain(COLOURS[0])], 10, "cannot write"),
    ):
        with pytest.raises(ImpastoError, match=message):
            write_video(tmp_path / name, frames, rate)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]
