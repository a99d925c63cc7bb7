"""The readers: what they claim, what they list, what they leave out, and what they refuse."""

import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.file_names import find_named, plain
from impasto.sources.listing import ABOUT, Listing
from impasto.sources.trees import Folder, UnusableError, tidy


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def paths(listing: Listing) -> list[str]:
    return [entry.relative for entry in listing.entries]


def labels(listing: Listing) -> list[tuple[str, ...]]:
    return [entry.labels for entry in listing.entries]


def reasons(listing: Listing) -> dict[str, str]:
    return {path: reason.partition(":")[0] for path, reason in listing.left_out}


def test_a_folder_lists_its_pictures_at_any_depth(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "sub/deep/c.webp", ".hidden.png", ".git/d.png", "notes.txt")
    touch(tmp_path, "__MACOSX/._a.png", "film.mp4", "raw.NEF", "photo.heic")
    listing = read_source(tmp_path, None)
    assert paths(listing) == ["a.png", "b.JPG", "photo.heic", "sub/deep/c.webp"]
    assert listing.fields == ()
    assert dict(listing.left_out) == {
        "film.mp4": "not a picture file by its name: .mp4",
        "raw.NEF": "not a picture file by its name: .nef, a camera raw file; develop it to JPEG, PNG or "
        "TIFF first",
    }


@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_a_picture_without_a_suffix_is_known_by_its_first_bytes(
    tmp_path: Path, suffix: str
) -> None:
    touch(tmp_path, "b/2.png", "LICENSE")
    (tmp_path / "a").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "1.x", suffix)
    (tmp_path / "a" / "1.x").rename(tmp_path / "a" / "1")
    (tmp_path / "long").write_bytes(b"neither picture nor suffix")
    listing = read_source(tmp_path, None)
    without = "not a picture file by its name: without a suffix"
    expected = [(name, without) for name in ("LICENSE", "a/1", "long")]
    if suffix == "PPM":  # Its mark, P6, may begin any text.
        assert (paths(listing), listing.left_out) == (["b/2.png"], expected)
    else:
        assert labels(listing) == [("a",), ("b",)]
        assert listing.left_out == [expected[0], expected[2]]


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


def test_each_level_of_folders_can_be_a_label(tmp_path: Path) -> None:
    touch(tmp_path, "Cubism/juan-gris/old/1.png", "Cubism/2.png", "Ukiyo-e/hokusai/3.png", "4.png")
    listing = read_source(tmp_path, ("style", "artist"))
    assert [(entry.relative, entry.labels) for entry in listing.entries] == [
        ("4.png", ("", "")),
        ("Cubism/2.png", ("Cubism", "")),
        ("Cubism/juan-gris/old/1.png", ("Cubism", "juan-gris")),
        ("Ukiyo-e/hokusai/3.png", ("Ukiyo-e", "hokusai")),
    ]
    assert listing.notes == [
        "2 pictures in fewer folders than there are labels: the missing labels are unknown",
        "the classes of style and artist are the folders of level 1 (Cubism, Ukiyo-e) and level 2 "
        "(hokusai, juan-gris), not those of level 3 (old); --labels artist=3 takes level 3, "
        "NAME=LEVEL,NAME=LEVEL several",
    ]
    with pytest.raises(
        ImpastoError, match=r"names 4: a, b, c, d; the pictures in .* 3 folders deep"
    ):
        read_source(tmp_path, ("a", "b", "c", "d"))


def test_a_folder_that_holds_everything_names_no_class(tmp_path: Path) -> None:
    touch(tmp_path, "wikiart/Cubism/gris/1.png", "wikiart/Fauvism/matisse/2.png")
    assert labels(read_source(tmp_path, None)) == [("Cubism",), ("Fauvism",)]
    both = [("Cubism", "gris"), ("Fauvism", "matisse")]
    assert labels(read_source(tmp_path, ("style", "artist"))) == both
    # But where it is all there is, it does.
    assert labels(read_source(tmp_path / "wikiart" / "Cubism", ("artist",))) == [("gris",)]


