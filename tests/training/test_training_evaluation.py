"""Evaluation on the way: what it writes, what it decides, and that training does not notice it."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError, StoppedError
from impasto.evaluation.record import EVALUATION_FOLDER, METRICS_FILE, read_rows
from impasto.features import FeatureNetwork
from impasto.registry import load_recipe
from impasto.reporting.record import read_record
from impasto.sampling import Model, Sampler, find_model
from impasto.sampling.model import COPYING, SMOOTHED_KID, checkpoint_folders, stalled
from impasto.training import checkpoint, evaluation, resume, run_folder, runs, train
from impasto.training.choosing import configure
from impasto.training.estimate import estimate
from impasto.training.evaluation import TrainingEvaluator, is_affordable
from impasto.training.resolve import resolve
from impasto.training.run_folder import Stats
from impasto.training.session import Session
from impasto.training.trainer import Trainer
from tests.helpers.sketches import sketch
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import small

EVALUATED: dict[str, Any] = {"evaluation__every": 16, "evaluation__pictures": 24}


@pytest.fixture(autouse=True)
def _sketched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "with_lite0" not in request.fixturenames:
        monkeypatch.setattr(evaluation, "load_network", sketch)


@pytest.fixture
def with_lite0() -> None:
    """The real feature network."""


Script = Callable[[dict[int, float | None]], None]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Give evaluations the KIDs that a test wants, by images seen."""

    def follow(kids: dict[int, float | None]) -> None:
        def evaluate(
            self: TrainingEvaluator, run: Path, state: Any, record: Any, rows: Any
        ) -> dict[str, float]:
            kid = kids[record.images_seen]
            return {"evaluation/seconds": 0.0, **({} if kid is None else {SMOOTHED_KID: kid})}

        monkeypatch.setattr(TrainingEvaluator, "evaluate", evaluate)

    return follow


def kept(run: Path) -> list[int]:
    return [int(folder.name) for folder in checkpoint_folders(run)]


