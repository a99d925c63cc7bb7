"""Choosing pictures by the discriminator: the rule by hand, a discriminator whose favourites are
known, and the command."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from impasto.collection import Collection
from impasto.config import LatentConfig
from impasto.curation import choosing
from impasto.curation.choosing import (
    Choice,
    Group,
    Scorer,
    Scores,
    choose,
    confidence_in,
    groups_of,
    percentiles,
)
from impasto.curation.judges import FieldJudges
from impasto.errors import ImpastoError
from impasto.evaluation.evaluate import Evaluator
from impasto.features import load_network
from impasto.networks import Judgement
from impasto.sampling.painter import Painter
from impasto.sampling.sampler import Sampler
from impasto.training import train
from tests.helpers.command_line import Say
from tests.helpers.echo import Echo
from tests.helpers.records import TWO, record_of
from tests.helpers.training import small

ONE = record_of({"genre": ("landscape", "marina", "portrait")}, [(0,), (1,), (2,)], [3, 2, 1])


class Known(nn.Module):
    """Names the class by the first latent value, and finds real what is high in the second."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        assert not self.training
        first, second = images[:, 0, 0, 0] * 4, images[:, 0, 0, 1] * 4
        logits = torch.zeros(len(images), self.classes)
        if self.classes:
            logits.scatter_(1, labels[:, :1], first[:, None])
        realness = torch.stack([second * 1000, second * 3000], dim=1)
        return Judgement(realness, (logits,) if self.classes else None)


def scorer_of(record: Any = ONE, batch: int = 64) -> Scorer:
    sampler = Sampler(Echo(), LatentConfig(dim=4), label_fields=len(record.labels))
    return Scorer(Painter(sampler, record, batch=batch), Known(3 if record.labels else 0))


def scores_of(confidence: list[float], realness: list[float], **more: Any) -> Scores:
    seeds = more.get("seeds", list(range(len(confidence))))
    labels = torch.zeros(len(seeds), 1, dtype=torch.int64)
    group = Group("genre-landscape", "landscape", {0: 0})
    return Scores.of(group, seeds, labels, np.array(confidence), np.array(realness))


def test_percentiles_by_hand() -> None:
    assert percentiles(np.array([3.0, 1.0, 2.0, 2.0])).tolist() == [1.0, 0.25, 0.75, 0.75]
    assert percentiles(np.array([5.0, 5.0])).tolist() == [1.0, 1.0]


def test_the_rule_by_hand() -> None:
    # confidence percentiles 1, 3/4, 1/2, 1/4; realness percentiles 1/4, 3/4, 1, 1/2
    scores = scores_of([0.99, 0.9, 0.8, 0.1], [-7.0, 40.0, 90.0, 2.0])
    assert scores.score.tolist() == [0.25, 0.75, 0.5, 0.25]
    # Of the two quarters, the first has the better other side: the whole, and not a half.
    assert scores.rank.tolist() == [3, 1, 2, 4]
    assert scores.kept(2).tolist() == [1, 2]
    assert scores.kept(2, worst=True).tolist() == [3, 0]


def test_the_rule_needs_no_scale() -> None:
    random = np.random.default_rng(0)
    confidence, realness = random.random(50), random.normal(size=50)
    ranks = scores_of(confidence.tolist(), realness.tolist()).rank
    other = scores_of((confidence**9).tolist(), (np.exp(realness) * 1e4 - 3).tolist()).rank
    assert np.array_equal(ranks, other)
    # Better in one respect and no worse in the other is never further down.
    for better, worse in ((a, b) for a in range(50) for b in range(50)):
        if confidence[better] >= confidence[worse] and realness[better] >= realness[worse]:
            assert ranks[better] <= ranks[worse]


def test_equal_pictures_go_by_their_seed() -> None:
    scores = scores_of([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], seeds=[9, 4, 7])
    assert scores.rank.tolist() == [3, 1, 2]
    with pytest.raises(ImpastoError, match="not finite"):
        scores_of([1.0, 1.0], [0.0, float("nan")])


def test_confidence_by_hand() -> None:
    logits = (torch.tensor([[1.0, 3.0]]).log(), torch.tensor([[1.0, 1.0, 2.0]]).log() - 7)
    assert confidence_in(logits, {0: 0}).item() == pytest.approx(1 / 4)
    assert confidence_in(logits, {1: 2}).item() == pytest.approx(1 / 2)
    assert confidence_in(logits, {0: 0, 1: 2}).item() == pytest.approx(1 / 8)


