"""WebDataset: samples in tar shards."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import read_source, webdataset
from impasto.sources.archives import tar
from impasto.sources.listing import Listing
from tests.helpers.webdataset import picture, pixels, samples, shard


def classes(listing: Listing) -> list[str]:
    return [entry.labels[0] for entry in listing.entries]


def test_shards_are_packed_as_one_source(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    for number in (1, 0):
        files = samples(range(number * 20, number * 20 + 20), cls=lambda n: str(n % 12).encode())
        shard(folder / f"art-{number:06}.tar", dict(reversed(files.items())))
    (folder / "README.md").write_text("of art")
    report = pack(folder, tmp_path / "x", PackOptions(resolution=16, workers=2))
    collection = report.collection
    assert '"kind": "WebDataset"' in (tmp_path / "x/collection.json").read_text()
    table = collection.source_table()
    assert [row["path"] for row in table] == [
        f"art-{number // 20:06}/{number:06}.png" for number in range(40)
    ]
    assert [row["class"] for row in table] == [f"{number % 12:02}" for number in range(40)]
    assert np.array_equal(collection.images(np.arange(40)), [pixels(n) for n in range(40)])
    assert not report.left_out


def test_any_rising_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        shard(tmp_path / f"{number}.tar", samples(range(number * 5, number * 5 + 5)))
    opened: list[str] = []

    def open_archive(path: Path, names_encoding: str | None) -> tar.Tar:
        opened.append(path.name)
        return tar.open_archive(path, names_encoding)

    monkeypatch.setattr(webdataset, "open_archive", open_archive)
    listing = read_source(tmp_path, None)
    opened.clear()
    for numbers in ([], [19], [0, 1, 6, 18], range(3, 17), range(20)):
        assert listing.contents is not None
        assert list(listing.contents(numbers)) == [picture(number) for number in numbers]
        if numbers == [0, 1, 6, 18]:
            assert opened == ["3.tar", "0.tar", "1.tar", "3.tar"]  # The first for [19].
    assert len({entry.stamp for entry in listing.entries}) == 20
    assert len({entry.relative for entry in listing.entries}) == 20


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "shards/a.tar.gz"])
def test_one_shard(tmp_path: Path, name: str) -> None:
    source = shard(
        tmp_path / name, samples(range(4), cls=lambda n: b"ab"[n % 2 : n % 2 + 1] + b"\n")
    )
    folder = name.startswith("shards")
    listing = read_source(source.parent if folder else source, None)
    assert (listing.kind, listing.fields) == ("WebDataset", ("class",))
    assert classes(listing) == ["a", "b", "a", "b"]
    assert listing.entries[3].relative == ("a/000003.png" if folder else "000003.png")
    assert listing.contents is not None
    assert list(listing.contents([1, 2])) == [picture(1), picture(2)]


def test_labels_are_chosen(tmp_path: Path) -> None:
    def told(number: int) -> dict[str, Any]:
        style = ["Cubism", "Op Art", "Unknown", None][number % 4]
        return {
            "Style": style,
            "tags": ["sea", "sky"] if number else [],
            "size": {"width": 16 + number},
            "Author": f"painter {number % 2}",
            "license": "CC0",
            "URL": f"https://example.org/{number}",
            "long": "x" * 1001,
            "__key__": "secret",
            "deep": [[1]],
            "half": "\ud800!",
        }

    source = shard(
        tmp_path / "a.tar",
        samples(range(8), json=told, txt=b" A boat\n at sea ", cls=lambda n: str(n).encode()),
    )
    listing = read_source(source, None)
    assert (listing.fields, classes(listing)[:2]) == (("class",), ["0", "1"])
    assert listing.entries[1].about == {
        "caption": "A boat at sea",
        "style": "Op Art",
        "tags": "sea|sky",
        "size.width": "17",
        "author": "painter 1",
        "license": "CC0",
        "url": "https://example.org/1",
        "half": "?!",
        "title": "A boat at sea",
        "artist": "painter 1",
        "licence": "CC0",
        "source": "https://example.org/1",
    }
    listing = read_source(source, ("Style", "tags", "class", "width", "artist"))
    assert listing.fields == ("style", "tags", "class", "width", "artist")
    assert listing.entries[1].labels == ("Op Art", "sea", "1", "17", "painter 1")
    assert listing.entries[2].labels == ("", "sea", "2", "18", "painter 0")
    assert "style" not in listing.entries[1].about
    assert listing.entries[1].about["artist"] == "painter 1"
    assert read_source(source, ()).fields == ()
    for asked in (("kind",), ("kind", "style")):
        with pytest.raises(
            ImpastoError, match=r"unknown label 'kind' in .*; there is artist, author"
        ):
            read_source(source, asked)
    # Where only .cls tells of classes, they may be called anything.
    source = shard(tmp_path / "b.tar", samples(range(8), cls=b"7", txt=b"A boat"))
    assert read_source(source, ("kind",)).entries[5].labels == ("7",)
    assert read_source(source, ("kind",)).fields == ("kind",)


def test_labels_that_could_be_are_told(tmp_path: Path) -> None:
    told = {"style": "Op", "title": "Boat"}
    listing = read_source(shard(tmp_path / "a.tar", samples(range(9), json=told)), None)
    assert (listing.kind, listing.fields) == ("WebDataset", ())
    assert listing.notes == ["no labels were asked for; --labels takes fields of the .json: style"]
    listing = read_source(tmp_path / "a.tar", ("style",))
    assert (classes(listing), listing.notes) == (["Op"] * 9, [])


def test_keys_and_pictures(tmp_path: Path) -> None:
    files = {
        "a/1.png": picture(0),
        "a/1.cls": b"1",
        "b/1.JPEG": picture(1, "JPEG"),
        "b/1.mask.png": picture(2),
        "b/1.CLS": b"2",
        "b/2.seg.png": picture(3),
        "b/2.webp": picture(4, "WEBP"),
        "b/2.npy": b"latent",
        "b/3.json": b"{}",
        "b/3.txt": b"no picture",
        "noext": b"",
        "b/4.depth.png": picture(5),
    }
    listing = read_source(shard(tmp_path / "a.tar", files), None)
    assert [(entry.relative, entry.labels) for entry in listing.entries] == [
        ("a/1.png", ("1",)),
        ("b/1.JPEG", ("2",)),
        ("b/2.webp", ("",)),
        ("b/4.depth.png", ("",)),
    ]
    assert listing.left_out == [
        ("noext", "no picture of its key"),
        ("b/3.json", "no picture of its key"),
        ("b/3.txt", "no picture of its key"),
        ("b/1.mask.png", "a further picture of its sample: b/1.JPEG counts"),
        ("b/2.seg.png", "a further picture of its sample: b/2.webp counts"),
    ]


def test_parts_that_are_held_out(tmp_path: Path) -> None:
    for number, name in enumerate(["x-train-0000", "x-validation-00", "x-test-1", "more"]):
        shard(tmp_path / f"{name}.tar", samples([number], cls=b"3"))
    listing = read_source(tmp_path, None)
    assert [(entry.relative, entry.heldout) for entry in listing.entries] == [
        ("more/000003.png", False),
        ("x-test-1/000002.png", True),
        ("x-train-0000/000000.png", False),
        ("x-validation-00/000001.png", True),
    ]
    assert "held out are the shards for testing and validation (2 pictures)" in listing.notes[0]
    (tmp_path / "x-train-0000.tar").unlink()
    assert {entry.heldout for entry in read_source(tmp_path, None).entries} == {None}


def test_what_is_claimed(tmp_path: Path) -> None:
    def kind(name: str, files: dict[str, bytes]) -> str:
        return read_source(shard(tmp_path / name, files), None).kind

    pictures = {f"{place}/{n}.png": b"" for n in range(4) for place in ("cats", "dogs")}
    texts = {name.replace(".png", ".txt"): b"" for name in pictures}
    assert kind("1.tar", pictures) == "folders by class"
    # Notes beside pictures do not unmake the folders.
    assert kind("2.tar", {**pictures, **texts}) == "folders by class"
    assert kind("3.tar", {**pictures, "cats/1.cls": b"1"}) == "WebDataset"
    assert kind("4.tar", dict.fromkeys(("a.png", "b.png", "c.png", "c.txt"), b"")) == "a folder"
    assert kind("5.tar", dict.fromkeys(("a.png", "b.png", "b.txt", "a.json"), b"")) == "WebDataset"
    table = {"w/a.png": b"", "w/a.txt": b"", "w/metadata.csv": b"file,style\na.png,Op\n"}
    assert kind("6.tar", table) == "a folder with a table"
    assert kind("7.tar", {"w/a.png": b"", "w/a.txt": b"", "w/b.png": b""}) == "a folder"
    # In a folder, tars are looked into only where there are no pictures.
    (tmp_path / "a.png").write_bytes(b"")
    assert read_source(tmp_path, None).kind == "a folder"


def test_a_damaged_shard_leaves_the_others(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    for number in range(3):
        shard(folder / f"{number}.tar", samples([number, number + 3], cls=b"1"))
    whole = (folder / "1.tar").read_bytes()
    (folder / "1.tar").write_bytes(whole[:700])
    report = pack(folder, tmp_path / "x", PackOptions(resolution=16))
    assert report.source_count == 4
    ((name, reason),) = report.left_out
    assert name == "1"
    assert reason.startswith("unreadable: ")
    assert "damaged or was cut short" in reason
    assert any(note.startswith("1 shard of 3 could not be read: ") for note in report.notes)
    for number in (0, 2):
        (folder / f"{number}.tar").write_bytes(b"x" * 600)
    with pytest.raises(ImpastoError, match=r"0\.tar is damaged or was cut short"):
        read_source(folder, None)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[1]", b"{", b'"text"', b"\xff\xfe\x00", b'{"a":' * 50_000, b"1" * 5000),
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b'{"style": "Op", "style": "Pop"}',  # Nobody can tell which counts.
        b'{"Style": "Op", "style": "Pop"}',
    ],
)
def test_damaged_json_costs_what_it_tells(tmp_path: Path, content: bytes) -> None:
    files = samples(range(3), json={"style": "Op"}, cls=b"7", txt=b"Sea")
    files["000001.json"] = content
    listing = read_source(shard(tmp_path / "a.tar", files), ("style", "class"))
    assert [entry.labels for entry in listing.entries] == [("Op", "7"), ("", "7"), ("Op", "7")]
    assert listing.entries[1].about == {"caption": "Sea", "title": "Sea"}
    assert listing.notes[0].startswith(
        "1 sample with a damaged .cls, .json or .txt: what that should tell is not known, such as of"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_json_in_other_encodings(tmp_path: Path, encoding: str) -> None:
    content = '{"style": "Réalisme", "date": "1872"}'.encode(encoding)
    source = shard(tmp_path / "a.tar", samples(range(2), json=content))
    listing = read_source(source, ("style",))
    assert classes(listing) == ["Réalisme", "Réalisme"]
    assert listing.entries[0].about == {"date": "1872", "year": "1872"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["7", "120", "0"], ["007", "120", "000"]),
        (["7", "-1", ""], ["7", "", ""]),
        (["7", "cat", "08"], ["7", "cat", "08"]),
        (["unknown", "NaN", "b | c"], ["", "", "b"]),
        (["1" * 12, "2", "3"], ["1" * 12, "2", "3"]),
        (["\xb2", "2", "3"], ["\xb2", "2", "3"]),
    ],
)
def test_names_of_classes(tmp_path: Path, given: list[str], expected: list[str]) -> None:
    source = shard(tmp_path / "a.tar", samples(range(3), cls=lambda n: given[n].encode()))
    assert classes(read_source(source, None)) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("webdataset")


@settings(max_examples=100)
@given(
    told=st.dictionaries(st.text(max_size=4), JSON, max_size=4) | JSON,
    more=st.dictionaries(st.text("a./\\ 1é", min_size=1, max_size=9), st.binary(max_size=9)),
    cls=st.binary(max_size=6),
)
def test_samples_of_any_kind(place: Path, told: Any, more: dict[str, bytes], cls: bytes) -> None:
    files = {**more, **samples(range(2), json=json.dumps(told).encode(), cls=cls)}
    listing = read_source(shard(place / "a.tar", files), None)
    found = {entry.relative: entry for entry in listing.entries}
    assert {"000000.png", "000001.png"} <= {name.rpartition("/")[2] for name in found}
    assert all(entry.stamp and all(entry.about.values()) for entry in listing.entries)
