"""A studio in a folder of its own, and a client that may ask it."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from fastapi import FastAPI
from fastapi.testclient import TestClient

from impasto import cli
from impasto.api.collections import pack
from impasto.api.training import train
from impasto.studio.app import create_app
from impasto.studio.context import Studio
from impasto.studio.jobs import Jobs
from impasto.studio.models import Models
from impasto.studio.places import Places
from impasto.studio.security import Gate
from tests.helpers.command_line import invoke
from tests.helpers.pictures import paint
from tests.helpers.training import SMALL

TOKEN = "the token of these tests"
PORT = 8765
HOST = f"127.0.0.1:{PORT}"


def named_in_the_schema(app: FastAPI) -> Callable[[httpx.Response], None]:
    """A check of each answer: the schema names its status and its media type."""
    paths = {
        re.compile(re.sub(r"\{[^/]+\}", "[^/]+", path)): methods
        for path, methods in app.openapi()["paths"].items()
    }

    def check(answer: httpx.Response) -> None:
        path, method = answer.request.url.path, answer.request.method.lower()
        # Of several the one with the fewest parameters, as `/events` before `/{run}`.
        found = [each for each in paths if each.fullmatch(path) and method in paths[each]]
        if not found:
            return
        operation = paths[min(found, key=lambda each: each.pattern.count("[^/]+"))][method]
        named = operation["responses"].get(str(answer.status_code))
        assert named is not None, f"{method} {path} answers {answer.status_code}"
        kind = answer.headers["content-type"].partition(";")[0]
        assert {kind, "*/*"} & {*named["content"]}, f"{method} {path} answers with {kind}"

    return check


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places.under(tmp_path / "studio")


@pytest.fixture
def studio(places: Places) -> Studio:
    """An empty studio. Its jobs wait; see `finish`."""
    jobs = Jobs(places.jobs, training=0, others=0, in_words=places.in_words)
    return Studio(places, jobs, Models("cpu"))


@pytest.fixture
def stranger(studio: Studio) -> Iterator[TestClient]:
    """A client without the token."""
    app = create_app(studio, Gate(TOKEN, PORT, most_upload=200_000))
    with TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False) as found:
        found.event_hooks = {"response": [named_in_the_schema(app)]}
        yield found


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    stranger.headers["authorization"] = f"Bearer {TOKEN}"
    return stranger


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    """A studio with a collection `labelled` and a run `00000-small`. Its jobs wait; see `finish`."""
    places = Places.under(tmp_path_factory.mktemp("world"))
    source = places.uploads / "paintings"
    paint(source, 30)
    pack(source, places.collections / "labelled", resolution=32, labels="kind")
    settings = {**SMALL, "generator.width": 4, "discriminator.width": 4}
    train(
        places.collections / "labelled",
        "r3gan_64",
        settings={**settings, "latent.dim": 16},
        labels="kind",
        run=places.runs / "00000-small",
        device="cpu",
    )
    return Studio(places, Jobs(places.jobs, training=0, others=0), Models("cpu"))


@pytest.fixture(scope="module")
def visitor(world: Studio) -> Iterator[TestClient]:
    """A client of that studio."""
    app = create_app(world, Gate(TOKEN, PORT))
    headers = {"authorization": f"Bearer {TOKEN}"}
    with TestClient(app, f"http://{HOST}", headers=headers, raise_server_exceptions=False) as found:
        found.event_hooks = {"response": [named_in_the_schema(app)]}
        yield found


def until(seen: Callable[[], Any], seconds: float = 200) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def finish(studio: Studio, job: dict[str, Any]) -> None:
    """Do in this process what a waiting job would do in its own, which would import torch again."""
    assert job["state"] == "waiting"
    code, output = invoke(*job["arguments"])
    assert code == 0, output
    folder = studio.jobs.folder / job["id"]
    (folder / "log.txt").write_text(output)
    (folder / "exit").write_text("0\n")


def accepted(job: dict[str, Any]) -> None:
    """Check that the command of a job takes its arguments, without running it."""
    name, *arguments = job["arguments"]
    command = typer.main.get_group(cli.app).commands[name]
    command.make_context(name, arguments)