def test_groups() -> None:
    assert [g.name for g in groups_of(ONE, {})] == [
        "genre-landscape",
        "genre-marina",
        "genre-portrait",
    ]
    assert [g.title for g in groups_of(TWO, {})] == ["Cubism", "Ukiyo-e"]
    assert [g.name for g in groups_of(TWO, {1: 0})] == ["genre-landscape"]
    assert [g.chosen for g in groups_of(TWO, {0: 1}, 1)] == [{1: k, 0: 1} for k in range(3)]
    assert groups_of(TWO, {0: 1}, 1)[2].name == "genre-portrait-style-ukiyo-e"
    assert groups_of(record_of({}, [()], [1]), {}) == [Group("", "", {})]
    with pytest.raises(ImpastoError, match="--class chooses one genre"):
        groups_of(TWO, {1: 0}, 1)


@pytest.mark.parametrize("batch", [7, 64])
def test_the_best_are_those_that_are_known_to_be(batch: int) -> None:
    scorer, seeds = scorer_of(batch=batch), list(range(100, 140))
    told: list[int] = []
    choice = choose(scorer, groups_of(ONE, {}), seeds, 5, progress=told.append)
    assert told[-1] == 120
    assert told == sorted(told)
    latents = scorer.painter.latents(seeds).numpy()
    first, second = (latents[:, k].argsort().argsort() + 1 for k in (0, 1))
    order = np.lexsort((-np.maximum(first, second), -np.minimum(first, second)))
    for scores in choice.scores:
        assert scores.kept(5).tolist() == order[:5].tolist()
        assert scores.realness is not None
        assert scores.realness == pytest.approx(latents[:, 1] * 2000, rel=1e-5)
        expected = np.exp(latents[:, 0]) / (np.exp(latents[:, 0]) + 2)
        assert scores.confidence == pytest.approx(expected, rel=1e-5)


def test_without_classes_only_realness_counts() -> None:
    scorer = scorer_of(record_of({}, [()], [1]))
    choice = choose(scorer, groups_of(scorer.painter.record, {}), [*range(20), 3], 3)
    (scores,) = choice.scores
    assert len(scores.seeds) == 20  # a seed counts once
    assert (scores.confidence == 1).all()
    assert scores.realness is not None
    assert scores.kept(3).tolist() == np.argsort(-scores.realness)[:3].tolist()
    assert len(choice.lines()) == 1
    assert "confidence" not in choice.lines()[0]


class Shares(FieldJudges):
    """Says how bright the upper left is, and forgets what it is asked."""

    def __init__(self) -> None:
        pass

    def confidence(self, images: Tensor, chosen: dict[int, int]) -> np.ndarray:
        assert len(chosen) == 1
        return images[:, 0, 0, 0].double().add(1).div(2).numpy()


def test_a_judge_takes_the_place_of_the_discriminators_classes() -> None:
    seeds = range(40)
    painter = scorer_of().painter
    latents = painter.latents(seeds).numpy()
    first, second = (latents[:, k].argsort().argsort() + 1 for k in (0, 1))
    # Without a discriminator by confidence alone, and nothing is said of realness.
    alone = choose(Scorer(painter, None, Shares()), groups_of(ONE, {}), seeds, 5)
    assert alone.scores[0].kept(5).tolist() == np.argsort(-first)[:5].tolist()
    assert alone.scores[0].realness is None
    assert "realness" not in alone.lines()[0]
    assert "confidence" in alone.lines()[0]
    # With one, by the lower of the two ranks; it need not name any classes.
    both = choose(Scorer(painter, Known(0), Shares()), groups_of(ONE, {}), seeds, 5)
    order = np.lexsort((-np.maximum(first, second), -np.minimum(first, second)))
    assert both.scores[0].kept(5).tolist() == order[:5].tolist()
    with pytest.raises(ImpastoError, match=r"names no classes.*add --judge"):
        choose(Scorer(painter, Known(0)), groups_of(ONE, {}), seeds, 5)


@pytest.fixture(scope="module")
def evaluator(labelled: Collection) -> Evaluator:
    return Evaluator([load_network("lite0")], labelled, resolution=32)


