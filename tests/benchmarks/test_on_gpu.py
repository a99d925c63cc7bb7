"""The benchmark for GPUs, tiny and on a CPU; its whole course is tried by its own `--tiny`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from benchmarks import _gpu_steps
from benchmarks._device_checks import CHECKS, DrawnOnCpu
from benchmarks._gpu_steps import lite0_weights
from benchmarks.on_gpu import SMALL_RECIPE, Row, Table, Task, main, markdown, rows_of, tasks
from impasto.errors import ImpastoError
from impasto.features import lite0
from tests.helpers.training import CPU


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the benchmark's own collection."""
    made = tmp_path_factory.mktemp("on-gpu")
    (row,) = _gpu_steps.collection(tiny(made, "collection"))
    assert row["pictures"] >= 20
    return made


def tiny(folder: Path, step: str) -> Task:
    return Task(step, 60, "cpu", str(folder), tiny=True)


# The processes


def came_of(code: str, folder: Path, seconds: float = 30) -> list[Row]:
    """The rows of a process that runs this code; `put` adds one."""
    path = folder / "rows.jsonl"
    put = f"def put(row): open({str(path)!r}, 'a').write(row + '\\n')\n"
    command = [sys.executable, "-c", f"import os, signal, sys, time\n{put}{code}"]
    return list(rows_of(command, path, folder / "log.txt", seconds))


def test_rows_come_as_they_are_made(tmp_path: Path) -> None:
    waits = f"""
put('{{"a": 1}}')
while not os.path.exists({str(tmp_path / "seen")!r}):
    time.sleep(0.01)
put('{{"a": 2}}')
"""
    path = tmp_path / "rows.jsonl"
    put = f"import os, time\ndef put(row): open({str(path)!r}, 'a').write(row + '\\n')\n"
    rows = rows_of([sys.executable, "-c", put + waits], path, tmp_path / "log.txt", 30)
    assert next(rows) == {"a": 1}
    (tmp_path / "seen").touch()
    assert list(rows) == [{"a": 2}]