def metrics(run: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` without their times."""
    lines = [json.loads(line) for line in (run / METRICS_FILE).read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("created", "seconds")} for row in lines]


@pytest.mark.usefixtures("told")
def test_rows_of_an_evaluated_run(
    tiny: Collection, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(small(**EVALUATED), tiny, out=tmp_path, device="cpu")
    rows = read_rows(run / METRICS_FILE)
    assert [row.subject.images_seen for row in rows] == [16, 32, 48, 64]
    last = rows[-1]
    assert last.during_training
    assert (last.subject.kind, last.subject.name) == ("run", run.name)
    assert last.subject.recipe == "ukiyoe_dcgan_v1"
    assert last.pictures.count == 24
    assert last.reference.split == "train"
    assert last.reference.pictures == len(tiny.train_indices)
    # The weights are named as in the checkpoint of that moment.
    assert last.subject.weights_sha256 == Model.load(find_model(run)).record.weights_sha256
    stats = Stats(run).rows()
    kids = [row["evaluation/kid-lite0"] for row in stats]
    score = last.score("kid-lite0")
    assert score is not None
    assert kids[-1] == score.value
    smoothed = [row[SMOOTHED_KID] for row in stats]
    means = [kids[0], sum(kids[:2]) / 2, sum(kids[:3]) / 3, sum(kids[1:]) / 3]
    assert smoothed == pytest.approx(means, rel=1e-12)
    assert all({"evaluation/fd-lite0", "evaluation/seconds"} <= set(row) for row in stats)
    told = capsys.readouterr().out
    assert "evaluated 4 times, which took " in told
    best = 16 * (smoothed.index(min(smoothed)) + 1)
    assert (
        f"the best by lite0: after {best} images, smoothed KID {min(smoothed):.3g} (mean of up to "
        f"three evaluations); paint with it: impasto sample {run / 'best'}\n"
    ) in told
    first = (
        f"evaluated after 16 images: kid-lite0 {kids[0]:.3g}, smoothed {kids[0]:.3g}, the best so"
    )
    assert first in told
    assert "ended after" not in told


@pytest.mark.parametrize("recipe", ["ukiyoe_dcgan_v1", "gangogh"])
def test_training_does_not_notice_evaluation(
    recipe: str, labelled: Collection, tmp_path: Path
) -> None:
    config = small(recipe, training__discriminator_steps=1)
    plain = train(config, labelled, out=tmp_path / "plain", device="cpu")
    config = small(recipe, training__discriminator_steps=1, **EVALUATED)
    scored = train(config, labelled, out=tmp_path / "scored", device="cpu")
    assert len(metrics(scored)) == 4
    one, other = fingerprint(plain), fingerprint(scored)
    for file in ("generator.safetensors", "state.safetensors"):
        assert one[file] == other[file]
    assert not (plain / METRICS_FILE).exists()


@pytest.fixture(scope="module")
def evaluated(
    labelled: Collection, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, Path]:
    """A config, and a run of it that was never stopped."""
    # Evaluations fall between checkpoints; the best ones make some of their own.
    config = small(
        "gangogh",
        **EVALUATED,
        training__discriminator_steps=1,
        training__images=96,
        training__checkpoint_every=28,
        training__ema_half_life=30,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "load_network", sketch)
        return config, train(config, labelled, out=tmp_path_factory.mktemp("whole"), device="cpu")


@pytest.mark.parametrize("steps", [1, 4, 7, 10])
def test_an_evaluated_run_that_died_ends_as_one_that_did_not(
    steps: int,
    evaluated: tuple[RunConfig, Path],
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, whole = evaluated
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(StoppedByTest):
            train(config, labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert metrics(died) == metrics(whole)
    assert kept(died) == kept(whole)
    assert find_model(died / "best").name == find_model(whole / "best").name


def test_dying_between_an_evaluation_and_its_checkpoint(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(**EVALUATED)
    whole = train(config, tiny, out=tmp_path / "whole", device="cpu")
    original, saved = checkpoint.save, [0]

    def save(*arguments: Any) -> Path:
        saved[0] += 1
        if saved[0] == 3:
            raise StoppedByTest
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", save)
        with pytest.raises(StoppedByTest):
            train(config, tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    with (died / METRICS_FILE).open("a") as file:
        file.write('{"format": 1, "created": "20')  # and within the next row
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert metrics(died) == metrics(whole)


def test_the_best_checkpoints_are_kept(tiny: Collection, tmp_path: Path, script: Script) -> None:
    script({16: 0.5, 32: 0.2, 48: 0.1, 64: 0.3, 80: 0.4, 96: 0.6})
    config = small(
        training__images=96,
        training__checkpoint_every=1000,
        training__keep_newest=1,
        training__keep_every=None,
        evaluation__every=16,
        evaluation__keep_best=2,
    )
    run = train(config, tiny, out=tmp_path, device="cpu")
    assert kept(run) == [32, 48, 96]
    assert find_model(run / "best") == run / "checkpoints" / "000000000048"
    assert find_model(run).name == "000000000096"


@pytest.mark.usefixtures("told")
def test_none_need_be_kept_for_being_the_best(
    tiny: Collection, tmp_path: Path, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script({16: 0.5, 32: 0.1, 48: 0.2, 64: 0.3})
    config = small(training__keep_newest=2, evaluation__every=16, evaluation__keep_best=0)
    run = train(config, tiny, out=tmp_path, device="cpu")
    assert kept(run) == [48, 64]
    assert "impasto sample" not in capsys.readouterr().out  # the very best one is gone
    # The best of those that are there.
    assert find_model(run / "best").name == "000000000048"


@pytest.mark.usefixtures("told")
def test_a_best_of_none(
    tiny: Collection, tmp_path: Path, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script(dict.fromkeys((16, 32, 48, 64)))  # too few pictures for a KID, say
    run = train(small(evaluation__every=16), tiny, out=tmp_path, device="cpu")
    assert "evaluated after 16 images: no KID; metrics.jsonl says why\n" in capsys.readouterr().out
    with pytest.raises(ImpastoError, match="has no best checkpoint: none was evaluated"):
        find_model(run / "best")
    with pytest.raises(ImpastoError, match="does not exist"):
        find_model(tmp_path / "best")


@pytest.mark.usefixtures("told")
def test_training_ends_where_nothing_improves(
    tiny: Collection, tmp_path: Path, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script({8 * n: kid for n, kid in enumerate((0.5, 0.2, 0.3, 0.2, 0.25, 0.1, 0.1), 1)})
    config = small(evaluation__every=8, evaluation__patience=24, training__checkpoint_every=1000)
    run = train(config, tiny, out=tmp_path, device="cpu")
    assert kept(run)[-1] == 40
    assert (run / "samples" / "fakes-000000000040.png").exists()
    before, rows = fingerprint(run), Stats(run).rows()
    told = capsys.readouterr().out
    assert "evaluated after 16 images: smoothed 0.2, the best so far\n" in told
    assert "evaluated after 24 images: smoothed 0.3, the best was 0.2 after 16\n" in told
    assert "evaluated after 32 images: smoothed 0.2, the best was 0.2 after 16\n" in told
    assert "after 16 images, smoothed KID 0.2 (mean" in told
    assert "ended after 40 images: for 24 the smoothed KID was no better" in told
    resume(run)
    assert capsys.readouterr().out in told
    assert (fingerprint(run), Stats(run).rows()) == (before, rows)


def test_with_copying_only_training_ends_where_it_copies(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 48 images on more is copied than chance explains, so from 56 on in two evaluations."""
    scored = TrainingEvaluator._record_scores

    def noted(self: TrainingEvaluator, run: Path, found: Any, rows: Any) -> dict[str, float]:
        rows = list(rows)
        (row,) = found
        memory = row.memorisation or {}
        low = 0.3 if row.subject.images_seen >= 48 else 0.0
        changed = {**memory, "low": low, "expected_at_most": 0.1}
        row = row.model_copy(update={"memorisation": changed})
        scores = scored(self, run, [row], rows)
        return {**scores, SMOOTHED_KID: 0.1 if row.subject.images_seen == 16 else 0.2}

    monkeypatch.setattr(TrainingEvaluator, "_record_scores", noted)
    patience: dict[str, Any] = {
        "evaluation__every": 8,
        "evaluation__pictures": 8,
        "evaluation__patience": 16,
    }
    more: dict[str, Any] = {"evaluation__only_if_copying": True, "training__checkpoint_every": 1000}
    run = train(small(**patience, **more), tiny, out=tmp_path, device="cpu")
    rows = Stats(run).rows()
    assert [row["evaluation/copying"] for row in rows] == [0, 0, 0, 0, 0, 0, 1]
    assert kept(run)[-1] == 56
    assert read_record(run).ended_early


@pytest.mark.parametrize("number", [1, 4])  # 4: the last one, after the last step
def test_a_stop_breaks_an_evaluation_off_which_is_made_later(
    number: int, tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(**EVALUATED, training__checkpoint_every=1000, evaluation__keep_best=0)
    whole = train(config, tiny, out=tmp_path, device="cpu")
    original, calls = TrainingEvaluator.evaluate, [0]

    def evaluate(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingEvaluator, "evaluate", evaluate)
        with pytest.raises(StoppedError, match="stopped, a checkpoint is saved") as stopped:
            train(config, tiny, run=run, device="cpu")
    assert stopped.value.exit_code == 0
    assert kept(run)[-1] == 16 * number
    assert Stats(run).rows()[-1]["evaluation/pending"]
    assert not (run / METRICS_FILE).exists() or len(metrics(run)) == number - 1
    resume(run)
    assert fingerprint(run) == fingerprint(whole)
    mine, expected = metrics(run), metrics(whole)
    for row in (*mine, *expected):
        row["subject"].pop("name")
    assert mine == expected


def test_patience_counts_from_the_best() -> None:
    def rows(*kids: float) -> list[dict[str, Any]]:
        return [{"images_seen": 10 * n, SMOOTHED_KID: kid} for n, kid in enumerate(kids, 1)]

    assert not stalled([], 10)
    assert not stalled(rows(1, 2, 3), None)
    assert not stalled(rows(3, 2, 1), 10)
    assert stalled(rows(3, 1, 2), 10)
    assert stalled(rows(1, 1), 10)  # as good is no better
    assert not stalled([*rows(1), {"images_seen": 99}], 10)
    assert not stalled(rows(1, 1), 10, only_if_copying=True)
    assert stalled([*rows(1), {**rows(1, 1)[1], COPYING: 1.0}], 10, only_if_copying=True)
    assert not stalled([{**rows(1)[0], COPYING: 1.0}, *rows(1, 1)[1:]], 10, only_if_copying=True)


def test_going_back_drops_later_evaluations(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    subjects: list[Any] = [
        {"kind": "run", "images_seen": 16},
        {"kind": "run", "images_seen": 32},
        {"kind": "run", "images_seen": 48},
        {"kind": "pictures", "images_seen": None},
    ]
    lines = [
        json.dumps({"subject": subject, "during_training": by_itself, "later": "ü"})
        for subject in subjects
        for by_itself in (True, False)
    ]
    (tmp_path / METRICS_FILE).write_text("\n".join([*lines, '{"newer": 1}', '{"cut']))
    beside = tmp_path / EVALUATION_FOLDER
    for moment in (32, 48):
        (beside / f"{moment:012d}" / "lite0").mkdir(parents=True)
        (beside / f"{moment:012d}" / "lite0" / "scores.txt").touch()
    (beside / "0abc").mkdir()  # not ours
    (tmp_path / "samples").mkdir()
    for name in ("fakes-000000000032.png", "fakes-000000000048.png", "my-favourite.png"):
        (tmp_path / "samples" / name).touch()
    run_folder.rewind(tmp_path, 32)
    assert sorted(path.name for path in beside.iterdir()) == ["000000000032", "0abc"]
    assert (beside / "000000000032" / "lite0" / "scores.txt").exists()
    left_grids = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert left_grids == ["fakes-000000000032.png", "my-favourite.png"]
    left = (tmp_path / METRICS_FILE).read_text().splitlines()
    told = [json.loads(line) for line in left]
    assert [row.get("subject", {}).get("images_seen") for row in told] == [
        16, 16, 32, 32, None, None, None,
    ]  # fmt: skip
    assert told[0]["later"] == "ü"
    assert told[-1] == {"newer": 1}


def test_a_run_from_before_evaluations_goes_on_without(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(StoppedByTest):
            train(small(), tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    record = json.loads((run / "run.json").read_text())
    assert record["config"].pop("evaluation")["every"] == 0
    (run / "run.json").write_text(json.dumps(record))
    resume(run)
    assert kept(run)[-1] == 64
    assert not (run / METRICS_FILE).exists()


def test_without_the_network_there_is_no_run(
    labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any, **__: Any) -> FeatureNetwork:
        raise ImpastoError("the weights of lite0 are not installed")

    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "load_network", missing)
        off = r"not installed; or train without evaluation: --set evaluation\.every=0$"
        for settings in ({"evaluation__every": 16}, {"first_stage__evaluation__every": 16}):
            config = small("gantor_v2", **settings)
            with pytest.raises(ImpastoError, match=off):
                train(config, labelled, out=tmp_path / "runs", device="cpu")
            with pytest.raises(ImpastoError, match=off):
                estimate(config, labelled, device="cpu")
        assert not (tmp_path / "runs").exists()
        train(small(), labelled, out=tmp_path / "none", device="cpu")
    run = train(small(evaluation__every=16), labelled, out=tmp_path / "runs", device="cpu")
    monkeypatch.setattr(evaluation, "load_network", missing)
    with pytest.raises(ImpastoError, match=r"not installed$"):
        resume(run)


def test_an_unknown_network_is_refused_even_where_none_is_needed(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for every in (None, 16):  # by default a run so short is not evaluated
        config = small(evaluation__features="vgg", evaluation__every=every)
        for begin in (train, estimate):
            with pytest.raises(ImpastoError, match=r"unknown feature network 'vgg' .*lite0"):
                begin(config, tiny, device="cpu")
    assert not list(tmp_path.iterdir())


def test_how_often_by_default(tiny: Collection) -> None:
    def every(**settings: Any) -> int | None:
        return resolve(small(**settings), tiny).evaluation.every

    assert every(training__images=400_000) == 40_000
    assert every(training__images=50_000) == 10_000
    assert every(training__images=50_000, evaluation__pictures=2_000) == 40_000
    assert every(training__images=9_000) == 0
    assert every(training__images=9_000, evaluation__patience=100) == 10_000  # so at the end
    assert every(training__images=50_000, evaluation__every=0) == 0
    with pytest.raises(ImpastoError, match=r"evaluation\.every is 0"):
        every(evaluation__every=0, evaluation__patience=100)
    twice = resolve(resolve(small(training__images=9_000), tiny), tiny)
    assert twice.evaluation.every == 0


def test_both_stages_are_evaluated_alike_unless_told_otherwise() -> None:
    config = configure("gantor_v2", {"evaluation.every": 0, "first_stage.evaluation.pictures": 100})
    assert config.first_stage is not None
    assert (config.evaluation.every, config.first_stage.evaluation.every) == (0, 0)
    assert config.evaluation.pictures == 500
    assert config.first_stage.evaluation.pictures == 100
    other = configure("gantor_v2", {"evaluation.every": 9, "first_stage.evaluation.every": 0})
    assert other.first_stage is not None
    assert (other.evaluation.every, other.first_stage.evaluation.every) == (9, 0)
    assert load_recipe("first_look")().evaluation.every is None


def test_both_stages_have_their_own(labelled: Collection, tmp_path: Path) -> None:
    settings = {f"first_stage__{name}": value for name, value in EVALUATED.items()}
    config = small("gantor_v2", **EVALUATED, **settings, training__images=32)
    run = train(config, labelled, out=tmp_path, device="cpu")
    for stage, side in ((run / "stage-1", 16), (run, 32)):
        rows = read_rows(stage / METRICS_FILE)
        assert {row.collection.resolution for row in rows} == {side}
        assert any(score.field == "genre" for score in rows[0].scores)
        assert find_model(stage / "best").parent == stage / "checkpoints"


def test_a_generator_that_has_diverged_is_not_scored(tiny: Collection, tmp_path: Path) -> None:
    config = small(
        **EVALUATED,
        generator_optimiser__learning_rate=1e30,
        discriminator_optimiser__learning_rate=1e30,
        doctor__rollbacks=0,
    )
    with pytest.raises(ImpastoError, match="has diverged by 16 images"):
        train(config, tiny, out=tmp_path, device="cpu")


@pytest.mark.usefixtures("told")
def test_a_generator_that_paints_no_numbers_is_not_scored(
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Overflowing(Sampler):
        def images(self, *arguments: Any) -> torch.Tensor:
            return super().images(*arguments) * float("nan")

    monkeypatch.setattr(evaluation, "Sampler", Overflowing)
    run = train(small(**EVALUATED), tiny, out=tmp_path, device="cpu")
    assert kept(run)[-1] == 64
    assert not (run / METRICS_FILE).exists()
    assert not any(name.startswith("evaluation/") for row in Stats(run).rows() for name in row)
    told = capsys.readouterr().out
    assert "not evaluated after 16 images: the generator has diverged" in told
    assert "the best" not in told


@pytest.mark.usefixtures("told")
def test_what_is_read_once_says_what_for(
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    for times in (1, 0):
        train(small(**EVALUATED), tiny, out=tmp_path / "runs", device="cpu")
        told = capsys.readouterr().err
        assert told.count("reading 27 training pictures once, for evaluation\n") == times
        assert "reading 24" not in told


def test_nothing_is_loaded_before_the_first_time(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Trainer) -> Any:
        assert not {"_network", "_evaluators"} & set(vars(sessions[-1].evaluator))
        return original(self)

    original, sessions = Trainer.step, []
    build = Session

    def remember(*arguments: Any) -> Session:
        sessions.append(build(*arguments))
        return sessions[-1]

    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(runs, "Session", remember)
    train(small(**{**EVALUATED, "evaluation__every": 64}), tiny, out=tmp_path, device="cpu")
    assert "_evaluators" in vars(sessions[-1].evaluator)


@pytest.mark.usefixtures("with_lite0")
def test_with_lite0(tiny: Collection, tmp_path: Path) -> None:
    config = small(training__images=16, evaluation__every=16, evaluation__pictures=10)
    run = train(config, tiny, out=tmp_path, device="cpu")
    (row,) = read_rows(run / METRICS_FILE)
    assert (row.network.name, row.network.width) == ("lite0", 1280)
    kid = row.score("kid-lite0")
    assert kid is not None
    assert kid.value is not None
    assert Stats(run).rows()[-1]["evaluation/kid-lite0"] == kid.value


def _rows(*moments: tuple[int, float, float | None]) -> list[dict[str, Any]]:
    """Of (images seen, seconds, seconds of an evaluation)."""
    return [
        {
            "images_seen": images,
            "seconds": seconds,
            **({"evaluation/seconds": cost} if cost else {}),
        }
        for images, seconds, cost in moments
    ]


def test_evaluations_take_their_share_of_the_time() -> None:
    # A run of 1,000 images in 1,000 s without evaluations; 5% of it are 50 s.
    assert is_affordable(_rows((100, 100, None)), 100, 1_000, 0.05)  # the first one shows the cost
    once = (100, 110, 10.0)
    # The 40 s left pay for 4, spread over the 900 images left: every 225.
    assert not is_affordable(_rows(once, (300, 310, None)), 300, 1_000, 0.05)
    assert is_affordable(_rows(once, (330, 340, None)), 330, 1_000, 0.05)
    # Of 20 s each the 30 left pay for the one at the end.
    dear = (100, 120, 20.0)
    assert not is_affordable(_rows(dear, (900, 920, None)), 900, 1_000, 0.05)
    assert is_affordable(_rows(dear, (900, 920, None)), 900, 1_000, None)
    assert is_affordable(_rows(dear, (200, 220, None)), 200, 1_000, 1.0)
    # A later, cheaper one counts.
    both = (once, (400, 412, 2.0))
    assert is_affordable(_rows(*both, (450, 462, None)), 450, 1_000, 0.05)
    # The first one took 60 s, 50 of which read the real pictures: as if it had taken 10.
    first, *later = _rows((100, 160, 60.0), (330, 390, None))
    assert not is_affordable([first, *later], 330, 1_000, 0.05)
    assert is_affordable([{**first, "evaluation/reading_seconds": 50.0}, *later], 330, 1_000, 0.05)


def test_a_whole_run_keeps_to_the_share() -> None:
    for cost in (1.0, 4.0, 12.0, 20.0):
        rows: list[dict[str, Any]] = []
        seconds, spent = 0.0, 0.0
        for images in range(50, 1_001, 50):
            seconds += 50
            due = images % 100 == 0
            last = images == 1_000
            if due and (last or is_affordable(rows or _rows((50, 50, None)), images, 1_000, 0.05)):
                seconds, spent = seconds + cost, spent + cost
                rows += _rows((images, seconds, cost))
            else:
                rows += _rows((images, seconds, None))
        evaluations = [row for row in rows if "evaluation/seconds" in row]
        assert evaluations[-1]["images_seen"] == 1_000
        assert spent <= max(0.05 * 1_000, 2 * cost)
        assert len(evaluations) == min(10, max(2, int(50 / cost)))


def test_the_share_is_left_out_where_an_interval_is_given(tiny: Collection) -> None:
    def share(**settings: Any) -> float | None:
        return resolve(small(**settings), tiny).evaluation.most_time

    assert share() == 0.05
    assert share(evaluation__every=16) is None
    assert share(evaluation__every=16, evaluation__most_time=0.2) == 0.2
    assert share(evaluation__patience=64, evaluation__every=16) is None
    assert share(evaluation__most_time=0.2) == 0.2