def test_fields_and_classes_are_matched_by_name(evaluator: Evaluator, labelled: Collection) -> None:
    # The model's portraits are class 0 of field 0, the collection's class 2 of field 1.
    model = record_of({"genre": ("portrait", "landscape")}, [(0,), (1,)], [1, 1])
    judges = FieldJudges.of(evaluator, model, [{0: 0}, {0: 1}])
    assert labelled.fields[1].classes == ("landscape", "marina", "portrait")
    assert judges.numbers == {0: {0: 2, 1: 0}}
    rows = labelled.train_indices[:6]
    images = torch.from_numpy(labelled.images(rows)).permute(0, 3, 1, 2).float() / 127.5 - 1
    judge = evaluator.judge(evaluator.networks[0], "genre").judge
    assert judge is not None
    features = evaluator.networks[0](torch.from_numpy(labelled.images(rows))).features
    expected = judge.probabilities(features)[:, 2].numpy()
    assert judges.confidence(images, {0: 0}) == pytest.approx(expected, abs=1e-6)
    (line,) = judges.lines()
    assert line.startswith("genre: named by a judge from labelled, which names ")
    assert "too few" in line
    two = record_of(
        {"style": ("Cubism", "Rococo"), "genre": ("landscape",)}, [(0, 0), (1, 0)], [1, 1]
    )
    product = FieldJudges.of(evaluator, two, [{0: 1, 1: 0}]).confidence(images, {0: 1, 1: 0})
    apart = [FieldJudges.of(evaluator, two, [each]) for each in ({0: 1}, {1: 0})]
    alone = apart[0].confidence(images, {0: 1}) * apart[1].confidence(images, {1: 0})
    assert product == pytest.approx(alone)

    with pytest.raises(ImpastoError, match="not finite"):
        judges.confidence(images * torch.nan, {0: 0})
    other = record_of({"genre": ("portrait", "sea")}, [(0,), (1,)], [1, 1])
    FieldJudges.of(evaluator, other, [{0: 0}])
    with pytest.raises(ImpastoError, match="labelled has no training pictures of genre sea"):
        FieldJudges.of(evaluator, other, [{0: 0}, {0: 1}])
    with pytest.raises(ImpastoError, match="no label field 'artist'"):
        FieldJudges.of(evaluator, record_of({"artist": ("a",)}, [(0,)], [1]), [{0: 0}])
    with pytest.raises(ImpastoError, match="nothing for a judge to name"):
        FieldJudges.of(evaluator, record_of({}, [()], [1]), [{}])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def choice_of(count: int = 2, worst: bool = False) -> Choice:
    return choose(scorer_of(), groups_of(ONE, {}), range(12), count, worst=worst)


def test_a_folder_a_class_and_a_table_of_all(tmp_path: Path) -> None:
    choice = choice_of()
    choice.save_folder(tmp_path / "best")
    rows = rows_of(tmp_path / "best" / "scores.csv")
    assert list(rows[0]) == ["seed", "genre", "confidence", "realness", "score", "rank", "kept"]
    assert len(rows) == 36
    for name in ONE.labels[0].classes:
        mine = [row for row in rows if row["genre"] == name]
        assert [row["rank"] for row in mine] == [str(k + 1) for k in range(12)]
        assert [row["kept"] for row in mine] == ["yes"] * 2 + ["no"] * 10
        # The table says all that the ranking was made of.
        numbers = [[float(row[k]) for row in mine] for k in ("confidence", "realness")]
        again = scores_of(*numbers, seeds=[int(row["seed"]) for row in mine])
        assert again.rank.tolist() == list(range(1, 13))
        files = {f"seed-{int(row['seed']):08d}.png" for row in mine if row["kept"] == "yes"}
        folder = tmp_path / "best" / f"genre-{name}"
        assert {file.name for file in folder.iterdir()} == files
        # A kept picture is its seed's picture of that class.
        seed = int(mine[0]["seed"])
        painter, number = choice.scorer.painter, ONE.labels[0].classes.index(name)
        expected = next(painter.paint([seed], torch.tensor([[number]])))[0]
        with Image.open(folder / f"seed-{seed:08d}.png") as picture:
            assert np.array_equal(np.asarray(picture), expected)
    with pytest.raises(ImpastoError, match="exists already"):
        choice.save_folder(tmp_path / "best")


