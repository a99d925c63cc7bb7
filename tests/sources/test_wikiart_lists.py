"""ArtGAN's lists of WikiArt, in the shape in which they are published: joined by path, whole or not."""

import re
import tarfile
import zipfile
from pathlib import Path

import pytest

from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.listing import Listing

# The names and numbers of a few pictures, as they are in the lists.
LISTS = {
    "style_class.txt": "4 Baroque\n12 Impressionism\n23 Romanticism\n",
    "style_train.csv": "Impressionism/claude-monet_water-lilies-1906.jpg,12\r\n"
    "Baroque/rembrandt_the-carcass-of-an-ox-1657.jpg,4\r\n"
    "Romanticism/arnold-bã¶cklin_at-alban-hills-1851.jpg,23\r\n",
    "style_val.csv": "Impressionism/claude-monet_water-lilies-6.jpg,12\r\n"
    "Romanticism/ivan-aivazovsky_storm(1).jpg,23\r\n",
    "genre_class.txt": "4 landscape\n9 still_life\n",
    "genre_train.csv": "Impressionism/claude-monet_water-lilies-1906.jpg,4\r\n"
    "Romanticism/ivan-aivazovsky_storm(1).jpg,4\r\n",
    "genre_val.csv": "Impressionism/claude-monet_water-lilies-6.jpg,4\r\n"
    "Impressionism/claude-monet_water-lilies-6.jpg,9\r\n",
    "artist_class": "4 Claude_Monet\n9 Ivan_Aivazovsky\n",
    "artist_train": "(Path to image),, (Groundtruth class) \n\n"
    "Impressionism/claude-monet_water-lilies-1906.jpg,,4\n"
    "Romanticism/ivan-aivazovsky_storm(1).jpg,,9\n",
    "artist_val": "(Path to image),, (Groundtruth class)\n\n"
    "Impressionism/claude-monet_water-lilies-6.jpg,,4\n",
}
PICTURES = [
    "Baroque/rembrandt_the-carcass-of-an-ox-1657.jpg",
    "Impressionism/claude-monet_water-lilies-1906.jpg",
    "Impressionism/claude-monet_water-lilies-6.jpg",
    "Romanticism/arnold-bã¶cklin_at-alban-hills-1851.jpg",
    "Romanticism/ivan-aivazovsky_storm(1).jpg",
]


@pytest.fixture
def wikiart(tmp_path: Path) -> Path:
    return write(tmp_path / "source", "wikiart_csv", "wikiart")


