"""Walks through models of several kinds: frames, loops, classes, files, and going on with them."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import impasto
from impasto.collection import Collection
from impasto.errors import ImpastoError
from impasto.exploring import frames as film_files
from impasto.exploring.frames import Film
from impasto.exploring.walk_options import WalkOptions, film_of
from impasto.exploring.walks import (
    Style,
    evenly_paced,
    paint_frames,
    parse_stations,
    stations_of,
    times_of,
)
from impasto.features import load_network
from impasto.sampling import find_model
from impasto.sampling.model import LabelRecord, ModelRecord
from impasto.sampling.painter import Painter
from impasto.training import train
from tests.exploring.models import KINDS, random_model
from tests.helpers.command_line import invoke
from tests.helpers.training import small


@pytest.fixture(scope="module")
def run(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small("flagship_32", training__images=16, labels=["style", "genre"])
    return train(config, labelled, out=tmp_path_factory.mktemp("walk"), device="cpu")


@pytest.fixture(scope="module")
def painter(run: Path) -> Painter:
    return Painter.load(find_model(run), batch=5)


def film(painter: Painter, count: int = 6, **options: Any) -> Film:
    return film_of(painter, WalkOptions(**options), seconds=count / 10, rate=10)


def pictures(made: Film) -> np.ndarray:
    return np.stack(list(made.pictures(made.times)))


def close(some: np.ndarray, other: np.ndarray) -> bool:
    """Equal up to one of 256 levels in rare pixels, as at other batch sizes."""
    return int(np.abs(some.astype(int) - other.astype(int)).max()) <= 1


def test_a_walk_goes_through_its_seeds_pictures(painter: Painter) -> None:
    seeds = [3, 17, 5]
    own = np.concatenate(list(painter.paint(seeds, painter.labels(seeds, {}))))
    open_walk = pictures(film(painter, 5, seeds=seeds))
    assert close(open_walk[[0, 2, 4]], own)
    loop = film(painter, 6, seeds=seeds, style=Style(loop=True))
    painted = pictures(loop)
    assert close(painted[[0, 2, 4]], own)
    # The frame after the last is the first.
    (after,) = loop.pictures(torch.ones(1, dtype=torch.float64))
    assert close(after, painted[0])
    between = [np.abs(a.astype(int) - b).mean() for a, b in itertools.pairwise(painted)]
    assert min(between) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_all_kinds(kind: str, tmp_path: Path) -> None:
    path = random_model(tmp_path / "model", kind)
    target = impasto.walk(path, tmp_path / "walk.gif", [1, 2], seconds=0.4, fps=5, device="cpu")
    assert Image.open(target).n_frames == 2  # type: ignore[attr-defined]
    around = impasto.walk(path, tmp_path / "a", [1], around=True, seconds=0.4, fps=5, device="cpu")
    one, other = (np.asarray(Image.open(file)) for file in sorted(around.glob("frame-*.png")))
    assert not np.array_equal(one, other)


def test_the_frames_times() -> None:
    assert times_of(4, loop=True).tolist() == [0, 0.25, 0.5, 0.75]
    assert times_of(5, loop=False).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert times_of(1, loop=False).tolist() == [0]


def test_classes_change_on_the_way(painter: Painter) -> None:
    record = painter.record
    names = list(record.labels[0].classes[:2])
    (walk,) = WalkOptions(seeds=[3, 4], classes={"style": names}).walks_of(painter)
    _, weights = walk.at(torch.tensor([0, 0.25, 1]))
    style, genre = weights.split(record.label_sizes, dim=1)
    assert style[:, :2].tolist() == [[1, 0], [0.75, 0.25], [0, 1]]
    own = painter.points([3, 4], painter.labels([3, 4], {})).classes
    assert torch.equal(genre[[0, 2]], own.split(record.label_sizes, dim=1)[1])
    # In a loop the last class changes back into the first.
    (loop,) = WalkOptions(seeds=[3], classes={"style": names}, style=Style(loop=True)).walks_of(
        painter
    )
    _, weights = loop.at(torch.tensor([0.75, 1]))
    assert weights.split(record.label_sizes, dim=1)[0][:, :2].tolist() == [[0.5, 0.5], [1, 0]]
    # One class is that of all frames, and seeds draw the others as `sample --class` does.
    (walk,) = WalkOptions(seeds=[3, 4], classes={"style": names[:1]}).walks_of(painter)
    points = painter.points([3, 4], painter.labels([3, 4], {0: 0}))
    assert torch.equal(walk.at(torch.tensor([0.0, 1.0]))[1], points.classes)


def test_classes_in_words() -> None:
    fields = [
        {"name": "style", "classes": ["Cubism", "Oil, on wood", "Rococo"]},
        {"name": "genre", "classes": ["a", "b"]},
    ]
    record = ModelRecord.model_construct(  # type: ignore[call-arg]
        labels=tuple(LabelRecord.model_validate(each) for each in fields)
    )
    texts = ["style=Cubism,Oil, on wood,rococo", "genre=0.5*a+0.5*b , b"]
    names = parse_stations(record, texts)
    assert names == {
        "style": ["Cubism", "Oil, on wood", "rococo"],
        "genre": ["0.5*a+0.5*b", "b"],
    }
    single, stations = stations_of(record, names)
    assert single == {}
    assert stations[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert stations[1].tolist() == [[0.5, 0.5], [0, 1]]
    for wrong, message in (
        (["Cubism"], "FIELD=CLASS,CLASS"),
        (["style=Cubism", "style=Rococo"], "names style twice"),
        (["form=a"], "unknown label field"),
    ):
        with pytest.raises(ImpastoError, match=message):
            parse_stations(record, wrong)
    with pytest.raises(ImpastoError, match="unknown class of style"):
        stations_of(record, {"style": ["Oil", "Cubism"]})
    with pytest.raises(ImpastoError, match="are a list"):
        stations_of(record, {"style": "Cubism"})
    with pytest.raises(ImpastoError, match="knows no classes"):
        parse_stations(record.model_copy(update={"labels": ()}), ["a,b"])


def test_a_grid_of_walks(painter: Painter) -> None:
    grid = pictures(film(painter, 3, seeds=[1, 2, 3, 4, 5, 6], columns=3, rows=1))
    assert grid.shape == (3, 32, 96, 3)
    for place, seeds in enumerate(([1, 2], [3, 4], [5, 6])):
        own = pictures(film(painter, 3, seeds=seeds))
        assert close(grid[:, :, 32 * place : 32 * place + 32], own)
    two = pictures(film(painter, 2, seeds=[1, 2, 3, 4, 5, 6], around=True, columns=2, rows=3))
    assert two.shape == (2, 96, 64, 3)
    below = pictures(film(painter, 2, seeds=[5], around=True))
    assert close(two[:, 64:, :32], below)
    with pytest.raises(ImpastoError, match="3 points cannot be dealt out to 2 walks"):
        film(painter, seeds=[1, 2, 3], columns=2)
    with pytest.raises(ImpastoError, match="2 points for 2 walks: each needs at least two"):
        film(painter, seeds=[1, 2], columns=2)


def test_an_even_pace(painter: Painter) -> None:
    """Of a curve that hurries, steps between frames become of nearly the same length to lite0."""
    network = load_network("lite0")

    def hurried(positions: torch.Tensor) -> torch.Tensor:
        return original.latents(positions**3)

    (original,) = WalkOptions(seeds=[3, 4]).walks_of(painter)
    walk = replace(original, latents=hurried)
    even = evenly_paced(walk, painter, network)

    def unevenness(each: Any) -> float:
        frames = np.concatenate(list(paint_frames([each], painter, times_of(13, loop=False))))
        features = network(torch.from_numpy(frames)).features
        steps = (features[1:] - features[:-1]).norm(dim=1)
        return float(steps.std() / steps.mean())

    assert unevenness(even) < 0.5 * unevenness(walk)
    for time in (0.0, 1.0):
        at = torch.tensor([time], dtype=torch.float64)
        assert torch.equal(even.at(at)[0], walk.at(at)[0])
    assert even.key != walk.key


def test_memory_does_not_grow_with_the_frames(painter: Painter) -> None:
    """Latents are computed when frames are taken: of a million, those of the first frames."""
    (walk,) = WalkOptions(seeds=[1, 2]).walks_of(painter)
    asked: list[int] = []

    def counted(positions: torch.Tensor) -> torch.Tensor:
        asked.append(len(positions))
        return walk.latents(positions)

    lazy = replace(walk, latents=counted)
    some = paint_frames([lazy], painter, times_of(1_000_000, loop=False))
    next(some)
    next(some)
    assert sum(asked) < 20


@pytest.mark.parametrize("kind", ["mp4", "gif", "webp"])
def test_videos(kind: str, run: Path, tmp_path: Path) -> None:
    import av

    target = tmp_path / f"walk.{kind}"
    code, text = invoke(
        "walk", run, "--seeds", "1,2", "--seconds", 0.6, "--fps", 10, "--out", target
    )
    assert (code, text.splitlines()[-1]) == (0, f"6 frames in {target}")
    if kind == "mp4":
        with av.open(str(target)) as video:
            stream = video.streams.video[0]
            assert (stream.width, stream.height) == (512, 512)
            assert stream.average_rate == 10
            shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    else:
        image = Image.open(target)
        assert image.info["loop"] == 0
        shown, durations = [], []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            shown.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        assert durations == [100] * 6
    painter = Painter.load(find_model(run))
    own = pictures(film(painter, seeds=[1, 2]))
    assert len(shown) == 6
    for frame, meant in zip(shown, own, strict=True):
        scale = len(frame) // 32
        smaller = frame.reshape(32, scale, 32, scale, 3).mean((1, 3))
        assert np.abs(smaller - meant).mean() < 8  # what the codec changes
    assert [each.name for each in tmp_path.iterdir()] == [target.name]


def test_frames_are_gone_on_with(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["walk", run, "--seeds", "1,2", "--seconds", 0.6, "--fps", 10, "--out", tmp_path / "f"]
    made = film_files.enlarged

    def interrupted(picture: np.ndarray, times: int) -> np.ndarray:
        if len(list((tmp_path / "f").glob("frame-*.png"))) == 4:
            raise KeyboardInterrupt
        return made(picture, times)

    with monkeypatch.context() as patch:
        patch.setattr(film_files, "enlarged", interrupted)
        code, text = invoke(*words)
    assert (code, text.partition(";")[0]) == (2, "stopped")
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "f").glob("frame-*.png")}
    assert len(kept) == 4
    code, text = invoke(*words)
    assert text.splitlines()[-1].endswith(", 4 of them there before")
    files = sorted((tmp_path / "f").glob("frame-*.png"))
    assert len(files) == 6
    assert {path.name: path.stat().st_mtime_ns for path in files if path.name in kept} == kept
    painter = Painter.load(find_model(run))
    assert close(
        np.stack([np.asarray(Image.open(file)) for file in files]),
        pictures(film(painter, seeds=[1, 2])),
    )
    # A frame carries its point, so that the same picture can be painted again.
    code, text = invoke("sample", run, "--like", files[3], "--out", tmp_path / "again")
    assert code == 0, text
    again = np.asarray(Image.open(tmp_path / "again" / "point-0000.png"))
    assert close(again, np.asarray(Image.open(files[3])))
    code, text = invoke(*words, "--straight")
    assert code == 2
    assert "frames of another walk" in text


def test_a_stopped_video_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(picture: np.ndarray, times: int) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setattr(film_files, "enlarged", stopped)
    code, text = invoke("walk", run, "--seconds", 0.5, "--out", tmp_path / "walk.mp4")
    assert (code, text.partition(";")[0]) == (2, "stopped")
    assert not list(tmp_path.iterdir())


def test_walks_through_files_of_points(run: Path, painter: Painter, tmp_path: Path) -> None:
    code, text = invoke("sample", run, "--seeds", "1,2", "--out", tmp_path / "a")
    assert code == 0, text
    files = [tmp_path / "a" / f"seed-0000000{seed}.png" for seed in (1, 2)]
    assert np.array_equal(
        pictures(film(painter, points=files)), pictures(film(painter, seeds=[1, 2]))
    )
    out = ["--seconds", 0.2, "--fps", 10, "--out"]
    code, text = invoke("walk", run, "--around", files[0], "--radius", 0.2, *out, tmp_path / "b")
    assert code == 0, text
    code, text = invoke("walk", run, "--around", 1, "--radius", 0.2, *out, tmp_path / "c")
    for name in ("frame-000000.png", "frame-000001.png"):
        one, other = (np.asarray(Image.open(tmp_path / each / name)) for each in "bc")
        assert np.array_equal(one, other)


def test_what_cannot_be_walked_is_one_line(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for more, message in (
        (["--seeds", "3"], "at least two points"),
        (["--around", "3", "--radius", "2"], "radius is a number above 0, at most 1"),
        (["--radius", "0.2"], "--radius is the distance from --around"),
        (["--around", "3", "--seeds", "1,2"], "leave out --seeds, --points"),
        (["--around", "none.png"], "there is no none.png"),
        (["--even", "--easing"], "choose one of the two"),
        (["--seeds", "1,2", "--points", "a.png"], "choose one of the two"),
        (["--grid", "4"], "COLUMNSxROWS"),
        (["--grid", ""], "COLUMNSxROWS"),
        (
            ["--seeds", ""],
            "seeds are numbers and ranges",
        ),  # as of a variable of the shell that is empty
        (["--favourites", ""], "there are no favourites"),
        (["--beats", ""], "beats are times"),
        (["--grid", "3x1"], "cannot be dealt out"),
        (["--classes", "style=nothing"], "unknown class of style"),
        (["--seconds", "0"], "1 to 1,000,000 frames"),
        (["--seconds", "nan"], "1 to 1,000,000 frames"),
        (["--out", tmp_path / "walk.avi"], "a video ends in .mp4, .gif, .webp"),
        (["--out", tmp_path / "walk.gif", "--fps", "60"], "at most 50 frames a second"),
        (["--out", tmp_path / "other"], "has other files"),
        (["--out", tmp_path / "file"], "is a file"),
        (["--steps", "3"], "steps is for generators"),
    ):
        code, text = invoke(
            "walk", run, *(more if "--out" in more else [*more, "--out", tmp_path / "x.mp4"])
        )
        assert code == 2, (more, text)
        assert message in text
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    code, text = invoke("walk", run, "--out", tmp_path / "walk.mp4")
    assert code == 2
    assert "pip install 'impasto[video]'" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other"]
