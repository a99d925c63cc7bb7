"""What impasto does on this machine's GPU, in one command of at most eight minutes.

    PYTHONPATH=src python -m benchmarks.on_gpu [--device auto] [--minutes 8] [--out on-gpu]
        [--only STEP ...] [--tiny]

Needs torch and impasto's other required packages, but no network, no pytest and no weights of lite0
(random ones stand in, and the table says so). It makes its own collection. The steps, in this order:

- machine: device, versions
- products: what a large matrix product reaches in float32, TF32 and bfloat16
- collection: pictures made and packed
- checks: plain functions about devices, see `_device_checks.py`
- equality: the gradients of 20 steps of training are those of the CPU, but for rounding
- recipe: images a second, memory, and share of the products, at several batches
- sampling, features, reading: pictures a second
- resume: a run that was cut in half ends as one that was not
- processes: torchrun with two processes on the device
- compiled: images a second with torch.compile

Each task is a process with a time limit of its own. If it crashes, hangs or runs out of memory, that
costs its rows only. `--out` has the tables as on_gpu.md and on_gpu.json, written anew with every row,
and what each process printed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._command import run
from impasto.files import write_text

ROOT = Path(__file__).resolve().parent.parent
Row = dict[str, Any]

PRECISE = "training.precision=float32"
RECIPES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("flagship_64", (32, 256, 1024)),
    ("flagship_256", (16, 64)),
    ("r3gan_64", (64, 256)),
    ("r3gan_64:training.channels_last=false", (64, 256)),
    ("ukiyoe_dcgan_v2", (128, 1024)),
    (f"flagship_64:{PRECISE}", (32, 256)),
    (f"r3gan_64:{PRECISE}", (64,)),
    (f"ukiyoe_dcgan_v2:{PRECISE}", (128,)),
    ("flagship_128", (32, 256)),
    ("fastgan_256", (8, 32)),
    ("projected_256", (16, 64)),
    ("gangogh", (64, 256)),
    ("artgan", (64, 256)),
    ("gantor_v2", (16, 64)),
    ("flagship_32", (32, 1024)),
    ("first_look", (16, 256)),
    ("wikiart_dcgan", (128, 1024)),
    ("r3gan_32", (64, 512)),
    ("artgan_published", (64,)),
    ("gangogh_128", (64,)),
)
"""Recipes, with changes of their settings, and batches."""
WITHOUT_COLLECTION = {"machine", "products", "sampling", "features"}
"""Steps that need no collection."""
SMALL_RECIPE = "ukiyoe_dcgan_v1:resolution=32,generator.width=8,discriminator.width=8"


@dataclass(frozen=True)
class Task:
    """One process's work.

    Attributes:
        step: the name of a function in `_gpu_steps.py`.
        seconds: its limit.
        device: `auto`, `cuda`, `cpu`, ...
        folder: where it keeps its files.
        tiny: whether everything is as small as possible.
        settings: further arguments of the function.
    """

    step: str
    seconds: float
    device: str
    folder: str
    tiny: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def tasks(device: str, folder: Path, *, tiny: bool) -> list[Task]:
    """All tasks, in order: what most of the rest depends on first, then by interest."""

    def task(step: str, seconds: float, **settings: Any) -> Task:
        return Task(step, seconds, device, str(folder), tiny, settings)

    recipes = ((SMALL_RECIPE, (4, 8)),) if tiny else RECIPES
    measured = [task("recipe", 40, recipe=name, batches=batches) for name, batches in recipes]
    alike = ("ukiyoe_dcgan_v2", "flagship_32", "r3gan_32")
    return [
        task("machine", 30),
        task("products", 30),
        task("collection", 60),
        task("checks", 60),
        *(task("equality", 40, recipe=name) for name in (alike[:1] if tiny else alike)),
        *measured[:3],
        task("sampling", 30),
        task("features", 30),
        task("reading", 30),
        task("resume", 60),
        task("processes", 60),
        *measured[3:5],
        *(
            task("compiled", 120, recipe=name)
            for name in ((SMALL_RECIPE,) if tiny else ("flagship_64",))
        ),
        *measured[5:],
    ]


def command(task: Task, rows: Path) -> list[str]:
    """The command of a task's process, which adds its rows to a file, a line of JSON each."""
    given = json.dumps(asdict(task))
    return [sys.executable, "-m", "benchmarks.on_gpu", "--task", given, "--rows", str(rows)]


