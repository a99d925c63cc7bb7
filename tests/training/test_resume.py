"""Interrupting costs nothing: what is resumed ends as what was never stopped."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from benchmarks.kill_resume import fingerprint, kill_and_resume
from impasto import cli, device
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError, StoppedError
from impasto.files import read_json_lines
from impasto.sampling.model import checkpoint_folders
from impasto.training import checkpoint, loop, resume, run_folder, samples, train
from impasto.training.portions import seed_portion
from impasto.training.trainer import Trainer
from tests.helpers.lfs import POINTER
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import WGAN_GP, small

VARIANTS: dict[str, dict[str, Any]] = {
    "dcgan with averaging": {"training__ema_half_life": 40},
    "smoothed labels": {"objective__bce__real_labels": [0.7, 1.0]},
    "wasserstein, rmsprop": {
        **WGAN_GP,
        "training__discriminator_steps": 2,
        "generator_optimiser__optimiser": "rmsprop",
    },
    "portions": {"training__accumulate": 2},
    "pretraining": {"training__pretrain_images": 24},
    "several generator steps": {"training__generator_steps": 3, "training__ema_half_life": 40},
    "bfloat16": {"training__precision": "bfloat16"},
    "plain memory order": {"training__channels_last": False},
}


@pytest.fixture(scope="module", params=VARIANTS)
def variant(
    request: pytest.FixtureRequest, tiny: Collection, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, Path]:
    """A config, and a run of it that was never stopped."""
    # An interval that is no multiple of the batch, so that checkpoints lie between the ticks.
    lengths: dict[str, Any] = {"training__images": 96, "training__checkpoint_every": 20}
    config = small(**lengths, **VARIANTS[request.param])
    return config, train(config, tiny, out=tmp_path_factory.mktemp("whole"), device="cpu")


@pytest.mark.parametrize("steps", [0, 2, 5])
def test_a_run_that_died_ends_as_one_that_did_not(
    variant: tuple[RunConfig, Path],
    steps: int,
    tiny: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, whole = variant
    with monkeypatch.context() as patch:
        stop_after(patch, steps)
        with pytest.raises(StoppedByTest):
            train(config, tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    assert resume(died) == died
    assert fingerprint(died) == fingerprint(whole)


FALLING = {"factor": 0.5, "images": 40}


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("gangogh", {}),  # balanced genres, the critic pretrained
        ("artgan_tricks", {"generator_optimiser__learning_rate_decay": FALLING}),
        ("artgan_published", {"discriminator_optimiser__learning_rate_decay": FALLING}),
        ("gangogh_style_genre", {"training__batch": 10, "training__accumulate": 2}),
    ],
)
def test_a_run_of_classes_that_died_ends_as_one_that_did_not(
    recipe: str,
    settings: dict[str, Any],
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Checkpoints that do not fall on the end of an epoch, of all pictures or of a class.
    config = small(recipe, training__images=160, training__checkpoint_every=12, **settings)
    whole = train(config, labelled, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(StoppedByTest):
            train(config, labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    assert checkpoint_folders(died)  # it goes on from there, not from its beginning
    resume(died)
    assert fingerprint(died) == fingerprint(whole)


AUGMENTED = {"kinds": ["rotation", "colour", "translation"], "target": -0.5, "images": 100}


def _ramp(start: float, end: float, images: int) -> dict[str, float]:
    return {"start": start, "end": end, "images": images}


CHANGING: dict[str, Any] = {
    "training__images": 64,
    "training__checkpoint_every": 8,
    "discriminator__pixel_width": 2,
    "labels": ["style", "genre"],
    "training__mirror": True,
    "training__hide_labels": _ramp(0.6, 0.2, 200),
    "training__augment": AUGMENTED,
    "training__ema_half_life": _ramp(4, 40, 120),
    "generator_optimiser__learning_rate": _ramp(1e-3, 1e-4, 200),
    "generator_optimiser__betas": [0.0, _ramp(0.9, 0.99, 200)],
}
PENALISED = [{"term": "hinge"}, {"term": "r1", "weight": _ramp(0.2, 0.1, 200), "every": 3}]


# The second in portions, with two turns to the generator's one.
@pytest.mark.parametrize(
    "settings",
    [
        {"objective": PENALISED},
        {
            "objective": [{"term": "relativistic"}, *PENALISED[1:], {"term": "r2", "every": 2}],
            "training__accumulate": 2,
            "training__discriminator_steps": 2,
            "training__images": 112,
            "generator__spectral_norm": True,
        },
    ],
    ids=["whole batches", "portions"],
)
def test_whatever_changes_on_the_way_goes_on_where_it_was(
    settings: dict[str, Any],
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = small("flagship_64", **{**CHANGING, **settings})
    whole = train(config, labelled, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        # Between two turns of the lazy penalty and, with whole batches, between two steps of the
        # adaptive probability.
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(config, labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    state = load_file(checkpoint_folders(died)[-1] / "state.safetensors")
    assert len(state["augment"].unique()) > 1  # there is something to lose
    resume(died)
    assert fingerprint(died) == fingerprint(whole)


def test_a_lean_run_that_died_ends_as_one_that_did_not(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small("first_look", training__images=48)
    whole = train(config, tiny, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        with pytest.raises(StoppedByTest):
            train(config, tiny, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)


def test_killed_processes(tmp_path: Path) -> None:
    equal, log = kill_and_resume(tmp_path, kills=3, images=800, seed=1)
    assert equal, log


def test_ctrl_c_then_resume(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(small(), tiny, out=tmp_path / "whole", device="cpu")
    original, taken = Trainer.step, [0]

    def step(self: Trainer) -> Any:
        taken[0] += 1
        if taken[0] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        with pytest.raises(StoppedError):
            train(small(), tiny, out=tmp_path / "stopped", device="cpu")
    (stopped,) = (tmp_path / "stopped").iterdir()
    resume(stopped)
    # The weights are the same; the rows have one more, where it was stopped.
    one, other = fingerprint(stopped), fingerprint(whole)
    assert {k: v for k, v in one.items() if k != "rows"} == {
        k: v for k, v in other.items() if k != "rows"
    }


@pytest.fixture
def stopped(tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that died after 48 of 64 images, its checkpoints at 32 and 48."""
    with monkeypatch.context() as patch:
        stop_after(patch, 6)
        with pytest.raises(StoppedByTest):
            train(small(), tiny, out=tmp_path / "runs", device="cpu")
    (run,) = (tmp_path / "runs").iterdir()
    assert [int(f.name) for f in checkpoint_folders(run)] == [32, 48]
    return run


