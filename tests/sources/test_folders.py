"""Which level of folders names the classes, and which the parts of a data set."""

from pathlib import Path

import pytest

from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.listing import Listing
from tests.helpers.webdataset import picture


def listed(folder: Path, places: str, labels: tuple[str, ...] | None) -> Listing:
    """A listing of a picture in each of these places, of names that no other has."""
    for number, place in enumerate(places.split()):
        path = folder / place / f"p{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return read_source(folder, labels)


def told(listing: Listing) -> str:
    """By folder: the classes, and whether it is held out (H) or for training (T), if it is said."""
    sides = {True: "H", False: "T", None: ""}
    found = {
        entry.relative.rpartition("/")[0]: "+".join(entry.labels) + ":" + sides[entry.heldout]
        for entry in listing.entries
    }
    return " ".join(found[place] for place in sorted(found))


@pytest.mark.parametrize(
    ("places", "expected", "level"),
    [
        # Parts for training and testing, by names of any form.
        (
            "seg_train/seg_train/sea seg_train/seg_train/ice seg_test/seg_test/sea seg_pred/seg_pred",
            ":H sea:H ice:T sea:T",
            3,
        ),
        ("train_set/a train_set/b test_set/a", "a:H a:T b:T", 2),
        ("TrainingSet/a TrainingSet/b TestSet", ":H a:T b:T", None),
        ("Final_Training/Images/a Final_Training/Images/b Final_Test/Images", ":H a:T b:T", 3),
        ("x/train/images/a x/train/images/b x/dev/images/a", "a:H a:T b:T", 4),
        ("train/all/a train/all/b test/all/a", "a:H a:T b:T", 3),
        ("train_1/a train_1/b train_2/a validation/b", "a:T b:T a:T b:H", 2),
        ("train/a train/b test/a misc/b", "b:T a:H a:T b:T", 2),
        ("trainA trainB testA testB", "A:H B:H A:T B:T", None),
        ("train_red_cats train_dogs test_dogs", "dogs:H dogs:T red_cats:T", None),
        ("a/train a/test b/train b/test", "a:H a:T b:H b:T", None),
        ("n01/train n01/val n02/train n02/val", "n01:T n01:H n02:T n02:H", None),
        ("a b test/a test/b", "a:T b:T a:H b:H", None),
        ("train/a train/b test/a x/train/a x/train/b x/test/b", "a:H a:T b:T b:H a:T b:T", 2),
        ("a b x/a x/b", "a: b: a: b:", 1),
        ("train/train train/bus test/train test/bus", "bus:H train:H bus:T train:T", None),
        ("Trainingsdaten/a Trainingsdaten/b Testdaten/a", "a:H a:T b:T", None),
        ("entraînement/a entraînement/b test/a", "a:T b:T a:H", 2),
        ("训练集/a 训练集/b 测试集/a", "a:H a:T b:T", None),
        # Two parts of which one has no known name.
        ("unseen/a unseen/b train/a train/b", "a:T b:T a:H b:H", 2),
        ("known/a known/b test/a test/b", "a:T b:T a:H b:H", 2),
        # Numbered or dated parts, and the classes' first letters.
        ("data_9/a/abbey data_9/b/bar data_9/b/bay val_9", "abbey:T bar:T bay:T :H", 3),
        ("fold_0/train/a fold_0/val/a fold_1/train/b fold_1/val/b", "a:T a:H b:T b:H", 3),
        ("fold1/a fold1/b fold2/a fold2/b", "a: b: a: b:", 2),
        ("fold1/a fold1/b fold2/a test/b", "a:T b:T a:T b:H", 2),
        ("2019/a 2019/b 2020/a 2020/b test/a", "a:T b:T a:T b:T a:H", 2),
        ("2019-05/a 2019-05/b 2020-01/a 2020-01/b", "a: b: a: b:", 2),
        ("art_v1/a art_v1/b art_v2/a art_v2/b", "a: b: a: b:", 2),
        ("00000/a 00001/b", "a: b:", 2),
        ("images/a resized/b", "a: b:", 2),
        ("archive/a archive_(1)/b", "a: b:", 2),
        ("Art-20240101T120000Z-001/a Art-20240101T120000Z-002/b", "a: b:", 2),
        # Classes, whatever their names remind of.
        ("steam_train test_tube", "steam_train: test_tube:", None),
        ("train bus test", "bus: test: train:", None),
        ("0 1 2 test", "0: 1: 2: test:", None),
        ("n01440764 n01443537", "n01440764: n01443537:", None),
        ("2019/a 2020/b", "2019: 2020:", 1),
        ("0/a 1/b", "0: 1:", 1),
        ("style1/a style1/b style2/a style2/b", "style1: style1: style2: style2:", 1),
        ("a/more b", "a: b:", 1),
        # What repeats a class needs no word.
        ("a/a b/images", "a: b:", None),
    ],
)
def test_the_level_of_the_classes(
    tmp_path: Path, places: str, expected: str, level: int | None
) -> None:
    for name, labels in (("one", None), ("other", ("thing",))):
        listing = listed(tmp_path / name, places, labels)
        assert told(listing) == expected
        notes = [note for note in listing.notes if note.startswith("the classes of")]
        field = "class" if labels is None else "thing"
        assert len(notes) == (level is not None)
        if level is not None:
            assert notes[0].startswith(f"the classes of {field} are the folders of level {level} (")
            assert f"; --labels {field}=" in notes[0]