def test_a_grid_has_a_row_a_class(tmp_path: Path) -> None:
    table = choice_of(4, worst=True).save_grid(tmp_path / "worst.png")
    assert table == tmp_path / "worst-scores.csv"
    with Image.open(tmp_path / "worst.png") as picture:
        grid = np.asarray(picture)[:, -32:]
    assert grid.shape == (24, 32, 3)
    # Echo paints its class into the lower right of every 2x2 squares: same class along a row.
    levels = [np.unique(grid[8 * row + 1 : 8 * row + 8 : 2, 1::2]).tolist() for row in range(3)]
    assert levels == [[128], [159], [191]]
    kept = [row for row in rows_of(table) if row["kept"] == "yes"]
    assert [row["rank"] for row in kept[:4]] == ["9", "10", "11", "12"]
    one = choose(scorer_of(), groups_of(ONE, {0: 1}), range(12), 9)
    one.save_grid(tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.size == (24, 24)


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> str:
        raise KeyboardInterrupt

    choice = choice_of()
    monkeypatch.setattr(choosing, "table", stop)
    with pytest.raises(KeyboardInterrupt):
        choice.save_folder(tmp_path / "best")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def conditional(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small("gangogh", training__images=32, training__grid=4)
    return train(config, labelled, out=tmp_path_factory.mktemp("conditional"), device="cpu")


def test_the_command(conditional: Path, tmp_path: Path, say: Say) -> None:
    best = ["--curate", "best", "--per-class", "2", "--from", "12"]
    code, out, err = say("sample", str(conditional), *best, "--out", str(tmp_path / "best"))
    assert code == 0, err
    assert out.splitlines()[0].startswith("landscape: 2 of 12, median realness ")
    assert out.splitlines()[-1] == f"pictures and scores.csv in {tmp_path / 'best'}"
    rows = rows_of(tmp_path / "best" / "scores.csv")
    assert len(rows) == 36
    assert sorted({row["genre"] for row in rows}) == ["landscape", "marina", "portrait"]
    kept = next(row for row in rows if row["kept"] == "yes" and row["genre"] == "marina")
    # The same seed and class give the same picture without any choosing.
    again = ["--seeds", kept["seed"], "--class", "marina", "--out", str(tmp_path / "again")]
    assert say("sample", str(conditional), *again)[0] == 0
    file = f"seed-{int(kept['seed']):08d}.png"
    with (
        Image.open(tmp_path / "best" / "genre-marina" / file) as first,
        Image.open(tmp_path / "again" / file) as second,
    ):
        assert np.abs(np.asarray(first).astype(int) - np.asarray(second)).max() <= 1

    code, _, err = say("sample", str(conditional), *best, "--out", str(tmp_path / "best"))
    assert (code, err.count("\n")) == (2, 1)
    assert "exists already" in err

    # An exported model can be curated where its discriminator was exported too.
    for name, flags in (("bare", []), ("both", ["--discriminator"])):
        assert say("export", str(conditional), str(tmp_path / name), *flags)[0] == 0
    grid = ["--grid", str(tmp_path / "grid.png"), "--class", "portrait"]
    code, _, err = say("sample", str(tmp_path / "bare"), *best, *grid)
    assert (code, err.count("\n")) == (2, 1)
    assert "export it again with --discriminator" in err
    assert not (tmp_path / "grid.png").exists()
    assert say("sample", str(tmp_path / "both"), *best, *grid)[0] == 0
    exported = rows_of(tmp_path / "grid-scores.csv")
    assert exported == [row for row in rows if row["genre"] == "portrait"]


def test_the_command_with_a_judge(
    conditional: Path, labelled: Collection, tmp_path: Path, say: Say
) -> None:
    best = ["--curate", "best", "--per-class", "2", "--from", "6"]
    judge = ["--judge", str(labelled.path)]
    code, out, err = say("sample", str(conditional), *best, *judge, "--out", str(tmp_path / "best"))
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("genre: named by a judge from labelled, which names ")
    assert lines[1].startswith("landscape: 2 of 6, median realness ")
    rows = rows_of(tmp_path / "best" / "scores.csv")
    assert len(rows) == 18
    assert all(row["realness"] and 0 < float(row["confidence"]) < 1 for row in rows)

    # A model without its discriminator can be chosen from, too.
    assert say("export", str(conditional), str(tmp_path / "bare"))[0] == 0
    grid = ["--grid", str(tmp_path / "grid.png"), "--class", "portrait"]
    code, out, err = say("sample", str(tmp_path / "bare"), *best, *judge, *grid)
    assert code == 0, err
    assert out.splitlines()[1].startswith("no discriminator beside this model: chosen by")
    alone = rows_of(tmp_path / "grid-scores.csv")
    assert {row["realness"] for row in alone} == {""}
    same = {row["seed"]: float(row["confidence"]) for row in rows if row["genre"] == "portrait"}
    assert {row["seed"]: float(row["confidence"]) for row in alone} == pytest.approx(same, rel=1e-4)

    for words, said in (
        (["--judge", "masters"], "--judge helps to choose among pictures: add --curate best"),
        ([*best, "--judge", "nowhere"], "there is no nowhere"),
        ([*best, *judge, "--per-class", "7"], "7 of 6 pictures cannot be chosen"),
    ):
        code, _, err = say("sample", str(conditional), *words, "--out", str(tmp_path / "no"))
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
    assert not (tmp_path / "no").exists()


def test_ctrl_c_is_one_line(
    conditional: Path, tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> Scores:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "scores", stop)
    curate = ["--curate", "best", "--from", "9", "--out", str(tmp_path / "best")]
    code, out, err = say("sample", str(conditional), *curate)
    assert (code, out) == (130, "")
    assert err == "impasto: stopped; no file is left half written\n"
    assert not list(tmp_path.iterdir())
