"""Packing on a dask cluster, one of whose workers is killed in the middle."""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster
from typer.testing import CliRunner

import impasto
from impasto.cli import app
from impasto.collection import PackReport, pack
from impasto.collection.fitting import fit_picture
from impasto.collection.options import PackOptions
from impasto.collection.replacing import work_folder
from impasto.errors import ImpastoError
from tests.collection.test_pack_again import drawings, same

OPTIONS = PackOptions(resolution=16)


@contextlib.contextmanager
def cluster(**settings: Any) -> Iterator[Client]:
    """Two processes, each of one thread."""
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield client


def slow() -> None:
    """Let this process take a tenth of a second for each picture."""

    def slowly(*given: Any) -> Any:
        time.sleep(0.1)
        return fit_picture(*given)

    pytest.MonkeyPatch().setattr("impasto.collection.cluster.fit_picture", slowly)


def killed_in_the_middle(client: Client, source: Path, destination: Path) -> PackReport:
    """Pack, and kill -9 a worker once both are at work."""
    client.run(slow)
    workers = client.run(os.getpid)
    ended: list[PackReport] = []
    thread = threading.Thread(
        target=lambda: ended.append(
            impasto.pack_on(client.get_executor(), source, destination, OPTIONS, shards=6)
        )
    )
    thread.start()
    until = time.monotonic() + 30
    while not all(client.processing().values()):
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.3)
    assert not destination.exists()
    os.kill(next(iter(workers.values())), signal.SIGKILL)
    thread.join(120)
    assert set(client.run(os.getpid).values()) != set(workers.values())
    (report,) = ended
    return report


@pytest.mark.parametrize("allowed", [0, 3])
def test_a_killed_worker_makes_no_difference(allowed: int, tmp_path: Path) -> None:
    """Whether dask does its tasks again or reports them as lost."""
    source = drawings(tmp_path / "pictures", range(60))
    whole = pack(source, tmp_path / "whole", OPTIONS).collection
    with cluster(**{"distributed.scheduler.allowed-failures": allowed}) as client:
        report = killed_in_the_middle(client, source, tmp_path / "packed")
    assert report.collection.content_hash == whole.content_hash
    assert same(whole.path, tmp_path / "packed") == set()
    assert not work_folder(tmp_path / "packed").exists()


def test_the_command_line(tmp_path: Path) -> None:
    source = drawings(tmp_path / "pictures", range(20))
    whole = pack(source, tmp_path / "whole", OPTIONS).collection
    given = ["pack", str(source), str(tmp_path / "packed"), "--resolution", "16", "--dask"]
    with cluster() as client:
        address = client.scheduler.address
        result = CliRunner().invoke(app, [*given, address])
        assert result.exit_code == 0, result.output
        assert "20 pictures of 16 px" in result.output
        assert same(whole.path, tmp_path / "packed") == set()
        scheduler_file = tmp_path / "scheduler.json"
        scheduler_file.write_text(json.dumps({"address": address}))
        result = CliRunner().invoke(app, [*given, str(scheduler_file)])
        assert "nothing has changed since it was packed" in result.output


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "ftp://127.0.0.1:9"])
def test_no_scheduler_is_one_line(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("impasto.cli._dask._SECONDS", 0.5)
    source = drawings(tmp_path / "pictures", range(2))
    given = ["pack", str(source), str(tmp_path / "packed"), "--dask", address]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, ImpastoError)
    assert str(error).startswith(f"no dask scheduler answers at {address} (")
    assert "\n" not in str(error)


def test_an_assertion_of_dask_is_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def client(*args: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr("distributed.Client", client)
    source = drawings(tmp_path / "pictures", range(2))
    given = ["pack", str(source), str(tmp_path / "packed"), "--dask", "tcp://127.0.0.1:9"]
    error = CliRunner().invoke(app, given).exception
    assert isinstance(error, ImpastoError)
    assert str(error).startswith("no dask scheduler answers at tcp://127.0.0.1:9 (")
