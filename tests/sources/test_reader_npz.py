"""NumPy's arrays of pictures, in .npz and .npy."""

import contextlib
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.listing import Listing
from impasto.sources.trees import UnusableError

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 8, 10, 3), np.uint8)
GREY = np.random.default_rng(1).integers(0, 256, (12, 8, 10), np.uint8)


def npz(path: Path, compressed: bool = False, **arrays: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def shown(listing: Listing, numbers: Any = None) -> np.ndarray:
    assert listing.contents is not None
    assert listing.decoded
    numbers = range(len(listing.entries)) if numbers is None else numbers
    made = list(listing.contents(numbers))
    for each in made:
        assert isinstance(each, np.ndarray)
        assert each.dtype == np.uint8
    return np.array(made)


def classes(listing: Listing) -> list[str]:
    return [entry.labels[0] for entry in listing.entries]


def test_more_rows_than_a_file_can_hold(tmp_path: Path) -> None:
    blank = np.zeros((40_000, 4, 5), np.uint8)
    assert len(read_source(npz(tmp_path / "a.npz", True, x=blank), None).entries) == 40_000
    with pytest.raises(ImpastoError, match=r"claims 80,000 pictures in [0-9,]{5} bytes"):
        read_source(npz(tmp_path / "b.npz", True, x=blank, z=blank), None)
    assert len(read_source(npz(tmp_path / "c.npz", x=blank, z=blank), None).entries) == 80_000


@pytest.mark.parametrize("compressed", [False, True])
def test_medmnist(tmp_path: Path, compressed: bool) -> None:
    source = npz(
        tmp_path / "pathmnist.npz",
        compressed,
        train_images=COLOUR[:6],
        val_images=COLOUR[6:8],
        test_images=COLOUR[8:],
        train_labels=np.array([[0], [1], [10], [0], [1], [2]], np.uint8),
        val_labels=np.array([[1], [2]], np.uint8),
        test_labels=np.array([[0], [1], [0], [1]], np.uint8),
    )
    report = pack(source, tmp_path / "x", PackOptions(resolution=8, duplicates="none"))
    collection = report.collection
    assert '"kind": "NumPy arrays"' in (tmp_path / "x/collection.json").read_text()
    assert [(field.name, field.classes) for field in collection.fields] == [
        ("class", ("00", "01", "02", "10"))
    ]
    table = collection.source_table()
    assert [row["path"] for row in table][5:7] == [
        "pathmnist/train_images/00005",
        "pathmnist/val_images/00000",
    ]
    assert [row["class"] for row in table[:3]] == ["00", "01", "10"]
    assert np.array_equal(collection.heldout_indices, range(6, 12))
    assert np.array_equal(collection.images(np.arange(12)), COLOUR[:, :, 1:9])
    assert not report.left_out


def test_kuzushiji(tmp_path: Path) -> None:
    folder = tmp_path / "k49"
    npz(folder / "k49-train-imgs.npz", True, arr_0=GREY[:7])
    npz(folder / "k49-train-labels.npz", True, arr_0=np.arange(7) % 3)
    npz(folder / "k49-test-imgs.npz", True, arr_0=GREY[7:])
    npz(folder / "k49-test-labels.npz", True, arr_0=np.arange(5) % 2)
    (folder / "k49_classmap.csv").write_text("index,codepoint\n")
    listing = read_source(folder, None)
    assert [(entry.relative, entry.labels, entry.heldout) for entry in listing.entries][4:9] == [
        ("k49-test-imgs/00004", ("0",), True),
        *((f"k49-train-imgs/0000{n}", (str(n % 3),), False) for n in range(4)),
    ]
    assert np.array_equal(shown(listing)[..., 0], np.concatenate([GREY[7:], GREY[:7]]))
    # One file alone, the labels beside it.
    alone = read_source(folder / "k49-train-imgs.npz", ("letter",))
    assert (alone.fields, classes(alone)) == (("letter",), ["0", "1", "2", "0", "1", "2", "0"])
    assert {entry.heldout for entry in alone.entries} == {None}


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (("images", "labels"), "class"),
        (("x", "y"), "class"),
        (("arr_0", "arr_1"), "class"),
        (("data", "targets"), "class"),
        (("pixels", "fine_labels"), "fine"),
    ],
)
def test_names(tmp_path: Path, names: tuple[str, str], field: str) -> None:
    arrays: dict[str, Any] = {names[0]: GREY, names[1]: np.arange(12)}
    source = npz(tmp_path / "a.npz", **arrays)
    listing = read_source(source, None)
    assert (listing.fields, classes(listing)[9:]) == ((field,), ["09", "10", "11"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (COLOUR, COLOUR),
        (GREY, GREY[..., None].repeat(3, 3)),
        (GREY[..., None], GREY[..., None].repeat(3, 3)),
        (COLOUR.transpose(0, 3, 1, 2).copy(), COLOUR),
        (GREY[:, None], GREY[..., None].repeat(3, 3)),
        (COLOUR.astype(np.int64), COLOUR),
        (COLOUR.astype(">u2") * 257, COLOUR),
        (COLOUR / 255, COLOUR),
        ((COLOUR / 255).astype(np.float16), COLOUR),
        ((COLOUR / 127.5 - 1).astype(np.float32), COLOUR),
        (COLOUR.astype(np.float32), COLOUR),
        (GREY > 127, (GREY > 127)[..., None].repeat(3, 3) * np.uint8(255)),
        (np.concatenate([COLOUR, np.full_like(COLOUR[..., :1], 255)], 3), COLOUR),
        (np.concatenate([COLOUR, np.zeros_like(COLOUR[..., :1])], 3), np.full_like(COLOUR, 255)),
    ],
)
@pytest.mark.parametrize("kind", ["npy", "npz", "compressed"])
def test_kinds_of_pictures(
    tmp_path: Path, given: np.ndarray, expected: np.ndarray, kind: str
) -> None:
    if kind == "npy":
        source = npy(tmp_path / "a.npy", given)
    else:
        source = npz(tmp_path / "a.npz", kind == "compressed", x=given)
    listing = read_source(source, None)
    assert np.array_equal(shown(listing), expected)
    assert not len(shown(listing, []))
    for numbers in ([11], [0, 5, 6], range(3, 9)):
        assert np.array_equal(shown(listing, numbers), expected[list(numbers)])
    assert [entry.relative for entry in listing.entries][10:] == ["a/00010", "a/00011"]
    assert len({entry.stamp for entry in listing.entries}) == 12


