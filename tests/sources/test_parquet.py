"""Hugging Face's parquet: what is in it by any description, streamed, and when it is damaged."""

import datetime
import decimal
import io
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks import wikiart_shape
from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import parquet, read_source
from impasto.sources import parquet_files as parquet_files
from impasto.sources.listing import Listing
from impasto.sources.trees import UnusableError

IMAGE = {"_type": "Image"}
STYLES = ["Baroque", "Cubism", "Ukiyo_e"]
GENRES = ["landscape", "portrait", "Unknown Genre"]


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (6, 4), (number % 256, number // 256, 7)).save(file, "PNG")
    return file.getvalue()


def label(*names: str) -> dict[str, Any]:
    return {"_type": "ClassLabel", "names": list(names)}


def images(numbers: Sequence[int], paths: Sequence[str | None] | None = None) -> pa.Array:
    """As `datasets` stores pictures."""
    files = pa.array([png(number) for number in numbers], pa.binary())
    names = pa.array(paths or [None] * len(numbers), pa.string())
    return pa.StructArray.from_arrays([files, names], ["bytes", "path"])


def write(
    path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, **how: Any
) -> Path:
    table = pa.table(columns)
    if features is not None:
        told = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": told})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **how)
    return path


def contents(listing: Listing, numbers: Sequence[int] | None = None) -> list[Any]:
    assert listing.contents is not None
    wanted = range(len(listing.entries)) if numbers is None else numbers
    return [
        str(content) if isinstance(content, UnusableError) else content
        for content in listing.contents(wanted)
    ]


@pytest.fixture
def wikiart(tmp_path: Path) -> Path:
    """20 rows in two files for training, in row groups of 3, and 4 rows for testing."""
    features = {"image": IMAGE, "style": label(*STYLES), "genre": label(*GENRES)}
    for name, numbers in {
        "train-00000-of-00002": range(12),
        "train-00001-of-00002": range(12, 20),
        "test-00000-of-00001": range(20, 24),
    }.items():
        columns = {
            "image": images(numbers),
            "style": [number % 3 for number in numbers],
            "genre": [number % 4 if number % 4 < 3 else None for number in numbers],
            "title": [f" Nr. {number}" if number else None for number in numbers],
            "license": ["CC0" for _ in numbers],
        }
        write(tmp_path / "data" / f"{name}.parquet", columns, features, row_group_size=3)
    (tmp_path / "README.md").write_text("---\nlicense: unknown\n---\n# WikiArt\n")
    return tmp_path


def expected(number: int) -> tuple[tuple[str, str], dict[str, str]]:
    genre = ("landscape", "portrait", "", "")[number % 4]
    about = {"licence": "CC0"} | ({"title": f"Nr. {number}"} if number else {})
    return (STYLES[number % 3], genre), about


def test_a_folder_as_the_hub_has_it(wikiart: Path) -> None:
    listing = read_source(wikiart, None)
    assert listing.fields == ("style", "genre")
    # Files come by name, so those for testing are first.
    order = [*range(20, 24), *range(20)]
    assert [(entry.labels, entry.about) for entry in listing.entries] == [
        expected(number) for number in order
    ]
    assert [entry.heldout for entry in listing.entries] == [True] * 4 + [False] * 20
    assert listing.entries[5].relative == "data/train-00000-of-00002.parquet/00000001"
    assert len({entry.stamp for entry in listing.entries}) == 24
    assert contents(listing) == [png(number) for number in order]
    assert listing.notes == [
        "'Unknown Genre' counts as unknown, not as a class of genre (6 pictures)",
        "held out are the data set's own test and validation parts (4 pictures); --heldout and "
        "--seed have no effect",
    ]
    assert not listing.left_out


def test_a_file_alone_has_no_parts(wikiart: Path) -> None:
    test = wikiart / "data" / "test-00000-of-00001.parquet"
    listing = read_source(test, None)
    assert [entry.heldout for entry in listing.entries] == [None] * 4
    assert listing.entries[0].relative == "test-00000-of-00001.parquet/00000000"
    blob = wikiart / "ab12"  # as the hub's cache names it
    blob.write_bytes(test.read_bytes())
    assert [entry.labels for entry in read_source(blob, None).entries] == [
        expected(number)[0] for number in range(20, 24)
    ]


def test_labels_are_chosen_by_name(wikiart: Path) -> None:
    listing = read_source(wikiart, ("Genre",))
    assert listing.fields == ("genre",)
    assert listing.entries[4].labels == ("landscape",)
    assert listing.entries[4].about == {"style": "Baroque", "licence": "CC0"}
    assert read_source(wikiart, ()).fields == ()
    with pytest.raises(ImpastoError, match=r"unknown label column 'mood' .* genre, license, style"):
        read_source(wikiart, ("mood",))


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("data/train-00000-of-00003.parquet", False),
        ("data/validation-00000-of-00003.parquet", True),
        ("default/test/0000.parquet", True),
        ("default/partial-train/0000.parquet", False),
        ("my_val.parquet", True),
        ("contest.parquet", None),
        ("latest/part.0.parquet", None),
    ],
)
def test_parts_are_told_by_their_names(name: str, held: bool | None) -> None:
    assert parquet._heldout(name) == held


