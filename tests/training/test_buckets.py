"""One generator for several proportions: from a collection in buckets to the pictures."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.kill_resume import fingerprint
from impasto.api import comparing
from impasto.collection import Collection, PackOptions, pack
from impasto.config import RunConfig
from impasto.diagnosis.signs import COPIED_BY_CHANCE, COPIED_LOW
from impasto.errors import ImpastoError
from impasto.evaluation.by_size import of_all_sizes, of_several_sizes, with_all_sizes
from impasto.evaluation.record import METRICS_FILE, EvaluationRow, ScoreRow, read_rows
from impasto.evaluation.score_kinds import value_text
from impasto.exporting.card import evaluations_of
from impasto.features.lite0 import load_frozen
from impasto.networks import build_generator
from impasto.networks.flow import latent_dim
from impasto.processes import ALONE
from impasto.reporting.by_class import distances
from impasto.reporting.elements import cell_tall
from impasto.reporting.grid_files import ClassGrids
from impasto.reporting.page import write_report
from impasto.reporting.record import read_record
from impasto.reporting.scores import made_alike
from impasto.resolution import Resolution, Size, resolution_of, width_and_height
from impasto.sampling import latents_of_seeds
from impasto.sampling.model import SMOOTHED_KID, Model, find_model
from impasto.sampling.onnx_model import OnnxModel
from impasto.sampling.pixels import to_uint8
from impasto.studio.scores import score_table
from impasto.training import evaluation, resume, time_plan, train
from impasto.training.choosing import TrainingChoice, choose
from impasto.training.data import TrainingPictures
from impasto.training.order import BucketOrder, EpochOrder
from impasto.training.run_folder import Stats
from tests.helpers.command_line import Say
from tests.helpers.sketches import sketch
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, session, small

TALL, SQUARE, WIDE = Size(48, 80), 64, Size(80, 48)
BUCKETS: tuple[Resolution, ...] = (TALL, SQUARE, WIDE)


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


def flowing(**settings: Any) -> RunConfig:
    """A flow of several sizes."""
    sizes = {"resolution": "48x80", "buckets": ["48x80", "64", "80x48"]}
    return small("flow_64", labels=["style"], **{**sizes, "evaluation__every": 0, **settings})


def test_a_flow_makes_each_size_of_the_first_values_of_its_noise() -> None:
    options = {"size": "small", "steps": 2}
    values = latent_dim(TALL, buckets=BUCKETS)
    assert values == 3 * 64 * 64
    torch.manual_seed(0)
    several: Any = build_generator(
        "flow", options, latent_dim=values, resolution=TALL, buckets=BUCKETS
    )
    for parameter in several.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.05)
    noise, labels = torch.randn(2, values), torch.zeros(2, 0, dtype=torch.int64)
    for size in BUCKETS:
        one: Any = build_generator("flow", options, latent_dim=latent_dim(size), resolution=size)
        one.load_state_dict(several.state_dict())  # the layers are those of one size
        several.paint_as(size)
        width, height = width_and_height(size)
        with torch.no_grad():
            made = several(noise, labels)
            assert made.shape == (2, 3, height, width)
            assert torch.equal(made, one(noise[:, : 3 * width * height], labels))
    with pytest.raises(ImpastoError, match="96x48 is none of the sizes 48x80, 64, 80x48"):
        several.paint_as(Size(96, 48))


def test_which_flows_take_several_sizes(packed: Collection) -> None:
    config = choose("flow_64", packed, {}).config
    assert (config.resolution, config.buckets) == (TALL, BUCKETS)
    body = {"generator.body": "transformer", "generator.patch": 8, "resolution": "48x80"}
    alone = choose("flow_64", packed, body)
    assert choose("flow_64", packed.at(SQUARE), {}).config.buckets == BUCKETS
    transformer = {"generator.body": "transformer"}
    assert choose("flow_64", packed.at(SQUARE), transformer).config.buckets == ()
    assert alone.config.buckets == ()
    assert alone.note is not None
    with pytest.raises(ImpastoError, match="body transformer has positions of one size"):
        train(flowing(generator__body="transformer"), packed, out=Path("no"), device="cpu")
    with pytest.raises(ImpastoError, match="this U-Net makes pictures of 32, 64, 96"):
        train(flowing(generator__patch=8), packed, out=Path("no"), device="cpu")


def test_a_flow_learns_all_sizes_and_resumes_bit_for_bit(
    packed: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(flowing(), packed, run=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(flowing(), packed, run=tmp_path / "died", device="cpu")
    resume(tmp_path / "died")
    assert fingerprint(tmp_path / "died") == fingerprint(whole)
    shapes = [
        Model.load(whole, aspect=aspect).sample([1]).shape[1:3] for aspect in (None, "1:1", "5:3")
    ]
    assert shapes == [(80, 48), (64, 64), (48, 80)]
    assert Image.open(read_record(whole).grids[-1][1]).size == (2 * 80, 3 * 80)


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


def test_grids_have_rows_of_each_size(trained: Path, packed: Collection) -> None:
    """The same latents and labels in each, in cells that hold the largest."""
    known = read_record(trained)
    columns = known.columns
    assert cell_tall(known) == 1.0  # 80 x 80, where the pictures are 48 x 80
    seen, newest = known.grids[-1]
    assert known.reals is not None
    grids = {"fakes": np.asarray(Image.open(newest)), "reals": np.asarray(Image.open(known.reals))}
    model = Model.load(trained)
    assert model.record.images_seen == seen
    labels = session(narrow(), packed).fixed_labels[:columns]
    latents = latents_of_seeds(range(columns), model.record.latent)
    for row, size in enumerate(BUCKETS):  # TALL is the config's own
        width, height = width_and_height(size)
        left, top = (80 - width) // 2, (80 - height) // 2
        shown = {}
        for name, grid in grids.items():
            assert grid.shape[1] == 80 * columns
            assert grid.shape[0] >= 80 * len(BUCKETS)
            cells = grid[80 * row :][:80].reshape(80, columns, 80, 3).swapaxes(0, 1)
            shown[name] = cells[:, top : top + height, left : left + width].astype(int)
            around = cells.copy()
            around[:, top : top + height, left : left + width] = 255
            assert (around == 255).all()
        model.generator.paint_as(size)  # type: ignore[operator]
        with torch.no_grad():
            painted = to_uint8(model.generator(latents, labels)).numpy().astype(int)
        assert np.abs(shown["fakes"] - painted).max() <= 1
        view = packed.view_for(size)
        rows = {each.tobytes() for each in view.images(view.train_indices)}
        assert {each.astype(np.uint8).tobytes() for each in shown["reals"]} <= rows


def test_class_grids_have_rows_of_each_size(trained: Path) -> None:
    """A column a class; the rows take turns, so the fourth is the second latent of the first size."""
    (grids,) = read_record(trained).class_grids
    assert (grids.rows, grids.classes, grids.tall) == (4, ("a", "b"), 1.0)
    assert grids.sizes == ((48, 80), (64, 64), (80, 48))
    grid = np.asarray(Image.open(grids.grids[-1][1]))
    assert grid.shape == (4 * 80, 2 * 80, 3)
    model = Model.load(trained)
    latents = latents_of_seeds(range(2), model.record.latent)
    turns: list[tuple[Resolution, int]] = [(TALL, 0), (SQUARE, 0), (WIDE, 0), (TALL, 1)]
    for row, (size, latent) in enumerate(turns):
        width, height = width_and_height(size)
        left, top = (80 - width) // 2, (80 - height) // 2
        cells = grid[80 * row :][:80].reshape(80, 2, 80, 3).swapaxes(0, 1)
        shown = cells[:, top : top + height, left : left + width].astype(int)
        model.generator.paint_as(size)  # type: ignore[operator]
        with torch.no_grad():
            images = model.generator(latents[[latent, latent]], torch.tensor([[0], [1]]))
        assert np.abs(shown - to_uint8(images).numpy().astype(int)).max() <= 1


def test_class_grids_of_several_sizes_are_measured_size_by_size(tmp_path: Path) -> None:
    """Paper around the pictures does not count, nor does what differs between two sizes."""
    grid = np.full((4, 2, 8, 8, 3), 255, np.uint8)
    grid[[0, 2], :, :, 2:6] = 0  # of 4 x 8: black, whatever the class and latent
    grid[2, 1, :, 2:6] = 255  # but one is white
    grid[[1, 3], :, 2:6] = 255
    pixels = grid.swapaxes(1, 2).reshape(4 * 8, 2 * 8, 3)
    Image.fromarray(pixels).save(tmp_path / "grid.png")
    grids = ClassGrids("style", ("a", "b"), 4, [], 1.0, ((4, 8), (8, 4)))
    # Of 4 x 8 the classes differ in one of two rows, and the latents in one of two columns.
    assert distances(tmp_path / "grid.png", grids) == (0.25, 0.25)
    three = replace(grids, sizes=((4, 8), (8, 4), (8, 8), (6, 8)))
    assert distances(tmp_path / "grid.png", three) is None  # no size has two latents
    other = replace(grids, sizes=((8, 16), (16, 8)))
    assert distances(tmp_path / "grid.png", other) is None  # its places are smaller


def test_a_run_of_an_earlier_version_keeps_grids_of_one_size(
    packed: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 1)
        with pytest.raises(StoppedByTest):
            train(narrow(evaluation__every=0), packed, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    record = json.loads((run / "run.json").read_text())
    assert record["grid"].pop("cell") == [80, 80]
    del record["class_grids"]["style"]["sizes"]
    (run / "run.json").write_text(json.dumps(record))
    resume(run)
    known = read_record(run)
    assert cell_tall(known) == 80 / 48
    assert Image.open(known.grids[-1][1]).width == 48 * known.columns
    (grids,) = known.class_grids
    assert Image.open(grids.grids[-1][1]).size == (48 * 2, 80 * grids.rows)


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

    choices = time_plan._choices(select, None, packed, ALONE, one=False, least=0)
    assert asked == [(None, None)]
    assert choices[64].config.buckets == BUCKETS


def test_each_size_is_scored_against_its_own_pictures(
    trained: Path, packed: Collection, say: Say
) -> None:
    command = ("evaluate", str(trained), "--pictures", "8", "--per-class", "0", "--device", "cpu")
    code, _, err = say(*command, "--aspect", "5:3")
    assert code == 0, err
    code, out, err = say(*command)
    assert code == 0, err
    rows = read_rows(trained / METRICS_FILE)
    assert [row.collection.resolution for row in rows] == [WIDE, TALL, SQUARE, WIDE]
    rows = rows[1:]
    counts = [len(packed.view_for(size).train_indices) for size in BUCKETS]
    assert [row.reference.available for row in rows] == counts
    weights = np.array(counts) / sum(counts)
    assert [row.pictures.made_with for row in rows] == [None, "aspect 64:64", "aspect 80:48"]
    assert not any("did not learn from" in note for row in rows for note in row.notes)
    parts = [f"{weight:.0%}" for weight in weights]
    assert f"(48x80 {parts[0]}, 64 {parts[1]}, 80x48 {parts[2]})" in out
    (found,) = of_several_sizes(rows)
    assert found == rows
    each = [score for row in rows if (score := row.score("kid-lite0")) is not None]
    whole = of_all_sizes(found).score("kid-lite0")
    assert whole is not None
    assert whole.value is not None
    values, highs = (np.array([getattr(score, end) for score in each]) for end in ("value", "high"))
    assert whole.value == pytest.approx(weights @ values)
    # Of independent values the deviations add up in squares.
    assert whole.high == pytest.approx(whole.value + np.linalg.norm(weights * (highs - values)))
    weights_sha256 = Model.load(trained).record.weights_sha256
    assert evaluations_of(trained, weights_sha256) == [
        rows[0]
    ]  # for the card, the model's own size
    page = write_report(trained).page.read_text(encoding="utf-8")
    for text in ("48 × 80 pixels", "As lite0 sees each size", "all sizes", f"({', '.join(parts)})"):
        assert text in page
    for size in BUCKETS:
        assert f", {size} pixels, as lite0 sees them" in page


EVALUATED: dict[str, Any] = {"evaluation__every": 32, "evaluation__pictures": 24}


@pytest.fixture(scope="module")
def scored(packed: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was evaluated twice in training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "load_network", sketch)
        config = narrow(**EVALUATED, training__images=64)
        return train(config, packed, run=tmp_path_factory.mktemp("runs") / "run", device="cpu")


def test_scores_in_training_are_of_all_sizes(scored: Path, packed: Collection) -> None:
    rows = read_rows(scored / METRICS_FILE)
    assert [row.collection.resolution for row in rows] == 2 * [TALL, SQUARE, WIDE]
    assert [row.pictures.count for row in rows] == 6 * [8]  # 24 dealt over three sizes
    counts = [len(packed.view_for(size).train_indices) for size in BUCKETS]
    assert [row.reference.available for row in rows[:3]] == counts
    assert len({row.collection.hash for row in rows}) == 3
    groups = of_several_sizes(rows)
    assert groups == [rows[:3], rows[3:]]
    stats = [row for row in Stats(scored).rows() if SMOOTHED_KID in row]
    weights = np.array(counts) / sum(counts)
    means = []
    for row, group in zip(stats, groups, strict=True):
        values = [score.value for each in group if (score := each.score("kid-lite0"))]
        means.append(weights @ np.array(values))
        assert row["evaluation/kid-lite0"] == pytest.approx(means[-1])
        for name, key in ((COPIED_LOW, "low"), (COPIED_BY_CHANCE, "expected_at_most")):
            assert row.get(name) == (of_all_sizes(group).memorisation or {}).get(key)
    assert stats[-1][SMOOTHED_KID] == pytest.approx(np.mean(means))
    best = 32 if stats[0][SMOOTHED_KID] <= stats[1][SMOOTHED_KID] else 64
    assert int(find_model(scored / "best").name) == best


def test_the_report_joins_means_of_all_sizes(scored: Path) -> None:
    (group,) = made_alike(with_all_sizes(read_rows(scored / METRICS_FILE)))
    assert [row.subject.images_seen for row in group.rows] == [32, 64]
    page = write_report(scored).page.read_text(encoding="utf-8")
    says = "8 generated pictures of each size (48x80, 64, 80x48) against the training pictures of"
    assert f"2 checkpoints: {says}" in page
    assert "24 training pictures, 48 × 80, 64 × 64, 80 × 48 pixels" in page
    assert page.index(">all sizes<") < page.index(">48x80<")
    assert "24 in all, as lite0 sees them" in page
    table = score_table(scored)
    assert [(row.images_seen, row.pictures) for row in table.rows] == [(64, 8), (32, 8)]
    assert says in table.rows[0].conditions


def test_an_evaluated_run_that_died_ends_as_one_that_did_not(
    packed: Collection, scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "load_network", sketch)
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(narrow(**EVALUATED, training__images=64), packed, run=run, device="cpu")
    resume(run)
    assert fingerprint(run) == fingerprint(scored)
    left = [
        [row.model_copy(update={"created": "", "seconds": None}) for row in read_rows(each)]
        for each in (run / METRICS_FILE, scored / METRICS_FILE)
    ]
    assert left[0] == left[1]


def test_runs_are_compared_in_all_sizes(
    trained: Path, packed: Collection, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "load_networks", lambda *_, **__: [sketch()])
    runs = [tmp_path / name for name in "ab"]
    for run in runs:
        shutil.copytree(trained, run)
        (run / METRICS_FILE).unlink(missing_ok=True)
    page = tmp_path / "page.html"
    options = ("--data", str(packed.path), "--out", str(page), "--device", "cpu")
    command = ("compare", *map(str, runs), *options, "--pictures", "8", "--per-class", "0")
    code, out, err = say(*command)
    assert code == 0, err
    for run in runs:
        rows = read_rows(run / METRICS_FILE)
        assert [row.collection.resolution for row in rows] == [TALL, SQUARE, WIDE]
    text = page.read_text(encoding="utf-8")
    assert "8 generated pictures of each size (48x80, 64, 80x48)" in text
    assert "A generator of several sizes paints rows of each" in text
    whole = of_all_sizes(rows).score("kid-lite0")
    assert whole is not None
    assert value_text(whole) in text
    code, out, err = say(*command)  # nothing is scored twice
    assert (code, "evaluating" in out) == (0, False), err
    assert len(read_rows(runs[0] / METRICS_FILE)) == 3
    rows = read_rows(runs[1] / METRICS_FILE)[:1]
    (runs[1] / METRICS_FILE).write_text(rows[0].model_dump_json() + "\n")
    code, out, err = say(*command)  # one size of another run is lacking
    assert (code, "evaluating" in out) == (0, True), err
    assert len(read_rows(runs[1] / METRICS_FILE)) == 3


def test_a_content_hash_is_found_at_every_size_without_opening_it(
    packed: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = packed.only("style = 'b' or style = 'a'")
    views = {each: [view.content_hash for view in each.views()] for each in (packed, part)}
    monkeypatch.setattr(Collection, "at", None)
    for collection, hashes in views.items():
        assert len(set(hashes)) == 3
        assert all(collection.is_at(each) for each in hashes)
    assert not packed.is_at(views[part][0])
    assert not part.is_at(views[packed][0])


def test_evaluations_that_differ_in_more_than_the_size_are_no_whole() -> None:
    row = EvaluationRow.model_validate(
        {
            "created": "2026-01-01T00:00:00",
            "impasto": "0",
            "subject": {"kind": "run", "name": "x", "images_seen": 8, "weights_sha256": "a"},
            "network": {"name": "lite0", "weights_sha256": "b", "resize": "r", "width": 4},
            "collection": {"name": "c", "hash": "h", "resolution": 64},
            "reference": {"split": "train", "pictures": 6, "sources": 6, "available": 30},
            "pictures": {"count": 8},
            "scores": [
                {"name": "kid-lite0", "value": 1.0, "pictures": 8, "reference": 6},
                {"name": "fd-lite0", "value": 5.0, "pictures": 8, "reference": 6},
            ],
            "seconds": {"pictures": 0, "features": 0, "scores": 0},
        }
    )

    def made(text: str) -> dict[str, Any]:
        return {"pictures": row.pictures.model_copy(update={"made_with": text})}

    wide = {
        "collection": row.collection.model_copy(update={"resolution": WIDE}),
        "reference": row.reference.model_copy(update={"available": 10}),
        "scores": (
            row.scores[0].model_copy(
                update={"value": 3.0, "low": 2.0, "high": 4.0, "warning": "few"}
            ),
        ),
    }
    other = row.model_copy(update={**made("8 steps, aspect 80:48"), **wide})
    assert of_several_sizes([row, other]) == []  # only the other is of 8 steps
    assert of_several_sizes([row, row]) == []
    own = row.model_copy(update=made("8 steps"))
    (found,) = of_several_sizes([other, row, own])
    assert found == [own, other]
    # A repetition is replaced, and what was measured in training is apart.
    training = [each.model_copy(update={"during_training": True}) for each in (own, other)]
    repeated = other.model_copy(update={"created": "2026-01-02T00:00:00"})
    mixed = [row, own, *training, other, repeated]
    assert of_several_sizes(mixed) == [[own, repeated], training]
    assert [(each.during_training, len(each.sizes)) for each in with_all_sizes(mixed)] == [
        (False, 0),
        (True, 2),
        (False, 2),
    ]
    memory = {"copied": 0.1, "expected": 0.01, "expected_at_most": 0.02}
    score_of_copies = ScoreRow(
        name="copied-lite0", value=0.1, low=0.06, high=0.2, pictures=8, reference=6
    )
    told = [
        each.model_copy(
            update={
                "memorisation": {**memory, "expected_at_most": most},
                "scores": (score_of_copies,),
            }
        )
        for each, most in ((own, 0.02), (other, 0.06))
    ]
    whole = of_all_sizes(told)
    assert whole.memorisation == pytest.approx(
        {
            "copied": 0.1,
            "expected": 0.01,
            "expected_at_most": 0.75 * 0.02 + 0.25 * 0.06,
            "low": 0.1 - 0.04 * np.hypot(0.75, 0.25),
            "high": 0.1 + 0.1 * np.hypot(0.75, 0.25),
        }
    )
    assert "sizes" not in whole.model_dump()
    assert of_all_sizes(found).memorisation is None
    (score,) = of_all_sizes(found).scores  # the other has no fd
    assert (score.name, score.value, score.low, score.pictures) == ("kid-lite0", 1.5, None, 16)
    assert score.warning == "few"