def test_one_note_says_what_was_taken_and_what_not(tmp_path: Path) -> None:
    places = "seg_train/seg_train/ice seg_train/seg_train/sea seg_test/seg_test/sea"
    listing = listed(tmp_path, places, ("scene",))
    assert listing.notes == [
        "the classes of scene are the folders of level 3 (ice, sea), not those of level 1 (seg_test, "
        "seg_train) or level 2 (seg_test, seg_train); --labels scene=1 takes level 1, "
        "NAME=LEVEL,NAME=LEVEL several",
        "held out is what the source itself has in seg_test; --heldout and --seed have no effect "
        "(they have if only seg_train is packed)",
    ]


def test_a_level_below_the_classes_is_told(tmp_path: Path) -> None:
    places = "Cubism/gris Cubism/picasso Fauvism/matisse"
    listing = listed(tmp_path, places, ("style",))
    assert told(listing) == "Cubism: Cubism: Fauvism:"
    assert listing.notes == [
        "the classes of style are the folders of level 1 (Cubism, Fauvism), not those of level 2 (gris, "
        "matisse, picasso); --labels style=2 takes level 2, NAME=LEVEL,NAME=LEVEL several"
    ]
    assert not read_source(tmp_path, ("style", "artist")).notes


def test_two_parts_of_which_one_has_no_known_name(tmp_path: Path) -> None:
    listing = listed(tmp_path, "unseen/a unseen/b train/a train/b", ("style",))
    assert listing.notes[1] == (
        "held out is unseen, which has the same folders as train beside it; "
        "--heldout and --seed have no effect; if unseen is for training, pack train alone or move "
        "all into one folder"
    )
    # Where both levels are asked for, they are classes.
    listing = read_source(tmp_path, ("vehicle", "part"))
    assert told(listing) == "train+a: train+b: unseen+a: unseen+b:"


def test_folders_of_programs_are_passed_over(tmp_path: Path) -> None:
    places = "a a/@eaDir/p0.png b b/.thumbnails $RECYCLE.BIN #recycle lost+found"
    assert told(listed(tmp_path, places, None)) == "a: b:"


def test_a_level_can_be_named(tmp_path: Path) -> None:
    listing = listed(tmp_path, "train/a/x train/b/y test/a/y test", ("inner=3", "part = 1"))
    assert listing.fields == ("inner", "part")
    assert told(listing) == "+test:H y+test:H x+train:T y+train:T"
    assert listing.notes[0].startswith("1 picture in fewer folders than there are labels")
    assert len(listing.notes) == 2
    with pytest.raises(ImpastoError, match=r"inner=4: the pictures in .* are 3 folders deep"):
        read_source(tmp_path, ("inner=4",))
    for wrong in (("inner=3", "part"), ("inner=0",)):
        with pytest.raises(ImpastoError, match="name a level of folders, from 1, for each label"):
            read_source(tmp_path, wrong)


def test_years_are_classes_where_they_are_asked_for(tmp_path: Path) -> None:
    places = "2019/a 2019/b 2020/a 2020/b"
    assert told(listed(tmp_path, places, ("year",))) == "2019: 2019: 2020: 2020:"
    assert told(listed(tmp_path / "dates", "2020-05 2020-06", ("date",))) == "2020-05: 2020-06:"
    assert (
        told(listed(tmp_path / "more", places, ("year", "x"))) == "2019+a: 2019+b: 2020+a: 2020+b:"
    )
    places = "artist1/portrait artist2/portrait"
    assert told(listed(tmp_path / "by", places, ("artist",))) == "artist1: artist2:"