@pytest.mark.usefixtures("told")
def test_going_on_in_other_numbers_is_told(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((stopped / "run.json").read_text())
    assert record["machine"]["precision"] in ("float32", "bfloat16")
    other = {"float32": True, "bfloat16": False}[record["machine"]["precision"]]
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda _: other)
    resume(stopped)
    assert "not bit for bit" in capsys.readouterr().err


@pytest.mark.usefixtures("told")
def test_a_run_of_before_cpus_took_bfloat16_goes_on_with_a_word(
    stopped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((stopped / "run.json").read_text())
    del record["machine"]["precision"]
    (stopped / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(device, "multiplies_bfloat16", lambda _: True)
    resume(stopped)
    assert "begun with float32 numbers, now bfloat16 numbers" in capsys.readouterr().err


def test_a_finished_run_has_nothing_to_resume(stopped: Path) -> None:
    resume(stopped)
    before = fingerprint(stopped)
    resume(stopped)
    assert fingerprint(stopped) == before


def test_a_finished_run_goes_on_for_longer_as_if_it_had_been_so_long(
    tiny: Collection, tmp_path: Path
) -> None:
    every: dict[str, Any] = {
        "training__checkpoint_every": 20,
        "training__samples_every": 40,
        "training__stats_every": 16,
        "generator_optimiser__learning_rate": _ramp(0.001, 0.0001, 70),
    }
    out = str(tmp_path / "runs of mine")
    short = train(small(training__images=48, **every), tiny, out=Path(out), device="cpu")
    long = train(small(training__images=96, **every), tiny, out=tmp_path, device="cpu")
    app = CliRunner()
    result = app.invoke(cli.app, ["resume", str(short)])
    assert result.exit_code == 0
    told = result.output.splitlines()[-1]
    given = shlex.split(told.removeprefix("train on:"))
    assert given == ["impasto", "resume", str(short), "--images", "96"]
    assert app.invoke(cli.app, given[1:]).exit_code == 0
    ends = [checkpoint_folders(run)[-1] for run in (short, long)]
    assert [int(end.name) for end in ends] == [96, 96]
    for name in ("state.safetensors", "generator.safetensors"):
        one, other = (load_file(end / name) for end in ends)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    record = json.loads((short / "run.json").read_text())
    assert record["config"]["training"]["images"] == 96
    assert [(row["from"], row["to"]) for row in record["lengths"]] == [(48, 96)]
    assert [row["images_seen"] for row in run_folder.Stats(short).rows()][-1] == 96
    with pytest.raises(ImpastoError, match="has seen 96 images already; --images is its whole"):
        resume(short, images=90)


def test_an_unfinished_run_may_be_made_shorter(stopped: Path) -> None:
    assert run_folder.how_to_go_on(stopped) is None
    resume(stopped, images=50)  # rounded up to whole steps
    assert int(checkpoint_folders(stopped)[-1].name) == 56


def test_a_run_that_no_longer_improved_says_how_to_go_on(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "ended_early", lambda rows, config: True)
    told = run_folder.how_to_go_on(stopped)
    assert told is not None
    assert told.startswith("it ended at 48 of 64 images, as its evaluations no longer improved")
    assert f"--from {stopped}" in told
    with pytest.raises(ImpastoError, match="would end again at once; train from it: impasto train"):
        resume(stopped, images=128)


def test_a_last_row_cut_short_is_written_again(stopped: Path) -> None:
    path = stopped / "stats.jsonl"
    path.write_text(path.read_text() + '{"images_seen": 56, "loss/di')
    resume(stopped)
    assert [json.loads(line)["images_seen"] for line in path.read_text().splitlines()] == [
        16,
        32,
        48,
        64,
    ]


def test_rows_with_odd_ends_of_lines_in_their_names_are_kept(tmp_path: Path) -> None:
    rows = [
        {"images_seen": n, "class": name} for n, name in ((8, "a\x85b"), (16, "\u2028"), (24, ""))
    ]
    stats = run_folder.Stats(tmp_path)
    for row in rows:
        stats.append(row)
    run_folder.rewind(tmp_path, 16)
    assert stats.rows() == rows[:2]


def test_what_a_kill_left_half_done_is_swept_away(stopped: Path) -> None:
    (stopped / "checkpoints" / ".0123456789ab.tmp").mkdir()
    (stopped / "checkpoints" / ".000000000016.removed").mkdir()
    resume(stopped)
    assert not list((stopped / "checkpoints").glob(".*"))


def test_a_changed_collection_is_refused(stopped: Path, tiny: Collection, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny.path, copy)
    assert resume(stopped, data=str(copy)) == stopped  # moved, but the same
    pixels = np.lib.format.open_memmap(copy / "images-00000.npy", mode="r+")
    pixels[0, 0, 0, 0] ^= 1
    pixels.flush()
    with pytest.raises(ImpastoError, match=str(copy)):
        resume(stopped, data=str(copy))
    with pytest.raises(ImpastoError, match="nowhere"):
        resume(stopped, data=str(tmp_path / "nowhere"))


def test_another_collection_is_refused(stopped: Path, tmp_path: Path) -> None:
    from impasto.collection import PackOptions, pack
    from tests.helpers.pictures import paint

    paint(tmp_path / "pictures", 12)
    pack(tmp_path / "pictures", tmp_path / "other", PackOptions(resolution=32, fit="crop"))
    with pytest.raises(ImpastoError, match="has changed since"):
        resume(stopped, data=str(tmp_path / "other"))


def test_damaged_checkpoints_are_refused_with_the_reason(stopped: Path) -> None:
    newest = stopped / "checkpoints" / "000000000048"
    state = newest / "state.safetensors"
    whole = state.read_bytes()
    for damage, reason in [
        (whole[:-100], "cut short or damaged"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "not the file that was saved"),
        (b"\x80\x05" + whole, "is a pickle"),
    ]:
        state.write_bytes(damage)
        with pytest.raises(ImpastoError, match=reason) as error:
            resume(stopped)
        assert f"remove {newest}" in str(error.value)
    state.unlink()
    with pytest.raises(ImpastoError, match="is missing"):
        resume(stopped)
    shutil.rmtree(newest)
    resume(stopped)  # as it was told
    assert checkpoint_folders(stopped)[-1].name == "000000000064"


def test_a_full_disk_leaves_the_last_checkpoint_whole(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(stopped)

    def full(*_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_tensors", full)
        with pytest.raises(ImpastoError, match=r"cannot write .*: the disk is full") as error:
            resume(stopped)
    assert f"then go on: impasto resume {stopped}" in str(error.value)
    after = fingerprint(stopped)
    assert {k: v for k, v in after.items() if k != "rows"} == {
        k: v for k, v in before.items() if k != "rows"
    }
    assert not list((stopped / "checkpoints").glob(".*"))
    resume(stopped)


def test_two_processes_do_not_train_one_run(stopped: Path) -> None:
    with run_folder.exclusive(stopped), pytest.raises(ImpastoError, match="another process"):
        resume(stopped)


@pytest.mark.parametrize("file", ["state.safetensors", "discriminator.safetensors", "state.json"])
def test_a_checkpoint_that_git_has_left_pointers_of_is_not_to_be_removed(
    stopped: Path, file: str
) -> None:
    (stopped / "checkpoints" / "000000000048" / file).write_bytes(POINTER)
    with pytest.raises(ImpastoError, match=f"{file} is a Git LFS pointer; .* git lfs pull$"):
        resume(stopped)


def test_a_run_goes_on_where_an_editor_has_saved_its_records(stopped: Path) -> None:
    for file in ("run.json", "stats.jsonl"):
        content = (stopped / file).read_bytes().replace(b"\n", b"\r\n")
        (stopped / file).write_bytes(b"\xef\xbb\xbf" + content)
    before = [row["images_seen"] for row in read_json_lines(stopped / "stats.jsonl")]
    assert before
    resume(stopped)
    after = [row["images_seen"] for row in read_json_lines(stopped / "stats.jsonl")]
    assert after[: len(before)] == before
    assert len(after) > len(before)


def test_a_setting_that_has_come_since_counts_as_its_default(
    stopped: Path, tiny: Collection
) -> None:
    record = json.loads((stopped / "run.json").read_text())
    assert record["config"]["generator"].pop("batch_norm") is True
    assert record["config"]["objective"][0].pop("real_labels") == [1.0, 1.0]
    assert record["config"]["training"].pop("mix_batches") == 0
    del record["config"]["autoencoder"]
    (stopped / "run.json").write_text(json.dumps(record))
    with pytest.raises(ImpastoError, match=r"run with generator.batch_norm true, not false"):
        train(small(generator__batch_norm=False), tiny, run=stopped, device="cpu")
    assert train(small(), tiny, run=stopped, device="cpu") == stopped
    assert int(checkpoint_folders(stopped)[-1].name) == 64


def test_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ImpastoError, match="not a run"):
            resume(path)


def test_a_damaged_run_record_is_refused(stopped: Path) -> None:
    record = json.loads((stopped / "run.json").read_text())
    del record["machine"]
    (stopped / "run.json").write_text(json.dumps(record))
    with pytest.raises(ImpastoError, match=r"run.json is damaged \(no machine\)"):
        resume(stopped)


def test_a_size_limit_ends_in_one_line(tiny: Collection, tmp_path: Path) -> None:
    """A real failing write: the process may not write files beyond 100 kB."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from impasto.cli import main\n"
        "sys.argv = ['impasto', *sys.argv[1:]]\n"
        "main()\n"
    )
    arguments = ["train", "ukiyoe_dcgan_v1", "--data", str(tiny.path), "--out", str(tmp_path)]
    arguments += ["--set", "resolution=32", "--set", "training.batch=4", "--images", "8"]
    arguments += ["--device", "cpu", "--set", "generator.width=16"]
    arguments += ["--set", "discriminator.width=4", "--set", "training.grid=4"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith("impasto: cannot write ")
    assert "Traceback" not in done.stderr
    (run,) = tmp_path.iterdir()
    assert not list((run / "checkpoints").iterdir())


def test_torch_is_seeded_by_the_portion_alone() -> None:
    torch.rand(7)
    seed_portion(5, 9, 1, 0)
    first = torch.rand(4)
    seed_portion(5, 9, 1, 1)
    other = torch.rand(4)
    seed_portion(5, 9, 1, 0)
    assert torch.equal(first, torch.rand(4))
    assert not torch.equal(first, other)


def test_stopping_while_samples_are_drawn_saves_first(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, drawn = samples.draw_samples, [0]

    def draw(*arguments: Any) -> Any:
        drawn[0] += 1
        if drawn[0] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(loop, "draw_samples", draw)
    config = small(training__samples_every=8, training__checkpoint_every=1000)
    with pytest.raises(StoppedError, match="a checkpoint is saved"):
        train(config, tiny, out=tmp_path, device="cpu")
    (run,) = tmp_path.iterdir()
    assert [folder.name for folder in checkpoint_folders(run)] == ["000000000008"]
