"""A run is bit for bit the same on 1, 2 and 4 processes, and survives the death of any of them.

Every recipe is trained for a few steps on 4 processes. On 2, a whole run is trained for each way of
being stopped or killed.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from impasto.collection import Collection
from impasto.processes import ALONE
from impasto.registry import recipe_modules
from tests.helpers.processes import ended, start
from tests.helpers.trained_weights import in_portions, trained

STEPS = 4
RECIPES = sorted(recipe_modules())
SETTINGS = [
    "--set",
    "training.accumulate=4",
    "--set",
    "training.batch=8",
    "--set",
    "training.grid=4",
]
LENGTH = 400
RUNS: dict[str, list[str]] = {
    "flagship_32": [
        *("--set", "generator.width=4", "--set", "discriminator.head_width=4"),
        *("--set", "discriminator.channels=4", "--set", "discriminator.read_at=32"),
        *("--set", "discriminator.levels=[4]"),
    ],
    "gangogh": [
        *("--set", "resolution=32", "--labels", "style", "--set", "training.pretrain_images=40"),
        *("--set", "generator.width=4", "--set", "discriminator.width=4"),
    ],
    "gantor_v1": [
        *("--set", "resolution=32", "--set", "first_stage.resolution=16", "--labels", "style"),
        *("--set", "generator.width=4", "--set", "discriminator.width=4"),
        *("--set", "first_stage.generator.width=4", "--set", "first_stage.discriminator.width=4"),
        *("--set", "first_stage.training.accumulate=4", "--set", "first_stage.training.batch=8"),
    ],
}


@pytest.fixture(scope="module")
def on_four(labelled: Collection) -> dict[str, Any]:
    """By recipe: what a few steps of it come to on four processes."""
    told = ended(start(4, ["-m", "tests.helpers.trained_weights", labelled.path, STEPS, *RECIPES]))
    assert [code for code, _, _ in told] == [0] * 4, told
    every = [json.loads(out) for _, out, _ in told]
    assert all(each == every[0] for each in every)
    found: dict[str, Any] = every[0]
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_the_same(
    recipe: str, labelled: Collection, on_four: dict[str, Any]
) -> None:
    alone, statistics = trained(in_portions(recipe), labelled, STEPS, ALONE)
    digest, theirs = on_four[recipe]
    assert digest == alone
    for name, value in statistics.items():
        assert theirs[name] == value or math.isnan(value), name


class Launched:
    """`torchrun ... -m impasto train RECIPE ... --run-folder RUN`, or without torchrun."""

    def __init__(self, count: int, recipe: str, collection: Collection, run: Path) -> None:
        launcher = ["-m", "impasto"]
        if count > 1:
            launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(count)]
            launcher += ["--max-restarts", "3", "--monitor-interval", "0.1", "-m", "impasto"]
        arguments = ["train", recipe, "--data", str(collection.path), "--run-folder", str(run)]
        arguments += [*SETTINGS, *RUNS[recipe], "--images", str(LENGTH), "--device", "cpu"]
        arguments += ["--set", "training.checkpoint_every=40", "--set", "training.stats_every=40"]
        self.run = run
        self.process = subprocess.Popen(
            [sys.executable, *launcher, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, images: int) -> None:
        """Wait until a checkpoint of so many images, or a later one, is there."""
        until = time.monotonic() + 240
        while not any(int(place.name) >= images for place in checkpoints(self.run)):
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < until
            time.sleep(0.02)

    def workers(self) -> list[int]:
        """Process ids of the processes that train, under torchrun."""
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        return [int(pid) for pid in found.stdout.split()]

    def ended(self) -> str:
        return self.process.communicate(timeout=300)[0]


def checkpoints(run: Path) -> list[Path]:
    return sorted(p for p in (run / "checkpoints").glob("[0-9]*") if p.is_dir())


def outcome(run: Path) -> dict[str, Any]:
    """All weights at the end, and which grids there are."""
    last = checkpoints(run)[-1]
    assert int(last.name) >= LENGTH
    return {
        "weights": [
            (last / f"{name}.safetensors").read_bytes()
            for name in ("generator", "discriminator", "state")
        ],
        "grids": sorted(path.name for path in (run / "samples").iterdir()),
    }


def rows(run: Path) -> list[dict[str, Any]]:
    """The rows of statistics, without what depends on the clock. A stop adds one of its own."""
    timed = ("seconds", "images_per_second", "evaluation/seconds", "evaluation/reading_seconds")
    lines = (run / "stats.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


@pytest.fixture(scope="module")
def whole(
    request: pytest.FixtureRequest, labelled: Collection, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A recipe, and a run of it on one process."""
    recipe: str = request.param
    launched = Launched(1, recipe, labelled, tmp_path_factory.mktemp("whole") / "run")
    told = launched.ended()
    assert launched.process.returncode == 0, told
    return recipe, launched.run


@pytest.mark.parametrize("whole", ["gantor_v1"], indirect=True)
def test_begun_on_four_on_with_one_ended_on_two(
    whole: tuple[str, Path], labelled: Collection, tmp_path: Path
) -> None:
    recipe, alone = whole
    run = tmp_path / "run"
    four = Launched(4, recipe, labelled, run)
    four.wait_for(40)
    os.kill(four.workers()[2], signal.SIGTERM)  # one of them; all stop after the same step
    told = four.ended()
    assert four.process.returncode == 0, told
    assert told.count("stopped, ") == 1
    assert "Traceback" not in told
    one = Launched(1, recipe, labelled, run)
    one.wait_for(200)
    os.kill(one.process.pid, signal.SIGTERM)
    told = one.ended()
    assert one.process.returncode == 0, told
    two = Launched(2, recipe, labelled, run)
    told = two.ended()
    assert two.process.returncode == 0, told
    assert outcome(run) == outcome(alone)


@pytest.mark.parametrize("whole", ["flagship_32"], indirect=True)
def test_a_killed_process_costs_a_restart(
    whole: tuple[str, Path], labelled: Collection, tmp_path: Path
) -> None:
    recipe, alone = whole
    launched = Launched(2, recipe, labelled, tmp_path / "run")
    for rank, images in ((1, 80), (0, 200)):
        launched.wait_for(images)
        os.kill(launched.workers()[rank], signal.SIGKILL)
    told = launched.ended()
    assert launched.process.returncode == 0, told
    assert outcome(launched.run) == outcome(alone)
    assert rows(launched.run) == rows(alone)


@pytest.mark.parametrize("whole", ["gangogh"], indirect=True)
def test_torchrun_told_to_end_saves_first(
    whole: tuple[str, Path], labelled: Collection, tmp_path: Path
) -> None:
    recipe, alone = whole
    launched = Launched(2, recipe, labelled, tmp_path / "run")
    launched.wait_for(40)
    before = checkpoints(launched.run)
    os.kill(launched.process.pid, signal.SIGTERM)
    launched.ended()
    assert len(checkpoints(launched.run)) > len(before) or checkpoints(launched.run) != before
    again = Launched(2, recipe, labelled, launched.run)
    told = again.ended()
    assert again.process.returncode == 0, told
    assert outcome(launched.run) == outcome(alone)
