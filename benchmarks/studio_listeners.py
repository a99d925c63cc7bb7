"""What 200 pages that listen to a training cost it.

    python -m benchmarks.studio_listeners [--clients 200] [--seconds 20] [--rounds 5] [--stats-every 256]

A training of `first_look` on the 21 paintings runs as a job of `impasto studio`, with statistics four
times as often as by default. Turn by turn nobody listens, then all clients listen to its events, and in
the next round the other way round. Printed for each turn: images a second, from the run's own clock;
images for each second of processor time of the training; and the seconds of processor time that the
server used in each second. On a machine with other work, processor time says more than the speed.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.studio_start import processor_time
from impasto.studio.runs import last_rows
from tests.helpers.studio_server import StudioServer


def _child_of(pid: int) -> int:
    """The training, which a shell that writes down its exit code has started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


async def _listen(server: StudioServer, run: str, clients: int, seconds: float) -> int:
    """Listen with so many clients; gives the bytes that came."""

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"GET /api/runs/{run}/events HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        writer.write(f"{head}Authorization: Bearer {server.token}\r\n\r\n".encode())
        came, end = 0, time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                came += len(await asyncio.wait_for(reader.read(65536), left))
        except TimeoutError:
            pass
        writer.close()
        return came

    return sum(await asyncio.gather(*(one() for _ in range(clients))))


@dataclass(frozen=True)
class Turn:
    """What was measured while some clients listened."""

    clients: int
    speed: float
    """Images a second."""
    per_processor_second: float
    """Images for each second of processor time of the training."""
    server: float
    """Seconds of processor time of the server in each second."""
    received: int
    """Bytes, by all clients."""


def _turn(server: StudioServer, run: str, training: int, clients: int, seconds: float) -> Turn:
    pids = (training, server.process.pid)
    before, first, began = [*map(processor_time, pids)], _last_row(server, run), time.monotonic()
    received = 0
    if clients:
        received = asyncio.run(_listen(server, run, clients, seconds))
    else:
        time.sleep(seconds)
    last, passed = _last_row(server, run), time.monotonic() - began
    used = [processor_time(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    images = last["images_seen"] - first["images_seen"]
    speed = images / max(last["seconds"] - first["seconds"], 1e-9)
    # Not images by processor time: the last row is of some time before the end of the turn.
    return Turn(clients, speed, speed * passed / max(used[0], 1e-9), used[1] / passed, received)


def _last_row(server: StudioServer, run: str) -> dict[str, Any]:
    """The run's newest statistics; zeros before there are any."""
    rows = last_rows(server.folder / "runs" / run / "stats.jsonl")
    return rows[-1] if rows else {"images_seen": 0, "seconds": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stats-every", type=int, default=256, help="images between two events")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, StudioServer(Path(folder)) as server:
        try:
            _measure(server, given)
        finally:
            server.end_jobs()


def _measure(server: StudioServer, given: argparse.Namespace) -> None:
    settings = {"training.stats_every": given.stats_every, "training.images": 10_000_000}
    what = {"collection": "masters", "recipe": "first_look", "settings": settings, "device": "cpu"}
    job = server.client.post("/api/train", json=what).json()
    while _last_row(server, job["run"])["images_seen"] < 256:
        time.sleep(1)
    training = _child_of(server.client.get(f"/api/jobs/{job['id']}").json()["pid"])
    turns: list[Turn] = []
    print("clients  images/s  images/processor s  server's s/s  MB received")
    for number in range(given.rounds):
        for clients in (0, given.clients) if number % 2 == 0 else (given.clients, 0):
            turn = _turn(server, job["run"], training, clients, given.seconds)
            turns.append(turn)
            print(
                f"{clients:7d}  {turn.speed:8.1f}  {turn.per_processor_second:18.1f}  "
                f"{turn.server:12.3f}  {turn.received / 1e6:11.1f}",
                flush=True,
            )

    def medians(value: str) -> tuple[float, float]:
        """Of the turns without clients, and of those with them."""
        alone, listened = (
            statistics.median(getattr(turn, value) for turn in turns if bool(turn.clients) == some)
            for some in (False, True)
        )
        return alone, listened

    alone, listened = medians("server")
    print(f"{given.clients} clients take {100 * (listened - alone):.1f}% of one core in the server")
    for value, unit in (("speed", "second"), ("per_processor_second", "second of processor time")):
        alone, listened = medians(value)
        print(f"the training is slower by {100 * (1 - listened / alone):.1f}% in images a {unit}")


if __name__ == "__main__":
    main()
