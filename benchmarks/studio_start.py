"""How long the studio takes to start, and to show the first picture of `masters`.

    python -m benchmarks.studio_start [--python PYTHON] [--rounds 5]

Each round starts `impasto studio` in an empty folder with an empty cache, and asks for what the page
asks for: the page itself, the lists, and the first sheet of pictures of `masters`. Printed: seconds, and
seconds of the server's processor time, from the command on; the median of the rounds after the first,
which finds no file in memory. PYTHON is another installation's, such as one of a new environment; its
own impasto is used then.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.helpers.studio_server import StudioServer

TICKS = os.sysconf("SC_CLK_TCK")
STEPS: dict[str, tuple[str, ...]] = {
    "the page": ("/",),
    "the lists": ("/api/studio", "/api/collections", "/api/jobs", "/api/runs", "/api/models"),
    "the first pictures": ("/api/gallery/sheet?model=masters&seeds=0-15",),
}


def processor_time(pid: int) -> float:
    """Seconds that a process and its ended children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS


def _round(python: str | None) -> dict[str, tuple[float, float]]:
    """By step, the seconds and the seconds of processor time from the command on."""
    elsewhere = {} if python is None else {"PYTHONPATH": ""}
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        cache = str(Path(folder, "cache"))
        with StudioServer(Path(folder), python=python, IMPASTO_CACHE=cache, **elsewhere) as server:

            def now() -> tuple[float, float]:
                return time.monotonic() - began, processor_time(server.process.pid)

            found = {"the address": now()}
            for step, paths in STEPS.items():
                for path in paths:
                    server.client.get(path).raise_for_status()
                found[step] = now()
            return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--python")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    rounds = [_round(given.python) for _ in range(given.rounds)]
    print("                      first round        later rounds (median)")
    for step in rounds[0]:
        first = rounds[0][step]
        later = [
            statistics.median(each) for each in zip(*(r[step] for r in rounds[1:]), strict=True)
        ]
        texts = [f"{a:6.2f} s ({b:5.2f} s)" for a, b in (first, *([later] if later else []))]
        print(f"{step:20}  {'   '.join(texts)}")


if __name__ == "__main__":
    main()