@given(st.sets(st.integers(0, 23)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_in_rising_order(wikiart: Path, numbers: set[int]) -> None:
    listing = read_source(wikiart, None)
    order = [*range(20, 24), *range(20)]
    wanted = sorted(numbers)
    assert contents(listing, wanted) == [png(order[number]) for number in wanted]


def test_only_row_groups_with_a_wanted_row_are_read(
    wikiart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[int, list[int]]] = []
    cells = parquet._cells

    def told(opened: Any, column: str, group: int, rows: list[int]) -> Any:
        read.append((group, rows))
        return cells(opened, column, group, rows)

    monkeypatch.setattr(parquet, "_cells", told)
    listing = read_source(wikiart, None)
    assert contents(listing, [4, 5, 12, 23]) == [png(number) for number in (0, 1, 8, 19)]
    assert read == [(0, [0, 1]), (2, [2]), (2, [1])]


@pytest.mark.parametrize(
    "how", [{"row_group_size": 40}, {"write_batch_size": 4, "use_dictionary": False}]
)
def test_memory_is_bounded_by_row_group_and_page(tmp_path: Path, how: dict[str, Any]) -> None:
    """12 MB of pictures, in row groups of 0.8 MB each or in one of pages of 1 MB."""
    noise = np.random.default_rng(0).bytes(20_000)
    files = [number.to_bytes(4, "big") + noise for number in range(600)]
    path = write(tmp_path / "a.parquet", {"image": [{"bytes": file} for file in files]}, **how)
    listing = read_source(path, None)
    before = pa.total_allocated_bytes()
    most = 0
    assert listing.contents is not None
    for number, content in enumerate(listing.contents(range(600))):
        assert content == files[number]
        most = max(most, pa.total_allocated_bytes() - before)
    # A page as stored, the same decompressed, what was read ahead, and a batch.
    assert 0 < most < 8e6
    assert pa.total_allocated_bytes() - before < 1e6


def infos(features: dict[str, Any]) -> str:
    return json.dumps({"huggan--wikiart": {"description": "", "features": features}})


CARD = """---
dataset_info:
- config_name: default
  features:
  - name: picture
    dtype: image
  - name: style
    dtype:
      class_label:
        names:
          '0': Baroque
          '1': Cubism
          '2': Ukiyo_e
---
"""


@pytest.mark.parametrize(
    "given", ["", "snapshots/ab12", "snapshots/ab12/data", "snapshots/ab12/data/train-0.parquet"]
)
@pytest.mark.parametrize("file", ["dataset_infos.json", "README.md"])
def test_old_data_sets_are_described_beside_their_files(
    tmp_path: Path, file: str, given: str
) -> None:
    features = {"picture": IMAGE, "style": label(*STYLES) | {"num_classes": 3, "id": None}}
    columns = {"style": [2, 0, -1, 3], "picture": images(range(4))}
    path = write(tmp_path / "snapshots" / "ab12" / "data" / "train-0.parquet", columns)
    (path.parent.parent / file).write_text(infos(features) if file.endswith("json") else CARD)
    listing = read_source(tmp_path / given, None)
    assert listing.fields == ("style",)
    assert [entry.labels[0] for entry in listing.entries] == ["Ukiyo_e", "Baroque", "", ""]
    assert listing.notes == [
        "1 picture with a number in style that no class has; it counts as unknown"
    ]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '{"a": []}', '{"a": {"features": {"style": 1}}}', "[" * 2000),
        "{features: [{name: style, dtype: {class_label: {names: {x: y}}}}, 3]}",
        "{features: [{name: style, dtype: {class_label: {names: 3}}}]}",
    ],
)
def test_descriptions_that_are_damaged_describe_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset_infos.json").write_text(text)
    # As deep in YAML, it takes PyYAML seconds to give up.
    (tmp_path / "README.md").write_text(f"---\ndataset_info: {text[:200]}\n---\n")
    write(tmp_path / "a.parquet", {"image": images(range(2)), "style": [2, 0]}, {"style": 7})
    listing = read_source(tmp_path, None)
    assert listing.fields == ()
    (note,) = listing.notes
    assert note.startswith("no column has names of classes")
    assert note.endswith("--labels takes any of style")
    assert [entry.labels for entry in read_source(tmp_path, ("style",)).entries] == [("2",), ("0",)]


