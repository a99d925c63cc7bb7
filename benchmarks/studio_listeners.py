"""What 200 pages that listen to a training cost it.

    python -m benchmarks.studio_listeners [--clients 200] [--seconds 20] [--rounds 3]

A training of `first_look` on the 21 paintings runs as a job of `impasto studio`, with statistics four
times as often as by default. Turn by turn nobody listens, then all clients listen to its events.
Printed for each turn: images a second, from the run's own clock, and the seconds of processor time that
training and server used in each second. On a machine with other work, the processor time says more than
the speed.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


def _processor_time(pid: int) -> float:
    """Seconds that a process and its ended children have used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[place]) for place in (11, 12)) / TICKS


def _child_of(pid: int) -> int:
    """The training, which a shell that writes down its exit code has started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


class Studio:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "impasto", "studio", str(folder)]
        self.process = subprocess.Popen(
            [*command, "--no-browser", "--port=0"], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://127.0.0.1:(\d+)/\?token=(\S+)", self.process.stdout.readline())
        assert found
        self.port, self.token = int(found[1]), found[2]

    def ask(self, path: str, body: Any = None) -> Any:
        """The answer of the API."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            None if body is None else json.dumps(body).encode(),
            {"authorization": f"Bearer {self.token}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    async def listen(self, run: str, clients: int, seconds: float) -> int:
        """Listen with so many clients; gives the bytes that came."""

        async def one() -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            head = f"GET /api/runs/{run}/events HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            writer.write(f"{head}Authorization: Bearer {self.token}\r\n\r\n".encode())
            came, end = 0, time.monotonic() + seconds
            try:
                while (left := end - time.monotonic()) > 0:
                    came += len(await asyncio.wait_for(reader.read(65536), left))
            except TimeoutError:
                pass
            writer.close()
            return came

        return sum(await asyncio.gather(*(one() for _ in range(clients))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Path(folder))
        try:
            _measure(studio, given)
        finally:
            for job in studio.ask("jobs"):
                studio.ask(f"jobs/{job['id']}/stop?at_once=true", {})
            studio.process.terminate()
            studio.process.wait(20)


def _measure(studio: Studio, given: argparse.Namespace) -> None:
    settings = {"training.stats_every": 256, "training.images": 10_000_000}
    what = {"collection": "masters", "recipe": "first_look", "settings": settings, "device": "cpu"}
    job = studio.ask("train", what)
    while not (rows := _rows(studio, job["run"])) or rows[-1]["images_seen"] < 1000:
        time.sleep(1)
    training = _child_of(studio.ask(f"jobs/{job['id']}")["pid"])
    speeds: dict[int, list[float]] = {0: [], given.clients: []}
    print("clients  images/s  training's s/s  server's s/s  MB received")
    for _ in range(given.rounds):
        for clients in speeds:
            before = _processor_time(training), _processor_time(studio.process.pid)
            first, began = _rows(studio, job["run"])[-1], time.monotonic()
            if clients:
                came = asyncio.run(studio.listen(job["run"], clients, given.seconds))
            else:
                came = 0
                time.sleep(given.seconds)
            passed = time.monotonic() - began
            used = [
                (_processor_time(pid) - earlier) / passed
                for pid, earlier in zip((training, studio.process.pid), before, strict=True)
            ]
            last = _rows(studio, job["run"])[-1]
            images = last["images_seen"] - first["images_seen"]
            speed = images / max(last["seconds"] - first["seconds"], 1e-9)
            speeds[clients].append(speed)
            print(
                f"{clients:7d}  {speed:8.1f}  {used[0]:14.3f}  {used[1]:12.3f}  {came / 1e6:11.1f}",
                flush=True,
            )
    alone, listened = (statistics.median(each) for each in speeds.values())
    print(f"slower by {100 * (1 - listened / alone):.1f}% while {given.clients} clients listen")


def _rows(studio: Studio, run: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = studio.ask(f"runs/{run}/stats")
    except OSError:  # the run's folder is made once its pictures are packed
        return []
    return found


if __name__ == "__main__":
    main()
