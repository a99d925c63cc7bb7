"""Training by two processes of one thread against one process, on a machine that is otherwise idle.

    python -m benchmarks.processes_step [--recipe flagship_64] [--batch 64] [--rounds 5] [--steps 20]

Images a second of one process with one thread, of one with as many threads as there are processes, and
of `--processes` processes of one thread each, with the batch in portions of 32; all in turn, and the
ratios to one thread: medians over the rounds. The last row is a batch of 32 in one portion with several
threads, the usual way to train.
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
from impasto.processes import joined
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import resolve
from impasto.training.session import Session

_PORTION = 32


def work(recipe: str, batch: int, threads: int, steps: int) -> None:
    """A process that trains some steps whenever a line is read; the first prints images a second."""
    torch.set_num_threads(threads)
    portions = max(1, batch // _PORTION)
    sizes = {"training.batch": batch, "training.accumulate": portions}
    config = change(load_recipe(recipe)(), sizes)
    collection = open_or_pack("masters", config.resolution)
    with joined() as processes:
        session = Session(resolve(config, collection), collection, torch.device("cpu"), processes)
        session.trainer.step()
        print("ready", flush=True)
        for _ in sys.stdin:
            began, before = time.monotonic(), session.state.images_seen
            for _ in range(steps):
                session.trainer.step()
            rate = (session.state.images_seen - before) / (time.monotonic() - began)
            print(json.dumps(rate), flush=True)


class Group:
    """Processes that train together when they are told to."""

    def __init__(self, given: argparse.Namespace, batch: int, count: int, threads: int) -> None:
        self.processes = []
        for rank in range(count):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
            place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29517"}
            self.processes.append(
                subprocess.Popen(
                    [
                        *(sys.executable, "-m", "benchmarks.processes_step", "--work"),
                        *(str(batch), str(threads), "--recipe", given.recipe),
                        *("--steps", str(given.steps)),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, **place},
                )
            )
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def rate(self) -> float:
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        rates = [json.loads(p.stdout.readline()) for p in self.processes if p.stdout is not None]
        return float(rates[0])

    def end(self) -> None:
        for process in self.processes:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="flagship_64")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.recipe, given.work[0], given.work[1], given.steps)
        return
    count, batch = given.processes, given.batch
    ways = {
        f"batch {batch}, 1 process, 1 thread": (batch, 1, 1),
        f"batch {batch}, 1 process, {count} threads": (batch, 1, count),
        f"batch {batch}, {count} processes, 1 thread each": (batch, count, 1),
        f"batch {_PORTION}, 1 process, {count} threads": (_PORTION, 1, count),
    }
    groups = {name: Group(given, *way) for name, way in ways.items()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    try:
        for _ in range(given.rounds):
            for name, group in groups.items():
                rates[name].append(group.rate())
    finally:
        for group in groups.values():
            group.end()
    first = rates[next(iter(ways))]
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, first, strict=True))
        print(f"{name}: {statistics.median(found):.1f} images a second, {ratio:.2f}")


if __name__ == "__main__":
    run(main)
