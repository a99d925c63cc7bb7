"""JSON files beside pictures."""

import json
from pathlib import Path

import pytest

from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.listing import Listing


def picture(folder: Path, name: str, told: object = None, ending: str = ".json") -> None:
    """A picture and, if anything is told of it, the file beside it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    if told is not None:
        text = told if isinstance(told, str) else json.dumps(told)
        (folder / (name + ending)).write_text(text, encoding="utf-8")


def gallery(folder: Path) -> Path:
    """Some pictures as gallery-dl leaves them."""
    for number, artist in enumerate(["Ann", "Bob", "Ann"]):
        told = {
            "category": "deviantart",
            "author": {"username": artist},
            "title": f"Picture {number}",
            "date": "2019-03-01 10:00:00",
            "tags": ["sea", "boats"],
            "url": f"https://example.org/{number}",
            "big": "x" * 100_000,
        }
        picture(folder, f"deviantart/{artist}/{number}.jpg", told)
    return folder


def labels(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {entry.relative.rpartition("/")[2]: entry.labels for entry in listing.entries}


def test_files_beside_pictures_give_labels(tmp_path: Path) -> None:
    listing = read_source(gallery(tmp_path), ("author.username", "tags"))
    assert labels(listing) == {
        "0.jpg": ("Ann", "sea"),
        "1.jpg": ("Bob", "sea"),
        "2.jpg": ("Ann", "sea"),
    }
    assert listing.entries[0].about["title"] == "Picture 0"
    assert listing.entries[0].about["year"] == "2019-03-01 10:00:00"
    assert "big" not in listing.entries[0].about
    assert listing.left_out == []
    assert listing.notes == [
        "tags: 3 pictures of several classes, such as 'sea|boats'; the first counts"
    ]


def test_without_labels_the_folders_count_and_what_is_told_comes_along(tmp_path: Path) -> None:
    listing = read_source(gallery(tmp_path), None)
    assert (listing.kind, listing.fields) == ("folders by class", ("class",))
    assert labels(listing) == {"0.jpg": ("Ann",), "1.jpg": ("Bob",), "2.jpg": ("Ann",)}
    assert [entry.about["artist"] for entry in listing.entries] == ["Ann", "Ann", "Bob"]
    assert listing.entries[0].about["source"] == "https://example.org/0"
    alone = read_source(tmp_path / "deviantart" / "Ann", None)
    assert [entry.about["title"] for entry in alone.entries] == ["Picture 0", "Picture 2"]
    assert any("--labels can take any of: " in note for note in alone.notes)
    with pytest.raises(ImpastoError, match="no labels 'style' in"):
        read_source(tmp_path / "deviantart" / "Ann", ("style",))


def test_damaged_and_missing_files_cost_their_own_picture_its_labels(tmp_path: Path) -> None:
    for name, told in {
        "a": {"style": "Op"},
        "b": "{half",
        "c": None,
        "d": '{"style": "Op", "style": "Pop"}',
        "e": {"Style": "Pop"},
        "f": {"style": "Pop", "other": 1},
        "g": {"style": "Op"},
    }.items():
        picture(tmp_path, f"{name}.jpg", told)
    listing = read_source(tmp_path, ("style",))
    assert {name: label for name, (label,) in labels(listing).items()} == {
        "a.jpg": "Op",
        "b.jpg": "",
        "c.jpg": "",
        "d.jpg": "",
        "e.jpg": "Pop",
        "f.jpg": "Pop",
        "g.jpg": "Op",
    }
    assert listing.notes == [
        "2 JSON files beside pictures not readable, such as b.jpg.json; its columns are unknown"
    ]
