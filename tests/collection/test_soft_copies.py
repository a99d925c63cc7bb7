"""Copies of pictures with little detail: found, or kept on one side; different ones are never merged."""

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import Collection, PackOptions, pack
from impasto.collection.duplicates import Duplicates, find_duplicates
from impasto.collection.duplicates.sheets import alike_groups
from impasto.collection.duplicates.soft import ALIKE, SoftIndex, soft_distances
from impasto.collection.removal import forget
from impasto.collection.split import held_out
from impasto.decoding.fingerprint import FINGERPRINT, fingerprint_of
from impasto.errors import ImpastoError

SIDE = 240
Colour = tuple[int, int, int]


def waves(seed: int, cells: int, height: float) -> np.ndarray:
    """A smooth random field, [SIDE, SIDE]: so many hills along each side, of a standard height."""
    hills = np.random.default_rng(seed).normal(0, 1, (cells, cells)).astype(np.float32)
    grown = Image.fromarray(hills).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return height * np.asarray(grown)


def painted(colours: np.ndarray, seed: int, texture: float) -> Image.Image:
    """Colours [SIDE, SIDE, 3] under a canvas's texture and grain."""
    grain = np.random.default_rng(seed).normal(0, 1.5, (SIDE, SIDE))
    told = colours + (waves(seed + 1, 9, texture) + grain)[..., None]
    return Image.fromarray(told.round().clip(0, 255).astype(np.uint8))


def monochrome(seed: int, colour: Colour, texture: float = 1.5) -> Image.Image:
    return painted(np.ones((SIDE, SIDE, 1)) * colour, seed, texture)


def sky(seed: int, top: Colour, bottom: Colour, texture: float = 1.5) -> Image.Image:
    share = np.linspace(0, 1, SIDE)[:, None, None] * np.ones((1, SIDE, 1))
    return painted((1 - share) * top + share * bottom, seed, texture)


def mist(seed: int, colour: Colour, height: float = 6) -> Image.Image:
    return painted(np.array(colour) + waves(seed, 3, height)[..., None], seed, 1)


def wash(seed: int, colour: Colour) -> Image.Image:
    stains = np.stack([waves(seed + 10 * channel, 4, 9) for channel in range(3)], -1)
    return painted(np.array(colour) + stains, seed, 1)


def fields(seed: int, ground: Colour, *colours: Colour) -> Image.Image:
    """Blurred rectangles above one another."""
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(picture)
    edges = np.linspace(15, SIDE - 15, len(colours) + 1).astype(int)
    for colour, top, bottom in zip(colours, edges[:-1], edges[1:], strict=True):
        draw.rectangle((20, int(top) + 6, SIDE - 20, int(bottom) - 6), fill=colour)
    blurred = picture.filter(ImageFilter.GaussianBlur(7))
    return painted(np.asarray(blurred).astype(float), seed, 1.5)


def night(seed: int, stars: int) -> Image.Image:
    picture = sky(seed, (8, 10, 24), (26, 30, 50))
    for x, y in np.random.default_rng(seed).integers(0, SIDE, (stars, 2)).tolist():
        picture.putpixel((x, y), (180, 180, 190))
    return picture


@cache
def soft() -> dict[str, Image.Image]:
    """Twenty different pictures."""
    return {
        "grey": monochrome(1, (128, 128, 128)),
        "blue": monochrome(2, (20, 40, 150)),
        "white": monochrome(3, (238, 236, 230)),
        "black": monochrome(4, (14, 13, 15)),
        "red": monochrome(5, (170, 25, 30)),
        "day": sky(6, (90, 140, 210), (220, 225, 230)),
        "dusk": sky(7, (60, 40, 90), (230, 140, 80)),
        "slate": sky(8, (100, 100, 100), (150, 150, 150)),
        "cream": sky(9, (200, 198, 190), (214, 212, 206)),
        "mist": mist(10, (190, 192, 195)),
        "fog": mist(11, (160, 165, 170), 9),
        "haze": mist(12, (210, 208, 200), 4),
        "ochre": wash(13, (200, 190, 170)),
        "sea": wash(14, (120, 150, 160)),
        "rose": wash(15, (200, 150, 150)),
        "two fields": fields(16, (120, 30, 30), (180, 60, 30), (200, 120, 40)),
        "dark fields": fields(17, (40, 40, 60), (50, 50, 80), (30, 30, 50)),
        "three fields": fields(18, (90, 20, 20), (60, 15, 20), (100, 30, 25), (80, 20, 20)),
        "night": night(19, 20),
        "late night": night(20, 60),
    }


