"""StyleGAN's dataset: a zip or a folder with dataset.json."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.listing import Listing

NAMES = [f"{number // 4:05}/img{number:08}.png" for number in range(12)]


def picture(number: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def dataset(place: Path, table: Any, more: dict[str, str] | None = None) -> Path:
    """A zip, or a folder, of twelve pictures with this dataset.json, if any."""
    files: dict[str, bytes] = {name: picture(number) for number, name in enumerate(NAMES)}
    if table is not None:
        text = table if isinstance(table, str) else json.dumps(table)
        files["dataset.json"] = text.encode()
    files |= {name: text.encode() for name, text in (more or {}).items()}
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return place
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def labelled(*labels: Any, **more: Any) -> dict[str, Any]:
    return {"labels": [[name, labels[n % len(labels)]] for n, name in enumerate(NAMES)], **more}


def classes(listing: Listing) -> list[str]:
    return [entry.labels[0] for entry in listing.entries]


@pytest.mark.parametrize("place", ["faces.zip", "faces"])
def test_packed_from_a_zip_or_a_folder(tmp_path: Path, place: str) -> None:
    source = dataset(tmp_path / place, labelled(0, 10, 3))
    report = pack(source, tmp_path / "x", PackOptions(resolution=16, heldout=0))
    collection = report.collection
    assert '"kind": "StyleGAN\'s dataset"' in (tmp_path / "x/collection.json").read_text()
    assert [(field.name, field.classes) for field in collection.fields] == [
        ("class", ("00", "03", "10"))
    ]
    assert [row["path"] for row in collection.source_table()] == NAMES
    assert collection.labels[:, 0].tolist() == [0, 2, 1] * 4
    pixels = np.asarray(Image.open(io.BytesIO(picture(7))))
    assert np.array_equal(collection.images(np.array([7]))[0], pixels)
    assert not report.left_out


def test_a_folder_around_the_zip_makes_no_difference(tmp_path: Path) -> None:
    source = dataset(tmp_path / "in/wrapped", labelled(0, 1))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(source.rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "in"))
    listing = read_source(tmp_path / "a.zip", None)
    assert classes(listing) == ["0", "1"] * 6
    stamps = {entry.stamp for entry in listing.entries}
    assert len(stamps) == len(NAMES)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((4.0, -1, None), ["4", "", ""]),
        (([0, 1, 0], [1, 0, 0], [0, 0, 0]), ["1", "0", ""]),
        (([0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]), ["2", "0", "1"]),
        ((99, 9, 100), ["099", "009", "100"]),
        (("cat", "sea  dog", "unknown"), ["cat", "sea dog", ""]),
        ((11, "cat", "3"), ["11", "cat", "03"]),
    ],
)
def test_kinds_of_labels(tmp_path: Path, labels: tuple[Any, ...], expected: list[str]) -> None:
    listing = read_source(dataset(tmp_path / "a.zip", labelled(*labels)), None)
    assert classes(listing) == expected * 4


@pytest.mark.parametrize(
    "label", [[0.3, 0.7], [1, 1, 0], [1], [], True, 0.5, {"a": 1}, [[1, 0]], [True, False]]
)
def test_labels_that_are_no_classes_are_left_out(tmp_path: Path, label: Any) -> None:
    source = dataset(tmp_path / "a.zip", labelled(0, label))
    listing = read_source(source, None)
    assert (listing.fields, len(listing.entries)) == ((), 12)
    (note,) = listing.notes
    assert note.startswith("the labels in dataset.json are no classes, such as ")
    assert note.endswith(f"of {NAMES[1]}: they were left out")
    with pytest.raises(ImpastoError, match=r"no labels 'pose' in .*: the labels in dataset\.json"):
        read_source(source, ("pose",))


@pytest.mark.parametrize(
    "row", [["00000/img00000001.png"], [3, 4], None, "ab", ["00000/img00000001.png", [0.3, 0.7]]]
)
def test_a_row_that_is_none_costs_no_others(tmp_path: Path, row: Any) -> None:
    table = labelled(0, 1)
    table["labels"][1] = row
    listing = read_source(dataset(tmp_path / "a.zip", table), ("kind",))
    assert classes(listing) == ["0", "", *["0", "1"] * 5]
    if row and len(row) == 2 and row[0] == NAMES[1]:
        (note,) = listing.notes
        assert note == (
            "1 label in dataset.json taken as not known: no classes, such as [0.3, 0.7] of "
            + NAMES[1]
        )
    else:
        note, without = listing.notes
        assert note == (
            'passed over in "labels" of dataset.json, as not [name, class]: 1 row, such as number 1, '
            "from 0"
        )
        assert without == "1 picture without a label in dataset.json, so of no known class"


@pytest.mark.parametrize("table", [{"labels": None}, {"labels": []}, None])
def test_without_labels(tmp_path: Path, table: Any) -> None:
    # Their folders hold a thousand pictures each, and are no classes.
    source = dataset(tmp_path / "a.zip", table)
    listing = read_source(source, None)
    assert (listing.kind, listing.fields, len(listing.entries)) == ("StyleGAN's dataset", (), 12)
    with pytest.raises(ImpastoError, match=r"no labels 'class' in .*: its dataset\.json has none"):
        read_source(source, ("class",))


def test_names_of_the_field_and_of_classes(tmp_path: Path) -> None:
    source = dataset(
        tmp_path / "a.zip", labelled(0, 1, field="style", class_names=["Fauvism", "Op"])
    )
    listing = read_source(source, None)
    assert listing.fields == ("style",)
    assert classes(listing) == ["Fauvism", "Op"] * 6
    assert read_source(source, ("kind",)).fields == ("kind",)
    assert read_source(source, ()).fields == ()
    with pytest.raises(ImpastoError, match="holds one label, but --labels names 2: a, b"):
        read_source(source, ("a", "b"))
    for name in ("classes.txt", "class_names.txt"):
        source = dataset(tmp_path / "b.zip", labelled(0, 1), {name: "cat\ndog \n\n"})
        assert classes(read_source(source, None)) == ["cat", "dog"] * 6


@pytest.mark.parametrize(
    "names", [["a"], ["a", "a"], ["a", ""], "ab", [1, 2], {"0": "a", "1": "b"}]
)
def test_names_that_do_not_fit(tmp_path: Path, names: Any) -> None:
    source = dataset(tmp_path / "a.zip", labelled(0, 1, class_names=names))
    with pytest.raises(ImpastoError, match=r'"class_names" in .*dataset\.json'):
        read_source(source, None)


def test_what_is_listed_and_what_is_there(tmp_path: Path) -> None:
    table = labelled(0, 1)
    table["labels"] = [[name.replace("/", "\\"), label] for name, label in table["labels"][2:]]
    table["labels"].append(["00009/img00009999.png", 7])
    source = dataset(tmp_path / "a.zip", table, {"film.mp4": ""})
    listing = read_source(source, None)
    assert classes(listing) == ["", "", *["0", "1"] * 5]
    assert listing.left_out == [
        ("film.mp4", "not a picture file by its name: .mp4"),
        ("00009/img00009999.png", "listed but missing: in dataset.json"),
    ]
    assert listing.notes == ["2 pictures without a label in dataset.json, so of no known class"]
    # As some write it.
    source = dataset(tmp_path / "b.zip", {"labels": dict(labelled(0, 1)["labels"])})
    assert classes(read_source(source, None)) == ["0", "1"] * 6


@pytest.mark.parametrize(
    "table",
    [
        '{"labels": [',
        '["labels"]',
        '{"labels": 3}',
        '{"labels": [["a.png"]]}',
        '{"labels": ["ab"]}',
        '{"labels": [[1, 2]]}',
        '{"labels": [["a.png", %s]]}' % ("9" * 5000),
        '{"labels": ' + "[" * 100_000,
        '\xff\xfe"labels"',
    ],
)
def test_damaged_tables(tmp_path: Path, table: str) -> None:
    with pytest.raises(ImpastoError) as caught:
        read_source(dataset(tmp_path / "a.zip", table), None)
    assert "dataset.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_tables_of_that_name_are_none(tmp_path: Path) -> None:
    source = dataset(tmp_path / "a", {"name": "birds"})
    assert read_source(source, None).kind == "folders by class"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stylegan")


@settings(max_examples=150)
@given(
    labels=JSON | st.lists(st.tuples(st.sampled_from(NAMES), JSON), max_size=4),
    names=JSON,
    field=JSON,
)
def test_tables_of_any_kind(place: Path, labels: Any, names: Any, field: Any) -> None:
    text = json.dumps({"labels": labels, "class_names": names, "field": field})
    try:
        listing = read_source(dataset(place / "a.zip", text), None)
    except ImpastoError as error:
        assert "\n" not in str(error)  # noqa: PT017
    else:
        assert len(listing.entries) == 12
        assert all(len(entry.labels) == len(listing.fields) for entry in listing.entries)
