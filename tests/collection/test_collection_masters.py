"""The word `masters`: packed once into the cache, reused, safe for two at once."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from impasto import files
from impasto.collection import Collection, PackOptions, open_or_pack, pack
from impasto.collection import opening as cache
from impasto.collection.packing import MASTERS
from impasto.errors import ImpastoError
from impasto.files import read_json
from tests.helpers.pictures import paint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the masters at 64 px."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_CACHE", str(folder))
        open_or_pack("masters", 64)
    return folder


@pytest.fixture
def masters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    return open_or_pack("masters", 64)


def test_the_masters_are_some_thousands_of_tiles(masters: Collection) -> None:
    assert masters.name == "masters"
    assert 4_000 <= len(masters) <= 5_000
    assert [field.name for field in masters.fields] == ["style", "genre", "artist"]
    assert (masters.labels >= 0).all()
    # Whatever is held out, no class is without pictures to learn it from.
    assert min(min(field.counts) for field in masters.fields) > 0
    table = masters.source_table()
    assert len(table) == 21
    assert {row["licence"] for row in table} == {"public domain"}
    masters.verify()


def test_they_are_what_the_model_that_comes_along_learned_from(masters: Collection) -> None:
    learned_from = read_json(MASTERS / "model" / "model.json", "model")["collection"]
    assert learned_from["hash"] == masters.content_hash


def test_the_split_never_divides_a_source(masters: Collection) -> None:
    train = set(masters.sources[masters.train_indices].tolist())
    heldout = set(masters.sources[masters.heldout_indices].tolist())
    assert len(heldout) == 2
    assert not train & heldout
    rows = masters.source_table()
    assert {index for index in range(21) if rows[index]["split"] == "heldout"} == heldout


def test_labels_are_those_of_the_source(masters: Collection) -> None:
    rows = masters.source_table()
    for column, field in enumerate(masters.fields):
        for index in range(0, len(masters), 97):
            label = field.classes[masters.labels[index, column]]
            assert label == rows[masters.sources[index]][field.name]


def test_it_is_packed_once(masters: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("packed again")

    monkeypatch.setattr(cache, "pack", refuse)
    assert open_or_pack("masters", 64).path == masters.path


def test_a_damaged_cache_is_packed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    first = open_or_pack("masters", 8)
    (first.path / "labels.npy").unlink()
    again = open_or_pack("masters", 8)
    assert again.content_hash == first.content_hash
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]


def test_two_processes_at_once(tmp_path: Path) -> None:
    code = (
        "from impasto.collection import open_or_pack; c = open_or_pack('masters', 8); "
        "c.verify(); print(c.content_hash)"
    )
    environment = {**os.environ, "IMPASTO_CACHE": str(tmp_path)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert len(set(printed)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_threads_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would pack it anew, and take away what another has opened."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    packed = []

    def counted(*arguments: object) -> object:
        packed.append(arguments)
        return pack(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "pack", counted)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: open_or_pack("masters", 8), range(4)))
    assert len(packed) == 1
    assert len({len(each.images(np.arange(3))) for each in found}) == 1


def test_who_comes_second_takes_what_the_first_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    original = pack

    def twice(*arguments: object) -> object:
        original(*arguments)  # type: ignore[arg-type]
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "pack", twice)
    collection = open_or_pack("masters", 8)
    assert len(collection.images(np.arange(3))) == 3


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "own"))
    assert files.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("IMPASTO_CACHE")
    assert files.cache_folder() == tmp_path / "xdg" / "impasto"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "impasto"


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ImpastoError, match="IMPASTO_CACHE"):
        open_or_pack("masters", 8)


def test_no_collection_gets_the_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--data masters` would never find it."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "pictures", 2)
    with pytest.raises(ImpastoError, match="choose another name"):
        pack(tmp_path / "pictures", Path("masters"), PackOptions(resolution=16))
    assert not (tmp_path / "masters").exists()
    # In another folder, a path names it.
    made = pack(tmp_path / "pictures", Path("mine/masters"), PackOptions(resolution=16))
    assert len(made.collection) == 2