@pytest.mark.parametrize("top", ["", "data/"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "val")])
def test_folders_train_and_test_say_what_is_held_out(
    tmp_path: Path, top: str, train: str, test: str
) -> None:
    touch(
        tmp_path, f"{top}{train}/dogs/1.png", f"{top}{train}/cats/2.png", f"{top}{test}/dogs/3.png"
    )
    touch(tmp_path, f"{top}{test}/4.png")
    expected = {"1": ("dogs", False), "2": ("cats", False), "3": ("dogs", True), "4": ("", True)}
    for asked in (None, ("animal",)):
        listing = read_source(tmp_path, asked)
        told = {Path(e.relative).stem: (e.labels[0], e.heldout) for e in listing.entries}
        assert told == expected
        assert listing.notes[-1] == (
            f"held out is what the source itself has in {test}; --heldout and --seed have no effect "
            f"(they have if only {train} is packed)"
        )
    listing = read_source(tmp_path, ())
    assert listing.fields == ()
    assert [entry.heldout for entry in listing.entries].count(True) == 2


def test_train_and_test_without_classes_are_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "train/2.png", "test/3.png", "validation/4.png")
    listing = read_source(tmp_path, None)
    assert listing.kind == "a folder"
    assert [entry.heldout for entry in listing.entries] == [True, False, False, True]
    assert len(listing.notes) == 1
    with pytest.raises(ImpastoError, match="no labels 'animal'"):
        read_source(tmp_path, ("animal",))
    touch(tmp_path, "train/A/5.png")
    assert "--labels class would take" in read_source(tmp_path, None).notes[-1]
    touch(tmp_path / "deep", "in/a/folder/1.png", "2.png")
    assert not read_source(tmp_path / "deep", None).notes


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "bus/2.png", "test/3.png")
    listing = read_source(tmp_path, None)
    assert labels(listing) == [("bus",), ("test",), ("train",)]
    assert {entry.heldout for entry in listing.entries} == {None}
    # Training pictures alone: nothing is held out by the folder's name.
    touch(tmp_path / "other", "train/cats/1.png", "train/dogs/2.png")
    listing = read_source(tmp_path / "other", None)
    assert labels(listing) == [("cats",), ("dogs",)]
    assert {entry.heldout for entry in listing.entries} == {None}


def test_pictures_outside_the_class_folders_have_no_known_class(tmp_path: Path) -> None:
    touch(tmp_path, "dogs/1.png", "cats/2.png", "stray.png")
    listing = read_source(tmp_path, None)
    assert listing.kind == "a folder"
    assert listing.notes == [
        "no labels were asked for; --labels class would take the folders' names"
    ]
    assert not read_source(tmp_path, ()).notes
    touch(
        tmp_path / "many",
        *(f"{kind}/{place}.png" for kind in ("cats", "dogs") for place in range(5)),
    )
    touch(tmp_path / "many", "stray.png")
    few = read_source(tmp_path / "many", None)  # 1 of 11
    assert few.kind == "folders by class"
    assert labels(few) == [*[("cats",)] * 5, *[("dogs",)] * 5, ("",)]
    assert few.notes == [
        "1 picture in fewer folders than there are labels: the missing labels are unknown"
    ]
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
        (
            "sub/b.png",
            ("Fauvism", ""),
            {"title": "Sea, calm", "licence": "CC0", "license": "CC0"},
        ),
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