def saved(picture: Image.Image, side: int, quality: int) -> bytes:
    file = io.BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(file, "JPEG", quality=quality)
    return file.getvalue()


def record(file: bytes) -> np.ndarray:
    picture = Image.open(io.BytesIO(file)).convert("RGB")
    return fingerprint_of(picture, np.asarray(picture.resize((64, 64)))[None]).record()


def found(files: list[bytes], excluded: str = "near") -> Duplicates:
    looks = np.array([record(file) for file in files], FINGERPRINT)
    names = [f"{number:03}" for number in range(len(files))]
    sizes = np.array([Image.open(io.BytesIO(file)).size for file in files])
    return find_duplicates(looks, sizes, [0] * len(files), names, excluded=excluded)


def twice(pictures: list[Image.Image], side: int, quality: int) -> list[bytes]:
    return [
        file
        for picture in pictures
        for file in (saved(picture, SIDE, 92), saved(picture, side, quality))
    ]


@pytest.mark.parametrize(
    ("side", "quality", "least"), [(150, 70, 18), (300, 50, 18), (120, 40, 14)]
)
def test_copies_are_found_or_kept_on_one_side(side: int, quality: int, least: int) -> None:
    outcome = found(twice(list(soft().values()), side, quality))
    sides = outcome.side.reshape(-1, 2)
    assert (sides[:, 0] == sides[:, 1]).all()
    assert len(np.unique(sides)) == len(soft())
    groups = outcome.group.reshape(-1, 2)
    copies = (groups[:, 0] == groups[:, 1]) & (groups[:, 0] >= 0)
    assert copies.sum() >= least
    # The larger is kept, and what is no copy is said to be alike.
    excluded = ~outcome.kept.reshape(-1, 2)
    assert (excluded == copies[:, None] * [side > SIDE, side < SIDE]).all()
    assert ((outcome.alike.reshape(-1, 2) >= 0) == ~copies[:, None]).all()


DIFFERENT: dict[str, Callable[[int], Image.Image]] = {
    "greys": lambda seed: monochrome(seed, (128, 128, 128)),
    "mists": lambda seed: mist(seed, (190, 192, 195)),
    "faint mists": lambda seed: mist(seed, (190, 192, 195), 2.5),
    "skies": lambda seed: sky(seed, (90, 140, 210), (220, 225, 230)),
    "washes": lambda seed: wash(seed, (200, 190, 170)),
    "nights": lambda seed: night(seed, 30),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_different_ones_of_one_colour_are_told_apart(kind: str) -> None:
    outcome = found([saved(DIFFERENT[kind](100 + seed), SIDE, 90) for seed in range(0, 120, 12)])
    assert outcome.kept.all()
    assert (outcome.group == -1).all()
    assert len(np.unique(outcome.side)) == 10


def test_what_shows_nothing_to_tell_it_by_is_kept_on_one_side() -> None:
    flat = [Image.new("RGB", (60, 60), (shade,) * 3) for shade in (40, 60, 200, 201)]
    plain = [monochrome(seed, (128, 128, 128), 0.1) for seed in (1, 5, 9)]
    outcome = found([saved(picture, picture.width, 90) for picture in (*flat, *plain)])
    assert outcome.kept.all()
    assert outcome.alike.tolist() == [-1, -1, 0, 0, 1, 1, 1]
    assert outcome.side.tolist() == [0, 1, 2, 2, 3, 3, 3]


def disc(left: int) -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE), (165, 170, 175))
    ImageDraw.Draw(picture).ellipse((left, 60, left + 110, 170), fill=(150, 160, 170))
    return picture.filter(ImageFilter.GaussianBlur(6))


def test_a_shape_that_moved_is_no_copy() -> None:
    for by in (4, 8, 40):
        assert found([saved(disc(60), SIDE, 90), saved(disc(60 + by), SIDE, 90)]).kept.all()
    assert found([saved(disc(60), SIDE, 90), saved(disc(60), 160, 70)]).kept.tolist() == [
        True,
        False,
    ]


def star(points: int) -> Image.Image:
    """A ring of thin grey lines, each from a point to the third after it."""
    turns = np.arange(points + 1) * 3 * 2 * np.pi / points
    places = np.stack((120 + 110 * np.cos(turns), 120 + 110 * np.sin(turns)), axis=1)
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    ImageDraw.Draw(picture).line([(x, y) for x, y in places.tolist()], fill=(190, 190, 190))
    return picture


