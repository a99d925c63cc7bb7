"""One generator for several proportions: from a collection in buckets to the pictures."""

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
from impasto.processes import ALONE
from impasto.reporting.page import write_report
from impasto.resolution import Size, resolution_of
from impasto.sampling.model import Model
from impasto.sampling.onnx_model import OnnxModel
from impasto.training import resume, time_plan, train
from impasto.training.choosing import TrainingChoice, choose
from impasto.training.data import TrainingPictures
from impasto.training.order import BucketOrder, EpochOrder
from tests.helpers.command_line import Say
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, session, small

TALL, SQUARE, WIDE = Size(48, 80), 64, Size(80, 48)
BUCKETS = (TALL, SQUARE, WIDE)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Sixteen tall pictures, eight square and eight wide ones, a quarter held out; the tall ones are of
    style a, and the others of b."""
    folder = tmp_path_factory.mktemp("buckets")
    random = np.random.default_rng(0)
    for number in range(32):
        kind = 0 if number < 16 else 1 + number % 2
        blocks = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        size = [(96, 160), (128, 128), (160, 96)][kind]
        path = folder / "pictures" / ("b" if kind else "a") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks).resize(size, Image.Resampling.BICUBIC).save(path)
    options = PackOptions(
        fit="aspect", buckets=BUCKETS, labels=("style",), heldout=0.25, duplicates="none"
    )
    return pack(folder / "pictures", folder / "collection", options).collection


def narrow(**settings: Any) -> RunConfig:
    sizes = {"resolution": "48x80", "buckets": ["48x80", "64", "80x48"]}
    return small("flagship_64", labels=["style"], **{**sizes, **settings})


@pytest.fixture(scope="module")
def trained(packed: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    load_frozen()
    config = narrow(evaluation__every=0)
    return train(config, packed, out=tmp_path_factory.mktemp("runs"), device="cpu")


def test_the_order_by_hand() -> None:
    sizes = np.array([3, 1])
    order = BucketOrder([EpochOrder(3, 5), EpochOrder(1, 5)], sizes, batch=2)
    shown = [order.places(2 * number, 2).tolist() for number in range(len(order.turns))]
    buckets = [order.bucket(2 * number) for number in range(len(order.turns))]
    assert np.mean(buckets) == pytest.approx(1 / 4, abs=0.01)
    assert max(np.diff(np.flatnonzero(buckets))) <= 5  # evenly spread
    first = [
        place for some, bucket in zip(shown, buckets, strict=True) if not bucket for place in some
    ]
    # The first bucket's pictures are those of its own epochs, one after another.
    assert first == EpochOrder(3, 5).places(0, len(first)).tolist()
    assert {
        place for some, bucket in zip(shown, buckets, strict=True) if bucket for place in some
    } == {3}
    # Parts of a batch are the whole, and the period goes on.
    assert order.places(1, 1).tolist() == shown[0][1:]
    far = 2 * len(order.turns)
    assert order.bucket(far) == buckets[0]
    with pytest.raises(ValueError, match="several batches"):
        order.places(1, 2)


def test_each_batch_is_of_one_size_and_its_labels_too(packed: Collection) -> None:
    pictures = TrainingPictures(
        packed,
        ("style",),
        0,
        CPU,
        torch.contiguous_format,
        resolution=TALL,
        buckets=BUCKETS,
        batch=4,
    )
    assert len(pictures) == sum(len(view.train_indices) for view in packed.views())
    seen: dict[object, list[np.ndarray]] = {}
    for start in range(0, 200, 4):
        images, labels = pictures.shown(start, 4)
        size = resolution_of(images.shape[3], images.shape[2])
        style = 0 if size == TALL else 1
        assert (labels == style).all()
        assert (pictures.random_labels(8) == style).all(), "as often as among pictures of this size"
        seen.setdefault(size, []).append(images.numpy())
    assert set(seen) == set(BUCKETS)
    for view in packed.views():
        shown = {image.tobytes() for batch in seen[view.resolution] for image in batch}
        pixels = view.images(view.train_indices).transpose(0, 3, 1, 2)
        real = {(each.astype(np.float32) / np.float32(127.5) - 1).tobytes() for each in pixels}
        assert shown == real


def test_the_flagship_learns_all_sizes(packed: Collection) -> None:
    config = choose(None, packed, {}, labels="style").config
    assert (config.resolution, config.buckets) == (TALL, BUCKETS)
    alone = choose(None, packed, {"resolution": "80x48"})
    assert alone.config.buckets == ()
    assert alone.note is not None
    assert "of 80 x 48 pixels only" in alone.note
    with pytest.raises(ImpastoError, match="takes pictures of one size"):
        train(narrow(generator={"network": "dcgan"}), packed, out=Path("no"), device="cpu")
    with pytest.raises(ImpastoError, match=r"--set buckets=\[\]"):
        train(narrow(buckets=["48x80", "96x48"]), packed, out=Path("no"), device="cpu")


def test_a_run_that_died_ends_as_one_that_did_not(
    packed: Collection, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(narrow(evaluation__every=0), packed, out=tmp_path, device="cpu")
    (died,) = tmp_path.iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(trained)


def test_all_sizes_learn(trained: Path, packed: Collection) -> None:
    """Every size's own first maps have moved away from where they began."""
    model = Model.load(trained)
    begun = session(narrow(), packed).state.generator.state_dict()
    assert model.record.buckets == BUCKETS
    assert model.record.collection.count == 24
    kernels = {
        name: value
        for name, value in model.generator.state_dict().items()
        if name.startswith("first.convolution.sizes")
    }
    assert len(kernels) == 3
    for name, value in kernels.items():
        assert (value != begun[name]).float().mean() > 0.99


