"""The classes of a size's pictures: those of its own training pictures, as often as among these."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from impasto.api import judging
from impasto.collection import Collection, PackOptions, pack
from impasto.config import LatentConfig
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.record import METRICS_FILE, EvaluationRow, SubjectRecord, read_rows
from impasto.exporting.page import page_record
from impasto.features.lite0 import load_frozen
from impasto.reporting.painted import side_by_side
from impasto.resolution import Resolution, Size, width_and_height
from impasto.sampling.model import MODEL_FILE, Model, ModelRecord, export, find_model
from impasto.sampling.painter import Painter
from impasto.sampling.sampler import Sampler
from impasto.sampling.step_settings import StepSettings
from impasto.training import evaluation, train
from tests.helpers.command_line import Say
from tests.helpers.sketches import sketch
from tests.helpers.training import small

TALL, WIDE = Size(48, 80), Size(80, 48)
SIZES: tuple[Resolution, ...] = (TALL, WIDE)
DARK, LIGHT, BOTH = {0}, {1}, {0, 1}
SEEDS = range(40)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Thirty-two tall pictures, all of style dark, and 24 wide ones, all of style light; a quarter held
    out."""
    folder = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(0)
    for number in range(56):
        style, low, size = ("dark", 0, (48, 80)) if number < 32 else ("light", 128, (80, 48))
        blocks = random.integers(low, low + 128, (4, 4, 3), dtype=np.uint8)
        path = folder / "pictures" / style / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(path)
    options = PackOptions(
        fit="aspect", buckets=SIZES, labels=("style",), heldout=0.25, duplicates="none"
    )
    return pack(folder / "pictures", folder / "collection", options).collection


