"""Kill training with SIGKILL at random moments, resume it each time, and compare the end.

    python -m benchmarks.kill_resume [--kills 20] [--seed 0]

Trains a small DCGAN on the 21 paintings at 32 pixels once without interruption and once with so
many `kill -9`s, each followed by `impasto resume`, and compares the last checkpoints bit for bit:
both networks, the averaged generator, both optimisers, the clock; and the rows of stats.jsonl but
for their times.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = {
    "resolution": 32,
    "training.batch": 16,
    "training.stats_every": 64,
    "training.samples_every": 512,
    "training.grid": 16,
    "generator.width": 16,
    "discriminator.width": 16,
    # Averaging, so that the averaged generator is more than a copy.
    "training.ema_half_life": 500,
}


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "impasto", *arguments]


def _train(out: Path, images: int, checkpoint_every: int) -> list[str]:
    settings = {**SETTINGS, "training.checkpoint_every": checkpoint_every}
    sets = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    length = ["--images", str(images), "--device", "cpu", "--out", str(out)]
    return _command("train", "ukiyoe_dcgan_v3", "--data", "masters", *length, *sets)


def _run_of(out: Path) -> Path | None:
    runs = sorted(out.glob("[0-9]*"))
    return runs[0] if runs else None


def fingerprint(run: Path) -> dict[str, object]:
    """Digests of the newest checkpoint's files, and the rows of the run without their times."""
    newest = sorted((run / "checkpoints").glob("[0-9]*"))[-1]
    found: dict[str, object] = {"checkpoint": newest.name}
    for name in ("generator.safetensors", "state.safetensors", "model.json"):
        found[name] = hashlib.sha256((newest / name).read_bytes()).hexdigest()
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    timed = ("seconds", "images_per_second", "evaluation/seconds", "evaluation/reading_seconds")
    found["rows"] = [{k: v for k, v in row.items() if k not in timed} for row in rows]
    return found


def kill_and_resume(folder: Path, kills: int, images: int, seed: int) -> tuple[bool, list[str]]:
    """Whether a run killed `kills` times, or fewer if it ends before, ends as one never stopped; and
    what was done to it."""
    checkpoint_every = max(16, images // 40)
    began = time.monotonic()
    subprocess.run(
        _train(folder / "whole", images, checkpoint_every), check=True, stdout=subprocess.DEVNULL
    )
    whole_time = time.monotonic() - began
    chance, log, done = random.Random(seed), [], 0
    killed = folder / "killed"
    while True:
        run = _run_of(killed)
        start = (
            _train(killed, images, checkpoint_every)
            if run is None
            else _command("resume", str(run))
        )
        process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        # From the first import to well into training.
        wait = None if done == kills else chance.uniform(0.0, 3.0 + whole_time / (kills + 1))
        try:
            _, errors = process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            done += 1
            run = _run_of(killed)
            there = sorted((run / "checkpoints").glob("[0-9]*")) if run else []
            log.append(
                f"kill {done} after {wait:.2f} s; newest checkpoint {there[-1].name if there else '-'}"
            )
            continue
        if process.returncode != 0:
            raise RuntimeError(f"the last resume failed: {errors.decode()}")
        if done < kills:
            log.append(f"the run ended after {done} kills; more images make it longer")
        break
    run, whole = _run_of(killed), _run_of(folder / "whole")
    assert run is not None
    assert whole is not None
    return fingerprint(run) == fingerprint(whole), log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=24_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        equal, log = kill_and_resume(Path(folder), options.kills, options.images, options.seed)
    print(*log, sep="\n")
    print(f"in the end: {'bit-identical' if equal else 'DIFFERENT'}")
    sys.exit(not equal)


if __name__ == "__main__":
    main()