def test_the_range_is_that_of_all_parts(tmp_path: Path) -> None:
    dark = np.zeros((3, 8, 8), np.float32)
    light = dark + 1
    bipolar = np.stack([dark - 1, light])[:, 0]
    source = npz(tmp_path / "a.npz", x_train=np.concatenate([bipolar, light]), x_test=dark)
    assert shown(read_source(source, None))[:, 0, 0, 0].tolist() == [0, *[255] * 4, 128, 128, 128]


@pytest.mark.parametrize("scale", [-2, 300, 1e9, np.nan, np.inf])
def test_values_of_no_range(tmp_path: Path, scale: float) -> None:
    source = npy(tmp_path / "a.npy", np.full((2, 8, 8), float(scale)))
    with pytest.raises(ImpastoError, match=r"the pictures in .*a\.npy have values from"):
        read_source(source, None)
    source = npy(tmp_path / "b.npy", np.full((2, 8, 8), -1, np.int16))
    with pytest.raises(ImpastoError, match="have values from -1 to -1"):
        read_source(source, None)


def test_a_picture_with_values_that_are_no_numbers(tmp_path: Path) -> None:
    values = np.full((3, 8, 8), 0.5)
    values[1, 3, 3] = np.nan
    listing = read_source(npy(tmp_path / "a.npy", values), None)
    assert listing.contents is not None
    made = list(listing.contents(range(3)))
    assert isinstance(made[1], UnusableError)
    assert str(made[1]).startswith("unreadable: some of its pixels are no numbers")
    assert np.array_equal(shown(listing, [2]), np.full((1, 8, 8, 3), 128))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (np.array([7, 120, 0]), ["007", "120", "000"]),
        (np.array([1.0, 0.0, np.nan]), ["1", "0", ""]),
        (np.array([0.5, 1, 1]), ["0.5", "1.0", "1.0"]),
        (np.array([1.0, 0.0, 2.0]), ["1", "0", "2"]),
        (np.array([-1, 5, 6]), ["", "5", "6"]),
        (np.array([True, False, True]), ["1", "0", "1"]),
        (np.array([b"Cubism", b"Op Art ", b""]), ["Cubism", "Op Art", ""]),
        (np.array(["Cubism", "unknown", "é"]), ["Cubism", "", "é"]),
        (np.eye(3), ["0", "1", "2"]),
        (np.array([[0, 1], [1, 0], [0, 1]]), ["1", "0", "1"]),
    ],
)
def test_kinds_of_labels(tmp_path: Path, given: np.ndarray, expected: list[str]) -> None:
    listing = read_source(npz(tmp_path / "a.npz", x=GREY[:3], y=given), None)
    assert classes(listing) == expected