def test_columns_of_every_kind(tmp_path: Path) -> None:
    day = datetime.datetime(1889, 6, 1, 12, 30)
    columns = {
        "image": images(range(3)),
        "shared": pa.array(["a", None, "a"]).dictionary_encode(),
        "large": pa.array(["é", "e\u0301 ", None], pa.large_string()),
        "price": pa.array(
            [decimal.Decimal("12.50"), None, decimal.Decimal(0)], pa.decimal128(9, 2)
        ),
        "when": pa.array([day, None, day], pa.timestamp("ns")),
        "day": pa.array([day.date(), None, None]),
        "year": [1889.0, float("nan"), None],
        "signed": [True, None, False],
        "bytes": pa.array([b"no picture", None, b""]),
        "zoned": pa.array([day, None, None], pa.timestamp("s", "America/New_York")),
        "tags": [["a", "b"], [], None],
        "size": [{"width": 3}, None, {"width": 4}],
        "nothing": pa.nulls(3),
        "License": ["CC0", "", " "],
        "__index_level_0__": [0, 1, 2],
        "story": ["once " * 900, None, None],
    }
    listing = read_source(write(tmp_path / "a.parquet", columns), ("shared", "story"))
    assert [entry.labels for entry in listing.entries] == [
        ("a", ("once " * 900).strip()),
        ("", ""),
        ("a", ""),
    ]
    whole = {"large": "é", "price": "12.50", "when": "1889-06-01 12:30:00.000000000"}
    assert listing.entries[0].about == whole | {
        "day": "1889-06-01",
        "year": "1889",
        "signed": "true",
        "zoned": "1889-06-01 12:30:00.000",
        "licence": "CC0",
    }
    assert listing.entries[1].about == {"large": "é"}
    assert contents(listing) == [png(number) for number in range(3)]
    listing = read_source(tmp_path / "a.parquet", None)
    assert "columns of long texts were skipped: story" in listing.notes


