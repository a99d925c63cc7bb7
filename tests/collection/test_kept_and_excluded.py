"""Pictures that are kept although they are copies, and pictures that are excluded, by their names."""

import shutil
from pathlib import Path

import pytest

import impasto
from impasto.collection import Collection
from impasto.errors import ImpastoError
from tests.helpers.command_line import invoke
from tests.helpers.pictures import paint


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten pictures; `cold/000.png` twice more, as `cold/copy.png` and `warm/copy.png`."""
    paint(tmp_path / "source", 10)
    for name in ("cold/copy.png", "warm/copy.png"):
        shutil.copy(tmp_path / "source" / "cold" / "000.png", tmp_path / "source" / name)
    return tmp_path / "source"


def paths(collection: Collection) -> set[str]:
    table = collection.source_table()
    return {table[number]["path"] for number in collection.sources[collection.indices]}


def test_copies_are_kept_and_pictures_excluded_by_name(source: Path, tmp_path: Path) -> None:
    plain = impasto.pack(source, tmp_path / "plain", resolution=32).collection
    assert len(plain) == 10
    assert {"cold/copy.png", "warm/copy.png"}.isdisjoint(paths(plain))

    kept = impasto.pack(source, tmp_path / "kept", resolution=32, keep="cold/copy.png").collection
    assert paths(kept) == paths(plain) | {"cold/copy.png"}
    copies = {row["path"]: row["kept"] for row in kept.duplicates_table()}
    assert copies == {"cold/000.png": "1", "cold/copy.png": "1", "warm/copy.png": "0"}
    kept.verify()
    sides = {row["path"]: row["split"] for row in kept.source_table()}
    assert sides["cold/000.png"] == sides["cold/copy.png"]  # copies stay on one side of the split

    without = ["cold/000.png", "warm/001.png"]
    some = impasto.pack(source, tmp_path / "some", resolution=32, exclude=without).collection
    # Of the copies that are left, the first one is kept.
    assert paths(some) == paths(plain) - set(without) | {"cold/copy.png"}
    assert {row["path"] for row in some.left_out_table()} == set(without)


def test_packing_again_with_other_choices(source: Path, tmp_path: Path) -> None:
    """As the command does it, and back again; what a collection without choices is does not change."""
    first = impasto.pack(source, tmp_path / "c", resolution=32).collection
    before = paths(first)
    assert "keep" not in (tmp_path / "c" / "collection.json").read_text()
    command = ("pack", source, tmp_path / "c", "--resolution", "32")
    assert invoke(*command, "--keep", "cold/copy.png", "--exclude", "warm/001.png")[0] == 0
    assert paths(Collection.open(tmp_path / "c")) == before ^ {"cold/copy.png", "warm/001.png"}
    assert invoke(*command)[0] == 0
    assert Collection.open(tmp_path / "c").content_hash == first.content_hash


def test_names_that_are_not_there_are_one_line(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=r"no picture 'cold/cpy\.png'; did you mean cold/copy"):
        impasto.pack(source, tmp_path / "c", resolution=32, keep=["cold/cpy.png"])
    with pytest.raises(ImpastoError, match="both to be kept and to be excluded"):
        impasto.pack(source, tmp_path / "c", keep="a", exclude="a")
