"""Walks to music: loudness, beats, speed, radius, and the sound in the video."""

import math
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

import impasto
from impasto.errors import ImpastoError
from impasto.exploring.rhythm import Loudness, check_beats, knots_of, length_of, parse_beats
from impasto.exploring.walk_options import WalkOptions, film_of
from impasto.exploring.walks import Style
from impasto.sampling.painter import Painter
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke

RATE = 8000


def write_wav(path: Path, strengths: list[float], *, channels: int = 1, rate: int = RATE) -> Path:
    """A tone of 200 Hz, a second of each strength; with two channels of opposite sign."""
    times = np.arange(rate * len(strengths)) / rate
    tone = np.sin(2 * math.pi * 200 * times) * np.repeat(strengths, rate)
    values = np.stack([tone, -tone][:channels], axis=1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((values * 32767).round().astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Painter:
    return Painter.load(random_model(tmp_path_factory.mktemp("rhythm") / "model", "fastgan"))


@pytest.mark.parametrize("channels", [1, 2])
def test_loudness_in_decibels(channels: int, tmp_path: Path) -> None:
    """A tone at a tenth of the strength is 20 dB lower: half of the range of 40 dB. Channels of opposite
    sign do not cancel each other."""
    file = write_wav(tmp_path / "tone.wav", [1.0, 0.1, 0.01, 0.0, 1.0], channels=channels)
    loudness = Loudness.read(file)
    assert loudness.seconds == 5
    assert len(loudness.levels) == 100
    middles = np.array([0.5, 1.5, 2.5, 3.5, 4.5])
    np.testing.assert_allclose(loudness.at(middles), [1, 0.5, 0, 0, 1], atol=0.01)
    # Between two levels it passes in a quarter of a second.
    np.testing.assert_allclose(loudness.at(np.array([0.85, 1.0, 1.15])), [1, 0.75, 0.5], atol=0.01)
    np.testing.assert_allclose(loudness.strength(middles), [1, 0.55, 0.1, 0.1, 1], atol=0.01)
    assert loudness.at(np.array([5.5])) == 0


def test_memory_does_not_grow_with_the_sound(tmp_path: Path) -> None:
    """Of two minutes, whose samples would take 7.7 MB, a value is kept for each window."""
    file = write_wav(tmp_path / "long.wav", [0.5] * 120)
    Loudness.read(file)
    tracemalloc.start()
    loudness = Loudness.read(file)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(loudness.levels) == 2400
    assert most < 500_000


def test_silence_has_no_loudness(tmp_path: Path) -> None:
    loudness = Loudness.read(write_wav(tmp_path / "silence.wav", [0.0, 0.0]))
    assert not loudness.levels.any()


def positions_of(film: Any) -> np.ndarray:
    (walk,) = film.walks
    passed, places = walk.pace
    return np.interp(film.times.numpy(), passed.numpy(), places.numpy())


def test_the_louder_the_faster(painter: Painter, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "tone.wav", [1.0, 0.1, 0.0])
    for loop in (False, True):
        options = WalkOptions(seeds=[1, 2, 3], audio=file, style=Style(loop))
        film = film_of(painter, options, rate=20)
        assert (film.seconds, film.count, film.sound) == (3, 60, file)
        places = positions_of(film)
        steps = np.diff(places)
        assert places[0] == 0
        assert places[-1] == 1 if not loop else places[-1] < 1
        assert (steps > 0).all()
        one, other, silent = steps[5:15].mean(), steps[25:35].mean(), steps[45:55].mean()
        np.testing.assert_allclose([other / one, silent / one], [0.55, 0.1], atol=0.01)


def test_the_louder_the_further_away(painter: Painter, tmp_path: Path) -> None:
    file = write_wav(tmp_path / "tone.wav", [1.0, 0.1, 0.0])
    options = WalkOptions(seeds=[5], around=True, radius=0.5, audio=file)
    film = film_of(painter, options, rate=20)
    (walk,) = film.walks
    (centre,) = painter.latents([5])
    latents, _ = walk.at(film.times)
    cosines = (latents @ centre) / (latents.norm(dim=1) * centre.norm())
    angles = torch.arccos(cosines.clamp(-1, 1)) / (math.pi / 2)
    np.testing.assert_allclose(angles[[10, 30, 50]], [0.5, 0.275, 0.05], atol=0.01)
    # A turn takes twelve seconds: this film of 30 has two and a half, rounded to two.
    long = WalkOptions(seeds=[5], around=True, audio=write_wav(tmp_path / "l.wav", [0.5] * 30))
    made = film_of(painter, long, rate=2)
    first, again = made.walks[0].at(torch.tensor([0.1, 0.6]))[0]
    torch.testing.assert_close(first, again)


@settings(max_examples=60)
@given(
    beats=st.lists(st.floats(0.01, 20), min_size=1, max_size=12, unique=True).map(sorted),
    count=st.integers(2, 5),
    rate=st.integers(5, 60),
    loop=st.booleans(),
    style=st.tuples(st.booleans(), st.booleans()),
    longer=st.floats(0, 3),
)
def test_beats_are_met_at_the_nearest_frame(
    beats: list[float],
    count: int,
    rate: int,
    loop: bool,
    style: tuple[bool, bool],
    longer: float,
    painter: Painter,
) -> None:
    frames = [round(beat * rate) for beat in beats]
    assume(len(set(frames)) == len(frames) and frames[0] > 0)
    seeds = list(range(count))
    seconds = None if longer < 1 else beats[-1] + longer
    options = WalkOptions(seeds=seeds, beats=beats, style=Style(loop, *style))
    stops = len(frames) + (not loop) + (longer >= 1)
    if count > stops:
        with pytest.raises(ImpastoError, match="cannot be reached at these beats"):
            film_of(painter, options, seconds=seconds, rate=rate)
        return
    film = film_of(painter, options, seconds=seconds, rate=rate)
    (walk,) = film.walks
    latents, weights = walk.at(film.times)
    own = painter.points(seeds, painter.labels(seeds, {}))
    for stop, frame in enumerate([0, *frames]):
        assert abs(frame / rate - ([0.0, *beats])[stop]) <= 0.5 / rate + 1e-9
        if frame == film.count:  # where a loop is closed
            assert loop
            continue
        seed = stop % count
        assert torch.equal(latents[frame], own.latents[seed])
        torch.testing.assert_close(weights[frame], own.classes[seed])
    if loop:
        assert torch.equal(walk.at(torch.ones(1))[0][0], own.latents[0])


def test_beats_by_hand() -> None:
    assert knots_of([0, 0.5, 1.02, 9], 10, 16, loop=False).tolist() == [0, 5, 10, 15]
    assert knots_of([0.5, 1.6], 10, 16, loop=True).tolist() == [0, 5, 16]
    assert (length_of([0.5, 1.5], 10, loop=False), length_of([0.5, 1.5], 10, loop=True)) == (
        1.6,
        1.5,
    )
    with pytest.raises(ImpastoError, match="closer than a frame at 10 frames a second"):
        knots_of([0.5, 0.52], 10, 16, loop=False)


def test_beats_in_words(tmp_path: Path) -> None:
    assert parse_beats("0.5, 1,2.25") == [0.5, 1, 2.25]
    file = tmp_path / "beats.txt"
    file.write_text("# beats\n0.5\t0.5\tkick\n\n1.0, snare\n2\n", encoding="utf-8")
    assert parse_beats(str(file)) == [0.5, 1, 2]
    for text, message in (
        ("0.5\nfast\n", "line 2: 'fast' is no time in seconds"),
        ("1\n1\n", "that rise"),
        ("nan\n", "that rise"),
        ("-1\n", "that rise"),
        ("\n", "there are no beats"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(ImpastoError, match=message):
            parse_beats(str(file))
    file.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ImpastoError, match="is no text"):
        parse_beats(str(file))
    with pytest.raises(ImpastoError, match="or a file with them, not 'gone"):
        parse_beats("gone.txt")
    with pytest.raises(ImpastoError, match="that rise"):
        check_beats([2.0, 1.0])


@pytest.mark.parametrize(("channels", "rate"), [(1, 8000), (2, 44_100), (1, 9000)])
def test_a_video_gets_the_sound(channels: int, rate: int, painter: Painter, tmp_path: Path) -> None:
    import av

    file = write_wav(tmp_path / "tone.wav", [0.8, 0.0, 0.8, 0.8], channels=channels, rate=rate)
    film = film_of(painter, WalkOptions(seeds=[1, 2], audio=file), seconds=3, rate=10)
    assert film.write(tmp_path / "walk.mp4") == 30
    with av.open(str(tmp_path / "walk.mp4")) as video:
        assert video.streams.video[0].frames == 30
        assert video.streams.audio[0].codec_context.name == "aac"
    heard = Loudness.read(tmp_path / "walk.mp4")
    assert abs(heard.seconds - 3) < 0.15
    np.testing.assert_allclose(heard.at(np.array([0.5, 1.5, 2.5])), [1, 0, 1], atol=0.1)
    silent = film_of(painter, WalkOptions(seeds=[1, 2]), seconds=0.2, rate=10)
    silent.write(tmp_path / "silent.mp4")
    with av.open(str(tmp_path / "silent.mp4")) as video:
        assert not video.streams.audio


def test_the_command(tmp_path: Path) -> None:
    model = random_model(tmp_path / "model", "dcgan")
    file = write_wav(tmp_path / "tone.wav", [0.8, 0.1])
    words = ["walk", model, "--seeds", "1,2", "--audio", file, "--fps", 10]
    code, text = invoke(*words, "--beats", "0.4,1.1", "--out", tmp_path / "walk.mp4")
    assert (code, text.splitlines()[-1]) == (0, f"20 frames in {tmp_path / 'walk.mp4'}")
    target = impasto.walk(
        model, tmp_path / "frames", [1, 2], audio=file, beats=[0.4], fps=5, device="cpu"
    )
    assert len(list(target.glob("frame-*.png"))) == 10
    # Other music is another walk.
    with pytest.raises(ImpastoError, match="frames of another walk"):
        impasto.walk(model, target, [1, 2], audio=file, fps=5, device="cpu")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--audio", "gone.wav"], "there is no sound file gone.wav"),
        (["--audio", "text.wav"], "text.wav cannot be read as sound"),
        (["--audio", "empty.wav"], "empty.wav holds no sound"),
        (["--audio", "picture.png"], "picture.png has no sound"),
        (["--beats", "soon"], "or a file with them, not 'soon'"),
        (["--beats", "1,2", "--even"], "beats set the pace"),
        (["--around", "3", "--beats", "1,2"], "leave out the beats"),
        (["--beats", "0.5", "--seeds", "1-5"], "5 points cannot be reached at these beats"),
        (["--beats", "1", "--seeds", "1"], "1 point cannot be reached"),
        (["--seconds", "0"], "a walk has 1 to"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.wav").write_text("no sound at all", encoding="utf-8")
    write_wav(tmp_path / "empty.wav", [])
    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    model = random_model(tmp_path / "model", "dcgan")
    extra = [] if "--seeds" in words or "--around" in words else ["--seeds", "1,2"]
    code, text = invoke("walk", model, *words, *extra, "--out", "walk.mp4")
    assert code == 2
    assert message in " ".join(text.split())
    assert not (tmp_path / "walk.mp4").exists()
