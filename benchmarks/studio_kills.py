"""Kill the studio's server, jobs and browser with SIGKILL at random moments, and look what is lost.

    python -m benchmarks.studio_kills [server training packing browser] [--kills 20] [--seed 0]

`server`: while a client uploads pictures, keeps favourites and starts jobs, the server is killed; the
next one of the same folder has to know all that was answered, and its jobs have to end. `training` and
`packing`: the process of a job is killed, or its whole session, and the studio is asked to go on; the
run and the collection have to be, bit for bit, those that were never killed. `browser`: connections end
in the middle of uploads, events and pictures; nothing may be left of them.
"""

import argparse
import io
import os
import random
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from benchmarks.kill_pack import fingerprint as collection_fingerprint
from benchmarks.kill_resume import SETTINGS
from benchmarks.kill_resume import fingerprint as run_fingerprint
from tests.helpers.studio_server import StudioServer

IMAGES = 4_000
"""Length of the training that is killed."""
_ENDED = ("done", "failed", "stopped")


def _png(number: int) -> bytes:
    """A picture of noise, another one for each number."""
    file = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "PNG")
    return file.getvalue()


def _until(seen: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not seen():
        if time.monotonic() > end:
            raise TimeoutError("it did not happen in time")
        time.sleep(0.1)


def _answer(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()


class Client:
    """Somebody who changes things as long as the server answers, and remembers what was answered."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, str] = {}
        """By identity, the collection that it packs."""
        self.favourites: set[str] = set()
        self._number = 0

    def use(self, server: StudioServer, favourites: bool) -> None:
        """Until the server no longer answers."""
        client = server.client
        with suppress(httpx.HTTPError):
            _answer(client.post("/api/uploads", json={"name": "u"}))
            while True:
                self._number += 1
                name = f"{self._number:05d}"
                content = _png(self._number)
                place = {"path": f"{'cold' if self._number % 2 else 'warm'}/{name}.png"}
                _answer(client.put("/api/uploads/u/file", params=place, content=content))
                self.files[place["path"]] = content
                if self._number % 30 == 10:
                    what = {"name": f"c{name}", "upload": "u", "resolution": [16]}
                    job = _answer(client.post("/api/pack", json=what))
                    self.jobs[job["id"]] = f"c{name}"
                if favourites and self._number % 5 == 0:
                    keep = {"model": "masters", "name": f"f{name}", "point": {"seed": 1}}
                    _answer(client.post("/api/gallery/favourites", json=keep))
                    self.favourites.add(f"f{name}")

    def missing(self, server: StudioServer) -> list[str]:
        """What was answered and is not there, and lists that name something unreadable."""
        known = {job["id"] for job in _answer(server.client.get("/api/jobs"))}
        uploaded = server.folder / "uploads" / "u"
        lost = [f"job {each}" for each in self.jobs if each not in known]
        lost += [
            f"upload {path}"
            for path, content in self.files.items()
            if (uploaded / path).read_bytes() != content
        ]
        for path in ("collections", "runs", "models"):
            lost += _answer(server.client.get(f"/api/{path}"))["unreadable"].values()
        if self.favourites:
            found = _answer(server.client.get("/api/gallery/favourites?model=masters"))
            lost += [f"favourite {f}" for f in self.favourites - {each["name"] for each in found}]
        return lost


def server_series(folder: Path, kills: int, chance: random.Random) -> list[str]:
    """The server is killed while a client changes things; gives what is wrong in the end."""
    person, wrong = Client(), []
    cache = {"IMPASTO_CACHE": str(folder / "cache")}
    for number in range(kills):
        with StudioServer(folder, **cache) as server:
            wrong += person.missing(server)
            work = threading.Thread(target=person.use, args=(server, number % 5 == 0))
            work.start()
            time.sleep(chance.uniform(0.1, 6 if number % 5 else 20))
            server.kill()
            work.join()
    with StudioServer(folder, **cache) as server:

        def ended() -> bool:
            jobs = _answer(server.client.get("/api/jobs"))
            return all(job["state"] in _ENDED for job in jobs)

        _until(ended)
        wrong += person.missing(server)
        states = Counter(job["state"] for job in _answer(server.client.get("/api/jobs")))
        wrong += [f"{count} jobs {state}" for state, count in states.items() if state != "done"]
        found = _answer(server.client.get("/api/collections"))
        packed = {each["name"] for each in found["collections"]}
        wrong += [f"collection {each}" for each in person.jobs.values() if each not in packed]
        wrong += [f"half packed: {each}" for each in found["packing"]]
    counts = (len(person.files), len(person.jobs), len(person.favourites))
    print("server: {} files, {} jobs and {} favourites were answered".format(*counts))
    return wrong


def _kill_job(job: dict[str, Any], chance: random.Random) -> None:
    """End a job's whole session, or only its command, as a machine does that lacks memory."""
    if chance.random() < 0.5:
        with suppress(ProcessLookupError):
            os.killpg(job["pid"], signal.SIGKILL)
        return
    for child in Path(f"/proc/{job['pid']}/task/{job['pid']}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)


def _killed(server: StudioServer, job: dict[str, Any], moment: float, chance: random.Random) -> str:
    """Kill a job after so many seconds, unless it has ended; gives its state."""
    address = f"/api/jobs/{job['id']}"

    def state() -> str:
        return str(_answer(server.client.get(address))["state"])

    _until(lambda: state() != "waiting")
    end = time.monotonic() + moment
    while time.monotonic() < end and state() == "running":
        time.sleep(0.05)
    with suppress(OSError):  # it may end by itself now
        if state() == "running":
            _kill_job(_answer(server.client.get(address)), chance)
    _until(lambda: state() in _ENDED)
    return state()


def training_series(folder: Path, kills: int, chance: random.Random) -> list[str]:
    """A training's process is killed, and the studio is asked to go on each time."""
    settings = {**SETTINGS, "training.checkpoint_every": IMAGES // 40, "training.images": IMAGES}
    settings["seed"] = 3
    what: dict[str, Any] = {"collection": "masters", "recipe": "ukiyoe_dcgan_v3"}
    what |= {"settings": settings, "device": "cpu"}
    with StudioServer(folder) as server:
        client, began = server.client, time.monotonic()
        whole = _answer(client.post("/api/train", json=what))
        first = folder / "runs" / whole["run"] / "stats.jsonl"
        _until(first.exists)
        start = time.monotonic() - began
        _until(lambda: _answer(client.get(f"/api/jobs/{whole['id']}"))["state"] in _ENDED)
        training = time.monotonic() - began - start
        print(f"training: {start:.1f} s until it trains, then {training:.1f} s", flush=True)
        job = _answer(client.post("/api/train", json=what))
        run, done = job["run"], 0
        while True:
            moment = chance.uniform(0.3 * start, start + 2 * training / kills)
            state = _killed(server, job, 1e6 if done >= kills else moment, chance)
            if state != "failed":
                break
            done += 1
            if (folder / "runs" / run / "run.json").exists():
                job = _answer(client.post(f"/api/runs/{run}/resume", json={}))
            else:
                job = _answer(client.post("/api/train", json=what))
                run = job["run"]
        listed = _answer(client.get("/api/runs"))
        wrong = [*listed["unreadable"].values()]
        wrong += [
            f"{each['name']} is {each['state']}"
            for each in listed["runs"]
            if each["state"] != "finished"
        ]
        print(f"training: killed {done} times, then {state}", flush=True)
    runs = folder / "runs"
    if run_fingerprint(runs / run) != run_fingerprint(runs / whole["run"]):
        wrong.append("the killed training ended otherwise")
    return wrong


def packing_series(folder: Path, kills: int, chance: random.Random) -> list[str]:
    """A packing's process is killed, and the studio is asked for the same again each time."""
    for number in range(200):
        path = folder / "uploads" / "many" / ("cold" if number % 2 else "warm") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_png(number))
    what = {"name": "whole", "upload": "many", "resolution": [16]}
    wrong, done, compared = [], 0, 0
    with StudioServer(folder) as server:
        began = time.monotonic()
        job = _answer(server.client.post("/api/pack", json=what))
        assert _killed(server, job, 1e6, chance) == "done"
        seconds = time.monotonic() - began
        collections = folder / "collections"
        whole = collection_fingerprint(collections / "whole")
        what["name"] = "killed"
        while True:
            last = done >= kills
            job = _answer(server.client.post("/api/pack", json=what))
            state = _killed(server, job, 1e6 if last else chance.uniform(0.1, seconds), chance)
            done += state == "failed"
            if (collections / "killed").exists():  # a kill may come after it was moved there
                compared += 1
                killed = collection_fingerprint(collections / "killed")
                names = {name for name in whole.keys() | killed.keys() if name != "collection.json"}
                wrong += [
                    f"{name} differs" for name in names if whole.get(name) != killed.get(name)
                ]
                shutil.rmtree(collections / "killed")
            elif state != "failed":
                wrong.append(f"a packing was {state}, and there is no collection")
            if last:
                break
        wrong += [f"left: {path.name}" for path in collections.iterdir() if path.name != "whole"]
    print(f"packing: killed {done} times, compared {compared} times", flush=True)
    return wrong


def _dropped(server: StudioServer, head: str, body: bytes, wait: float) -> None:
    """Ask for something, and end the connection without a word, as a killed browser's ends."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        lines = f"{head} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        lines += f"Authorization: Bearer {server.token}\r\n"
        lines += f"Content-Length: {10 * len(body)}\r\n" if body else ""
        connection.sendall(f"{lines}\r\n".encode() + body)
        time.sleep(wait)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def browser_series(folder: Path, kills: int, chance: random.Random) -> list[str]:
    """Connections end at random moments."""
    upload = folder / "uploads" / "u"
    upload.mkdir(parents=True)
    (upload / "kept.png").write_bytes(b"earlier")
    with StudioServer(folder, IMPASTO_CACHE=str(folder / "cache")) as server:
        sheet = "/api/gallery/sheet?model=masters&seeds="
        _answer(server.client.get("/api/alive"))
        server.client.get(sheet + "0-3").raise_for_status()
        files = Path(f"/proc/{server.process.pid}/fd")
        before = len(list(files.iterdir()))
        for number in range(kills):
            wait = chance.uniform(0, 0.5)
            _dropped(server, f"PUT /api/uploads/u/file?path=new-{number}.png", b"x" * 50_000, wait)
            _dropped(server, "PUT /api/uploads/u/file?path=kept.png", b"x" * 50_000, wait)
            _dropped(server, "GET /api/events", b"", wait)
            _dropped(server, f"GET {sheet}{number}-{number + 15}", b"", wait / 5)
            _answer(server.client.get("/api/alive"))
        _until(lambda: len(list(files.iterdir())) <= before, 60)
        wrong = [f"left: {path.name}" for path in (folder / "uploads" / ".incoming").iterdir()]
        if [path.name for path in upload.iterdir()] != ["kept.png"]:
            wrong.append("a part of a file became a file")
        if (upload / "kept.png").read_bytes() != b"earlier":
            wrong.append("a file was replaced by a part of one")
        if "Traceback" in (said := server.errors()):
            wrong.append(said[-500:])
    print(f"browser: {4 * kills} connections ended", flush=True)
    return wrong


SERIES = {
    "server": server_series,
    "training": training_series,
    "packing": packing_series,
    "browser": browser_series,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("series", nargs="*", default=list(SERIES), choices=[*SERIES, []])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    bad = False
    for name in given.series:
        with tempfile.TemporaryDirectory() as folder:
            wrong = SERIES[name](Path(folder), given.kills, random.Random(given.seed))
        print(f"{name}: {wrong or 'nothing is wrong'}", flush=True)
        bad |= bool(wrong)
    sys.exit(bad)


if __name__ == "__main__":
    main()
