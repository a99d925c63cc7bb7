"""Rectangles from the collection to the report: trained, resumed, sampled, evaluated, shown."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection, PackOptions, pack
from impasto.config import RunConfig
from impasto.errors import ImpastoError
from impasto.evaluation.record import METRICS_FILE, read_rows
from impasto.features.lite0 import load_frozen
from impasto.reporting.page import write_report
from impasto.reporting.pictures import cut, tile_size
from impasto.reporting.record import read_record
from impasto.resolution import Size
from impasto.sampling.model import Model, find_model
from impasto.training import resume, train, transfer
from impasto.training.choosing import choose
from impasto.training.data import TrainingPictures
from impasto.training.pretrained import PretrainedModel
from impasto.training.run_folder import read_run
from tests.helpers.command_line import Say
from tests.helpers.pictures import paint
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, session, small

TALL = Size(24, 32)


@pytest.fixture(scope="module")
def tall(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """27 training pictures in two classes, at 24x32 and 48x64."""
    folder = tmp_path_factory.mktemp("tall")
    paint(folder / "pictures", 30, size=64)
    options = PackOptions(resolution=Size(48, 64), smaller=(TALL,), labels=("style",), name="tall")
    return pack(folder / "pictures", folder / "collection", options).collection


def narrow(resolution: str = "24x32", **settings: Any) -> RunConfig:
    return small("flagship_64", resolution=resolution, labels=["style"], **settings)


@pytest.fixture(scope="module")
def trained(tall: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    load_frozen()
    config = narrow(evaluation__every=64, evaluation__pictures=8, evaluation__patience=1000)
    return train(config, tall, out=tmp_path_factory.mktemp("runs"), device="cpu")


def test_a_run_that_died_ends_as_one_that_did_not(
    tall: Collection, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, record = read_run(trained)
    assert config.resolution == TALL
    assert record["config"]["resolution"] == "24x32"
    assert record["collection"]["resolution"] == "48x64"
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(config, tall, out=tmp_path, device="cpu")
    (died,) = tmp_path.iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(trained)


@pytest.mark.parametrize("recipe", ["first_look", "ukiyoe_dcgan_v1", "r3gan_32", "flow_32"])
def test_other_families_train(recipe: str, tall: Collection, tmp_path: Path) -> None:
    patch = {"generator__patch": 2} if recipe == "flow_32" else {}
    config = small(recipe, resolution="24x32", training__images=16, evaluation__every=0, **patch)
    run = train(config, tall, out=tmp_path, device="cpu")
    pictures = Model.load(find_model(run)).pictures(seeds=[1, 2])
    assert [picture.size for picture in pictures] == [(24, 32), (24, 32)]


def test_pictures_are_averaged_down_to_the_size(tall: Collection) -> None:
    pictures = TrainingPictures(tall, (), 0, CPU, torch.contiguous_format, resolution=TALL)
    images, _ = pictures.shown(0, 4)
    rows = tall.train_indices[pictures.order.places(0, 4)]
    pixels = tall.images(rows).astype(np.float64).reshape(4, 32, 2, 24, 2, 3).mean((2, 4))
    expected = torch.from_numpy(pixels.transpose(0, 3, 1, 2) / 127.5 - 1).float()
    torch.testing.assert_close(images, expected, rtol=1e-5, atol=1e-5)


def test_its_pictures_are_sampled_scored_and_shown(
    trained: Path, tall: Collection, tmp_path: Path, say: Say
) -> None:
    assert say("sample", str(trained), "--seeds", "0-7", "--out", str(tmp_path / "made"))[0] == 0
    with Image.open(next((tmp_path / "made").glob("*.png"))) as image:
        assert image.size == (24, 32)
    grid = tmp_path / "grid.png"
    assert say("sample", str(trained), "--every-class", "style", "--grid", str(grid))[0] == 0
    assert Image.open(grid).width == 2 * 24
    code, out, _ = say(
        *("evaluate", str(tmp_path / "made"), "--data", str(tall.path)),
        *("--out", str(tmp_path / "scores"), "--device", "cpu"),
    )
    assert code == 0
    assert "at 24x32 px, seen by lite0, squashed to squares" in out
    (row,) = read_rows(tmp_path / "scores" / METRICS_FILE)
    assert row.collection.resolution == TALL
    assert (
        json.loads((tmp_path / "scores" / METRICS_FILE).read_text())["collection"]["resolution"]
        == "24x32"
    )


def test_the_report_cuts_its_grids_at_pictures(trained: Path) -> None:
    record = read_record(trained)
    assert record.tall == pytest.approx(32 / 24)
    (grids,) = record.class_grids
    assert grids.tall == record.tall
    page = write_report(trained).page.read_text(encoding="utf-8")
    assert "24 × 32 pixels" in page
    assert "What the network sees: 48 × 64 pixels" in page
    assert "rectangle in the centre" in page
    grid = Image.new("RGB", (5 * 24, 3 * 32))
    assert tile_size(grid, 5, record.tall) == (24, 32)
    kept, shown, of = cut(grid, 5, 64, record.tall)
    assert (kept.size, shown, of) == ((48, 64), 4, 15)


def test_the_flagship_takes_the_collections_proportions(tall: Collection) -> None:
    choice = choose(None, tall, {})
    assert (choice.config.recipe, choice.config.resolution) == ("flagship_64", Size(48, 64))
    # The small one from the larger packing, too.
    choice = choose(None, tall, {"resolution": "24x32"})
    assert (choice.config.recipe, choice.config.resolution) == ("flagship_32", TALL)
    with pytest.raises(ImpastoError) as raised:
        choose("flagship_32", tall, {})
    assert str(raised.value).endswith(
        "holds rectangles of 24x32 and 48x64 px, and recipe flagship_32 makes 32: train with --set "
        "resolution=24x32, or leave the recipe out"
    )
    assert choose("flagship_32", tall, {"resolution": "24x32"}).config.resolution == TALL


def test_a_larger_one_starts_from_it(trained: Path, tall: Collection) -> None:
    begun = session(narrow(resolution="48x64"), tall)
    taken = transfer.begin(begun.state, PretrainedModel.load(trained), begun.model_record())
    assert taken.generator.values > 0.9 * taken.generator.of
    assert "24x32 pixels" in taken.lines()[0]
    assert json.loads(json.dumps(taken.record()))["resolution"] == "24x32"
