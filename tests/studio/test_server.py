"""The command itself: a server on loopback, a training that outlives it, events as they come."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

import impasto
from impasto.studio import serve
from impasto.studio.context import Studio
from impasto.studio.jobs import Jobs
from impasto.studio.serve import Listening
from tests.helpers.pictures import paint
from tests.helpers.studio_server import StudioServer
from tests.helpers.training import SMALL
from tests.studio.conftest import until


def _events(
    client: httpx.Client, run: str, last: str | None = None
) -> Iterator[tuple[str, Any, str]]:
    """Name, value and identity of each event."""
    headers = {} if last is None else {"last-event-id": last}
    with client.stream("GET", f"/api/runs/{run}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        name = identity = ""
        for line in answer.iter_lines():
            key, _, text = line.partition(": ")
            if key == "event":
                name = text
            elif key == "id":
                identity = text
            elif key == "data":
                yield name, json.loads(text), identity


def test_a_training_outlives_the_server_and_is_found_again_and_stopped(tmp_path: Path) -> None:
    """And what listeners see on the way."""
    paint(tmp_path / "pictures", 30)
    impasto.pack(tmp_path / "pictures", tmp_path / "collections" / "tiny", resolution=32)
    settings = {**SMALL, "training.images": 400_000, "training.stats_every": 8}
    settings |= {"training.samples_every": 64, "training.checkpoint_every": 100_000}
    what = {"collection": "tiny", "recipe": "first_look", "settings": settings, "device": "cpu"}
    with StudioServer(tmp_path) as server:
        client = server.client
        job = client.post("/api/train", json=what).json()
        run = job["run"]
        waiting = client.post("/api/train", json=what).json()
        assert waiting["state"] == "waiting"
        assert client.post(f"/api/jobs/{waiting['id']}/stop").json()["state"] == "stopped"
        until(lambda: client.get(f"/api/runs/{run}").status_code == 200)
        names: list[str] = []
        rows = 0
        for name, value, _ in _events(client, run):
            names.append(name)
            if name == "rows":
                rows += len(value["rows"])
            if rows > 5 and "grids" in names and "state" in names:
                break
        assert names[0] == "begin"
        server.kill()
    (found,) = [each for each in Jobs(tmp_path / "jobs").all() if each.id == job["id"]]
    assert found.state == "running"
    with StudioServer(tmp_path) as server:
        client = server.client
        listed = {each["name"]: each for each in client.get("/api/runs").json()["runs"]}
        assert listed[run]["state"] == "training"
        assert client.post(f"/api/runs/{run}/resume", json={}).status_code == 400
        client.post(f"/api/runs/{run}/ask", json={"what": "save"}).raise_for_status()
        until(lambda: client.get(f"/api/runs/{run}").json()["checkpoints"])
        client.post(f"/api/runs/{run}/stop").raise_for_status()
        until(lambda: client.get(f"/api/jobs/{job['id']}").json()["state"] == "stopped")
        details = client.get(f"/api/runs/{run}").json()
        (stopped,) = client.get("/api/runs").json()["runs"]
        assert stopped["state"] == "stopped"
        asked, seen = details["checkpoints"]  # saved because it was asked to, and as it stopped
        assert asked % 100_000
        assert seen % 100_000
        assert "a checkpoint is saved" in client.get(f"/api/jobs/{job['id']}/log").text
        assert server.end() == 0


def test_events_follow_the_file_and_are_gone_on_with(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "00000-made"
    (run / "samples").mkdir(parents=True)
    config = {"recipe": "made", "resolution": 64, "training": {"images": 1000}}
    record = {"format": 1, "config": config, "collection": {"name": "x"}}
    (run / "run.json").write_text(json.dumps(record))
    stats = run / "stats.jsonl"

    def line(images: int) -> str:
        row = {"images_seen": images, "seconds": images / 10, "images_per_second": 10.0}
        return json.dumps(row) + "\n"

    stats.write_text(line(10) + line(20))
    with StudioServer(tmp_path) as server:
        client = server.client
        events = _events(client, run.name)
        assert next(events)[0] == "begin"
        found = [next(events) for _ in range(3)]
        by_name = {name: value for name, value, _ in found}
        assert [row["images_seen"] for row in by_name["rows"]["rows"]] == [10, 20]
        assert by_name["grids"] == {"stage": "", "grids": []}
        assert by_name["state"]["seconds_left"] == 98
        last = found[-1][2]
        with stats.open("a") as file:
            file.write(line(30) + line(40)[:5])  # the last row is half written
        name, value, _ = next(events)
        assert (name, [row["images_seen"] for row in value["rows"]]) == ("rows", [30])
        assert next(events)[0] == "state"
        with stats.open("a") as file:
            file.write(line(40)[5:])
        assert next(events)[1]["rows"][0]["images_seen"] == 40
        # A client that comes back gets what it has missed, and nothing twice.
        missed = _events(client, run.name, last)
        assert next(missed)[1]["rows"][0]["images_seen"] == 30
        missed.close()  # type: ignore[attr-defined]
        assert next(events)[0] == "state"
        temporary = run / "stats.new"
        temporary.write_text(line(10))
        temporary.replace(stats)  # the run went back
        assert next(events)[:2] == ("again", {"stage": ""})
        assert next(events)[1]["rows"] == [json.loads(line(10))]
        (run / "samples" / "fakes-000000000010.png").write_bytes(b"")
        later = [next(events) for _ in range(3)]
        assert ("grids", {"stage": "", "grids": ["fakes-000000000010.png"]}) in [
            each[:2] for each in later
        ]
        events.close()  # type: ignore[attr-defined]


def test_the_server_listens_on_loopback_only_and_bears_bad_manners(tmp_path: Path) -> None:
    with StudioServer(tmp_path) as server:
        client, port, process = server.client, server.port, server.process
        answer = httpx.get(f"http://127.0.0.1:{port}/api/runs")
        assert answer.status_code == 401
        with closing(socket.create_connection(("127.0.0.1", port))) as half:
            half.sendall(
                b"POST /api/train HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"
            )
        (tmp_path / "uploads" / "u").mkdir()
        with closing(socket.create_connection(("127.0.0.1", port))) as half:
            head = "PUT /api/uploads/u/file?path=x.png HTTP/1.1\r\nContent-Length: 100000\r\n"
            head += f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {server.token}\r\n\r\n"
            half.sendall(head.encode() + b"x" * 50_000)
            incoming = tmp_path / "uploads" / ".incoming"
            until(lambda: incoming.exists() and any(incoming.iterdir()))
        until(lambda: not any(incoming.iterdir()))
        assert not any((tmp_path / "uploads" / "u").iterdir())
        for garbage in (b"\0" * 1000, b"GET /" + b"a" * 100_000, b"GET / HTTP/9\r\n\r\n"):
            with closing(socket.create_connection(("127.0.0.1", port))) as made:
                made.sendall(garbage)
                made.settimeout(10)
                try:
                    text = made.recv(1000)
                except (ConnectionResetError, TimeoutError):
                    text = b""
                assert b" 200 " not in text
        quiet = socket.create_connection(("127.0.0.1", port))  # says nothing, and others are served
        assert client.get("/api/alive").json() == {"alive": True}
        quiet.close()
        with client.stream("GET", "/api/events") as listening:
            lines = listening.iter_lines()
            assert next(lines) == "event: begin"
            process.send_signal(signal.SIGINT)
            for _ in lines:
                pass
        assert process.wait(20) == 0
        assert "Traceback" not in server.errors()


def test_without_its_packages_one_line_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['impasto', 'studio', sys.argv[1]]\n"
        "from impasto.cli import main; main()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "impasto: the studio is not installed: pip install 'impasto[studio]'\n"


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "impasto", "studio", str(tmp_path), f"--port={port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "choose another with --port" in done.stderr


def test_a_browser_that_is_quicker_than_the_server_waits() -> None:
    """The address is printed and opened before the server answers."""
    with (
        Listening(port=0).socket() as listener,
        closing(socket.create_connection(listener.getsockname(), timeout=5)),
    ):
        pass


def test_the_server_starts_without_torch(tmp_path: Path) -> None:
    code = "import sys, impasto.studio.serve; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_a_browser_is_started_without_the_token(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other users can read its arguments; what they say opens one page."""
    opened: list[str] = []
    said: list[str] = []
    gates = []

    class Server(serve.Server):
        def run(self, sockets: list[socket.socket] | None = None) -> None:
            gates.append(self.config.app.user_middleware[0].kwargs["gate"])  # type: ignore[union-attr]

    monkeypatch.setattr(serve, "Server", Server)
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr(serve, "say", lambda line, **_: said.append(line))
    serve.serve(studio, Listening(port=0), show=True)
    (gate,) = gates
    assert said[0].endswith(f"/?token={gate.token}")
    assert gate.token not in opened[0]
    assert opened[0].endswith(f"/?token={gate.once}")
