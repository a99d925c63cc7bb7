"""Evaluation end to end: what is gathered, what is cached, what is written, and what is refused."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from impasto.collection import Collection, PackOptions, pack
from impasto.errors import ImpastoError
from impasto.evaluation import gather as gathering
from impasto.evaluation.evaluate import Evaluator, SampleCounts
from impasto.evaluation.gather import gather, kept_numbers
from impasto.evaluation.given import look_through, of_given
from impasto.evaluation.outcome import evaluate_model, evaluate_pictures
from impasto.evaluation.record import (
    EvaluationRow,
    PicturesRecord,
    ScoreRow,
    SubjectRecord,
    read_rows,
)
from impasto.evaluation.reference import collection_features
from impasto.evaluation.score_kinds import KINDS, Kind
from impasto.evaluation.score_rows import deviation_of
from impasto.evaluation.subjects import Subject, of_model
from impasto.evaluation.table import better_ends, lines
from impasto.features import FeatureNetwork
from impasto.metrics import Moments, Sample, Score
from impasto.metrics.inception_score import inception_score_splits
from impasto.registry import load_recipe
from impasto.sampling.model import MODEL_FILE, find_model
from impasto.sampling.painter import Painter
from impasto.settings import change
from impasto.training.runs import train
from tests.helpers.command_line import invoke
from tests.helpers.evaluations import stand_in
from tests.helpers.pictures import paint


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """108 training pictures of 32 pixels in two classes."""
    folder = tmp_path_factory.mktemp("many")
    paint(folder / "pictures", 120)
    pack(
        folder / "pictures",
        folder / "collection",
        PackOptions(resolution=32, fit="crop", name="many"),
    )
    return Collection.open(folder / "collection")


@pytest.fixture(scope="module")
def run(many: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional run of three steps with three checkpoints."""
    config = change(
        load_recipe("artgan")(),
        {
            "resolution": 32,
            "labels": ["class"],
            "generator.width": 4,
            "discriminator.width": 4,
            "training.batch": 8,
            "training.images": 24,
            "training.grid": 4,
            "training.checkpoint_every": 8,
            "training.keep_every": 1,
        },
    )
    return train(config, many, out=tmp_path_factory.mktemp("runs"), device="cpu")


def evaluator(collection: Collection, **options: object) -> Evaluator:
    return Evaluator([stand_in()], collection, resolution=32, **options)  # type: ignore[arg-type]


def of_collection(collection: Collection, rows: np.ndarray, **changes: object) -> Subject:
    """Real pictures as if they had been generated, by their own class."""
    labels = collection.labels[rows, 0]
    return Subject(
        names=[f"picture-{row}" for row in rows],
        count=len(rows),
        groups={("class", k): np.flatnonzero(labels == k) for k in range(2)},
        pixels=lambda numbers: torch.from_numpy(collection.images(rows[numbers])),
        size=32,
    )


def scored(judge: Evaluator, subject: Subject) -> EvaluationRow:
    record = SubjectRecord(kind="pictures", name="real")
    (found,) = judge.evaluate_subject(subject, record, PicturesRecord(count=subject.count))
    return found.row


# Gathered