@pytest.mark.parametrize(
    ("delimiter", "mark"), [(",", "commas"), (";", "semicolons"), ("\t", "tabs")]
)
def test_a_row_whose_cells_are_not_as_many_as_the_columns(
    tmp_path: Path, delimiter: str, mark: str
) -> None:
    touch(tmp_path, *(f"{number}.png" for number in range(8)), "a, b.png")
    lines = [
        "file,title,style,",
        "0.png,Sea, calm,Fauvism",
        '1.png,"Sea, calm",Fauvism,,,',
        "2.png,Sea",
        "3.png",
        "4.png,,",
        "a, b.png,Sea,Op",
        "5.png,Sea,Op,Cubism",
        "0.png,again,Cubism",
        "6.png,,Op,",
        ",",
    ]
    write_table(tmp_path, "\n".join(lines).replace(",", delimiter))
    listing = read_source(tmp_path, ("style",))
    assert {entry.relative: entry.labels[0] for entry in listing.entries} == {
        "0.png": "Cubism",  # By its other row.
        "1.png": "Fauvism",
        "4.png": "",
        "6.png": "Op",
    }
    many = "row not readable: row {} of metadata.csv has 4 cells where there are 3 columns; "
    many += f"quote cells with {mark} in them"
    few = "row not readable: row {} of metadata.csv has {} where there are 3 columns; "
    few += "give it a cell for each column, blank or not"
    assert listing.left_out[:5] == [
        ("row 2 of metadata.csv", many.format(2)),
        ("2.png", few.format(4, "2 cells")),
        ("3.png", few.format(5, "1 cell")),
        ("row 7 of metadata.csv", many.format(7)),
        ("5.png", many.format(8)),
    ]
    assert sorted(listing.left_out[5:]) == [
        ("7.png", "not listed in metadata.csv"),
        ("a, b.png", "not listed in metadata.csv"),
    ]


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
        (
            "name,style\nno such picture,x\n",
            r"has no column 'file' \(or file_name, .*\) that says .*; it has name, style",
        ),
        ("file,style,Style\na.png,x,y\n", "two columns 'style'"),
        ("file,genre\na.png,x\n", r"unknown label column 'style' in .*; there is genre$"),
        ("a.png,x\nb.png,y\n", r"begins with a row \(a.png, x\); put a line above it that names"),
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


def write_lines(folder: Path, *rows: object, name: str = "metadata.jsonl") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in folders are a matter of Unix")
def test_a_pipe_in_place_of_a_table_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.csv")
    with pytest.raises(UnusableError, match="not a file"):
        Folder(tmp_path).read("metadata.csv")