def test_strings_that_are_no_utf_8(tmp_path: Path) -> None:
    bad = pa.array([b"D\xfcrer", b"x"]).view(pa.string())
    path = write(tmp_path / "a.parquet", {"image": images(range(2)), "artist": bad})
    assert read_source(path, None).entries[0].about == {"artist": "D\ufffdrer"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_columns_of_bytes_that_are_pictures(tmp_path: Path, kind: pa.DataType) -> None:
    columns = {
        "hash": pa.array([b"1234", b"5678"], kind),
        "jpeg": pa.array([None, png(1)], kind),
    }
    listing = read_source(write(tmp_path / "a.parquet", columns), None)
    assert contents(listing) == ["no picture: its row is empty", png(1)]
    coded = {"jpeg": pa.array([png(2), png(2)]).dictionary_encode()}
    listing = read_source(write(tmp_path / "b.parquet", coded), None)
    assert contents(listing) == [png(2), png(2)]


def test_sound_is_no_pictures(tmp_path: Path) -> None:
    sound = [{"bytes": b"RIFF", "path": "a.wav"}]
    columns = {"audio": sound, "cover": images([3]), "thumb": pa.array([png(4)])}
    features = {"audio": {"_type": "Audio"}, "cover": {"_type": "Image"}}
    assert contents(read_source(write(tmp_path / "a.parquet", columns, features), None)) == [png(3)]
    features["cover"]["_type"] = "Video"
    assert contents(read_source(write(tmp_path / "b.parquet", columns, features), None)) == [png(4)]


def test_pictures_given_by_path_lie_beside(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(9))
    folder = tmp_path / "pictures"
    (folder / "data" / "sub").mkdir(parents=True)
    (folder / "data" / "sub" / "a.png").write_bytes(png(1))
    (folder / "b.png").write_bytes(png(2))
    paths = ["sub/a.png", "b.png", "gone.png", "../../secret.png", None, "e.png"]
    rows: list[dict[str, Any]] = [{"bytes": None, "path": path} for path in paths]
    rows[-1]["bytes"] = png(3)
    write(folder / "data" / "x.parquet", {"image": rows})
    listing = read_source(folder / "data", None)
    assert listing.entries[0].relative == "x.parquet/00000000"
    found = contents(read_source(folder, None))
    assert found == [
        png(1),
        png(2),
        "listed but missing: gone.png",
        "listed but missing: ../../secret.png",
        "no picture: its row is empty",
        png(3),
    ]
    write(folder / "y.parquet", {"file_name": ["b.png", "data/sub/a.png"], "style": ["x", "y"]})
    listing = read_source(folder / "y.parquet", ("style",))
    assert contents(listing) == [png(2), png(1)]
    assert [entry.labels for entry in listing.entries] == [("x",), ("y",)]


def test_pictures_have_their_own_names_where_no_two_are_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": images([0, 1], ["/x/0.png", "y\\1.png"])})
    write(tmp_path / "b.parquet", {"image": images([2], ["2.png"])})
    names = [entry.relative for entry in read_source(tmp_path, None).entries]
    assert names == ["x/0.png", "y/1.png", "2.png"]
    write(tmp_path / "b.parquet", {"image": images([2], ["x/0.png"])})
    names = [entry.relative for entry in read_source(tmp_path, None).entries]
    assert names == ["a.parquet/00000000", "a.parquet/00000001", "b.parquet/00000000"]


def test_a_column_that_is_not_in_every_file(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": images([0]), "mood": ["calm"]})
    write(tmp_path / "b.parquet", {"image": images([1])})
    write(tmp_path / "c.parquet", {"mood": ["calm"]})
    listing = read_source(tmp_path, ("mood",))
    assert [entry.labels for entry in listing.entries] == [("calm",), ("",)]
    assert listing.left_out == [("c.parquet", "not pictures: a parquet file with none in it")]
    with pytest.raises(ImpastoError, match="has no column of pictures: neither"):
        read_source(tmp_path / "c.parquet", None)


def test_a_folder_of_pictures_is_one_whatever_parquet_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1))
    write(tmp_path / "table.parquet", {"style": ["x"]})
    (tmp_path / "b.parquet").write_bytes(b"PAR1")
    assert [entry.relative for entry in read_source(tmp_path, None).entries] == ["a.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged or was cut short"),
        (b"PAR1PAR1", "is damaged or was cut short"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid x\n",
            "is a Git LFS pointer; fetch the files themselves",
        ),
        (None, "is damaged or was cut short"),
    ],
)
def test_a_file_that_is_none_is_one_line(
    wikiart: Path, content: bytes | None, message: str
) -> None:
    path = wikiart / "data" / "train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    with pytest.raises(ImpastoError, match=message) as caught:
        read_source(wikiart, None)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_what_is_damaged_inside_costs_a_row_group(wikiart: Path) -> None:
    path = wikiart / "data" / "train-00000-of-00002.parquet"
    group = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[group.data_page_offset : group.data_page_offset + 40] = bytes(40)
    path.write_bytes(content)
    found = contents(read_source(wikiart, None))
    assert all("is damaged here" in text for text in found[7:10])
    assert found[:7] + found[10:] == [
        png(number) for number in [*range(20, 24), *range(3), *range(6, 20)]
    ]