def test_the_aspect_is_chosen_when_sampling(trained: Path, tmp_path: Path, say: Say) -> None:
    shapes = {}
    for aspect in (None, "3:5", "1:1", "16:9"):
        pixels = Model.load(trained, aspect=aspect).sample([1, 2])
        shapes[aspect] = pixels.shape[1:3]
    assert shapes == {None: (80, 48), "3:5": (80, 48), "1:1": (64, 64), "16:9": (48, 80)}
    grid = tmp_path / "grid.png"
    code, _, err = say(
        "sample", str(trained), "--aspect", "16:9", "--seeds", "0-3", "--grid", str(grid)
    )
    assert code == 0, err
    assert Image.open(grid).size == (160, 96)
    code, _, err = say("sample", str(trained), "--aspect", "wide", "--grid", str(grid))
    assert (code, "such as 3:4, not 'wide'" in err) == (2, True)
    code, _, err = say("sample", "masters", "--aspect", "3:4", "--grid", str(grid))
    assert (code, "makes pictures of one size" in err) == (2, True)


def test_an_aspect_is_exported_and_a_canvas_refused(
    trained: Path, tmp_path: Path, say: Say
) -> None:
    path = tmp_path / "wide.onnx"
    code, _, err = say("export", str(trained), str(path), "--aspect", "16:9")
    assert code == 0, err
    written = OnnxModel.load(path)
    (pixels,) = written.paint([3, 4], written.weights([3, 4]))
    expected = Model.load(trained, aspect="16:9").sample([3, 4])
    assert np.abs(pixels.astype(int) - expected).max() <= 1
    code, _, err = say(
        "canvas", str(trained), "--size", "128x128", "--out", str(tmp_path / "c.png")
    )
    assert (code, "a canvas is made by models of square pictures" in err) == (2, True), err


def test_a_time_is_planned_in_one_stage(
    packed: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def select(recipe: str | None, data: Collection, size: object = None) -> TrainingChoice:
        asked.append((recipe, size))
        return choose(recipe, data, {})

    choices = time_plan._choices(select, None, packed, ALONE, one=False)
    assert asked == [(None, None)]
    assert choices[64].config.buckets == BUCKETS


def test_each_size_is_scored_against_its_own_pictures(trained: Path, say: Say) -> None:
    command = ("evaluate", str(trained), "--pictures", "8", "--per-class", "0", "--device", "cpu")
    for aspect in ("3:5", "16:9"):
        code, _, err = say(*command, "--aspect", aspect)
        assert code == 0, err
    rows = read_rows(trained / METRICS_FILE)
    assert [row.collection.resolution for row in rows] == [TALL, WIDE]
    page = write_report(trained).page.read_text(encoding="utf-8")
    assert "48 × 80 pixels" in page