def test_a_process_that_crashes_costs_the_rows_to_come(tmp_path: Path) -> None:
    for code, message in (
        ("sys.exit('no such thing')", "no such thing (exit status 1; log.txt)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "no word (exit status -11; log.txt)"),
    ):
        (tmp_path / "rows.jsonl").unlink(missing_ok=True)
        assert came_of(f"put('{{}}'); {code}", tmp_path) == [{}, {"failed": message}]


def test_a_process_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    code = f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(tmp_path / "child")!r}, "w").write(str(child.pid))
put('{{}}')
time.sleep(60)
"""
    assert came_of(code, tmp_path, seconds=2) == [{}, {"failed": "ended after 2 s"}]
    child = int((tmp_path / "child").read_text())
    for _ in range(200):  # until somebody has taken note of its end
        stat = Path(f"/proc/{child}/stat")
        if not stat.exists() or ") Z " in stat.read_text():
            break
        time.sleep(0.05)
    else:
        os.kill(child, 9)
        raise AssertionError("it still runs")


def test_the_command_makes_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    words = ["on_gpu", "--tiny", "--device", "cpu", "--out", str(out), "--only", "machine"]
    monkeypatch.setattr(sys, "argv", words)
    main()
    printed = capsys.readouterr().out
    assert printed.endswith(f"table: {out / 'on_gpu.md'} and {out / 'on_gpu.json'}\n")
    (row,) = json.loads((out / "on_gpu.json").read_text())
    assert (row["step"], row["device"], row["torch"]) == ("machine", "cpu", torch.__version__)
    assert f"| {torch.__version__} |" in (out / "on_gpu.md").read_text()
    with pytest.raises(SystemExit):  # the folder has something in it
        main()


def test_what_the_time_does_not_allow_is_said(tmp_path: Path) -> None:
    from benchmarks.on_gpu import measure

    table = Table(tmp_path)
    measure(tasks("cpu", tmp_path, tiny=True), table, minutes=0.05)
    assert {row["failed"] for row in table.rows} == {"not begun: the time is over"}
    steps = {row["step"] for row in table.rows}
    assert {"checks", "equality", "recipe", "resume", "processes", "compiled"} <= steps
    assert all(hasattr(_gpu_steps, step) for step in steps)


def test_tables(tmp_path: Path) -> None:
    table = Table(tmp_path)
    table.add({"step": "products", "numbers": "float32", "TFLOP/s": 50.0})
    table.add({"step": "recipe", "precision": "float32", "images/s": 12345.6, "TFLOP/s": 10.0})
    table.add({"step": "recipe", "failed": "a | b"})
    assert table.rows[1]["share of the product"] == 0.2
    assert table.failed() == [{"step": "recipe", "failed": "a | b"}]
    assert markdown(table.rows).splitlines()[8:] == [
        "## recipe",
        "",
        "| precision | images/s | TFLOP/s | share of the product | failed |",
        "|---|---|---|---|---|",
        "| float32 | 12,346 | 10 | 0.2 |  |",
        "|  |  |  |  | a \\| b |",
    ]


# The steps


def test_a_recipe_is_measured_at_several_batches(folder: Path) -> None:
    rows = list(_gpu_steps.recipe(tiny(folder, "recipe"), recipe=SMALL_RECIPE, batches=[2, 4]))
    assert [row["batch"] for row in rows] == [2, 4]
    for row in rows:
        assert row["images/s"] * row["ms a step"] == pytest.approx(1000 * row["batch"])
        assert row["GFLOP an image"] == rows[0]["GFLOP an image"] > 0
    products = list(_gpu_steps.products(tiny(folder, "products")))
    assert all(row["TFLOP/s"] > 0 for row in products)


def test_a_batch_that_is_too_large_costs_its_row(folder: Path) -> None:
    full = torch.OutOfMemoryError("CUDA out of memory.")
    with mock.patch.object(_gpu_steps, "_steps_a_second", side_effect=[3.0, full]):
        rows = list(
            _gpu_steps.recipe(tiny(folder, "recipe"), recipe=SMALL_RECIPE, batches=[2, 4, 8])
        )
    assert rows[0]["images/s"] == 6
    assert rows[1:] == [{"batch": 4, "failed": "not enough memory"}]


def test_what_should_hold_of_a_device_holds_of_a_cpu(folder: Path) -> None:
    rows = list(_gpu_steps.checks(tiny(folder, "checks")))
    assert len(rows) == len(CHECKS)
    assert [row for row in rows if "failed" in row] == []


def test_a_check_that_fails_says_how(folder: Path) -> None:
    def broken(*_: object) -> str:
        raise AssertionError("5 levels apart")

    with mock.patch.object(_gpu_steps, "CHECKS", (broken,)):
        rows = list(_gpu_steps.checks(tiny(folder, "checks")))
    assert rows == [{"check": "broken", "failed": "AssertionError: 5 levels apart"}]


def test_a_cpu_trains_as_itself(folder: Path) -> None:
    (row,) = _gpu_steps.equality(tiny(folder, "equality"), recipe="ukiyoe_dcgan_v2")
    for name in ("discriminator", "generator"):
        assert row[f"{name}'s gradients"] == 0
        assert 0 < row[f"{name}'s of a CPU to itself"] < 1e-4
    assert "failed" not in row


def test_a_device_that_rounds_more_is_a_failure(folder: Path) -> None:
    task = tiny(folder, "equality")
    course = _gpu_steps._Course.run

    def run(*given: Any) -> Any:
        """The third one computes in bfloat16, as a device might that ignores what it is told."""
        runs.append(given)
        rounded = torch.autocast("cpu", torch.bfloat16, enabled=len(runs) == 3)
        with rounded:
            return course(*given)

    runs: list[Any] = []
    with mock.patch.object(_gpu_steps._Course, "run", run):
        (row,) = _gpu_steps.equality(task, recipe="ukiyoe_dcgan_v2")
    assert row["failed"] == "generator: more than ten times the distance of a CPU to itself"
    assert row["discriminator's gradients"] > 10 * row["discriminator's of a CPU to itself"]


def test_random_numbers_are_drawn_on_the_cpu() -> None:
    def draw() -> list[torch.Tensor]:
        torch.manual_seed(5)
        zeros = torch.zeros(2, 3, device=CPU)
        return [
            torch.rand(2, 3, device=CPU),
            torch.randn((4,), device=CPU),
            torch.randint(-2, 3, (5,), device=CPU),
            torch.randn_like(zeros),
            torch.empty_like(zeros).uniform_(2, 3),
        ]

    plain = draw()
    with DrawnOnCpu():
        assert all(torch.equal(*pair) for pair in zip(draw(), plain, strict=True))
        # Where else they are asked for, they are copied to.
        assert torch.rand(3, device="meta").device.type == "meta"
        assert torch.randn_like(torch.zeros(3, device="meta")).device.type == "meta"
        maps = torch.zeros(2, 3, 4, 4)
        torch.manual_seed(0)
        contiguous = torch.randn_like(maps)
        torch.manual_seed(0)
        last = torch.randn_like(maps.to(memory_format=torch.channels_last))
        assert torch.equal(contiguous, last)


def test_without_weights_lite0_has_random_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Path:
        raise ImpastoError("not installed")

    monkeypatch.setattr(lite0, "_weights", absent)
    assert not _gpu_steps._has_lite0()
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    with lite0_weights():
        found = lite0.load(device=CPU)(torch.zeros(1, 8, 8, 3, dtype=torch.uint8))
    assert found.features.shape == (1, 1280)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ImpastoError, match="not installed"):
        lite0.load(device=CPU)
