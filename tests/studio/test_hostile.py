"""Some of the requests of `benchmarks/studio_hostile.py`, over real connections."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.studio_hostile import Maker, attack, contents, make_world
from impasto.studio.context import Studio
from impasto.studio.jobs import Jobs
from impasto.studio.models import Models
from impasto.studio.places import Places
from impasto.studio.security import Gate
from impasto.studio.serve import Listening, Server
from tests.studio.conftest import until

TOKEN = "the-token-of-these-tests"


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
        server = Server(studio, Gate(TOKEN, found, most_upload=3_000_000))
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
