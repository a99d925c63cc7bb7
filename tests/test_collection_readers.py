"""The readers: what they claim, what they list, what they leave out, and what they refuse."""

from pathlib import Path

import pytest

from impasto.collection.listing import Listing
from impasto.collection.readers import read_source
from impasto.errors import ImpastoError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def paths(listing: Listing) -> list[str]:
    return [entry.relative for entry in listing.entries]


def reasons(listing: Listing) -> dict[str, str]:
    return {path: reason.partition(":")[0] for path, reason in listing.left_out}


def test_a_folder_lists_its_pictures_at_any_depth(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "sub/deep/c.webp", ".hidden.png", ".git/d.png", "notes.txt")
    touch(tmp_path, "__MACOSX/._a.png", "film.mp4", "raw.heic")
    listing = read_source(tmp_path, None)
    assert paths(listing) == ["a.png", "b.JPG", "sub/deep/c.webp"]
    assert listing.fields == ()
    assert reasons(listing) == dict.fromkeys(
        ["film.mp4", "raw.heic"], "not a picture file by its name"
    )


def test_a_link_in_a_circle_is_followed_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.png")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert paths(read_source(tmp_path, None)) == ["a/x.png"]


def test_an_earlier_collection_inside_the_folder_is_passed_over(tmp_path: Path) -> None:
    touch(
        tmp_path, "x.png", "packed/collection.json", "packed/images-00000.npy", "packed/sheet.png"
    )
    listing = read_source(tmp_path, None)
    assert paths(listing) == ["x.png"]
    assert not listing.left_out
    with pytest.raises(ImpastoError, match="is a collection already"):
        read_source(tmp_path / "packed", None)


def test_folders_by_class(tmp_path: Path) -> None:
    touch(tmp_path, "dogs/1.png", "cats/2.png", "cats/more/3.png")
    listing = read_source(tmp_path, None)
    assert listing.fields == ("class",)
    assert [(entry.relative, entry.labels) for entry in listing.entries] == [
        ("cats/2.png", ("cats",)),
        ("cats/more/3.png", ("cats",)),
        ("dogs/1.png", ("dogs",)),
    ]
    assert read_source(tmp_path, ("animal",)).fields == ("animal",)
    with pytest.raises(ImpastoError, match="hold one label"):
        read_source(tmp_path, ("animal", "colour"))


def test_pictures_outside_the_class_folders_have_no_known_class(tmp_path: Path) -> None:
    touch(tmp_path, "dogs/1.png", "cats/2.png", "stray.png")
    assert read_source(tmp_path, None).kind == "a folder"
    listing = read_source(tmp_path, ("animal",))
    assert {entry.relative: entry.labels for entry in listing.entries}["stray.png"] == ("",)


def test_labels_need_something_to_be_taken_from(tmp_path: Path) -> None:
    touch(tmp_path, "1.png")
    with pytest.raises(ImpastoError, match="no labels 'style'"):
        read_source(tmp_path, ("style",))


def write_table(
    folder: Path, text: str, encoding: str = "utf-8", name: str = "metadata.csv"
) -> None:
    (folder / name).write_bytes(text.encode(encoding))


def test_a_table_gives_labels_and_what_is_known(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "sub/b.png", "extra.png")
    write_table(
        tmp_path,
        "file,title,Style,artist,license\n"
        'sub\\b.png,"Sea, calm",Fauvism,,CC0\n'
        "./a.png,,  ,Ann,\n"
        "gone.png,,Fauvism,,\n"
        "a.png,,Fauvism,,\n"
        ",,Fauvism,,\n"
        "\n",
    )
    listing = read_source(tmp_path, ("style", "artist"))
    assert [(entry.relative, entry.labels, entry.about) for entry in listing.entries] == [
        ("a.png", ("", "Ann"), {"artist": "Ann"}),
        ("sub/b.png", ("Fauvism", ""), {"title": "Sea, calm", "licence": "CC0"}),
    ]
    assert listing.left_out == [
        ("gone.png", "listed but missing: row 4"),
        ("a.png", "listed again: row 5; row 3 counts"),
        ("row 6 of metadata.csv", "no file named in its row"),
        ("extra.png", "not listed in metadata.csv"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_as_spreadsheets_write_them(tmp_path: Path, encoding: str, delimiter: str) -> None:
    touch(tmp_path, "é.png")
    text = "file,artist\r\né.png,Dürer\r\n".replace(",", delimiter)
    write_table(tmp_path, text, encoding)
    listing = read_source(tmp_path, ("artist",))
    assert [entry.labels for entry in listing.entries] == [("Dürer",)]
    assert not listing.left_out


def test_names_match_however_their_accents_are_written(tmp_path: Path) -> None:
    touch(tmp_path, "e\u0301.png")  # as macOS stores it
    write_table(tmp_path, "file,style\n\u00e9.png,a\n")
    assert paths(read_source(tmp_path, ("style",))) == ["e\u0301.png"]


def test_a_table_can_be_named_itself_or_be_the_only_one(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    write_table(tmp_path, "file_name,style\na.png,x\n", name="my pictures.csv")
    write_table(tmp_path, "colour,number\nred,1\n", name="other.csv")
    assert read_source(tmp_path, ("style",)).fields == ("style",)
    assert paths(read_source(tmp_path / "my pictures.csv", None)) == ["a.png"]
    write_table(tmp_path, "file\na.png\n", name="third.csv")
    with pytest.raises(ImpastoError, match=r"several tables .*my pictures.csv, third.csv"):
        read_source(tmp_path, None)


def test_without_labels_the_note_says_which_there_are(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    write_table(tmp_path, "file,title,style,genre\na.png,t,x,y\n")
    listing = read_source(tmp_path, None)
    assert listing.fields == ()
    assert listing.notes == [
        "no labels were asked for; --labels takes columns of the table: genre, style"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("name,style\na.png,x\n", r"has no column 'file'; it has name, style"),
        ("file,style,Style\na.png,x,y\n", "two columns 'style'"),
        ("file,genre\na.png,x\n", r"unknown label column 'style' in .*; there is genre$"),
        ('file,style\na.png,"x' + "y" * 200_000 + "\n", "is not a readable table"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path, "a.png")
    write_table(tmp_path, text)
    with pytest.raises(ImpastoError, match=message) as caught:
        read_source(tmp_path, ("style",))
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "metadata.csv").write_bytes(b"file,style\n\x81\x8d\xff")
    with pytest.raises(ImpastoError, match="save it as UTF-8"):
        read_source(tmp_path, ("style",))


def test_a_file_listed_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "secret.png", "inside/a.png")
    write_table(tmp_path / "inside", "file\n../secret.png\na.png\n")
    listing = read_source(tmp_path / "inside", None)
    assert paths(listing) == ["a.png"]
    assert reasons(listing) == {"../secret.png": "listed but missing"}


def test_sources_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="there is no"):
        read_source(tmp_path / "nowhere", None)
    touch(tmp_path, "a.png")
    with pytest.raises(ImpastoError, match="neither a folder nor a table"):
        read_source(tmp_path / "a.png", None)