def rows_of(process: Sequence[str], rows: Path, log: Path, seconds: float) -> Iterator[Row]:
    """The rows that a process adds to a file, as they come; of one that fails a row that says so.

    Args:
        process: its command.
        rows: the file.
        log: what it prints goes here.
        seconds: after so many it is ended, with all that it started.
    """
    paths = [str(ROOT / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    began, seen = time.monotonic(), 0
    with log.open("w", encoding="utf-8") as printed:
        running = subprocess.Popen(
            process,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        code: int | None = None
        try:
            while code is None and time.monotonic() - began < seconds:
                time.sleep(0.05)
                code = running.poll()
                text = rows.read_text(encoding="utf-8") if rows.exists() else ""
                lines = text[: text.rfind("\n") + 1].splitlines()
                for line in lines[seen:]:
                    yield json.loads(line)
                seen = len(lines)
        finally:
            if code is None:
                _end(running)
    if code is None:
        yield {"failed": f"ended after {seconds:.0f} s"}
    elif code:
        lines = [each for each in log.read_text(errors="replace").splitlines() if each.strip()]
        yield {"failed": f"{lines[-1] if lines else 'no word'} (exit status {code}; {log.name})"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group; torchrun, asked first, ends its workers, which have groups of their
    own."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def shown(value: Any) -> str:
    """A cell of the table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def markdown(rows: Sequence[Row]) -> str:
    """A table a step, with a column for whatever its rows have."""
    lines = ["# impasto on this machine", ""]
    for step in dict.fromkeys(row["step"] for row in rows):
        mine = [row for row in rows if row["step"] == step]
        columns = [
            key for key in dict.fromkeys(key for row in mine for key in row) if key != "step"
        ]
        lines += [f"## {step}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
        lines += [f"| {' | '.join(shown(row.get(key)) for key in columns)} |" for row in mine]
        lines.append("")
    return "\n".join(lines)


class Table:
    """All rows so far, in a folder's on_gpu.md and on_gpu.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.rows.append(self._with_share(row))
        write_text(self.folder / "on_gpu.json", json.dumps(self.rows, indent=1) + "\n")
        write_text(self.folder / "on_gpu.md", markdown(self.rows))

    def _with_share(self, row: Row) -> Row:
        """A recipe's row with the share of the matrix product in its numbers that it reaches."""
        products = {each["numbers"]: each["TFLOP/s"] for each in self.rows if "numbers" in each}
        most = products.get(row.get("precision"))
        if most is None or "TFLOP/s" not in row:
            return row
        return {**row, "share of the product": round(row["TFLOP/s"] / most, 4)}

    def failed(self) -> list[Row]:
        return [row for row in self.rows if "failed" in row]


def measure(work: Sequence[Task], table: Table, minutes: float) -> None:
    """Do the tasks, one after another, until the time is over."""
    end = time.monotonic() + 60 * minutes
    for number, task in enumerate(work):
        name = f"{number:02d}-{task.step}"
        known = {"step": task.step, **{k: v for k, v in task.settings.items() if k == "recipe"}}
        left = end - time.monotonic()
        if left < 5:
            table.add({**known, "failed": "not begun: the time is over"})
            continue
        print(f"{name} {task.settings.get('recipe', '')}", flush=True)
        rows, log = table.folder / f"{name}.jsonl", table.folder / f"{name}.txt"
        for row in rows_of(command(task, rows), rows, log, min(task.seconds, left)):
            table.add({**known, **row})
            if "failed" in row:
                print(f"   failed: {row['failed']}", flush=True)


def do(task: Task, rows: Path) -> None:
    """A task, in a process of its own."""
    from benchmarks import _gpu_steps

    for row in getattr(_gpu_steps, task.step)(task, **task.settings):
        with rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path, default=Path("on-gpu"))
    parser.add_argument("--only", nargs="+", metavar="STEP", help="and what they need")
    parser.add_argument("--tiny", action="store_true", help="to try it on a CPU")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task is not None:
        do(Task(**json.loads(options.task)), options.rows)
        return
    folder = options.out.resolve()
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty: give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    work = tasks(options.device, folder, tiny=options.tiny)
    names = list(dict.fromkeys(task.step for task in work))
    for name in options.only or ():
        if name not in names:
            parser.error(f"no step '{name}'; there are {', '.join(names)}")
    needed = set(options.only or names)
    if needed - WITHOUT_COLLECTION:
        needed.add("collection")
    table = Table(folder)
    try:
        measure([task for task in work if task.step in needed], table, options.minutes)
    finally:
        failed = table.failed()
        print(f"{len(table.rows)} rows, {len(failed)} of them failures")
        print(f"table: {folder / 'on_gpu.md'} and {folder / 'on_gpu.json'}")


if __name__ == "__main__":
    run(main)