def test_thin_lines_on_a_plain_ground_are_kept() -> None:
    pictures = [star(points) for points in range(80, 101)]
    outcome = found([saved(picture, SIDE, 95) for picture in pictures])
    assert outcome.kept.all()
    assert (outcome.alike >= 0).any()


def sketch(seed: int) -> Image.Image:
    """Six faint lines that all have, and one of its own."""
    picture = Image.new("RGB", (SIDE, SIDE), (245, 245, 245))
    draw = ImageDraw.Draw(picture)
    for each in (0, seed):
        ends = np.random.default_rng(each).integers(20, 220, (1 if each else 6, 4))
        for line in ends.tolist():
            draw.line(line, fill=(236, 236, 236), width=2)
    return picture


def test_sketches_that_differ_by_a_faint_line_are_kept() -> None:
    outcome = found([saved(sketch(seed), SIDE, 92) for seed in range(1, 41)])
    assert outcome.kept.all()
    assert (outcome.alike >= 0).any()


@cache
def crowd() -> tuple[np.ndarray, np.ndarray]:
    """Looks of 40 files of the twenty pictures, and of 20 that are alike; and the number of each."""
    plain = [monochrome(seed, (90, 90, 90), 0.2) for seed in range(0, 100, 5)]
    files = twice(list(soft().values()), 130, 60) + [saved(each, SIDE, 90) for each in plain]
    numbers = [*np.repeat(np.arange(20), 2).tolist(), *[20] * 20]
    return np.array([record(file) for file in files], FINGERPRINT), np.array(numbers)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 59), min_size=1, max_size=40),
    st.sampled_from(["none", "exact", "near"]),
    st.integers(0, 10**6),
    st.floats(0, 0.9),
    st.randoms(use_true_random=False),
)
def test_no_copies_cross_the_split(
    chosen: list[int], excluded: str, seed: int, share: float, random: object
) -> None:
    looks, numbers = crowd()
    names = [f"{place:03}" for place in range(len(chosen))]

    def sides(order: list[int]) -> dict[str, tuple[bool, bool]]:
        rows = [chosen[place] for place in order]
        told = [names[place] for place in order]
        found = find_duplicates(
            looks[rows], np.full((len(rows), 2), 9), [0] * len(rows), told, excluded=excluded
        )
        labels = [(str(name),) for name in numbers[rows] % 3]
        kept = found.kept.tolist()
        held = held_out(told, found.side.tolist(), labels, share, seed, kept)
        return dict(zip(told, zip(held, kept, strict=True), strict=True))

    order = list(range(len(chosen)))
    outcome = sides(order)
    random.shuffle(order)  # type: ignore[attr-defined]
    assert sides(order) == outcome
    for number in set(numbers[chosen].tolist()):
        of = [name for name, row in zip(names, chosen, strict=True) if numbers[row] == number]
        assert len({outcome[name][0] for name in of}) == 1
        assert any(outcome[name][1] for name in of)


def test_the_index_misses_nothing() -> None:
    fingerprints, _ = crowd()
    everyone = np.arange(60)
    index = SoftIndex(fingerprints, everyone)
    apart = np.zeros((60, 60), dtype=bool)
    apart[index.alike(everyone, everyone, everyone)] = True
    on_one_side = np.zeros((60, 60), dtype=bool)
    on_one_side[index.alike(everyone, everyone, np.zeros(60, np.int64))] = True
    assert apart.sum() > on_one_side.sum() > 60
    for one in range(60):
        others = np.delete(everyone, one)
        far, copies = soft_distances(fingerprints, one, others)
        assert apart[one, others[far <= ALIKE]].all()
        assert on_one_side[one, others[copies]].all()
        assert index.may_be_copies(np.array([one]), others[copies]).all()


# --- Packed


def source(folder: Path) -> Path:
    """Pictures that are alike, two copies of a mist, and three of their own."""
    folder.mkdir()
    for seed in (1, 5, 9, 13):
        (folder / f"plain-{seed:02}.jpg").write_bytes(
            saved(monochrome(seed, (128, 128, 128), 0.1), SIDE, 90)
        )
    for number, file in enumerate(twice([soft()["mist"]], 150, 70)):
        (folder / f"mist-{number}.jpg").write_bytes(file)
    for name in ("day", "sea", "red"):
        (folder / f"{name}.jpg").write_bytes(saved(soft()[name], SIDE, 90))
    return folder


