"""A step that does not fit into memory is one line, told before or when it runs out."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from impasto.cli import main
from impasto.collection import Collection
from impasto.errors import ImpastoError, lacks_memory
from impasto.settings import change
from impasto.training import memory, train
from impasto.training.estimate import estimate
from impasto.training.resolve import resolve
from impasto.training.session import Session
from tests.helpers.training import CPU, small

HUGE = 2**40


def test_what_a_step_keeps_grows_with_its_pictures() -> None:
    few, many = (memory.graph_bytes(small(training__batch=n), ()) for n in (8, 80))
    assert 8 * 3 * 32 * 32 * 4 < few < many
    # But for the weights, which are the same.
    assert 5 * few < many < 10 * few
    portions = small(training__batch=80, training__accumulate=10)
    assert memory.graph_bytes(portions, ()) == few


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_batch_beyond_all_memory_is_told_with_what_to_set(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    there = 16 * 10**9
    monkeypatch.setattr(memory, "memory_of", lambda device: there)
    config = small(
        training__batch=3 * HUGE, training__accumulate=accumulate, training__images=6 * HUGE
    )
    for begin in (
        lambda: estimate(config, tiny, "cpu"),
        lambda: train(config, tiny, out=tmp_path / "runs", device="cpu"),
    ):
        with pytest.raises(ImpastoError, match="not enough memory at 32 pixels") as raised:
            begin()
        text = str(raised.value)
        assert "\n" not in text
        assert "and there is 16.0 GB; set" in text
        for name, value in re.findall(r"--set ([\w.]+)=(\d+)", text):
            lighter = resolve(change(config, {name: int(value)}), tiny)
            # In float32, twice what it is where the machine multiplies bfloat16.
            assert memory.graph_bytes(lighter, ()) < 2 * there
    assert not (tmp_path / "runs").exists()


def test_the_memory_that_there_is() -> None:
    there = memory.memory_of(CPU)
    assert there is None or there > 10**8


def test_memory_that_runs_out_in_training_is_one_line(
    tiny: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(_game: object) -> None:
        torch.empty(2**58, dtype=torch.uint8)

    with pytest.raises(RuntimeError) as raised:
        step(None)
    assert lacks_memory(raised.value)
    assert not isinstance(raised.value, ImpastoError)
    monkeypatch.setattr("impasto.training.trainer.Trainer.step", step)
    config = small(training__batch=8, training__images=8)
    with pytest.raises(ImpastoError, match=r"a batch of 8 needs some .*training.accumulate=2"):
        train(config, tiny, out=tmp_path, device="cpu")
    with pytest.raises(ImpastoError, match="not enough memory"):
        estimate(config, tiny, "cpu")


def test_other_errors_are_no_lack_of_memory(tiny: Collection) -> None:
    session = Session(resolve(small(), tiny), tiny, CPU)
    with (
        pytest.raises(RuntimeError, match="sizes differ"),
        memory.explain_out_of_memory(session.config, (), CPU),
    ):
        raise RuntimeError("sizes differ")
    assert lacks_memory(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(MemoryError) as raised:
        np.empty(2**60, np.uint8)
    assert lacks_memory(raised.value)
    assert not lacks_memory(ValueError("out of memory"))


def test_any_command_that_lacks_memory_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        torch.empty(2**58, dtype=torch.uint8)

    monkeypatch.setattr("impasto.cli.app", app)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("impasto: not enough memory (")
    assert told.count("\n") == 1
    assert "unexpected" not in told
