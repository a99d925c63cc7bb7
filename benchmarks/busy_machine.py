"""Training beside other programs: the default number of threads against one thread and against all.

    python -m benchmarks.busy_machine [--recipe flagship_64] [--busy 0 1 2] [--rounds 5] [--seconds 20]

Of each number of busy processes (loops of Python at the same priority): images a second with one thread,
with all threads, and as impasto chooses by default (`impasto/threads.py`), each in a process of its own
that has the machine to itself but for the busy ones, in turn, and their ratios to one thread: medians
over the rounds. A turn lasts `--seconds`; the processes keep what they found out between turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch

from benchmarks._command import run
from impasto.collection import open_or_pack
from impasto.registry import load_recipe
from impasto.threads import ThreadChoice
from impasto.training.resolve import resolve
from impasto.training.session import Session

WAYS = ("one thread", "all threads", "default")


def work(recipe: str, way: str, seconds: float) -> None:
    """A process that trains for so many seconds whenever a line is read; prints images a second."""
    torch.set_num_threads(1 if way == "one thread" else os.cpu_count() or 1)
    config = load_recipe(recipe)()
    collection = open_or_pack("masters", config.resolution)
    session = Session(resolve(config, collection), collection, torch.device("cpu"))
    choice = ThreadChoice(None if way == "default" else 1)
    for _ in sys.stdin:
        began, before = time.monotonic(), session.state.images_seen
        while time.monotonic() - began < seconds:
            with choice.unit():
                session.trainer.step()
        rate = (session.state.images_seen - before) / (time.monotonic() - began)
        print(json.dumps([rate, torch.get_num_threads()]), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="flagship_64")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        work(given.recipe, given.way, given.seconds)
        return
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    for busy in given.busy:
        workers = {
            way: subprocess.Popen(
                [
                    *(sys.executable, "-m", "benchmarks.busy_machine", "--way", way),
                    *("--recipe", given.recipe, "--seconds", str(given.seconds)),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for way in WAYS
        }
        loops = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(busy)]
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        try:
            for _ in range(given.rounds):
                for way, worker in workers.items():
                    assert worker.stdin is not None
                    assert worker.stdout is not None
                    worker.stdin.write("go\n")
                    worker.stdin.flush()
                    rates[way].append(json.loads(worker.stdout.readline())[0])
        finally:
            for loop in loops:
                loop.kill()
            for worker in workers.values():
                worker.kill()
        ratios = {
            way: statistics.median(a / b for a, b in zip(found, rates["one thread"], strict=True))
            for way, found in rates.items()
        }
        for way in WAYS:
            print(
                f"{busy} busy processes, {way}: {statistics.median(rates[way]):.1f} images a second, "
                f"{ratios[way]:.2f} of one thread",
                flush=True,
            )


if __name__ == "__main__":
    run(main)