def test_labels_that_are_several_are_left_out(tmp_path: Path) -> None:
    source = npz(tmp_path / "a.npz", x=GREY, y=np.ones((12, 14), np.uint8))
    listing = read_source(source, None)
    assert listing.fields == ()
    assert listing.notes == [
        f"y [12, 14] uint8 in {source} does not hold one value for each picture: it was left out"
    ]
    with pytest.raises(ImpastoError, match=r"no label 'class' in .*: y \[12, 14\] uint8 in"):
        read_source(source, ("class",))


def test_labels_are_chosen_and_named(tmp_path: Path) -> None:
    source = npz(
        tmp_path / "a.npz",
        x=GREY,
        y=np.arange(12) % 2,
        Style=np.array(["Op", "Pop"] * 6),
        year=np.arange(12) + 1900,
        class_names=np.array(["cat", "dog"]),
        mean=np.zeros(3),
    )
    listing = read_source(source, None)
    assert (listing.fields, classes(listing)[:2]) == (("class",), ["cat", "dog"])
    assert listing.entries[1].about == {"style": "Pop", "year": "1901"}
    listing = read_source(source, ("Style", "class"))
    assert (listing.fields, listing.entries[1].labels) == (("style", "class"), ("Pop", "dog"))
    assert read_source(source, ("animal",)).fields == ("animal",)
    assert read_source(source, ()).fields == ()
    with pytest.raises(ImpastoError, match=r"unknown label 'kind' in .*; there is class, style"):
        read_source(source, ("kind", "style"))


def test_arrays_of_objects_are_never_loaded(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'made'}",)

    given: tuple[tuple[str, dict[str, Any]], ...] = (
        ("a", {"x": np.array([Attack()] * 12, object)}),
        ("b", {"x": GREY, "y": np.array([Attack()] * 12, object)}),
        ("c", {"x": GREY, "y": np.array([("a", None)] * 12, [("f", "U3"), ("g", object)])}),
    )
    for name, arrays in given:
        source = npz(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(
            ImpastoError, match="holds Python objects, which could run code"
        ) as caught:
            read_source(source, None)
        assert "\n" not in str(caught.value)
    assert len(read_source(tmp_path / "b.npz", ()).entries) == 12
    source = npz(tmp_path / "f.npz", x=GREY, y=np.arange(12), meta=np.array([Attack()], object))
    assert classes(read_source(source, None))[:2] == ["00", "01"]
    assert "holds Python objects" in read_source(source, None).notes[0]
    with pytest.raises(ImpastoError, match="holds Python objects"):
        read_source(npy(tmp_path / "d.npy", np.array([Attack()] * 12, object)), None)
    (tmp_path / "e.npy").write_bytes(pickle.dumps(Attack()))
    with pytest.raises(ImpastoError, match="damaged or was cut short"):
        read_source(tmp_path / "e.npy", None)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((12, 3072), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((12, 8, 8, 5), np.uint8),
        np.zeros((12, 2, 2), np.uint8),
        np.zeros((0, 8, 8), np.uint8),
        np.zeros((12, 8, 8), np.complex64),
        np.zeros((12, 8, 8), "U4"),
        np.zeros((12, 8, 8), "M8[s]"),
        np.zeros((2, 3, 8, 8, 3), np.uint8),
        np.uint8(3),
    ],
)
def test_arrays_of_something_else(tmp_path: Path, array: np.ndarray) -> None:
    source = npz(tmp_path / "a" / "b.npz", x=array, y=np.zeros(3))
    with pytest.raises(
        ImpastoError, match=r"no array of pictures, .*; it has x \[.*, y \[3\] float64"
    ):
        read_source(source, None)
    # In a folder, they are only passed over.
    assert read_source(source.parent, None).kind == "a folder"


def test_arrays_in_fortran_order(tmp_path: Path) -> None:
    source = npz(tmp_path / "a.npz", x=np.asfortranarray(COLOUR))
    with pytest.raises(ImpastoError, match=r"save np\.ascontiguousarray of it"):
        read_source(source, None)


def test_a_folder_of_pictures_and_arrays_is_one_of_pictures(tmp_path: Path) -> None:
    npy(tmp_path / "features.npy", GREY)
    (tmp_path / "a.png").write_bytes(b"")
    assert read_source(tmp_path, None).kind == "a folder"
    (tmp_path / "a.png").unlink()
    assert read_source(tmp_path, None).kind == "NumPy arrays"
    npy(tmp_path / "features-labels.npy", np.arange(12))
    npy(tmp_path / "features-style.npy", np.array(["Op"] * 12))
    npy(tmp_path / "other-labels.npy", np.arange(12))
    listing = read_source(tmp_path, None)
    assert (listing.fields, listing.entries[2].labels) == (("class",), ("02",))
    assert listing.entries[2].about == {"style": "Op"}
    reason = "neither pictures nor something of each: other-labels.npy [12] int64"
    assert listing.left_out == [("other-labels.npy", reason)]
    assert read_source(tmp_path, ("style",)).entries[2].labels == ("Op",)