@pytest.fixture(scope="module")
def trained(packed: Collection, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that was evaluated in training."""
    load_frozen()
    sizes = {"resolution": "48x80", "buckets": ["48x80", "80x48"], "labels": ["style"]}
    often = {"evaluation__every": 32, "evaluation__pictures": 40, "evaluation__per_class": 0}
    config = small("flagship_64", **sizes, **often)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "load_network", sketch)
        yield train(config, packed, out=tmp_path_factory.mktemp("runs"), device="cpu")


def without_counts(model: Path, folder: Path) -> Path:
    """The model as an earlier version saved it."""
    export(model, folder, discriminator=True)
    record = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
    del record["label_counts_by_size"]
    (folder / MODEL_FILE).write_text(json.dumps(record), encoding="utf-8")
    return folder


def drawn(model: Path, aspect: str | None) -> set[int]:
    """The classes that seeds draw."""
    painter = Painter.load(find_model(model), "cpu", StepSettings(aspect=aspect))
    return set(painter.labels(SEEDS, {}).flatten().tolist())


def test_a_model_keeps_the_counts_of_each_size(trained: Path, packed: Collection) -> None:
    record = Model.load(trained).record
    dark, light = (len(packed.view_for(size).train_indices) for size in SIZES)
    assert record.buckets == SIZES
    assert record.label_rows == ((0,), (1,))
    assert record.label_counts == (dark, light)
    assert record.label_counts_by_size == ((dark, 0), (0, light))
    assert record.combinations == [((0,), dark)]
    assert record.of_size(WIDE).combinations == [((1,), light)]
    assert ModelRecord.model_validate_json(record.model_dump_json()) == record


def test_a_model_of_one_size_keeps_none(packed: Collection, tmp_path: Path) -> None:
    one = small("flagship_64", resolution="80x48", labels=["style"], evaluation__every=0)
    run = train(one, packed.view_for(WIDE), out=tmp_path, device="cpu")
    known = json.loads((find_model(run) / MODEL_FILE).read_text(encoding="utf-8"))
    assert known["label_counts"] == [len(packed.view_for(WIDE).train_indices)]
    assert "label_counts_by_size" not in known


def test_a_size_is_sampled_with_its_own_classes(trained: Path) -> None:
    assert [drawn(trained, aspect) for aspect in (None, "3:5", "5:3")] == [DARK, DARK, LIGHT]
    wide = Model.load(trained, aspect="5:3")
    by_name = wide.sample(SEEDS[:4], {"style": "light"})
    assert np.array_equal(wide.sample(SEEDS[:4]), by_name)
    # A class that no wide picture has is painted all the same if it is asked for.
    assert not np.array_equal(wide.sample(SEEDS[:4], {"style": "dark"}), by_name)


def test_a_model_without_counts_of_sizes_draws_as_in_the_whole(
    trained: Path, tmp_path: Path
) -> None:
    earlier = without_counts(trained, tmp_path / "earlier")
    assert [drawn(earlier, aspect) for aspect in (None, "5:3")] == [BOTH, BOTH]
    again = tmp_path / "again"
    export(earlier, again)
    assert "label_counts_by_size" not in (again / MODEL_FILE).read_text(encoding="utf-8")
    export(trained, tmp_path / "exported")
    assert drawn(tmp_path / "exported", "5:3") == LIGHT


def shares_of_the_commonest(rows: Sequence[EvaluationRow]) -> list[list[float]]:
    """Of each evaluation the share of the commonest class among the generated pictures."""
    return [[judge.made_baseline or 0 for judge in row.judges] for row in rows]


def test_scores_in_training_are_of_pictures_of_a_sizes_own_classes(trained: Path) -> None:
    rows = read_rows(trained / METRICS_FILE)
    assert [row.collection.resolution for row in rows] == 2 * [TALL, WIDE]
    assert shares_of_the_commonest(rows) == 4 * [[1.0]]


def test_evaluate_scores_a_size_with_its_own_classes(
    trained: Path, packed: Collection, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "load_networks", lambda *_, **__: [sketch()])
    scored = {}
    for name, model in (
        ("earlier", without_counts(trained, tmp_path / "model")),
        ("now", find_model(trained)),
    ):
        out = ("--out", str(tmp_path / name))
        options = ("--data", str(packed.path), "--device", "cpu", "--per-class", "30")
        code, _, err = say("evaluate", str(model), *options, "--pictures", "20", *out)
        assert code == 0, err
        rows = scored[name] = read_rows(tmp_path / name / METRICS_FILE)
        assert [row.collection.resolution for row in rows] == [TALL, WIDE]
    for shares in shares_of_the_commonest(scored["earlier"]):
        assert max(shares) < 1
    assert shares_of_the_commonest(scored["now"]) == [[1.0], [1.0]]
    # Of its 20 pictures of the size's one class ten more are made, and none of the other.
    assert [row.pictures.extra for row in scored["now"]] == [10, 10]
    by_class = [{score.cls for score in row.scores} - {None} for row in scored["now"]]
    assert by_class == [{"dark"}, {"light"}]


class Alike(nn.Module):
    """Paints as the pictures of the collection are made: blocks of a brightness by class."""

    size: Resolution = TALL

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        width, height = width_and_height(self.size)
        levels = (latents.reshape(-1, 3, 4, 4) + 1) / 2 + labels[:, :, None, None]
        return F.interpolate(levels - 1, (height, width), mode="nearest")


def test_pictures_like_real_ones_are_not_punished_for_their_classes(
    trained: Path, packed: Collection
) -> None:
    record = Model.load(trained).record
    latent = LatentConfig(dim=48, distribution="uniform")
    for size in SIZES:
        generator = Alike()
        generator.size = size
        sampler = Sampler(generator, latent, label_fields=1, fold=False)
        scores = []
        for counts in (record.label_counts_by_size, ()):
            known = record.model_copy(update={"label_counts_by_size": counts}).of_size(size)
            view = packed.view_for(size)
            evaluator = Evaluator([sketch()], view, resolution=size)
            subject = SubjectRecord(kind="model", name="x", images_seen=1, weights_sha256="0")
            plan = SampleCounts(count=200, per_class=0)
            (found,) = evaluator.evaluate(Painter(sampler, known), subject, plan)
            kid = found.row.score("kid-lite0")
            assert kid is not None
            assert kid.value is not None
            scores.append(kid.value)
        assert abs(scores[0]) < 0.05 * scores[1]


def test_pages_draw_classes_of_their_size(trained: Path) -> None:
    record = Model.load(trained, aspect="5:3").record
    labels = page_record(record, None, [])["labels"]
    assert (labels["rows"], labels["counts"]) == ([[1]], [record.label_counts[1]])
    assert labels["fields"] == [{"name": "style", "classes": ["dark", "light"]}]


def test_runs_are_shown_with_the_classes_of_each_size(trained: Path) -> None:
    (cells,) = side_by_side([find_model(trained)]).drawn
    rows = cells.reshape(-1, 4, 80, 80, 3)
    expected = {
        aspect: Model.load(trained, aspect=aspect).sample(range(4)) for aspect in ("3:5", "5:3")
    }
    assert np.array_equal(rows[0][:, :, 16:64], expected["3:5"])
    assert np.array_equal(rows[1][:, 16:64], expected["5:3"])
