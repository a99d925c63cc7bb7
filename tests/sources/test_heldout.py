"""What names and columns say of the part that a picture is in."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from impasto.collection import PackOptions, pack
from impasto.readers import read_source
from impasto.sources.heldout import hold_out, is_heldout
from impasto.sources.listing import Entry, Listing
from impasto.sources.where import where
from tests.helpers.webdataset import picture, samples, shard

TAKEN = "--heldout and --seed have no effect"


@pytest.mark.parametrize(
    ("name", "heldout"),
    [
        *((name, False) for name in ("train", "Training", "train_1", "seg_train", "TrainingSet")),
        *((name, False) for name in ("trainset", "train-images", "train_val", "trainval", "TRN")),
        *((name, True) for name in ("validation", "dev", "PublicTest", "PrivateTest", "test_2")),
        *((name, True) for name in ("testset", "hold-out", "Held Out", "test_images", "TESTSet")),
        *((name, None) for name in ("contest", "latest", "pretraining", "0", "fold 3", "", "A")),
    ],
)
def test_names_of_parts(name: str, heldout: bool | None) -> None:
    assert is_heldout(name) is heldout


def listed(folder: Path, column: str, values: Sequence[object]) -> Listing:
    """A table beside pictures, with a value of this column for each."""
    rows = [{"file": f"{n}.png", column: value} for n, value in enumerate(values)]
    for row in rows:
        (folder / str(row["file"])).write_bytes(b"")
    text = "\n".join(json.dumps(row) for row in rows)
    (folder / "metadata.jsonl").write_text(text + "\n", encoding="utf-8")
    return read_source(folder, ())


@pytest.mark.parametrize(
    ("column", "values", "heldout"),
    [
        ("split", ["Training", "PublicTest", "PrivateTest"], [False, True, True]),
        ("Split", ["train_1", "train_2", "dev"], [False, False, True]),
        ("split", ["holdout", "", "rest"], [True, False, False]),
        ("meta.split", ["train", "validation", "train"], [False, True, False]),
        ("Usage", ["Training", "PublicTest", "Training"], [False, True, False]),
        ("is_test", [0, 1, 0], [False, True, False]),
        ("isTest", [False, True, None], [False, True, False]),
        ("is_train", ["yes", "no", ""], [False, True, False]),
        ("test_set", [0.0, 1.0, 0.0], [False, True, False]),
        ("holdout", ["True", "False", "False"], [True, False, False]),
        ("is_training_img", [1, 0, 1], [False, True, False]),
        ("training", [0, 1, 1], [True, False, False]),
        # As WikiArt's table on Kaggle has it.
        ("subset", ["train", "test", "uncertain artist"], [False, True, False]),
        ("dataset", ["train", "test", "train"], [False, True, False]),
        ("purpose", ["Training", "Testing", "", "Validation"], [False, True, False, True]),
    ],
)
def test_columns_that_say_what_is_held_out(
    tmp_path: Path, column: str, values: list[object], heldout: list[bool]
) -> None:
    listing = listed(tmp_path, column, values)
    assert [entry.heldout for entry in listing.entries] == heldout
    assert listing.notes[0].startswith(f"held out is what the column '{column.lower()}' says (")
    assert listing.notes[0].endswith(TAKEN)


@pytest.mark.parametrize(
    ("column", "values", "note"),
    [
        (
            "split",
            ["Training", "B", "B", ""],
            "no value of 'split' but Training is known as a part for training or testing: B (2); so "
            "'split' decides nothing. Write train and test there, or leave a part out, such as by "
            "--where \"split != 'B'\"",
        ),
        (
            "split",
            [0, 1, 1],
            "no value of 'split' is known as a part for training or testing: 0 (1), ",
        ),
        (
            "split",
            list("abcdefg"),
            "no value of 'split' is known as a part for training or testing: ",
        ),
        (
            "is_valid",
            [1, 1, 0],
            "the column 'is_valid' decides nothing, as it may be of validation or of what is in order; "
            "call it is_test if its pictures are held out",
        ),
        (
            "train",
            [1, 1, 0],
            "the column 'train' decides nothing, as it may be of what is for training or of what is in "
            "the picture; call it is_train if its other pictures are held out",
        ),
        (
            "set",
            ["train", "test", "bus", "bus", "tram"],
            "no value of 'set' but test, train is known as a part for training or testing: bus (2), ",
        ),
        *((column, [1, 0, 1], None) for column in ("is_red", "valid", "is_", "tested")),
        ("scene", ["train", "test", "bus", "train"], None),
        ("scene", ["train", "train", "train"], None),
        ("is_test", [0, 1, 2], None),
        ("is_test", [1, 1, 1], None),
        ("split", ["test", "test", "test"], None),
        ("split", ["train", "train", "train"], None),
    ],
)
def test_columns_that_do_not(
    tmp_path: Path, column: str, values: list[object], note: str | None
) -> None:
    listing = listed(tmp_path, column, values)
    assert {entry.heldout for entry in listing.entries} == {None}
    if note is None:
        assert not any("held out" in said or "decides" in said for said in listing.notes)
    else:
        assert listing.notes[0].startswith(note)
    assert len(listing.notes) < 2 or "no labels" in listing.notes[1]


def test_the_advised_condition_can_be_read() -> None:
    entries = [
        Entry(f"{n}.png", about={"Data Split": word}, stamp="1")
        for n, word in enumerate(["train", "test", "don't know", "don't know", "don't know"])
    ]
    listing = Listing("a folder with a table", entries=entries)
    hold_out(listing, [False] * len(entries))
    (note,) = listing.notes
    (condition,) = shlex.split(note.partition("--where ")[2])
    assert [entry.relative for entry in where(listing, condition).entries] == ["0.png", "1.png"]


def test_folders_decide_where_no_column_does(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").write_bytes(b"")
    table = tmp_path / "metadata.csv"
    table.write_text("file,split\ntrain/1.png,a\ntest/1.png,b\n")
    assert [entry.heldout for entry in read_source(tmp_path, ()).entries] == [True, False]
    # A column that is understood comes first, and folders where it says nothing.
    table.write_text("file,split\ntrain/1.png,val\ntest/1.png,\n")
    assert [entry.heldout for entry in read_source(tmp_path, ()).entries] == [True, True]


def test_in_every_reader_that_has_columns(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    split = ["Training", "PublicTest", "Training", "PrivateTest"]
    pictures = [picture(number) for number in range(4)]
    (tmp_path / "parquet").mkdir()
    table = pyarrow.table({"image": [{"bytes": p, "path": None} for p in pictures], "split": split})
    parquet.write_table(table, tmp_path / "parquet" / "all.parquet")
    shard(tmp_path / "tars" / "a.tar", samples(range(4), json=lambda n: {"split": split[n]}))
    arrays = np.zeros((4, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "words.npz", images=arrays, split=np.array(split))
    np.savez(tmp_path / "flags.npz", images=arrays, is_test=np.array([0, 1, 0, 1]))
    for source in ("parquet", "tars", "tars/a.tar", "words.npz", "flags.npz"):
        listing = read_source(tmp_path / source, ())
        assert [entry.heldout for entry in listing.entries] == [False, True, False, True], source
        assert any(note.endswith(TAKEN) for note in listing.notes), source


def test_what_a_column_holds_out_is_not_trained_on(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.png").write_bytes(picture(number))
    rows = [f"{n}.png,{'PublicTest' if n % 4 == 0 else 'Training'}\n" for n in range(8)]
    (folder / "metadata.csv").write_text("file,split\n" + "".join(rows))
    collection = pack(folder, tmp_path / "x", PackOptions(resolution=16)).collection
    assert collection.heldout_indices.tolist() == [0, 4]
