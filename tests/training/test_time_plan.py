"""Planning a run for a given time."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.collection import Collection, open_or_pack
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.formatting import parse_time
from impasto.processes import ALONE
from impasto.resolution import short_side
from impasto.sampling.model import ModelRecord, find_model
from impasto.training import time_plan, train
from impasto.training.resolve import resolve
from impasto.training.time_plan import choose_in, divided
from tests.helpers.command_line import invoke
from tests.helpers.training import small


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("90s", 90), ("1.5h", 5400), ("5min", 300)],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds
    assert parse_time(text.upper()) == seconds


def test_overnight() -> None:
    assert parse_time("overnight") == 8 * 3600


@pytest.mark.parametrize("text", ["", "2", "10s", "soon", "-2h", "2h2h"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ImpastoError, match="--time is how long to train"):
        parse_time(text)


def test_the_time_is_divided() -> None:
    """9,300 seconds of training at 100, 50 and 20 images a second, in shares of 0.25, 0.3 and 0.45."""
    found = divided({64: 100.0, 128: 50.0, 256: 20.0}, 10_000)
    assert found == {64: 232_500, 128: 139_500, 256: 83_700}
    # 256 pixels would see 4,185 images: its time goes to the others. Of 64 pixels 300,000 are enough,
    # and 128 pixels have what is left, 6,300 seconds.
    without = divided({64: 100.0, 128: 50.0, 256: 1.0}, 10_000)
    assert without == {64: 300_000, 128: 315_000}
    # From a model of 64 pixels these have a third of their share, and 10,000 images are enough.
    started = divided({64: 100.0, 128: 50.0, 256: 20.0}, 10_000, started=64)
    assert started == {64: 93_000, 128: 167_400, 256: 100_440}
    assert divided({64: 100.0, 128: 50.0}, 1_000, started=64) == {64: 20_217, 128: 36_391}
    assert divided({64: 1.0, 128: 0.5}, 100) == {64: 93}
    assert divided({32: 100.0}, 100) == {32: 9_300}


@pytest.mark.parametrize(
    ("hours", "plan"),
    [
        (0.5, {64: 119_461, 128: 70_308}),
        (2, {64: 262_818, 128: 154_677, 256: 69_303}),
        (8, {64: 300_000, 128: 400_000, 256: 452_601}),
    ],
)
def test_an_evening_on_two_cores_ends_at_256_pixels(hours: float, plan: dict[int, int]) -> None:
    """docs/howto/train.md names these plans."""
    rates = {64: 157.0, 128: 77.0, 256: 23.0}
    found = divided(rates, hours * 3600)
    assert found.keys() == plan.keys()
    assert all(abs(found[size] - plan[size]) <= 2 for size in plan)
    assert sum(found[size] / rates[size] for size in found) <= 0.93 * hours * 3600


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(6):
        pixels = random.integers(0, 255, (140, 140, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    impasto.pack(folder, tmp_path / "packed", resolution=(64, 128))
    return tmp_path / "packed"


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """Measured speeds, by side in pixels."""
    known = {64: 100.0, 128: 50.0}

    def estimate(config: RunConfig, *_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(images_per_second=known[short_side(config.resolution)])

    monkeypatch.setattr(time_plan, "estimate", estimate)
    return known


def chosen(
    data: Path,
    recipe: str | None = None,
    time: str = "1h",
    settings: dict[str, Any] | None = None,
    start_from: Path | None = None,
) -> RunConfig:
    settings = settings or {}
    return choose_in(
        ALONE, recipe, data, settings, time=time, device="cpu", start_from=start_from
    ).config


def test_flagships_follow_each_other(packed: Path, rates: dict[int, float]) -> None:
    config = chosen(packed)
    assert [each.recipe for each in config.stages] == ["flagship_64", "flagship_128"]
    assert [each.training.images for each in config.stages] == [152_181, 91_309]
    assert config.grows
    rates[128] = 1.0
    (alone,) = chosen(packed).stages
    assert (alone.resolution, alone.training.images) == (64, 334_800)


def test_from_a_model_the_sizes_begin_with_its_own(packed: Path, rates: dict[int, float]) -> None:
    config = chosen(packed, start_from=Path("masters"))
    assert [each.resolution for each in config.stages] == [64, 128]
    # 64 pixels have a third of their share: 3,348 seconds in shares of 0.25 / 3 and 0.3.
    assert [each.training.images for each in config.stages] == [72_782, 131_009]
    known = ModelRecord.of(find_model("masters"))
    assert all(each.generator == known.generator for each in config.stages)


def test_from_a_model_of_the_largest_size_there_is_one(
    packed: Path, rates: dict[int, float], tmp_path: Path
) -> None:
    impasto.export("masters", tmp_path / "model")
    record = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps({**record, "resolution": 128}))
    (alone,) = chosen(packed, start_from=tmp_path / "model").stages
    assert alone.resolution == 128


def test_one_size_from_a_model_that_is_no_flagship(
    tiny: Collection, rates: dict[int, float], tmp_path: Path
) -> None:
    rates[32] = 10.0
    run = train(small("wikiart_dcgan", training__images=8), tiny, out=tmp_path, device="cpu")
    (alone,) = chosen(tiny.path, start_from=run).stages
    assert (alone.recipe, alone.resolution) == ("wikiart_dcgan", 32)


def test_settings_are_those_of_all_sizes(packed: Path, rates: dict[int, float]) -> None:
    config = chosen(packed, settings={"training.batch": 16})
    assert [each.training.batch for each in config.stages] == [16, 16]


def test_stages_end_early_where_they_only_copy(packed: Path, rates: dict[int, float]) -> None:
    for each in chosen(packed).stages:
        assert each.evaluation.patience == int(0.4 * (each.training.images or 0))
        assert each.evaluation.only_if_copying
        assert each.evaluation.most_time == 0.05
        alone = each.model_copy(update={"first_stage": None})
        resolved = resolve(alone, open_or_pack(packed, each.resolution))
        assert resolved.evaluation.every == max(10_000, (resolved.training.images or 0) // 10)
        assert resolved.evaluation.most_time == 0.05
    for own in ({"evaluation.patience": 7_000}, {"evaluation.every": 0}):
        (name,) = own
        (one,) = chosen(packed, "wikiart_dcgan", settings=own).stages
        assert getattr(one.evaluation, name.partition(".")[2]) == own[name]
        assert not one.evaluation.only_if_copying
    rates[64] = 5.0
    (short,) = chosen(packed, "wikiart_dcgan").stages  # 16,740 images
    assert short.evaluation.patience is None


def test_one_size_with_a_recipe(packed: Path, rates: dict[int, float]) -> None:
    config = chosen(packed, "wikiart_dcgan", "2h")
    assert config.first_stage is None
    assert (config.training.images, config.training.epochs) == (669_600, None)
    with pytest.raises(ImpastoError, match="leave out --images"):
        chosen(packed, "wikiart_dcgan", settings={"training.images": 100})
    none = chosen(packed, "wikiart_dcgan", "2h", settings={"training.images": None})
    assert none.training == config.training


def test_a_run_goes_on_as_it_was_planned(
    packed: Path, tmp_path: Path, rates: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates[64] = 0.5
    run = tmp_path / "run"
    narrow = {"generator.width": 4, "discriminator.head_width": 4, "training.batch": 8}
    options = ["--set", "evaluation.every=0", "--run", run, "--time", "1m"]
    for name, value in narrow.items():
        options += ["--set", f"{name}={value}"]
    code, text = invoke("train", "flagship_64", "--data", packed, *options)
    assert code == 0, text
    assert "64 pixels: 27 images" in text
    assert json.loads((run / "run.json").read_text())["planned_seconds"] == 60
    monkeypatch.setattr(time_plan, "estimate", None)  # not measured again
    code, text = invoke("train", "flagship_64", "--data", packed, *options)
    assert code == 0, text