def test_features_of_more_pictures_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "KEPT", 50)
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (130, 32, 32, 3), dtype=np.uint8))
    network = stand_in()
    (sample,) = gather(pixels.split(16), [network], 130)
    whole = network(pixels).features
    # Chosen at random, for they may come class by class.
    kept = kept_numbers(130)
    assert len(set(kept.tolist())) == 50
    assert kept[-1] > 100
    assert torch.equal(sample.features, whole[torch.from_numpy(kept)])
    assert sample.logits is not None
    assert len(sample.logits) == 50
    assert sample.moments is not None
    known = Moments.of(whole)
    assert sample.moments.count == 130
    torch.testing.assert_close(sample.moments.mean, known.mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(sample.moments.covariance, known.covariance, rtol=1e-7, atol=1e-9)
    (few,) = gather(pixels[:50].split(16), [network], 50)
    assert few.moments is None
    # Of the extra ones all features are kept, and they are in no overall number.
    (more,) = gather(pixels.split(16), [network], 130, first=120)
    assert torch.equal(more.features[50:], whole[120:])
    assert more.moments is not None
    assert more.moments.count == 120
    torch.testing.assert_close(more.moments.mean, Moments.of(whole[:120]).mean)
    (enough,) = gather(pixels.split(16), [network], 130, first=50)
    assert torch.equal(enough.features, whole)
    assert enough.moments is None


def test_each_picture_is_made_once_for_all_networks() -> None:
    made: list[int] = []

    def batches() -> Iterator[Tensor]:
        for number in range(3):
            made.append(number)
            yield torch.full((2, 32, 32, 3), number, dtype=torch.uint8)

    samples = gather(batches(), [stand_in(), stand_in("other", 1)], 6)
    assert made == [0, 1, 2]
    assert [len(sample.features) for sample in samples] == [6, 6]


# The cache


@pytest.fixture
def copy(many: Collection, tmp_path: Path) -> Collection:
    """The collection under another path, with a cache entry already written for it."""
    shutil.copytree(many.path, tmp_path / "copy")
    return Collection.open(tmp_path / "copy")


def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    def images(self: Collection, indices: np.ndarray) -> np.ndarray:
        raise AssertionError("a picture was read")

    monkeypatch.setattr(Collection, "images", images)


def test_the_second_time_no_picture_is_read(
    many: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (before,) = collection_features([stand_in(seed=5)], many)
    no_pictures(monkeypatch)
    (after,) = collection_features([stand_in(seed=5)], many)
    assert torch.equal(before.sample.features, after.sample.features)
    assert after.sample.logits is not None
    for changed in (
        [stand_in(seed=6)],  # other weights
        [stand_in("other", seed=5)],
    ):
        with pytest.raises(AssertionError, match="a picture was read"):
            collection_features(changed, many)
    for options in ({"split": "heldout"}, {"limit": 50}, {"resolution": 16}):
        with pytest.raises(AssertionError, match="a picture was read"):
            collection_features([stand_in(seed=5)], many, **options)


def test_a_changed_collection_never_hits_the_cache(copy: Collection) -> None:
    network = stand_in(seed=7)
    collection_features([network], copy)
    shard = copy.path / "images-00000.npy"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 255
    shard.write_bytes(content)
    with pytest.raises(ImpastoError, match="has changed since it was packed"):
        collection_features([network], Collection.open(copy.path))


def test_a_copy_of_a_collection_hits_the_cache(
    copy: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = stand_in(seed=8)
    (before,) = collection_features([network], copy)
    for file in copy.path.glob("*.npy"):
        file.touch()
    no_pictures(monkeypatch)
    (after,) = collection_features([network], Collection.open(copy.path))
    assert torch.equal(before.sample.features, after.sample.features)
    verified: list[bool] = []
    monkeypatch.setattr(Collection, "verify", lambda self: verified.append(True))
    collection_features([network], Collection.open(copy.path))
    assert not verified, "once verified, the files' new times are known"


def test_a_damaged_entry_is_made_again(many: Collection, own_cache: Path) -> None:
    network = stand_in(seed=9)
    (before,) = collection_features([network], many)
    (entry,) = (own_cache / "features").glob(f"*{network.identity[:16]}*")
    entry.write_bytes(entry.read_bytes()[:100])
    (after,) = collection_features([network], many)
    assert torch.equal(before.sample.features, after.sample.features)


def test_moments_of_a_large_reference_are_kept_too(
    many: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "KEPT", 40)
    network = stand_in(seed=10)
    (first,) = collection_features([network], many)
    (second,) = collection_features([network], many)
    assert len(second.rows) == len(second.labels) == 40
    # The collection comes class by class; what is kept is of both.
    assert 10 < int((second.labels[:, 0] == 0).sum()) < 30
    torch.testing.assert_close(
        second.sample.features, network(torch.from_numpy(many.images(second.rows))).features
    )
    assert second.count == len(many.train_indices)
    assert first.sample.moments is not None
    assert second.sample.moments is not None
    assert torch.equal(first.sample.moments.covariance, second.sample.moments.covariance)
    assert second.sample.moments.count == first.sample.moments.count == second.count


def test_averaged_down(many: Collection) -> None:
    network = stand_in()
    (reference,) = collection_features([network], many, limit=3)
    small = FeatureNetwork(
        **{
            **{name: getattr(network, name) for name in ("classes", "weights_sha256", "standard")},
            "name": "small",
            "width": 3,
            "resize": "none",
            "device": network.device,
            "extract": lambda pixels: (pixels.float().mean((1, 2)), None),
        }
    )
    (means,) = collection_features([small], many, resolution=16, limit=3)
    blocks = many.images(means.rows).reshape(3, 16, 2, 16, 2, 3).astype(np.float64).mean((2, 4))
    assert means.sample.features.numpy() == pytest.approx(blocks.mean((1, 2)), abs=0.5)
    assert np.array_equal(means.rows, reference.rows)


# Scores


def test_real_pictures_score_as_they_should(many: Collection) -> None:
    judge = evaluator(many)
    half = many.train_indices
    row = scored(judge, of_collection(many, half))
    assert row.score("fd-lite0").value == pytest.approx(0, abs=1e-6)  # type: ignore[union-attr]
    # Unbiased, it is below 0 where each picture meets itself among the others.
    assert row.score("kid-lite0").value < 0  # type: ignore[union-attr, operator]
    for name in ("precision-lite0", "recall-lite0", "coverage-lite0", "diversity-lite0"):
        assert row.score(name).value == pytest.approx(1)  # type: ignore[union-attr]
    assert row.score("top1-judge", "class").value > 0.9  # type: ignore[union-attr, operator]
    # They are the training pictures, every one of them.
    assert row.score("copied-lite0").value == 1  # type: ignore[union-attr]


def test_scores_by_class_follow_the_labels(many: Collection) -> None:
    judge = evaluator(many)
    right = of_collection(many, many.train_indices)
    swapped = Subject(
        right.names,
        right.count,
        {("class", k): numbers for k, (_, numbers) in enumerate(reversed(right.groups.items()))},
        right.pixels,
        right.size,
    )
    names = many.fields[0].classes
    one, other = scored(judge, right), scored(judge, swapped)
    assert one.score("fd-lite0") == other.score("fd-lite0")  # overall nothing has changed
    for cls in names:
        before, after = one.score("fd-lite0", "class", cls), other.score("fd-lite0", "class", cls)
        assert before is not None
        assert after is not None
        assert before.value == pytest.approx(0, abs=1e-6)
        assert after.value > 1  # type: ignore[operator]
        assert other.score("top1-judge", "class", cls).value < 0.1  # type: ignore[union-attr, operator]


def test_a_class_nobody_painted_is_said_so(many: Collection) -> None:
    subject = of_collection(many, many.train_indices)
    subject.groups["class", 1] = np.zeros(0, np.int64)
    row = scored(evaluator(many), subject)
    empty = row.score("fd-lite0", "class", many.fields[0].classes[1])
    assert empty is not None
    assert empty.value is None
    assert empty.warning == f"no generated picture of class {many.fields[0].classes[1]}"
    text = json.dumps(row.model_dump(mode="json"), allow_nan=False)
    assert "NaN" not in text
    # Nor are there 0 real pictures of a class that the pictures were not compared with.
    other = ScoreRow(
        name="accuracy-judge", field="class", cls="other", value=1, pictures=9, reference=0
    )
    told = lines(row.model_copy(update={"scores": (*row.scores, other)}))
    assert next(line for line in told if line.startswith("other")).split() == ["other", "0", "100%"]
    assert "nan" not in "\n".join(lines(row)).lower().replace("finance", "")


def test_one_picture_and_equal_pictures_give_words_and_no_nan(many: Collection) -> None:
    judge = evaluator(many)
    for rows in (many.train_indices[:1], np.repeat(many.train_indices[:1], 30)):
        row = scored(judge, of_collection(many, rows))
        json.dumps(row.model_dump(mode="json"), allow_nan=False)
        assert all(each.value is not None or each.warning for each in row.scores)
    assert row.score("diversity-lite0").value == pytest.approx(0, abs=1e-5)  # type: ignore[union-attr]


def test_heldout_pictures_stand_beside(many: Collection) -> None:
    row = scored(evaluator(many), of_collection(many, many.train_indices[:20]))
    assert {each.name for each in row.heldout} >= {"fd-lite0", "kid-lite0", "precision-lite0"}
    assert row.heldout[0].pictures == len(many.heldout_indices)
    assert all(each.warning and "too few" in each.warning for each in row.heldout)  # 12 sources
    against = scored(evaluator(many, split="heldout"), of_collection(many, many.train_indices[:20]))
    assert not against.heldout
    assert against.reference.pictures == len(many.heldout_indices)


# A model's pictures


def test_a_models_pictures_and_more_of_rare_classes(run: Path, many: Collection) -> None:
    painter = Painter.load(find_model(run))
    subject = of_model(painter, many, SampleCounts(count=10, per_class=9, first_seed=3))
    assert subject.count == 10
    assert subject.names[0] == "seed-00000003"
    assert {len(numbers) for numbers in subject.groups.values()} == {9}
    assert len(subject) == 18
    numbers, asked = subject.asked("class")
    assert sorted(numbers.tolist()) == list(range(18))
    labels = painter.labels(range(3, 13), {})[:, 0]
    first = numbers < 10
    assert np.array_equal(asked[first][np.argsort(numbers[first])], labels.numpy())
    again = subject.pixels(np.array([17, 0]))
    assert torch.equal(subject.pixels(np.array([0]))[0], again[1])


def test_a_runs_checkpoints_are_scored_once(
    run: Path, many: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    judge, plan = evaluator(many), SampleCounts(count=40, per_class=5)
    folder = find_model(run)
    (made,) = evaluate_model(folder, run.name, judge, plan, run, of_run=True)
    assert not made.before
    told = lines(made.row)
    assert told[0] == f"{run.name} after 24 images: 40 pictures, seeds 0 to 39"
    (row,) = [row for row in read_rows(run / "metrics.jsonl") if row.pictures.count == 40]
    assert row == made.row
    assert row.subject.images_seen == 24
    assert row.subject.kind == "run"
    assert row.score("top1-judge", "class") is not None
    assert row.folder == "evaluation/000000000024/lite0-many-40"
    beside = run / row.folder
    assert (beside / "scores.txt").read_text().splitlines() == told
    assert Image.open(beside / "nearest.png").size[0] > 100
    table = (beside / "nearest.csv").read_text().splitlines()
    assert table[0] == "picture,distance,nearer_than,copied,nearest,source"
    assert len(table) == 41
    (again,) = evaluate_model(folder, run.name, judge, plan, run, of_run=True)
    assert again.before
    assert again.row == row
    # Another choice of pictures leaves what was there alone; the same one takes its place.
    (other,) = evaluate_model(folder, run.name, judge, SampleCounts(40, 6), run, of_run=True)
    assert other.row.folder == "evaluation/000000000024/lite0-many-40-2"
    (third,) = evaluate_model(folder, run.name, judge, plan, run, of_run=True, again=True)
    assert not third.before
    assert third.row.folder == row.folder


def test_two_evaluations_agree_to_the_digit(run: Path, many: Collection) -> None:
    painter = Painter.load(find_model(run))
    record = SubjectRecord(kind="run", name="run", images_seen=24)
    first, second = (
        Evaluator([stand_in(seed=20 + 0 * number)], many, resolution=32).evaluate(
            Painter(painter.sampler, painter.record, batch=batch), record, SampleCounts(30, 5)
        )[0]
        for number, batch in enumerate((64, 7))
    )
    assert first.row.scores == second.row.scores


def test_a_model_that_paints_nan_is_refused(run: Path, many: Collection) -> None:
    painter = Painter.load(find_model(run))
    for weight in painter.sampler.generator.parameters():
        weight.fill_(torch.nan)
    with pytest.raises(ImpastoError, match="not finite: its training has diverged"):
        evaluator(many).evaluate(painter, SubjectRecord(kind="run", name="run"), SampleCounts(4, 0))


def test_classes_that_the_collection_does_not_have(run: Path, labelled: Collection) -> None:
    subject = of_model(Painter.load(find_model(run)), labelled, SampleCounts(4, 3))
    assert subject.groups == {}
    other, field = subject.notes
    assert other.startswith("the model did not learn from labelled as it is here, but from many:")
    assert field == "labelled has no label field 'class': no scores by it"


@pytest.mark.usefixtures("quick")
def test_a_collection_without_the_models_labels_is_scored_against_and_said_so(
    run: Path, labelled: Collection, tmp_path: Path
) -> None:
    few = ("--data", labelled.path, "--pictures", 20, "--per-class", 2, "--out", tmp_path / "out")
    code, told = invoke("evaluate", run, *few)
    assert code == 0, told
    assert "  labelled has no label field 'class': no scores by it" in told.splitlines()
    (row,) = read_rows(tmp_path / "out" / "metrics.jsonl")
    assert len(row.notes) == 2
    assert row.score("fd-lite0") is not None
    assert row.judges == ()


def test_more_pictures_than_are_kept_are_scored_by_class_too(
    run: Path, many: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    painter, plan = Painter.load(find_model(run)), SampleCounts(count=40, per_class=25)
    subject = SubjectRecord(kind="run", name="run")
    (whole,) = evaluator(many).evaluate(painter, subject, plan)
    monkeypatch.setattr(gathering, "KEPT", 30)
    (found,) = Evaluator([stand_in(seed=30)], many, resolution=32).evaluate(painter, subject, plan)
    fd = found.row.score("fd-lite0")
    assert fd is not None
    assert fd.pictures == 40, "the extra ones are in no overall score"
    kid = found.row.score("is-judge", "class")
    assert kid is not None
    assert kid.pictures == 30
    assert len(found.memorisation.samples.distance) == 30
    by_class = [each for each in found.row.scores if each.name == "fd-lite0" and each.cls]
    assert all(each.value is not None and each.pictures >= 15 for each in by_class)
    extra = len(found.subject) - 40
    assert sum(each.pictures for each in by_class) == 30 + extra
    assert len(whole.sample.features) == 40 + extra


def test_judges_of_two_resolutions_are_two(many: Collection) -> None:
    """Features are as wide at any resolution, but not the same."""
    network = dataclasses.replace(
        stand_in(seed=31),
        extract=lambda pixels: (pixels.float().std((1, 2)) @ torch.ones(3, 6), None),
        classes=None,
    )
    first, second = (
        Evaluator([network], many, resolution=side).judge(network, "class").judge
        for side in (32, 16)
    )
    assert first is not None
    assert second is not None
    assert not torch.equal(first.mean, second.mean)


def test_the_deviation_of_an_inception_score_does_not_depend_on_the_order() -> None:
    logits = 20 * torch.eye(4)[torch.arange(400) // 100]
    score = Score("is", 4.0, 3.9, 4.0, None)
    deviation = deviation_of(score, Sample(logits, logits))
    # In its own order a part would hold one class or two.
    assert inception_score_splits(logits.double().softmax(1))[1] > 0.3
    assert deviation is not None
    assert deviation < 0.1


# A folder of pictures


def saved(folder: Path, collection: Collection, rows: np.ndarray, by_class: bool) -> Path:
    for row, pixels in zip(rows, collection.images(rows), strict=True):
        cls = collection.fields[0].classes[collection.labels[row, 0]]
        place = folder / cls if by_class else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{row}.png")
    return folder


def looked(folder: Path, collection: Collection) -> Subject:
    return of_given(look_through(folder, collection.resolutions), collection)


def test_a_folder_of_pictures_by_class(many: Collection, tmp_path: Path) -> None:
    folder = saved(tmp_path / "made", many, many.train_indices[:40], by_class=True)
    evaluate_pictures(looked(folder, many), "made", evaluator(many), tmp_path / "out")
    (row,) = read_rows(tmp_path / "out" / "metrics.jsonl")
    assert lines(row)[0] == "made: 40 pictures"
    # All 40 are pictures that it was trained on, and it says so.
    assert row.memorisation is not None
    assert "40 of them are the very same as a training picture" in row.memorisation["sentences"]
    assert any("training pictures are copied" in told for told in row.memorisation["sentences"])
    assert row.score("top1-judge", "class").value > 0.8  # type: ignore[union-attr, operator]
    assert (tmp_path / "out" / "lite0-many-40" / "scores.txt").is_file()
    plain = saved(tmp_path / "plain", many, many.train_indices[:40], by_class=False)
    assert looked(plain, many).groups == {}
    assert looked(plain, many).notes == ()
    (folder / "others").mkdir()
    Image.fromarray(many.images(many.train_indices[:1])[0]).save(folder / "others" / "one.png")
    mixed = looked(folder, many)
    assert mixed.groups == {}
    assert mixed.notes == (
        "no scores by class: some pictures are in folders named by its classes, and others are not "
        "(the folder others)",
    )


# The command


@pytest.mark.usefixtures("quick")
def test_the_command_over_time(run: Path, many: Collection) -> None:
    before = len(read_rows(run / "metrics.jsonl"))
    code, told = invoke("evaluate", run, "--checkpoints", "all", "--pictures", 20, "--per-class", 3)
    assert code == 0, told
    assert "checkpoint 3 of 3" in told
    rows = read_rows(run / "metrics.jsonl")[before:]
    assert [row.subject.images_seen for row in rows] == [8, 16, 24]
    # GANgogh's table: the discriminator beside the judge.
    for name in ("accuracy-judge", "accuracy-discriminator"):
        assert rows[-1].score(name, "class") is not None
    code, told = invoke("evaluate", run, "--checkpoints", "all", "--pictures", 20, "--per-class", 3)
    assert told.count(", scored before") == 3
    assert "--again does it anew" in told
    assert "closest pairs: " in told
    assert [line.split()[0] for line in told.splitlines()[-3:]] == ["8", "16", "24"]
    assert len(read_rows(run / "metrics.jsonl")) == before + 3


@pytest.mark.usefixtures("quick")
def test_the_command_on_a_model_and_a_folder(run: Path, many: Collection, tmp_path: Path) -> None:
    model = tmp_path / "model"
    assert invoke("export", run, model)[0] == 0
    few = ("--data", many.path, "--pictures", 20, "--per-class", 0, "--out", tmp_path / "out")
    code, told = invoke("evaluate", model, *few)
    assert code == 0, told
    folder = saved(tmp_path / "made", many, many.train_indices[:30], by_class=True)
    code, told = invoke("evaluate", folder, *few)
    assert code == 0, told
    kinds = [row.subject.kind for row in read_rows(tmp_path / "out" / "metrics.jsonl")]
    assert kinds == ["model", "pictures"]


@pytest.mark.usefixtures("quick")
def test_what_the_command_refuses(run: Path, many: Collection, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        code, told = invoke("evaluate", *arguments)
        assert code == 2, told
        return told

    assert "does not exist" in refused(tmp_path / "nothing")
    assert "--checkpoints takes all, or every:N" in refused(run, "--checkpoints", "some")
    assert "--against takes train, heldout or all" in refused(run, "--against", "real")
    assert "--weights takes NETWORK=FILE" in refused(run, "--weights", "inception=x")
    model = tmp_path / "model"
    invoke("export", run, model)
    assert "is no run" in refused(model)
    folder = saved(tmp_path / "made", many, many.train_indices[:3], by_class=False)
    assert "say with --data what to compare" in refused(folder)
    assert "are for a run's" in refused(folder, "--data", many.path, "--checkpoints", "all")
    small = tmp_path / "small"
    small.mkdir()
    Image.new("RGB", (24, 24)).save(small / "1.png")
    assert "--resolution 24" in refused(small, "--data", many.path)
    assert "--fit and --resolution are for a folder" in refused(run, "--fit", "crop")
    record = json.loads((find_model(run) / MODEL_FILE).read_text())
    assert record["images_seen"] == 24  # and nothing of the run was touched


def test_the_line_beneath_a_table_knows_every_kind_of_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(KINDS, "gap", Kind("Gap", "lower", "Of another metric."))
    assert "copied, gap; nearest to 1: diversity;" in better_ends([])
