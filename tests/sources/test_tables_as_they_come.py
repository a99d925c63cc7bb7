"""Tables beside pictures as people have them: headers, encodings, JSON, columns of ids."""

import json
from pathlib import Path

import pytest

from impasto.errors import ImpastoError
from impasto.readers import read_source, table
from impasto.sources.class_names import read_merges
from impasto.sources.listing import Listing
from impasto.tabular import Key, Table

ROWS = {"a.jpg": "Cubism", "b.jpg": "Fauvism", "c.jpg": "Op"}


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def styles(listing: Listing) -> dict[str, str]:
    return {entry.relative: entry.labels[0] for entry in listing.entries}


def read(folder: Path, content: bytes, name: str = "metadata.csv") -> Listing:
    touch(folder, *ROWS)
    (folder / name).write_bytes(content)
    return read_source(folder, ("style",))


@pytest.mark.parametrize(
    ("name", "reader"), [("train.csv", "read_delimited"), ("metadata.json", "read_json")]
)
def test_a_table_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reader: str
) -> None:
    counted, calls = getattr(table, reader), list[str]()

    def count(text: str, name: str, key: Key) -> Table:
        calls.append(name)
        found: Table = counted(text, name, key)
        return found

    monkeypatch.setattr(table, reader, count)
    content = "file,style\n" + "".join(f"{file},{style}\n" for file, style in ROWS.items())
    if name == "metadata.json":
        content = json.dumps([{"file": file, "style": style} for file, style in ROWS.items()])
    assert styles(read(tmp_path, content.encode(), name)) == ROWS
    assert calls == [name]


LINES = "".join(f"{name};{style}\r\n" for name, style in ROWS.items())


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nfile_name;style\r\n" + LINES,
        '"sep=;"\r\n\r\nfile_name;style\r\n' + LINES,
        "\r\n\r\nfile_name;style\r\n" + LINES,
        "My pictures\r\n\r\nfile_name;style\r\n" + LINES,
        ";;\r\nFile Name;Style;\r\n" + LINES,
        "file name, as scanned;style\r\n" + LINES,
        "Bild, und wo;style\r\n" + LINES,
        "sep=|\r\nfile|style\r\n" + LINES.replace(";", "|"),
        "file|style\r\n" + LINES.replace(";", "|"),
        "file\tstyle, or so\tstyle\n" + LINES.replace(";", "\tx\t"),
        '"file";"style"\r' + LINES.replace("\r\n", "\r"),
        '"file\nname";"style"\r\n' + LINES,
        "file;style;title, with, many, commas\r\n" + LINES.replace("\r\n", ";a, b, c\r\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_headers(tmp_path: Path, text: str, encoding: str) -> None:
    listing = read(tmp_path, text.encode(encoding))
    assert styles(listing) == ROWS
    assert listing.left_out == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\x14\0\0\0[Content_Types].xml PK\x03\x04xl/workbook.xml", "an Excel workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel workbook: save it as CSV"),
        (b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet", "OpenDocument"),
        (b"\x1f\x8b\x08\x00 not a table", "compressed"),
        (b"\n<html><table><tr><td>file</td></tr></table>", "is a web page"),
        (bytes(range(1, 32)) * 9, "is no text"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"file\x1b[31m,st\x07yle\nx,y\n", r"it has file\?\[31m, st\?yle"),
        (b"", r"is empty; its first line names the columns, such as file,style"),
        (b"sep=;\r\n\r\n", "is empty"),
    ],
)
def test_what_is_no_table_is_one_printable_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(ImpastoError, match=message) as caught:
        read(tmp_path, content)
    assert str(caught.value).isprintable()


def test_an_encoding_that_was_guessed_is_noted(tmp_path: Path) -> None:
    western = read(tmp_path, "file,style\na.jpg,Géométrie\n".encode("cp1252"))
    assert styles(western) == {"a.jpg": "Géométrie"}
    assert western.notes[0].endswith(
        "metadata.csv is not in UTF-8 and was read as Windows-1252 (Western European); save it as "
        "UTF-8 if letters with accents come out wrong"
    )
    mixed = "file,style\na.jpg,Géométrie\n".encode() + "b.jpg,Géométrie\n".encode("cp1252")
    listing = read(tmp_path, mixed)
    assert set(styles(listing).values()) == {"Géométrie"}
    assert "is in UTF-8 but for 1 line, read as Windows-1252" in listing.notes[0]