def write(folder: Path, lists: str, pictures: str) -> Path:
    for name, text in LISTS.items():
        path = folder / lists / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    for name in PICTURES:
        path = folder / pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def labels(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {entry.relative: entry.labels for entry in listing.entries}


def heldout(listing: Listing) -> list[str]:
    return [entry.relative.rpartition("_")[2] for entry in listing.entries if entry.heldout]


def test_the_three_are_joined_by_path(wikiart: Path) -> None:
    listing = read_source(wikiart, None)
    assert listing.kind == "WikiArt by ArtGAN's lists"
    assert listing.fields == ("style", "genre", "artist")
    assert labels(listing) == {
        f"wikiart/{PICTURES[0]}": ("Baroque", "", ""),
        f"wikiart/{PICTURES[1]}": ("Impressionism", "landscape", "Claude_Monet"),
        f"wikiart/{PICTURES[2]}": ("Impressionism", "landscape", "Claude_Monet"),
        f"wikiart/{PICTURES[3]}": ("Romanticism", "", ""),
        f"wikiart/{PICTURES[4]}": ("Romanticism", "landscape", "Ivan_Aivazovsky"),
    }
    assert not listing.left_out
    assert listing.notes == [
        "genre lists: 1 row of another class than in an earlier row, which counts",
        "held out is what every WikiArt list that has it keeps for validation; --heldout and --seed "
        "have no effect",
        "1 picture for training in one WikiArt list and for validation in another; they are trained on",
    ]


def test_held_out_is_what_every_list_holds_out_whatever_the_labels(wikiart: Path) -> None:
    for asked in (None, (), ("style",), ("Artist", "genre")):
        assert heldout(read_source(wikiart, asked)) == ["water-lilies-6.jpg"]


def test_what_is_known_beside_the_labels(wikiart: Path) -> None:
    told = [entry.about for entry in read_source(wikiart, ("artist",)).entries]
    licence = "non-commercial research only"
    assert told[1] == {
        "style": "Impressionism",
        "genre": "landscape",
        "title": "water-lilies-1906",
        "year": "1906",
        "licence": licence,
    }
    assert told[3] == {
        "style": "Romanticism",
        "title": "at-alban-hills-1851",
        "artist": "arnold-böcklin",
        "year": "1851",
        "licence": licence,
    }
    assert "year" not in told[4]


@pytest.mark.parametrize(("lists", "pictures"), [("", ""), ("a/b", ""), ("wikiart", "wikiart")])
def test_the_lists_may_lie_anywhere(tmp_path: Path, lists: str, pictures: str) -> None:
    listing = read_source(write(tmp_path, lists, pictures), None)
    assert len(listing.entries) == 5
    assert not listing.left_out


def test_in_an_archive_as_in_a_folder(wikiart: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "wikiart.zip", "w") as file:
        for path in sorted(wikiart.rglob("*.*")) + sorted(wikiart.rglob("artist_*")):
            file.write(path, path.relative_to(tmp_path))
    with tarfile.open(tmp_path / "wikiart.tar", "w") as tar:
        tar.add(wikiart, "data")
    here = read_source(wikiart, None)
    for name in ("wikiart.zip", "wikiart.tar"):
        there = read_source(tmp_path / name, None)
        assert labels(there) == labels(here)
        assert [entry.heldout for entry in there.entries] == [e.heldout for e in here.entries]
        assert there.notes == here.notes
        assert there.contents is not None
        assert list(there.contents([0, 4])) == [PICTURES[0].encode(), PICTURES[4].encode()]


@pytest.mark.parametrize(
    "name",
    [
        "arnold-böcklin_at-alban-hills-1851.jpg",  # as it was meant
        "arnold-bo\u0308cklin_at-alban-hills-1851.jpg",  # as macOS stores it
        "arnold-bocklin_at-alban-hills-1851.jpg",
        "arnold-bcklin_at-alban-hills-1851.jpg",
        "arnold-b├г┬╢cklin_at-alban-hills-1851.jpg",  # unpacked with another code page
        "arnold-b#U00e3#U00b6cklin_at-alban-hills-1851.jpg",  # unpacked in the C locale
        "Arnold-BÃ¶cklin_at-alban-hills-1851.jpg",
    ],
)
def test_names_are_found_however_they_were_mangled(wikiart: Path, name: str) -> None:
    folder = wikiart / "wikiart" / "Romanticism"
    (folder / "arnold-bã¶cklin_at-alban-hills-1851.jpg").rename(folder / name)
    listing = read_source(wikiart, None)
    assert labels(listing)[f"wikiart/Romanticism/{name}"] == ("Romanticism", "", "")
    assert not listing.left_out
    assert "1 picture by another name here than in the WikiArt lists" in listing.notes[1]


def test_what_is_missing_or_not_listed_is_left_out(wikiart: Path) -> None:
    (wikiart / "wikiart" / PICTURES[3]).unlink()
    (wikiart / "wikiart" / "Baroque" / "new.jpg").write_bytes(b"")
    listing = read_source(wikiart, None)
    assert len(listing.entries) == 4
    assert listing.left_out == [
        (PICTURES[3], "listed but missing: in the WikiArt lists"),
        ("wikiart/Baroque/new.jpg", "not listed in the WikiArt lists"),
    ]


def test_some_of_the_lists_will_do(wikiart: Path) -> None:
    for path in wikiart.glob("*/genre_*"):
        path.unlink()
    listing = read_source(wikiart, None)
    assert listing.fields == ("style", "artist")
    with pytest.raises(ImpastoError, match=r"unknown label 'genre' .*; there is artist, style$"):
        read_source(wikiart, ("genre",))


def test_without_lists_for_validation_nothing_is_held_out_yet(wikiart: Path) -> None:
    for path in wikiart.glob("*/*_val*"):
        path.unlink()
    assert {entry.heldout for entry in read_source(wikiart, None).entries} == {None}


def test_rows_that_make_no_sense_are_counted(wikiart: Path) -> None:
    lists = wikiart / "wikiart_csv"
    with (lists / "style_train.csv").open("ab") as file:
        file.write(b"no comma here\r\n\r\nRomanticism/x.jpg,99\r\n" + b"y.jpg," + b"9" * 5000)
    notes = read_source(wikiart, None).notes
    assert "style lists: 2 rows without a path and a class, passed over" in notes
    assert "style lists: 1 row of a class without a name" in notes


def test_a_list_needs_the_names_of_its_classes(wikiart: Path) -> None:
    (wikiart / "wikiart_csv" / "genre_class.txt").write_text("landscape\n")
    with pytest.raises(ImpastoError, match="has no line such as '12 Impressionism'"):
        read_source(wikiart, None)
    (wikiart / "wikiart_csv" / "genre_class.txt").unlink()
    with pytest.raises(ImpastoError, match=re.escape("needs genre_class.txt beside it")) as caught:
        read_source(wikiart, None)
    assert "\n" not in str(caught.value)


def test_a_picture_without_a_name_for_its_class_has_none(wikiart: Path) -> None:
    text = LISTS["style_class.txt"].replace("4 Baroque\n", "")
    (wikiart / "wikiart_csv" / "style_class.txt").write_text(text)
    assert read_source(wikiart, ("style",)).entries[0].labels == ("",)


def test_quotation_marks_in_lists_give_no_picture_another_ones_class(wikiart: Path) -> None:
    rows = [
        '"Impressionism/claude-monet_water-lilies-1906.jpg",12',
        '"Baroque/rembrandt_the-carcass-of-an-ox-1657.jpg,4',
        "Romanticism/arnold-bã¶cklin_at-alban-hills-1851.jpg,23",
    ]
    (wikiart / "wikiart_csv" / "style_train.csv").write_text("\n".join(rows), encoding="utf-8")
    listing = read_source(wikiart, ("style",))
    assert {name.rpartition("/")[2]: label for name, (label,) in labels(listing).items()} == {
        "claude-monet_water-lilies-1906.jpg": "Impressionism",
        "claude-monet_water-lilies-6.jpg": "Impressionism",
        "arnold-bã¶cklin_at-alban-hills-1851.jpg": "Romanticism",
        "ivan-aivazovsky_storm(1).jpg": "Romanticism",
    }
    assert listing.left_out[0] == (
        "row 2 of wikiart_csv/style_train.csv",
        "row not readable: an open quotation mark in row 2 of wikiart_csv/style_train.csv; close it, "
        "or remove it",
    )


def test_lists_in_other_encodings_and_paths_with_commas(wikiart: Path) -> None:
    name = "Romanticism/arnold-böcklin_at-alban-hills, 1851.jpg"
    (wikiart / "wikiart" / PICTURES[3]).rename(wikiart / "wikiart" / name)
    for encoding in ("utf-16", "cp1252"):
        path = wikiart / "wikiart_csv" / "style_train.csv"
        path.write_bytes(f"{name},23\r\n{PICTURES[1]},12\r\n".encode(encoding))
        assert labels(read_source(wikiart, ("style",)))[f"wikiart/{name}"] == ("Romanticism",)