def test_json_lines(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png", "3.png")
    write_lines(
        tmp_path,
        {"file_name": "1.png", "Style": "Cubism", "year": 1912, "labels": {"genre": "portrait"}},
        "",
        {"file_name": "2.png", "Style": None, "labels": {"genre": ["landscape", "marina"]}},
        "half a line {",
        ["3.png"],
        {"file_name": "3.png", "year": float("nan"), "boxes": [{"at": [1, 2]}], "sold": True},
        {"Style": "of no file"},
    )
    listing = read_source(tmp_path, ("style", "genre"))
    assert [(entry.relative, entry.labels, entry.about) for entry in listing.entries] == [
        ("1.png", ("Cubism", "portrait"), {"year": "1912"}),
        ("2.png", ("", "landscape"), {}),
        ("3.png", ("", ""), {"boxes": '[{"at": [1, 2]}]', "sold": "true"}),
    ]
    assert [path for path, _ in listing.left_out] == [
        f"row {number} of metadata.jsonl" for number in (4, 5, 7)
    ]
    assert listing.left_out[1][1] == "row not readable: no object in braces"
    assert listing.notes == [
        "genre: 1 picture of several classes, such as 'landscape|marina'; the first counts"
    ]
    inside = read_source(tmp_path, ("labels.genre",))
    assert (inside.fields, labels(inside)[1]) == (("labels.genre",), ("landscape",))
    with pytest.raises(ImpastoError, match=r"unknown label column 'artist' in .*labels\.genre"):
        read_source(tmp_path, ("artist",))


@pytest.mark.parametrize(
    "text", ["", "\n", "[1, 2]\n", "{\n", "[" * 100_000, '{"a": ' + "9" * 5000]
)
def test_json_lines_that_are_none(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "a.png")
    write_table(tmp_path, text, name="metadata.jsonl")
    with pytest.raises(ImpastoError, match="has no line such as") as caught:
        read_source(tmp_path, None)
    assert "\n" not in str(caught.value)


def test_half_a_letter_in_json_can_be_written_later(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    write_table(tmp_path, '{"file_name": "a.png", "title": "\\ud800!"}\n', name="metadata.jsonl")
    assert read_source(tmp_path, None).entries[0].about["title"] == "?!"


def test_one_class_a_field(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{number}.png" for number in range(7)))
    write_table(
        tmp_path,
        'file,genre\n0.png,portrait|landscape\n1.png,"[""marina"", ""portrait""]"\n'
        '2.png,[\'still life\']\n3.png,"[""D\'Orsay"", \'x\']"\n4.png,|\n5.png,[]\n6.png,[bare]\n',
    )
    listing = read_source(tmp_path, ("genre",))
    expected = ["portrait", "marina", "still life", "D'Orsay", "", "", "bare"]
    assert [given[0] for given in labels(listing)] == expected
    assert listing.notes == [
        "genre: 3 pictures of several classes, such as 'portrait|landscape'; the first counts"
    ]


def test_what_only_says_that_nobody_knows_is_no_class(tmp_path: Path) -> None:
    words = ["null", "None", "NaN", "N/A", "NA", "-", "?", "''", "unknown", "Unknown Genre"]
    words += ["#N/A", "#N/A N/A", "#NA", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"]
    words += [
        "#SPILL!",
        "#ref!",
        "(blank)",
        "(Leer)",
        "#BEZUG!",
        "#WERT!",
        "#NV",
        "#VALEUR!",
        "#NOM?",
    ]
    words += ["#¡DIV/0!", "#¿NOMBRE?", "#ССЫЛКА!", "#DĚLENÍ_NULOU!", "Err:502", "####", "-1.#IND"]
    words += ["n.a.", "--", "—", "...", "\\N", "(null)", "<NA>", "undefined"]
    kept = ["Unknown Artist", "A-", "#1", "#sunset!", "None of these", "!", "Nan Goldin", "(1)"]
    count = len(words) + len(kept)
    touch(tmp_path, *(f"{number}.png" for number in range(count)))
    rows = [f"{number}.png,{word},{word}\n" for number, word in enumerate(words + kept)]
    write_table(tmp_path, "file,genre,title\n" + "".join(rows))
    listing = read_source(tmp_path, ("genre",))
    genres = {Path(entry.relative).stem: entry.labels[0] for entry in listing.entries}
    assert [genres[str(number)] for number in range(count)] == [""] * len(words) + kept
    assert listing.notes == [
        f"genre: {len(words)} pictures of 'null' or 'None' or 'NaN', which counts as not known"
    ]
    # The one title that may be one is Unknown Genre.
    assert sum(not entry.about for entry in listing.entries) == len(words) - 1
    # A folder is there because somebody means it.
    touch(tmp_path / "folders", "NA/1.png", "-/2.png")
    assert labels(read_source(tmp_path / "folders", None)) == [("-",), ("NA",)]


def test_every_class_becomes_one_line_whatever_reads_it(tmp_path: Path) -> None:
    given = ["Pop\nArt", "Op\tArt", "Sur\u202erealism", "Art\u2028\x85Nouveau\x1b", "\ufeffCubism "]
    meant = ["Pop Art", "Op Art", "Surrealism", "Art Nouveau", "Cubism"]
    touch(tmp_path / "folders", *(f"{name}/{n}.png" for n, name in enumerate(given)))
    rows = [{"file_name": f"{n}.png", "style": name} for n, name in enumerate(given)]
    table = touch(tmp_path / "table", *(row["file_name"] for row in rows)) / "metadata.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    for source in ("folders", "table"):
        entries = read_source(tmp_path / source, ("style",)).entries
        found = {Path(entry.relative).stem: entry.labels for entry in entries}
        assert [found[str(n)] for n in range(5)] == [(name,) for name in meant]
    # Persian and emoji keep their joiners; names that become one are told.
    joined = ["\u0645\u06cc\u200c\u062e", "\U0001f469\u200d\U0001f3a8"]
    touch(tmp_path / "joined", *(f"{name}/1.png" for name in joined))
    touch(tmp_path / "joined", "Pop Art/1.png", "Pop\nArt/2.png")
    listing = read_source(tmp_path / "joined", None)
    assert {label for (label,) in labels(listing)} == {*joined, "Pop Art"}
    assert listing.notes == [
        "class: taken as one class, 'Pop Art': 'Pop\\nArt' and 'Pop Art', which differ by blanks or "
        "unseen characters alone"
    ]


def test_all_columns_are_told_and_some_by_other_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    write_table(
        tmp_path,
        "filename,author,artist,url,date,museum,style\n"
        "a.png,Ann,,https://example.org/a,c. 1872,Prado,x\nb.png,Ann,Bob,,,,y\n",
    )
    first, second = (entry.about for entry in read_source(tmp_path, ("style",)).entries)
    assert {name: first[name] for name in ABOUT if name in first} == {
        "artist": "Ann",
        "year": "c. 1872",
        "source": "https://example.org/a",
    }
    assert first["museum"] == "Prado"
    assert first["url"] == "https://example.org/a"
    assert second == {"author": "Ann", "artist": "Bob"}


def test_tables_in_the_folders_tell_of_what_is_below(tmp_path: Path) -> None:
    touch(tmp_path, "train/a.png", "train/more/b.png", "test/c.png", "test/d.png", "e.png")
    write_lines(tmp_path / "train", *({"file_name": f"{x}.png", "s": x} for x in ("a", "more/b")))
    write_table(tmp_path / "test", "file_name,s\nc.png,c\n", name="metadata.csv")
    write_table(tmp_path / "test", "file_name,s\nd.png,d\n", name="metadata.tsv")
    listing = read_source(tmp_path, ("s",))
    assert [(entry.relative, entry.labels[0], entry.heldout) for entry in listing.entries] == [
        ("e.png", "", False),
        ("test/c.png", "c", True),
        ("train/a.png", "a", False),
        ("train/more/b.png", "more/b", False),
    ]
    assert listing.left_out == [("test/d.png", "not listed in any table")]
    assert listing.notes[0].endswith("another table is beside it: test/metadata.tsv")
    assert listing.notes[1] == "1 picture outside of test, train: no table describes them"
    assert listing.notes[2].startswith("held out is what the source itself has in test;")


def test_a_table_in_a_folder_says_nothing_of_those_beside_it(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/2.png", "ab/3.png", "4.png")
    write_table(tmp_path / "a", "file,s\n1.png,x\n")
    listing = read_source(tmp_path, ("s",))
    assert [(entry.relative, entry.labels) for entry in listing.entries] == [
        ("4.png", ("",)),
        ("a/1.png", ("x",)),
        ("ab/3.png", ("",)),
    ]
    assert listing.left_out == [("a/2.png", "not listed in a/metadata.csv")]
    assert listing.notes == ["2 pictures outside of a: no table describes them"]
    assert paths(read_source(tmp_path / "a", ("s",))) == ["1.png"]


def test_of_two_tables_the_nearer_counts(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png", "b.png")
    write_table(tmp_path, "file,s\nsub/a.png,far\nb.png,b\n")
    write_table(tmp_path / "sub", "file,s\na.png,near\n")
    listing = read_source(tmp_path, ("s",))
    assert labels(listing) == [("b",), ("near",)]
    again = "listed again: row 2 of metadata.csv; row 2 of sub/metadata.csv counts"
    assert listing.left_out == [("sub/a.png", again)]


def test_a_column_split_says_what_is_held_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png", "test/d.png")
    write_table(tmp_path, "file,split\na.png,train\nb.png,Validation\nc.png,fold 3\ntest/d.png,\n")
    listing = read_source(tmp_path, None)
    assert [entry.heldout for entry in listing.entries] == [False, True, False, False]
    assert listing.notes[:2] == [
        "held out is what the column 'split' says (Validation); --heldout and --seed have no effect",
        "2 pictures with no known name of a split (fold 3), used for training",
    ]
    write_table(tmp_path, "file,split\na.png,1\nb.png,2\n")
    assert {entry.heldout for entry in read_source(tmp_path, None).entries} == {None}


def test_a_table_of_addresses_is_to_be_fetched_first(tmp_path: Path) -> None:
    write_table(tmp_path, "url,title\nhttps://example.org/a.png,A\n")
    with pytest.raises(ImpastoError, match="impasto fetch"):
        read_source(tmp_path / "metadata.csv", None)


def test_only_tables_about_pictures_count_by_themselves(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    write_table(tmp_path, "path,score\nmodels/best.ckpt,3\n", name="runs.csv")
    assert read_source(tmp_path, None).kind == "a folder"
    write_table(tmp_path, "path,style\na.png,x\n", name="pictures.csv")
    assert labels(read_source(tmp_path, ("style",))) == [("x",)]


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        ("a b.png", "deep/down/a b.png"),
        ("down/a.png", "deep/down/a.png"),
        ("C:\\Users\\ann\\pictures\\a.png", "a.png"),
        ("/home/ann/down/a.png", "down/a.png"),
        ("a%20b%C3%A9.png", "a bé.png"),
        ("A.PNG", "a.png"),
        ("a", "a.png"),
        ("a.tiff", "a.png"),
        ("garçon-à-la-pipe.jpg", "garcon-a-la-pipe.jpg"),
        ("garçon-à-la-pipe.jpg", "garã§on-ã\xa0-la-pipe.jpg"),
    ],
)
def test_a_file_is_found_where_only_one_can_be_meant(
    tmp_path: Path, listed: str, file: str
) -> None:
    touch(tmp_path, file, "other.png")
    write_table(tmp_path, f"file,style\n{listed},x\nother.png,y\n")
    listing = read_source(tmp_path, ("style",))
    assert {entry.relative: entry.labels for entry in listing.entries}[file] == ("x",)
    assert not listing.left_out


@pytest.mark.parametrize(
    ("listed", "files"),
    [
        (["1/a.png"], ["2/a.png"]),
        (["1/a.png", "2/a.png"], ["a.png"]),
        (["A.png", "a.PNG"], ["a.png"]),
        (["富士.png"], ["士.png"]),
        (["富士1.png"], ["1.png"]),
        (["x.png/"], [".png.png"]),
        (["../a.png"], ["a.png"]),
    ],
)
def test_a_file_that_may_not_be_meant_is_not_taken(
    tmp_path: Path, listed: list[str], files: list[str]
) -> None:
    touch(tmp_path, *files)
    write_table(tmp_path, "file\n" + "".join(f"{name}\n" for name in listed))
    listing = read_source(tmp_path, None)
    assert not listing.entries
    assert list(reasons(listing).values())[: len(listed)] == ["listed but missing"] * len(listed)


@pytest.mark.parametrize("listed", ["3.png", "3"])
def test_of_several_files_that_may_be_meant_two_are_named(tmp_path: Path, listed: str) -> None:
    touch(tmp_path, "train/3.png", "test/3.png", "test/4.png")
    write_table(tmp_path, f"file,style\n{listed},x\n4.png,y\n")
    listing = read_source(tmp_path, ("style",))
    assert [(entry.relative, entry.labels) for entry in listing.entries] == [("test/4.png", ("y",))]
    assert listing.left_out[0] == (
        listed,
        "listed, but several pictures are called so: row 2; name the folder too, as in test/3.png or "
        "train/3.png",
    )


def test_other_names_than_listed_are_noted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "sub/c.png")
    write_table(tmp_path, "file\nA.png\nb.jpg\nc.png\n")
    assert read_source(tmp_path, None).notes == [
        "2 pictures by another name here than in metadata.csv, such as A.png: a.png"
    ]


NAMES = st.text(st.sampled_from("aAbé%ã¶/.\\ "), min_size=1, max_size=8)


@given(
    listed=st.lists(NAMES, unique=True, max_size=8), files=st.lists(NAMES, unique=True, max_size=8)
)
@settings(max_examples=200)
def test_each_file_is_found_at_most_once(listed: list[str], files: list[str]) -> None:
    names = list({plain(name) for name in listed} - {""})
    found = find_named(names, files)
    assert set(found) <= set(names)
    assert len(set(found.values())) == len(found)
    assert set(found.values()) <= set(files)
    assert all(found.get(name) == name for name in names if name in files and tidy(name) == name)


def test_in_archives_as_in_folders(tmp_path: Path) -> None:
    folder = touch(tmp_path / "source", "train/a.png", "test/b.png")
    (folder / "train/a.png").write_bytes(b"picture a")
    write_table(folder, "file,style\nA.png,x\nb.png,y\n")
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as file:
        for path in sorted(folder.rglob("*.*")):
            file.write(path, path.relative_to(tmp_path))
    with tarfile.open(tmp_path / "it.tar.gz", "w:gz") as tar:
        tar.add(folder, "source")
    here = read_source(folder, ("style",))
    for name in ("it.zip", "it.tar.gz"):
        there = read_source(tmp_path / name, ("style",))
        assert [(e.relative, e.labels, e.about, e.heldout) for e in there.entries] == [
            (e.relative, e.labels, e.about, e.heldout) for e in here.entries
        ]
        assert there.notes == here.notes
        assert all(entry.stamp for entry in there.entries)
        assert there.contents is not None
        assert list(there.contents([1])) == [b"picture a"]


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
    with pytest.raises(ImpastoError, match="of no kind that can be read"):
        read_source(tmp_path / "a.png", None)