def test_large_arrays_take_little_memory(tmp_path: Path) -> None:
    pictures = np.zeros((6000, 64, 64, 3), np.uint8)
    pictures[:, 0, 0, 0] = np.arange(6000) % 256
    source = npz(tmp_path / "a.npz", True, x=pictures)
    del pictures
    tracemalloc.start()
    listing = read_source(source, None)
    assert listing.contents is not None
    for number, made in enumerate(listing.contents(range(0, 6000, 3))):
        assert isinstance(made, np.ndarray)
        assert made[0, 0, 0] == number * 3 % 256
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23  # 74 MB of pixels


def test_damage(tmp_path: Path) -> None:
    source = npz(tmp_path / "a.npz", True, x=COLOUR, y=np.arange(12))
    whole = source.read_bytes()
    for length in range(0, len(whole), 199):
        source.write_bytes(whole[:length])
        with pytest.raises(ImpastoError, match="damaged or was cut short"):
            read_source(source, None)
    pictures = np.random.default_rng(2).integers(0, 256, (100, 20, 20, 3), np.uint8)
    whole = npz(source, True, x=pictures, y=np.arange(100)).read_bytes()
    place = whole.index(b"x.npy") + 60_000
    source.write_bytes(whole[:place] + b"\x00\xff" + whole[place + 2 :])
    listing = read_source(source, None)
    assert listing.contents is not None
    made = list(listing.contents(range(100)))
    assert len(made) == 100
    assert np.array_equal(shown(listing, range(40)), pictures[:40])
    assert isinstance(made[-1], UnusableError)
    assert "a.npz is damaged or was cut short" in str(made[-1])
    source = npy(tmp_path / "b.npy", COLOUR)
    whole = source.read_bytes()
    for content in (whole[:-1], whole + b"x", whole[:100], b"", b"\x93NUMPY\x09\x00" + whole[8:]):
        source.write_bytes(content)
        with pytest.raises(ImpastoError, match="damaged or was cut short"):
            read_source(source, None)
    source.write_bytes(whole)
    listing = read_source(source, None)
    source.write_bytes(whole[:-500])
    assert listing.contents is not None
    made = list(listing.contents([0, 10, 11]))
    assert np.array_equal(shown(listing, [0]), COLOUR[:1])
    assert "it is shorter than it was" in str(made[2])


def header(text: str) -> bytes:
    content = text.encode() + b"\n"
    return b"\x93NUMPY\x02\x00" + len(content).to_bytes(4, "little") + content


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 8, 8), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, -8, 8), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 8, 8.0), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2, 8, 8), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': __import__('os').abort(), }",
        "(" * 5000,
        "{'descr': " + "[" * 3000,
        "{" + "'a': 1, " * 4000,
        "{'descr': '|V0', 'fortran_order': False, 'shape': (2, 8, 8), }",
        "{'descr': '|u1', 'fortran_order': 3, 'shape': (2, 8, 8), }",
        "[1]",
        "",
    ],
)
def test_lying_headers(tmp_path: Path, text: str) -> None:
    content = header(text) + bytes(128)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ImpastoError) as caught:
            read_source(tmp_path / name, None)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


def test_compression_that_could_be_a_trap(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", bytes(10**6))
    with pytest.raises(ImpastoError, match="not compressed as NumPy does"):
        read_source(tmp_path / "a.npz", None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npz")
    npz(folder / "a.npz", True, x_train=COLOUR[:4] / 255, y_train=np.arange(4), x_test=COLOUR[4:])
    npz(folder / "b.npz", False, images=GREY[:2, :4, :5], labels=np.array(["a", "b"]))
    npy(folder / "c.npy", GREY[:3])
    return folder


@pytest.mark.parametrize("name", ["a.npz", "b.npz", "c.npy"])
def test_damage_of_any_kind(whole: Path, tmp_path: Path, name: str) -> None:
    content = (whole / name).read_bytes()
    source = tmp_path / name

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, len(content) - 1) | st.integers(0, 150),
                st.binary(min_size=1, max_size=6),
                st.integers(0, 8),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def check(changes: list[tuple[int, bytes, int]]) -> None:
        damaged = content
        for place, put, taken in changes:
            taken = len(put) if taken > 4 else taken
            damaged = damaged[:place] + put + damaged[place + taken :]
        source.write_bytes(damaged)
        with contextlib.suppress(ImpastoError):
            listing = read_source(source, None)
            assert listing.contents is not None
            made = list(listing.contents(range(len(listing.entries))))
            assert len(made) == len(listing.entries)

    check()