@pytest.mark.parametrize(
    "places",
    ["2020-05-01 2020-06-01", "fold1 fold2", "train_images test_images", "images", "part-1"],
)
def test_parts_alone_are_no_classes(tmp_path: Path, places: str) -> None:
    first = places.split()[0]
    with pytest.raises(
        ImpastoError, match=rf"level 1 \(.*{first}.*taken for parts of the data set"
    ):
        listed(tmp_path, places, ("style",))
    assert read_source(tmp_path, None).kind == "a folder"
    assert {entry.labels for entry in read_source(tmp_path, ("style=1",)).entries} == {
        (place,) for place in places.split()
    }


@pytest.mark.parametrize(
    ("names", "shards"),
    [
        ("00000/000000000 00000/000000007 00001/000010000", True),
        ("00000/00000 01000/01000 01000/01001", True),
        ("00000/000000001 00000/000000002", True),
        ("00000/00000_01 00001/00000_01", False),  # German traffic signs.
        ("0001/12001 0001/3001 0999/999 0999/2999", True),
        ("00000/1 00001/1", False),
        ("0/1 0/2 1/3", False),
        ("2019/1 2020/2", False),
    ],
)
def test_shards_are_no_classes(tmp_path: Path, names: str, shards: bool) -> None:
    for name in names.split():
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    if not shards:
        assert read_source(tmp_path, ("style",)).entries[0].labels == (names.partition("/")[0],)
        return
    with pytest.raises(ImpastoError, match="taken for parts of the data set"):
        read_source(tmp_path, ("style",))
    listing = read_source(tmp_path, None)
    assert listing.kind == "a folder"
    assert "are taken for parts of the data set, not for classes" in listing.notes[0]


def write(folder: Path, sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * size)


@pytest.mark.parametrize("labels", [None, ("artist",)])
def test_of_pictures_at_two_sizes_the_larger_count(
    tmp_path: Path, labels: tuple[str, ...] | None
) -> None:
    write(tmp_path, {"images/images/Goya/G_1.jpg": 900, "images/images/Miro/M_1.jpg": 900})
    write(tmp_path, {"resized/resized/G_1.png": 90, "resized/resized/M_1.png": 90})
    listing = read_source(tmp_path, labels)
    assert told(listing) == "Goya: Miro:"
    assert sorted(listing.left_out) == [
        ("resized/resized/G_1.png", "a copy at another size: images/images/Goya/G_1.jpg counts"),
        ("resized/resized/M_1.png", "a copy at another size: images/images/Miro/M_1.jpg counts"),
    ]
    assert listing.notes == [
        "resized holds the pictures of images at another size: 2 pictures left out, those in images "
        "count"
    ]


@pytest.mark.parametrize(
    ("one", "other", "left"),
    [
        ("images/a/1 images/b/1", "256x256/a/1 256x256/b/1", 2),
        ("images/1 images/2 images/3", "thumbnails/1 thumbnails/2 thumbnails/4", 2),
        ("images/1 images/2 images/3", "thumbnails/1 thumbnails/5 thumbnails/4", 0),
        ("images_1/1 images_1/2", "images_2/1 images_2/2", 0),
        ("Cubism/1 Cubism/2", "small/1 small/2", 0),
        ("images/a/b/1 images/b/b/1", "small/a/b/1 small/b/b/1", 0),
    ],
)
def test_which_pictures_are_the_same(tmp_path: Path, one: str, other: str, left: int) -> None:
    write(tmp_path, {f"{name}.jpg": 90 for name in one.split()})
    write(tmp_path, {f"{name}.jpg": 9 for name in other.split()})
    listing = read_source(tmp_path, ())
    assert len(listing.left_out) == left
    assert len(listing.entries) == len(one.split()) + len(other.split()) - left


def test_the_test_part_is_not_trained_on(tmp_path: Path) -> None:
    for number in range(12):
        part = "seg_test" if number % 3 == 0 else "seg_train"
        path = tmp_path / "intel" / part / part / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    options = PackOptions(resolution=16, labels=("scene",))
    collection = pack(tmp_path / "intel", tmp_path / "x", options).collection
    assert [field.classes for field in collection.fields] == [("a", "b")]
    sides = {row["path"].split("/")[0]: row["split"] for row in collection.source_table()}
    assert sides == {"seg_test": "heldout", "seg_train": "train"}
