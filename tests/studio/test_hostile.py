"""Some of the requests of `benchmarks/studio_hostile.py`, over real connections."""

import contextlib
import random
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.studio_hostile import Maker, attack, contents, crowd, make_world
from impasto.studio.connections import most_connections
from impasto.studio.context import Studio
from impasto.studio.jobs import Jobs
from impasto.studio.models import Models
from impasto.studio.places import Places
from impasto.studio.security import Gate
from impasto.studio.serve import Listening, Server
from tests.studio.conftest import until

TOKEN = "the-token-of-these-tests"
CONNECTIONS = 80
"""That the server keeps at once."""


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Path]:
    return make_world(tmp_path)


@pytest.fixture
def port(world: tuple[Path, Path]) -> Iterator[int]:
    """The port of a server in a thread of this process. Its jobs wait."""
    places = Places.under(world[0])
    studio = Studio(places, Jobs(places.jobs, training=0, others=0), Models("cpu"))
    with Listening(port=0).socket() as listener:
        found: int = listener.getsockname()[1]
        server = Server(studio, Gate(TOKEN, found, most_upload=3_000_000), CONNECTIONS)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield found
        studio.feeds.end()
        server.should_exit = True
        thread.join()


def test_hostile_requests(world: tuple[Path, Path], port: int) -> None:
    studio, outside = world
    before = contents(outside)
    seen, faults = attack(Maker(random.Random(1), port, TOKEN, outside), 150)
    assert not faults
    kinds = {each.rpartition(" ")[0] for each in seen}
    assert len(kinds) > 8
    assert contents(outside) == before
    assert sorted(path.name for path in studio.parent.iterdir()) == ["outside", "studio"]
    until(lambda: not any((studio / "uploads" / ".incoming").glob("*")), 60)


def test_idle_connections_do_not_keep_a_page_from_working(port: int) -> None:
    assert crowd(port, TOKEN, 3 * CONNECTIONS) == []


def test_the_connection_that_is_idle_longest_is_closed_first(port: int) -> None:
    with contextlib.ExitStack() as stack:
        first, *others = (
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            for _ in range(CONNECTIONS)
        )
        assert first.recv(1) == b""
        last = others[-1]
        last.sendall(f"GET /api/alive HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        assert last.recv(12) == b"HTTP/1.1 200"
        others[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            others[0].recv(1)


def test_connections_take_at_most_half_of_the_files_that_the_server_may_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for allowed, most in ((1024, 512), (256, 128), (2**20, 1024), (resource.RLIM_INFINITY, 1024)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, allowed=allowed: (allowed, allowed))
        assert most_connections() == most
