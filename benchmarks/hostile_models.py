"""Models as somebody who means harm would make them: each gives a picture, or one line and exit code 2.

    python -m benchmarks.hostile_models [--count 5000] [--first 0] [--seed 0] [--originals FOLDER]

Model folders, ONNX files, files of points and PNGs with values, bytes and whole files changed; the same
for the same seed and number. `impasto sample` reads each in a process of its own, whose time and memory
are measured and limited. Printed: how many painted, how many were refused, the slowest and the largest,
and every fault: another exit code, more than one line, a line with control characters, no picture, more
than SECONDS or more than BYTES. Linux only.
"""

import argparse
import contextlib
import io
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks._command import run
from benchmarks._mutations import Case, Originals, mutated
from impasto import cli
from impasto.errors import ImpastoError

SECONDS, BYTES = 60, 2_000_000_000
_BACKSTOP = 2**34
"""Address space of a process, so that a fault ends it and not the machine."""


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    code: int
    errors: str
    seconds: float
    memory: int
    """Bytes, at its highest."""

    def fault(self, case: Case) -> str | None:
        """What is wrong with it; None if nothing is."""
        if self.seconds > SECONDS:
            return f"took {self.seconds:.0f} s"
        if self.memory > BYTES:
            return f"took {self.memory / 1e6:.0f} MB"
        return fault_of(self.code, self.errors, case.out)


def fault_of(code: int, errors: str, out: Path) -> str | None:
    """What is wrong with an exit code, what was printed on the error stream, and the folder of
    pictures; None if nothing is."""
    lines = errors.splitlines()
    if re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", errors):
        return "control characters"
    if code == 2:
        return None if len(lines) == 1 else f"{len(lines)} lines: {errors[:600]}"
    if code != 0:
        return f"exit code {code}: {errors[-600:]}"
    if lines:
        return f"a picture and {len(lines)} lines: {errors[:600]}"
    for path in out.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
        return None
    return "no picture"


def outcome_of(case: Case, stderr: Path) -> Outcome:
    """Run a case in a process of its own, which shares what was imported."""
    began = time.perf_counter()
    child = os.fork()
    if not child:
        _become(case, stderr)
    taken = 0.0
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        taken = time.perf_counter() - began
        if ended:
            break
        if taken > SECONDS:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return Outcome(
        os.waitstatus_to_exitcode(status),
        stderr.read_text(encoding="utf-8", errors="replace"),
        taken,
        1024 * usage.ru_maxrss,
    )


def _become(case: Case, stderr: Path) -> None:
    """Run impasto in this process, and end it."""
    code = 99
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_BACKSTOP, _BACKSTOP))
        nowhere = os.open(os.devnull, os.O_RDWR)
        errors = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, descriptor in enumerate((nowhere, nowhere, errors)):
            os.dup2(descriptor, number)
        sys.argv = ["impasto", *case.arguments]
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    finally:
        sys.stderr.flush()
        os._exit(code)


def _import_all(originals: Originals, out: Path) -> None:
    """Paint with each original, so that what is imported for that is shared by all processes."""
    for path in (*originals.models.values(), *originals.folder.glob("*.onnx")):
        arguments = ["sample", str(path), "--seeds", "0", "--out", str(out)]
        with contextlib.redirect_stdout(io.StringIO()):
            cli.app(arguments, standalone_mode=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--originals", type=Path, help="keep the models that are mutated here")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    outcomes: list[tuple[Outcome, int, Case]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = Originals.kept(given.originals or folder / "originals")
        _import_all(originals, folder / "imported")
        for number in range(given.first, given.first + given.count):
            case = mutated(originals, number, given.seed, folder / "case")
            outcome = outcome_of(case, folder / "stderr")
            fault = outcome.fault(case)
            if fault:
                print(f"{number}: {case.what}: {fault}", flush=True)
            counts["faults" if fault else "refused" if outcome.code else "painted"] += 1
            outcomes.append((outcome, number, case))
            shutil.rmtree(folder / "case")
    for what, count in sorted(counts.items()):
        print(f"{what}: {count:,}")
    slowest = max(outcomes, key=lambda each: each[0].seconds)
    largest = max(outcomes, key=lambda each: each[0].memory)
    print(f"slowest: {slowest[0].seconds:.1f} s, number {slowest[1]}, {slowest[2].what}")
    print(f"largest: {largest[0].memory / 1e6:.0f} MB, number {largest[1]}, {largest[2].what}")
    if counts["faults"]:
        raise ImpastoError(f"{counts['faults']:,} of {given.count:,} cases are at fault")


if __name__ == "__main__":
    run(main)
