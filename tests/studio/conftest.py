"""A studio in a folder of its own, and a client that may ask it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from impasto.studio.app import create_app
from impasto.studio.context import Studio
from impasto.studio.jobs import Jobs
from impasto.studio.models import Models
from impasto.studio.places import Places
from impasto.studio.security import Gate

TOKEN = "the token of these tests"
PORT = 8765
HOST = f"127.0.0.1:{PORT}"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places.under(tmp_path / "studio")


@pytest.fixture
def studio(places: Places) -> Iterator[Studio]:
    found = Studio(places, Jobs(places.jobs), Models("cpu"))
    yield found
    for job in found.jobs.all():
        found.jobs.stop(job.id, at_once=True)


@pytest.fixture
def stranger(studio: Studio) -> Iterator[TestClient]:
    """A client without the token."""
    app = create_app(studio, Gate(TOKEN, PORT, most_upload=200_000))
    with TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    stranger.headers["authorization"] = f"Bearer {TOKEN}"
    return stranger