def test_a_file_that_goes_away_meanwhile_costs_its_rows(wikiart: Path) -> None:
    listing = read_source(wikiart, None)
    (wikiart / "data" / "train-00000-of-00002.parquet").unlink()
    found = contents(listing)
    assert all(text.startswith("unreadable for now: cannot read") for text in found[4:16])
    assert found[16:] == [png(number) for number in range(12, 20)]


def test_where_a_disk_fails_it_is_for_now(wikiart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = read_source(wikiart, None)
    opened = parquet_files.opened_file

    class Failing:
        def iter_batches(self, **_: Any) -> Any:
            raise OSError(5, "Input/output error")

    @contextmanager
    def failing(path: Path) -> Iterator[Any]:
        with opened(path):
            yield Failing()

    monkeypatch.setattr(parquet, "opened_file", failing)
    assert all(text.startswith("unreadable for now: ") for text in contents(listing))


@given(st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bytes_changed_anywhere_never_stop_the_rest(wikiart: Path, data: st.DataObject) -> None:
    whole = (wikiart / "data" / "train-00000-of-00002.parquet").read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = wikiart / "mutated.parquet"
    path.write_bytes(content)
    try:
        listing = read_source(path, None)
    except ImpastoError:
        return
    assert listing.contents is not None
    found = list(listing.contents(range(len(listing.entries))))
    assert len(found) == len(listing.entries)
    assert all(isinstance(content, bytes | UnusableError) for content in found)


def test_without_pyarrow_it_says_what_to_install(
    wikiart: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[parquet\]'"):
        read_source(wikiart, None)


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    return [wikiart_shape.picture(number) for number in range(600)]


@pytest.mark.parametrize("kind", ["parquet", "lists"])
def test_wikiarts_shape_in_small(kind: str, pictures: list[bytes], tmp_path: Path) -> None:
    """600 rows with all of WikiArt's classes; in parquet, of 5 MB, 12 row groups in 3 files."""
    made = wikiart_shape.rows(600)
    if kind == "parquet":
        wikiart_shape.make_parquet(tmp_path / "source", made, pictures, files=3, group_rows=50)
    else:
        wikiart_shape.make_lists(tmp_path / "source", made, pictures)
    held: list[int] = []
    report = pack(
        tmp_path / "source",
        tmp_path / "packed",
        PackOptions(resolution=16, duplicates="none", workers=1),
        lambda done, total: held.append(pa.total_allocated_bytes()),
    )
    assert wikiart_shape.check(report.collection, made, files=3, looked_at=20) == []
    assert not report.left_out
    if kind == "parquet":
        assert len(held) >= 600
        assert 0 < max(held) - min(held) < 2.5e6