def test_an_open_quotation_mark_is_left_out_and_the_next_rows_are_their_own(tmp_path: Path) -> None:
    names = [f"{n}.jpg" for n in range(12)]
    touch(tmp_path, *names)
    marks = {4: '"', 8: '"'}
    rows = [f"{name},{marks.get(n, '')}Untitled {n},s{n}" for n, name in enumerate(names)]
    (tmp_path / "metadata.csv").write_text("file_name,title,style\n" + "\n".join(rows))
    listing = read_source(tmp_path, ("style",))
    assert styles(listing) == {name: f"s{n}" for n, name in enumerate(names) if n not in marks}
    assert listing.left_out == [
        (
            f"{n}.jpg",
            f"row not readable: an open quotation mark in row {n + 2} of metadata.csv; close it, or "
            "remove it",
        )
        for n in marks
    ]


# --- Which column, which picture -------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    [
        "File Name",
        "FILENAME",
        "img_path",
        "image",
        "Image_ID",
        "id",
        "picture",
        "image-file",
        "path",
    ],
)
@pytest.mark.parametrize("ending", [".jpg", ""])
def test_columns_of_files(tmp_path: Path, column: str, ending: str) -> None:
    lines = "".join(f"{style},{name[0]}{ending}\n" for name, style in ROWS.items())
    assert styles(read(tmp_path, f"style,{column}\n{lines}".encode())) == ROWS


def test_a_column_of_any_name_if_only_it_names_pictures(tmp_path: Path) -> None:
    lines = "".join(f"{style},{name}\n" for name, style in ROWS.items())
    listing = read(tmp_path, f"style,Werk\n{lines}".encode())
    assert styles(listing) == ROWS
    assert "metadata.csv: column 'werk' says which picture is meant" in listing.notes
    with pytest.raises(ImpastoError, match=r"has no column 'file' .* it has style, werk$"):
        read(tmp_path, b"style,Werk\nx,none.jpg\n")


def test_of_several_columns_the_one_that_names_pictures(tmp_path: Path) -> None:
    lines = "".join(f"7{n},{name},{style}\n" for n, (name, style) in enumerate(ROWS.items()))
    assert styles(read(tmp_path, f"id,image,style\n{lines}".encode())) == ROWS
    assert styles(read(tmp_path, f"image,id,style\n{lines}".encode())) == ROWS


@pytest.mark.parametrize("written", ["{:d}", "{:.1f}", "{:05d}", "{:d}.jpg", "{:.2f}"])
@pytest.mark.parametrize("called", ["{:d}.jpg", "{:05d}.jpg", "sub/{:03d}.png"])
def test_numbers_as_spreadsheets_leave_them(tmp_path: Path, written: str, called: str) -> None:
    touch(tmp_path, *(called.format(n) for n in (0, 7, 12, 120)))
    rows = "".join(f"{written.format(n)},s{n}\n" for n in (0, 7, 12, 120))
    (tmp_path / "metadata.csv").write_text(f"image_id,style\n{rows}")
    listing = read_source(tmp_path, ("style",))
    assert styles(listing) == {called.format(n): f"s{n}" for n in (0, 7, 12, 120)}
    assert "4 pictures by another name here than in metadata.csv" in " ".join(
        [
            *listing.notes,
            "4 pictures by another name here than in metadata.csv" * (written == called),
        ]
    )


def test_a_number_that_two_pictures_may_have_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "01.jpg", "007.jpg", "0012.jpg")
    (tmp_path / "metadata.csv").write_text("id,style\n1.0,x\n7,y\n12,z\n12.0,w\n")
    listing = read_source(tmp_path, ("style",))
    assert styles(listing) == {"007.jpg": "y"}
    # And it is not what is left when the other one has been taken.
    (tmp_path / "metadata.csv").write_text("id,style\n1,v\n1.0,x\n")
    assert styles(read_source(tmp_path, ("style",))) == {"1.jpg": "v"}


def test_labels_that_differ_from_their_column_by_blanks(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "metadata.csv").write_text("file,Art Style,art movement\na.jpg,x,y\n")
    assert read_source(tmp_path, ("art_style",)).entries[0].labels == ("x",)


def test_a_table_of_another_name_counts_where_it_is_the_only_one_of_ids(tmp_path: Path) -> None:
    touch(tmp_path, *ROWS)
    rows = "".join(f"{name[0]},{style}\n" for name, style in ROWS.items())
    (tmp_path / "labels.csv").write_text(f"id,style\n{rows}")
    (tmp_path / "prices.csv").write_text("id,price\n77,1\n")
    assert styles(read_source(tmp_path, ("style",))) == ROWS
    (tmp_path / "submission.csv").write_text(f"id,style\n{rows}")
    assert read_source(tmp_path, None).kind == "a folder"


# --- JSON ------------------------------------------------------------------------------------------


OBJECTS = [{"file_name": name, "style": style} for name, style in ROWS.items()]


