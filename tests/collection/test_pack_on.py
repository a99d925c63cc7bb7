"""Packing on an executor's machines: the same collection, whatever happens to them."""

import contextlib
import multiprocessing
import os
import signal
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import impasto
from impasto.cli import app
from impasto.collection import PackOptions, cluster, pack, pack_on
from impasto.collection.fitting import fit_picture
from impasto.collection.preparing import prepare
from impasto.collection.replacing import work_folder
from impasto.errors import ImpastoError
from impasto.resolution import Resolution
from tests.collection.test_pack_again import drawings, same

OPTIONS = PackOptions(resolution=16)


class Alone(Executor):
    """Does each task at once in this process; a test may do something else in place of it."""

    def __init__(self, instead: Callable[[Any], int] | None = None) -> None:
        self.tasks: list[Any] = []
        self._do = instead or cluster.fit_task

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future:
        assert (function, kwargs) == (cluster.fit_task, {})
        (task,) = args
        self.tasks.append(task)
        future: Future[int] = Future()
        try:
            future.set_result(self._do(task))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Thirty pictures and a file that is none."""
    folder = drawings(tmp_path / "pictures", range(30))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 and nothing")
    return folder


@pytest.fixture
def whole(source: Path, tmp_path: Path) -> Path:
    return pack(source, tmp_path / "whole", replace(OPTIONS, workers=1)).collection.path


def zipped(source: Path) -> Path:
    place = source.with_suffix(".zip")
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted(source.iterdir()):
            archive.writestr(path.name, path.read_bytes())
    return place


def spawned(count: int, **options: Any) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), **options)


def test_processes_make_the_same_collection(source: Path, whole: Path, tmp_path: Path) -> None:
    with spawned(2) as executor:
        report = impasto.pack_on(executor, source, tmp_path / "packed", resolution=16)
        assert same(whole, tmp_path / "packed") == set()
        assert (report.known, report.source_count, len(report.left_out)) == (0, 30, 1)
        assert not work_folder(tmp_path / "packed").exists()
        # Given again, with pictures that are new.
        drawings(source, range(30, 34))
        report = impasto.pack_on(executor, source, tmp_path / "packed", resolution=16)
    # The one that is none does not become readable by itself.
    assert (report.known, report.source_count) == (31, 34)


@pytest.mark.parametrize("form", ["zip", "npz"])
def test_sources_that_are_no_files_are_listed_by_each_process(
    form: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "zip":
        place = zipped(source)
    else:
        place = tmp_path / "pictures.npz"
        random = np.random.default_rng(0)
        np.savez(place, images=random.integers(0, 256, (30, 20, 20, 3), np.uint8))
    alone = pack(place, tmp_path / "alone", OPTIONS).collection.path
    prepared = []

    def counted(*given: Any) -> Any:
        prepared.append(given)
        return prepare(*given)

    monkeypatch.setattr(cluster, "prepare", counted)
    executor = Alone()
    monkeypatch.chdir(tmp_path)
    pack_on(executor, place.name, Path("packed"), OPTIONS, shards=5)
    assert same(alone, tmp_path / "packed") == set()
    assert len(executor.tasks) == 5
    assert len(prepared) == 1  # once for all tasks of a process


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_relative_source_is_found_from_another_folder(
    form: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "zip":
        source = zipped(source)
    alone = pack(source, tmp_path / "alone", OPTIONS).collection.path
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def there(task: Any) -> int:
        with contextlib.chdir(elsewhere):
            return cluster.fit_task(task)

    monkeypatch.chdir(tmp_path)
    pack_on(Alone(there), source.name, Path("packed"), OPTIONS)
    assert same(alone, tmp_path / "packed") == set()


def test_the_work_is_cut_into_shards(source: Path, tmp_path: Path) -> None:
    drawings(source, range(30, 200))
    executor, seen = Alone(), []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))

    pack_on(executor, source, tmp_path / "packed", OPTIONS, progress)
    sizes = [len(task.numbers) for task in executor.tasks]
    assert sizes == [8] * 25 + [1]
    assert {task.options.workers for task in executor.tasks} == {1}
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ((0, 201), (201, 201))
    assert len(seen) > 2
    executor = Alone()
    pack_on(executor, source, tmp_path / "other", OPTIONS, shards=3)
    assert [len(task.numbers) for task in executor.tasks] == [67, 67, 67]
    with pytest.raises(ImpastoError, match="shards must be 1 or more, not 0"):
        pack_on(executor, source, tmp_path / "third", OPTIONS, shards=0)


def test_a_lost_worker_costs_what_it_had_not_kept(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = {3: 2, 17: 1}

    def losing(options: PackOptions, encodings: dict[Resolution, str], picture: Any) -> Any:
        number = int(picture.stem) if picture.stem.isdecimal() else -1
        if left.get(number):
            left[number] -= 1
            raise ConnectionError("worker lost")
        return fit_picture(options, encodings, picture)

    monkeypatch.setattr(cluster, "fit_picture", losing)
    executor = Alone()
    pack_on(executor, source, tmp_path / "packed", OPTIONS, shards=3)
    assert same(whole, tmp_path / "packed") == set()
    assert [len(task.numbers) for task in executor.tasks] == [11, 11, 9, 8, 5, 8]
    # No two are equal, which dask would not do twice.
    assert len({(task.numbers, task.tries) for task in executor.tasks}) == 6


def test_a_shard_that_fails_again_and_again_is_one_line(
    source: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def losing(options: PackOptions, encodings: dict[Resolution, str], picture: Any) -> Any:
        if picture.name == "015.png":
            raise ConnectionError("worker\nlost")
        return fit_picture(options, encodings, picture)

    monkeypatch.setattr(cluster, "fit_picture", losing)
    executor = Alone()
    with pytest.raises(ImpastoError) as raised:
        pack_on(executor, source, tmp_path / "packed", OPTIONS, shards=3)
    assert str(raised.value).startswith(
        "shard 2 of 3, of which 7 pictures are left from 015.png on, failed 3 times, the last time with "
        "ConnectionError: worker lost; what is fitted is kept"
    )
    assert len(executor.tasks) == 5
    assert not list(work_folder(tmp_path / "packed").glob("shared-*"))
    # On one machine it goes on.
    report = pack(source, tmp_path / "packed", OPTIONS)
    assert report.known == 24
    assert same(whole, tmp_path / "packed") == set()


def die_once(name: str, mark: Path) -> None:
    """Let this process be killed by a picture, the first time."""

    def deadly(options: PackOptions, encodings: dict[Resolution, str], picture: Any) -> Any:
        if picture.name == name and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return fit_picture(options, encodings, picture)

    pytest.MonkeyPatch().setattr(cluster, "fit_picture", deadly)


def test_a_broken_pool_is_one_line_and_a_new_one_goes_on(
    source: Path, whole: Path, tmp_path: Path
) -> None:
    given = ("012.png", tmp_path / "killed")
    with (
        spawned(1, initializer=die_once, initargs=given) as executor,
        pytest.raises(
            ImpastoError, match=r"takes no more tasks .BrokenProcessPool: .* new executor"
        ),
    ):
        pack_on(executor, source, tmp_path / "packed", OPTIONS, shards=8)
    assert given[1].exists()
    with ThreadPoolExecutor(2) as threads:
        report = pack_on(threads, source, tmp_path / "packed", OPTIONS)
    assert report.known >= 12
    assert same(whole, tmp_path / "packed") == set()


def test_interrupted_it_goes_on(source: Path, whole: Path, tmp_path: Path) -> None:
    executor = ThreadPoolExecutor(1)

    def progress(done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with executor, pytest.raises(KeyboardInterrupt):
        pack_on(executor, source, tmp_path / "packed", OPTIONS, progress, shards=15)
    kept = len(prepare(source, tmp_path / "packed", OPTIONS, None).missing(range(31)))
    assert 0 < kept <= 23
    alone = Alone()
    report = pack_on(alone, source, tmp_path / "packed", OPTIONS)
    assert report.known == 31 - kept == 31 - sum(len(task.numbers) for task in alone.tasks)
    assert same(whole, tmp_path / "packed") == set()


def test_another_process_may_end_first(source: Path, whole: Path, tmp_path: Path) -> None:
    def overtaken(task: Any) -> int:
        pack(source, tmp_path / "packed", OPTIONS)
        return cluster.fit_task(task)

    report = pack_on(Alone(overtaken), source, tmp_path / "packed", OPTIONS, shards=1)
    assert report.known == 0
    assert same(whole, tmp_path / "packed") == set()
    assert not work_folder(tmp_path / "packed").exists()


def test_a_machine_that_does_not_see_the_disk_is_one_line(source: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"

    def message(**other: Any) -> str:
        executor = Alone(lambda task: cluster.fit_task(replace(task, **other)))
        with pytest.raises(ImpastoError) as raised:
            pack_on(executor, source, tmp_path / "packed", OPTIONS, shards=2)
        assert len(executor.tasks) == 2  # not tried again
        assert not elsewhere.exists()
        return str(raised.value)

    assert "shard 1 of 2: " in message(work=elsewhere)
    assert f"does not see {elsewhere}" in message(work=elsewhere)
    unseen = ((b"0" * 16, elsewhere / "1.png"),)
    assert "sees none of the pictures in" in message(files=unseen)
    assert "sees another source in" in message(files=None, digest="of others")
    assert not (tmp_path / "packed").exists()


def test_what_does_not_appear_on_the_disk_is_one_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_COUNT_EVERY", 0.01)
    monkeypatch.setattr(cluster, "_VISIBLE_WITHIN", 0.05)
    nothing = Alone(lambda task: len(task.numbers))
    with pytest.raises(ImpastoError, match=r"31 pictures that .* have fitted did not appear in"):
        pack_on(nothing, source, tmp_path / "packed", OPTIONS)


def test_the_command_line(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    def message(*more: str) -> str:
        given = ["pack", str(source), str(tmp_path / "packed"), "--dask", "tcp://127.0.0.1:1"]
        error = CliRunner().invoke(app, [*given, *more]).exception
        assert isinstance(error, ImpastoError)
        return str(error)

    assert message() == "--dask needs dask: pip install 'impasto[cluster]'"
    assert message("--shard", "1/2").startswith("--dask and --shard are two ways")
    assert message("--workers", "2").startswith("--workers has no meaning with --dask")