NOTE = (
    "4 pictures with too little detail to compare (1 set): all are kept, and each set is on one "
    "side of the split: see alike.csv"
)
OPTIONS = PackOptions(resolution=32, heldout=0.3)


def test_packing_says_what_cannot_be_told_apart(tmp_path: Path) -> None:
    for seed in range(5):
        options = PackOptions(resolution=32, heldout=0.3, seed=seed)
        report = pack(source(tmp_path / f"{seed}"), tmp_path / f"packed-{seed}", options)
        assert NOTE in report.notes
        assert len(report.collection) == 8
        split = {row["path"]: row["split"] for row in report.collection.source_table()}
        assert len({split[f"plain-{number:02}.jpg"] for number in (1, 5, 9, 13)}) == 1
        assert set(split.values()) == {"train", "heldout"}
    rows = report.collection.alike_table()
    assert [row["path"] for row in rows] == [f"plain-{n:02}.jpg" for n in (1, 5, 9, 13)]
    assert {row["set"] for row in rows} == {"0"}
    shown = CliRunner().invoke(
        app, ["inspect", str(report.collection.path), "--duplicates", "--out", str(tmp_path)]
    )
    assert shown.exit_code == 0, shown.output
    assert "alike       4 source pictures in 1 set, all kept" in shown.output
    drawn = tmp_path / "packed-4-alike.png"
    assert f"alike (too little detail to decide): {drawn}: 1 set, all kept" in shown.output
    assert drawn.is_file()
    assert (tmp_path / "packed-4-duplicates.png").is_file()


def as_before(packed: Path) -> None:
    """Make a collection what it was before there was such a table."""
    (packed / "alike.csv").unlink()
    description = json.loads((packed / "collection.json").read_text())
    del description["tables"]["alike.csv"]
    description["made"]["listing"] = "of another version"
    (packed / "collection.json").write_text(json.dumps(description))


def test_a_collection_of_before_opens_and_is_taken_up(tmp_path: Path) -> None:
    pictures = source(tmp_path / "pictures")
    pack(pictures, tmp_path / "packed", OPTIONS)
    before = (tmp_path / "packed" / "alike.csv").read_bytes()
    as_before(tmp_path / "packed")
    opened = Collection.open(tmp_path / "packed")
    opened.verify(everything=True)
    assert opened.alike_table() == []
    assert alike_groups(opened) == []
    report = pack(pictures, tmp_path / "packed", OPTIONS)
    assert report.known == 9
    assert NOTE in report.notes
    assert (tmp_path / "packed" / "alike.csv").read_bytes() == before
    fresh = pack(pictures, tmp_path / "fresh", OPTIONS).collection
    assert fresh.content_hash == report.collection.content_hash


def test_where_the_source_divides_them_it_is_said(tmp_path: Path) -> None:
    pictures = source(tmp_path / "pictures")
    names = sorted(path.name for path in pictures.iterdir())
    rows = [f"{name},{'test' if name == 'plain-05.jpg' else 'train'}\n" for name in names]
    (pictures / "metadata.csv").write_text("file_name,split\n" + "".join(rows))
    report = pack(pictures, tmp_path / "packed", OPTIONS)
    assert report.heldout_source_count == 1
    (note,) = [note for note in report.notes if "too little detail" in note]
    assert "the source has 1 set on both sides of its split" in note


def test_to_forget_one_leaves_those_alike(tmp_path: Path) -> None:
    pack(source(tmp_path / "pictures"), tmp_path / "packed", OPTIONS)
    outcome = forget(tmp_path / "packed", ["plain-05.jpg"])
    assert outcome.copies == []
    names = [row["path"] for row in outcome.collection.alike_table()]
    assert names == [f"plain-{number:02}.jpg" for number in (1, 9, 13)]
    rows = outcome.collection.source_table()
    assert [rows[int(row["row"])]["path"] for row in outcome.collection.alike_table()] == names
    outcome = forget(tmp_path / "packed", ["plain-01.jpg", "plain-09.jpg"])
    assert outcome.collection.alike_table() == []


def test_a_damaged_table_is_one_clear_error(tmp_path: Path) -> None:
    collection = pack(source(tmp_path / "pictures"), tmp_path / "packed", OPTIONS).collection
    table = tmp_path / "packed" / "alike.csv"
    before = table.read_text()
    for damaged in (before.replace("set,", "sat,"), before.replace("\n0,", "\nx,")):
        table.write_text(damaged)
        with pytest.raises(ImpastoError, match=r"alike\.csv is damaged"):
            alike_groups(collection)