@pytest.mark.parametrize(
    "value",
    [
        OBJECTS,
        {"info": {"year": 2020}, "images": OBJECTS},
        {"data": OBJECTS},
        {name: {"style": style} for name, style in ROWS.items()},
        {name[0]: {"style": style, "n": 1} for name, style in ROWS.items()},
        {
            "file_name": {str(n): name for n, name in enumerate(ROWS)},
            "style": {str(n): style for n, style in enumerate(ROWS.values())},
        },
        {"file_name": list(ROWS), "style": list(ROWS.values())},
        {
            "columns": ["file_name", "style"],
            "index": [0, 1, 2],
            "data": [[name, style] for name, style in ROWS.items()],
        },
    ],
)
def test_tables_in_one_value_of_json(tmp_path: Path, value: object) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        text = json.dumps(value, indent=1)
        assert styles(read(tmp_path, text.encode(encoding), "metadata.json")) == ROWS


def test_numbers_of_rows_without_a_name_as_r_writes_them(tmp_path: Path) -> None:
    lines = ["file,style,title", "1,a.jpg,x,T", '2,b.jpg,y,"A, b"']
    assert styles(read(tmp_path, "\n".join(lines).encode())) == {"a.jpg": "x", "b.jpg": "y"}
    # What is no number of a row may be a cell with a comma.
    lines[1] = "4,a.jpg,x,T"
    assert not styles(read(tmp_path, "\n".join(lines).encode()))


def test_of_several_tables_the_one_that_has_the_labels(tmp_path: Path) -> None:
    touch(tmp_path, "train/t1.jpg", "train/t2.jpg", "test/s1.jpg")
    (tmp_path / "train.csv").write_text("image_id,style\nt1,x\nt2,y\n")
    (tmp_path / "test.csv").write_text("image_id\ns1\n")
    (tmp_path / "sample_submission.csv").write_text("image_id,x,y\ns1,0.5,0.5\n")
    listing = read_source(tmp_path, ("style",))
    assert styles(listing) == {"train/t1.jpg": "x", "train/t2.jpg": "y"}
    with pytest.raises(
        ImpastoError, match=r"or as SOURCE: sample_submission.csv, test.csv, train.csv"
    ):
        read_source(tmp_path, ("genre",))


def test_a_list_of_objects_called_json_lines(tmp_path: Path) -> None:
    assert styles(read(tmp_path, json.dumps(OBJECTS, indent=1).encode(), "metadata.jsonl")) == ROWS


def test_json_that_is_no_table_is_passed_over_or_said_to_be_none(tmp_path: Path) -> None:
    touch(tmp_path, *ROWS)
    path = tmp_path / "metadata.json"
    for text in (
        '{"title": "My pictures", "licences": [{"name": "CC0"}]}',
        "[1, 2]",
        "{half",
        "[]",
    ):
        path.write_text(text)
        assert read_source(tmp_path, None).kind == "a folder"
        with pytest.raises(ImpastoError, match=r"is no table in JSON, such as \[\{\"file_name\""):
            read_source(path, None)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.json"])
def test_objects_that_say_something_twice_are_left_out(tmp_path: Path, name: str) -> None:
    rows = [
        '{"file_name": "a.jpg", "style": "Op", "style": "Pop"}',
        '{"file_name": "b.jpg", "style": "Op", "Style": "Pop"}',
        '{"file_name": "c.jpg", "style": "Op"}',
    ]
    text = "\n".join(rows) if name.endswith("l") else f"[{','.join(rows)}]"
    listing = read(tmp_path, text.encode(), name)
    assert styles(listing) == {"c.jpg": "Op"}
    assert listing.left_out[:2] == [
        (f"row {n} of {name}", "row not readable: has 'style' twice") for n in (1, 2)
    ]


# --- Merges ----------------------------------------------------------------------------------------


def test_merges_in_a_table_are_held_to_the_same(tmp_path: Path) -> None:
    path = tmp_path / "merges.csv"
    path.write_bytes('sep=;\r\nField;From;To\r\nstyle;"Op; Art";Op\r\n'.encode("utf-16"))
    assert read_merges(str(path)) == ["style: Op = Op; Art"]
    path.write_text('field,from,to\nstyle,"Op Art,Op\nstyle,Pop Art,Pop\n')
    with pytest.raises(ImpastoError, match=r"--merge: an open quotation mark in row 2 of .*merges"):
        read_merges(str(path))
    path.write_text("field,from,to\nstyle,Op,Art,Op\n")
    with pytest.raises(ImpastoError, match=r"row 2 of .*merges\.csv has 4 cells where there are 3"):
        read_merges(str(path))
