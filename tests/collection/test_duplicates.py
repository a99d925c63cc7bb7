"""Duplicates: what is told apart and what is not, what is kept, and how they are shown."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import Collection, PackOptions, pack
from impasto.collection.duplicates import Duplicates, disagreeing_labels, find_duplicates
from impasto.collection.duplicates.naming import is_named_a_copy
from impasto.collection.duplicates.registration import register, warp
from impasto.collection.duplicates.sheets import _shortened, duplicate_groups, pages
from impasto.collection.packing import MASTERS
from impasto.collection.removal import forget
from impasto.decoding.fingerprint import FINGERPRINT, fingerprint_of
from impasto.errors import ImpastoError

Change = Callable[[Image.Image], Image.Image]


@cache
def painting(number: int) -> Image.Image:
    path = sorted(MASTERS.glob("*.jpg"))[number]
    with Image.open(path) as opened:
        opened.draft("RGB", (300, 300))
        return opened.convert("RGB")


def drawing(tear: bool = False) -> Image.Image:
    """A face on white, at 200 x 200."""
    face = Image.new("RGB", (200, 200), "white")
    draw = ImageDraw.Draw(face)
    draw.ellipse((20, 20, 180, 180), fill=(250, 200, 40), outline="black", width=4)
    for left in (65, 115):
        draw.ellipse((left, 70, left + 20, 90), fill="black")
    draw.arc((60, 90, 140, 150), 20, 160, fill="black", width=5)
    if tear:
        draw.ellipse((120, 100, 132, 118), fill=(80, 160, 255))
    return face


def record(picture: Image.Image) -> np.ndarray:
    return fingerprint_of(picture, np.asarray(picture.resize((16, 16)))[None]).record()


def found(*pictures: Image.Image, excluded: str = "near") -> Duplicates:
    """With names in alphabetical order."""
    looks = np.array([record(picture) for picture in pictures], FINGERPRINT)
    sizes = np.array([picture.size for picture in pictures])
    names = [f"{number:03}" for number in range(len(pictures))]
    return find_duplicates(looks, sizes, [0] * len(pictures), names, excluded=excluded)


def compressed(quality: int) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        return Image.open(io.BytesIO(file.getvalue())).convert("RGB")

    return change


def resized(factor: float) -> Change:
    return lambda picture: picture.resize(
        (round(picture.width * factor), round(picture.height * factor)), Image.Resampling.LANCZOS
    )


def cropped(share: float) -> Change:
    def change(picture: Image.Image) -> Image.Image:
        left, top = round(picture.width * share / 2), round(picture.height * share / 2)
        return picture.crop((left, top, picture.width - left, picture.height - top))

    return change


def in_other_colours(picture: Image.Image) -> Image.Image:
    values = np.array(picture.convert("HSV"))
    values[..., 0] += 80
    return Image.fromarray(values, "HSV").convert("RGB")


SAME: dict[str, Change] = {
    "JPEG of quality 75": compressed(75),
    "JPEG of quality 40": compressed(40),
    "half the size": resized(0.5),
    "more than half again": resized(1.6),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.88),
    "stretched by a twentieth": lambda picture: picture.resize(
        (round(picture.width * 1.05), picture.height)
    ),
    "half the size, JPEG of quality 60": lambda picture: compressed(60)(resized(0.5)(picture)),
}
OTHER: dict[str, Change] = {
    "in other colours": in_other_colours,
    "in grey": lambda picture: picture.convert("L").convert("RGB"),
    "mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "a fifth cut off": cropped(0.2),
    "upside down": lambda picture: picture.transpose(Image.Transpose.ROTATE_180),
    "stretched by a fourth": lambda picture: picture.resize(
        (round(picture.width * 1.25), picture.height)
    ),
}
SHOWN = [12, 7, 17]  # an oil painting, a drawing in line and wash, a woodblock print


@pytest.mark.parametrize("number", SHOWN)
@pytest.mark.parametrize("name", SAME)
def test_another_file_of_a_painting_is_near(name: str, number: int) -> None:
    outcome = found(painting(number), SAME[name](painting(number)))
    assert outcome.group.tolist() == [0, 0]
    assert outcome.kind == ["near", "near"]
    assert 0 < outcome.distance[0] == outcome.distance[1] <= 1


@pytest.mark.parametrize("number", SHOWN)
@pytest.mark.parametrize("name", OTHER)
def test_what_looks_different_is_not(name: str, number: int) -> None:
    outcome = found(painting(number), OTHER[name](painting(number)))
    assert outcome.group.tolist() == [-1, -1]
    assert outcome.kind == ["", ""]
    assert outcome.kept.all()


def test_the_masters_are_21_paintings() -> None:
    assert (found(*map(painting, range(21))).group == -1).all()


def test_a_tear_on_a_face_makes_it_another() -> None:
    assert (found(drawing(), drawing(tear=True)).group == -1).all()
    assert (found(drawing(), compressed(60)(drawing())).group == 0).all()


def test_what_shows_next_to_nothing_is_no_copy() -> None:
    ramp = Image.linear_gradient("L").convert("RGB")
    sheets = [Image.new("RGB", (40, 40), (shade, shade, shade)) for shade in (254, 255)]
    outcome = found(*sheets, ramp, compressed(50)(ramp))
    assert (outcome.group == -1).all()
    assert outcome.kept.all()
    # They cannot be told apart, so each two are on one side.
    assert outcome.alike.tolist() == outcome.side.tolist() == [0, 0, 1, 1]
    # But what is packed of them may be the same.
    assert found(sheets[0], sheets[0].copy()).kind == ["exact", "exact"]


def test_a_look_is_a_record_of_fixed_size() -> None:
    seen = fingerprint_of(painting(0), np.zeros((1, 4, 4, 3), np.uint8))
    one = seen.record()
    assert one.dtype == FINGERPRINT
    assert one.shape == ()
    assert one["pixels"].tobytes() == seen.pixels
    assert (int(one["dhash"]), int(one["phash"])) == (seen.dhash, seen.phash)
    assert (one["light"] == seen.light).all()
    assert (one["thumb"] == seen.thumb).all()
    assert np.load(saved(np.array([one, one], FINGERPRINT)), allow_pickle=False)["detail"][1] > 8


def saved(array: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    file.seek(0)
    return file


def test_the_hashes_say_what_they_say() -> None:
    # Light rises from left to right: every bit of the dHash; and it is one wave: few of the pHash.
    values = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (96, 1))
    rising = fingerprint_of(
        Image.fromarray(values).convert("RGB"), np.zeros((1, 1, 1, 3), np.uint8)
    )
    assert rising.dhash == 2**64 - 1
    falling = fingerprint_of(
        Image.fromarray(values[:, ::-1]).convert("RGB"), np.zeros((1, 1, 1, 3))
    )
    assert falling.dhash == 0
    # A cosine from bright to dark is the first wave across, and nothing else.
    wave = 128 + 100 * np.cos(np.pi * (np.arange(32) + 0.5) / 32)
    drawn = Image.fromarray(np.tile(wave.round().astype(np.uint8)[:, None], (1, 32)))
    assert fingerprint_of(drawn.convert("RGB"), np.zeros((1, 1, 1, 3), np.uint8)).phash == 0
    both = 128 + (wave[:, None] - 128) * (wave[None] - 128) / 100
    drawn = Image.fromarray(both.round().astype(np.uint8))
    assert fingerprint_of(drawn.convert("RGB"), np.zeros((1, 1, 1, 3), np.uint8)).phash == 2**63


def test_kept_is_the_largest_then_the_best_labelled_then_the_larger_file_then_the_first() -> None:
    one = record(painting(3))
    looks = np.array([one] * 4, FINGERPRINT)
    names = ["d", "c", "b", "a"]

    def kept(
        sizes: list[tuple[int, int]], known: list[int], file_bytes: list[int] | None = None
    ) -> list[str]:
        outcome = find_duplicates(looks, np.array(sizes), known, names, file_bytes=file_bytes)
        assert outcome.kind == ["exact"] * 4
        return [name for name, keep in zip(names, outcome.kept, strict=True) if keep]

    assert kept([(9, 9), (9, 9), (8, 9), (9, 8)], [0, 2, 3, 3]) == ["c"]
    assert kept([(8, 9), (9, 8), (9, 8), (8, 9)], [1, 1, 1, 1]) == ["a"]
    assert kept([(8, 9), (9, 8), (9, 10), (8, 9)], [3, 3, 0, 3]) == ["b"]
    assert kept([(8, 9), (9, 8), (9, 8), (8, 9)], [1, 1, 1, 1], [4, 6, 6, 5]) == ["b"]
    assert kept([(8, 9), (9, 8), (9, 8), (8, 9)], [1, 1, 1, 2], [4, 6, 6, 5]) == ["a"]
    assert kept([(9, 9), (9, 8), (9, 8), (8, 9)], [0, 1, 1, 2], [4, 6, 6, 5]) == ["d"]


def test_of_two_of_one_size_the_one_that_was_compressed_less_is_kept(tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    source.mkdir()
    for number in range(3):
        painting(number).save(source / f"{number}-a.jpg", quality=40)
        painting(number).save(source / f"{number}-b.jpg", quality=95)
    for more in (3, 4):  # The second time, of what is known from the first.
        painting(more).save(source / f"{more}.jpg")
        report = pack(source, tmp_path / "packed", PackOptions(resolution=32))
        kept = [row["path"] for row in report.collection.source_table()]
        assert kept[:3] == ["0-b.jpg", "1-b.jpg", "2-b.jpg"]
    assert report.known == 7


def test_nothing_is_set_aside_that_is_not_to_be() -> None:
    first, second = painting(3), painting(5)
    pictures = [first, first.copy(), compressed(70)(first), second, resized(0.5)(second)]
    near, exact, none = (
        found(*pictures, excluded=excluded) for excluded in ("near", "exact", "none")
    )
    assert near.kept.tolist() == [True, False, False, True, False]
    assert exact.kept.tolist() == [True, False, True, True, True]
    assert none.kept.all()
    for outcome in (near, exact, none):
        assert outcome.group.tolist() == [0, 0, 0, 1, 1]
        assert outcome.kind == ["exact", "exact", "near", "near", "near"]


def test_copies_of_different_classes_are_told() -> None:
    assert disagreeing_labels([], []) is None
    assert disagreeing_labels([0, 0, 1, 1], [("a", ""), ("a", "x"), ("b", "x"), ("b", "x")]) is None
    assert disagreeing_labels([0, 0, 0], [("a", "x"), ("", "x"), ("a", "y")]) == (
        "1 group of copies has different labels, such as x and y: see duplicates.csv"
    )
    assert disagreeing_labels([1, 0, 1, 0, 2], [("a",), ("c",), ("b",), ("d",), ("e",)]) == (
        "2 groups of copies have different labels, such as c and d: see duplicates.csv"
    )


def test_a_picture_in_two_folders_is_noted(tmp_path: Path) -> None:
    source = tmp_path / "pictures"
    for name, numbers in (("Café", (0, 1)), ("Дом", (0, 1, 2)), ("tree", (2, 3, 4))):
        (source / name).mkdir(parents=True)
        for number in numbers:
            painting(number).save(source / name / f"{number}.png")
    report = pack(source, tmp_path / "packed", PackOptions(resolution=16, heldout=0))
    told = "3 groups of copies have different labels, such as Café and Дом: see duplicates.csv"
    assert told in report.notes

    def table() -> dict[str, str]:
        return {row["path"]: row["labels"] for row in report.collection.duplicates_table()}

    whole = table()
    assert whole == {path: path.partition("/")[0] for path in whole}
    assert len(whole) == 6
    forget(tmp_path / "packed", ["Café/0.png"])
    assert table() == {path: labels for path, labels in whole.items() if "/0" not in path}


def fading(steps: int) -> list[Image.Image]:
    """A painting that gets darker: each is near the next, and the first not the last."""
    return [ImageEnhance.Brightness(painting(3)).enhance(1 - 0.1 * step) for step in range(steps)]


def test_there_are_no_chains_to_what_is_set_aside() -> None:
    pictures = fading(7)
    near = found(*pictures)
    # Each that is excluded is near what is kept of its group.
    for number in np.flatnonzero(~near.kept):
        (head,) = np.flatnonzero(near.kept & (near.group == near.group[number]))
        assert found(pictures[head], pictures[number]).group.tolist() == [0, 0]
    assert 1 < near.kept.sum() < 7
    # Where all are kept, none of two that are near may be on another side.
    assert (found(*pictures, excluded="none").group == 0).all()


def test_a_copy_of_what_is_set_aside_is_as_far_from_what_is_kept() -> None:
    small = resized(0.5)(painting(3))
    outcome = found(painting(3), small, small.copy())
    assert outcome.kept.tolist() == [True, False, False]
    assert outcome.kind == ["near"] * 3
    assert outcome.distance[1] == outcome.distance[2] > 0


def test_what_the_source_holds_out_is_kept_and_its_copies_are_not_trained_on() -> None:
    # Of training: large, larger; held out: small, and a copy of it.
    pictures = [painting(3), resized(1.5)(painting(3)), resized(0.5)(painting(3))]
    pictures += [pictures[2].copy(), painting(4)]
    looks = np.array([record(picture) for picture in pictures], FINGERPRINT)
    sizes = np.array([picture.size for picture in pictures])
    pinned = np.array([False, False, True, True, False])
    for excluded, kept in (("near", [0, 0, 1, 1, 1]), ("exact", [1] * 5), ("none", [1] * 5)):
        outcome = find_duplicates(
            looks, sizes, [0] * 5, list("abcde"), excluded=excluded, pinned=pinned
        )
        assert outcome.kept.tolist() == kept
        assert outcome.group.tolist() == [0, 0, 0, 0, -1]


def by_features(*pictures: Image.Image, directions: list[list[float]]) -> Duplicates:
    """With features that are these, and asked for of each once."""
    asked: list[int] = []

    def features(numbers: np.ndarray) -> np.ndarray:
        asked.extend(numbers.tolist())
        return np.array([directions[number] for number in numbers.tolist()], np.float32)

    looks = np.array([record(picture) for picture in pictures], FINGERPRINT)
    sizes = np.array([picture.size for picture in pictures])
    names = [f"{number:03}" for number in range(len(pictures))]
    given = (looks, sizes, [0] * len(pictures), names)
    find_duplicates(*given, features=features)
    assert not asked
    outcome = find_duplicates(*given, excluded="features", features=features)
    assert sorted(asked) == list(range(len(pictures)))
    return outcome


@pytest.mark.parametrize("number", SHOWN)
def test_features_find_crops_and_margins(number: int) -> None:
    whole = painting(number)
    side = whole.crop((whole.width // 12, 0, *whole.size))
    framed = Image.new("RGB", (whole.width + 12, whole.height + 12), whole.getpixel((5, 5)))
    framed.paste(whole, (6, 6))
    for changed in (cropped(0.08)(whole), side, framed):
        assert (found(whole, changed).group == -1).all()
        outcome = by_features(whole, changed, painting(4), directions=[[1, 0], [9, 1], [0, 1]])
        assert outcome.group.tolist() == [0, 0, -1]
        assert outcome.kind == ["features", "features", ""]
        assert 0 < outcome.distance[0] <= 1


def test_what_features_propose_must_look_the_same() -> None:
    whole = painting(3)
    others = [OTHER[name](whole) for name in ("mirrored", "in other colours")]
    others += [painting(4), drawing(), Image.new("RGB", (50, 50))]
    looks = np.array([record(picture) for picture in (whole, *others)], FINGERPRINT)
    sizes = np.full((6, 2), 50)
    outcome = find_duplicates(
        looks,
        sizes,
        [0] * 6,
        list("abcdef"),
        excluded="features",
        features=lambda numbers: np.ones((len(numbers), 3), np.float32),
    )
    assert outcome.kept.all()
    # Of what shows next to nothing, no features are asked for.
    outcome = find_duplicates(
        looks[5:], sizes[5:], [0], ["a"], excluded="features", features=np.ones
    )
    assert outcome.kept.all()


@settings(max_examples=25)
@given(st.floats(-0.1, 0.1), st.floats(-3, 3), st.floats(-0.1, 0.1), st.floats(-3, 3))
def test_registration_finds_how_a_picture_was_moved(a: float, b: float, c: float, d: float) -> None:
    # Two windows of the same painting, the one at its centre.
    whole = painting(12).convert("L").resize((48, 48))
    one = np.asarray(whole.crop((8, 8, 40, 40))).astype(np.float64)
    left, top = 24 - 16 * (1 + a) + b, 24 - 16 * (1 + c) + d
    box = (left, top, left + 32 * (1 + a), top + 32 * (1 + c))
    moved = np.asarray(whole.resize((32, 32), Image.Resampling.BILINEAR, box=box))
    # Brighter and of less contrast besides.
    frames = register(one[None], 0.7 * moved[None] + 40)
    expected = np.array([1 / (1 + a) - 1, -b / (1 + a), 1 / (1 + c) - 1, -d / (1 + c)])
    assert np.abs(frames[0] - expected).max() < 0.35
    again, inside = warp(moved[None].astype(np.float64), frames)
    assert np.abs(again[0] - one)[inside[0]].mean() < 8


@cache
def crowd() -> tuple[np.ndarray, np.ndarray]:
    """Looks and sizes of 40 pictures: ten, each changed in four ways."""
    pictures = [
        change(painting(number))
        for number in range(10)
        for change in (resized(0.4), compressed(50), resized(0.7), fading_by(0.93))
    ]
    looks = np.array([record(picture) for picture in pictures], FINGERPRINT)
    return looks, np.array([picture.size for picture in pictures])


def fading_by(factor: float) -> Change:
    return lambda picture: ImageEnhance.Brightness(picture).enhance(factor)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 39), st.booleans()), min_size=1, max_size=30),
    st.sampled_from(["none", "exact", "near"]),
    st.randoms(use_true_random=False),
)
def test_any_mixture(chosen: list[tuple[int, bool]], excluded: str, random: object) -> None:
    looks, sizes = crowd()
    chosen = [(number, False) for number, _ in chosen] if excluded != "near" else chosen
    order = list(range(len(chosen)))

    def outcome(order: list[int]) -> tuple[Duplicates, dict[str, bool]]:
        rows = [chosen[n][0] for n in order]
        names = [f"{n:02}" for n in order]
        pinned = np.array([chosen[n][1] for n in order])
        found = find_duplicates(
            looks[rows], sizes[rows], [0] * len(rows), names, excluded=excluded, pinned=pinned
        )
        return found, dict(zip(names, found.kept.tolist(), strict=True))

    one, kept = outcome(order)
    random.shuffle(order)  # type: ignore[attr-defined]
    assert outcome(order)[1] == kept
    of = [number // 4 for number, _ in chosen]
    for number, group in enumerate(one.group.tolist()):
        same = [n for n in range(len(chosen)) if of[n] == of[number]]
        assert (group == -1) == (len(same) == 1) == (one.kind[number] == "")
        if group >= 0:
            assert same == np.flatnonzero(one.group == group).tolist()
            pinned = [n for n in same if chosen[n][1]]
            if excluded == "near":
                assert one.kept[same].sum() == max(1, len(pinned))
                assert one.kept[pinned].all()
            assert one.kept[same].any()
    if excluded == "none":
        assert one.kept.all()
    sides = one.side
    for a in range(len(chosen)):
        for b in range(a):
            assert (sides[a] == sides[b]) == (of[a] == of[b])


def test_among_hundreds_those_planted_are_found() -> None:
    # Fields of noise, no two alike; the last fifty are the first fifty with a little added.
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (800, 12, 12), dtype=np.uint8)
    records = []
    for values in [*coarse, *coarse[:50]]:
        picture = Image.fromarray(values).resize((32, 32), Image.Resampling.BICUBIC).convert("RGB")
        noisy = np.asarray(picture).astype(int) + random.integers(-3, 4, (32, 32, 3))
        records.append(record(Image.fromarray(noisy.clip(0, 255).astype(np.uint8))))
    looks = np.array(records, FINGERPRINT)
    count = len(looks)
    names = [f"{number:04}" for number in range(count)]
    outcome = find_duplicates(looks, np.full((count, 2), 32), [0] * count, names)
    assert np.flatnonzero(~outcome.kept).tolist() == list(range(800, 850))
    assert outcome.group[:50].tolist() == outcome.group[800:].tolist() == list(range(50))


# --- As pictures


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Two paintings twice and one thrice, one alone; at 32 px."""
    folder = tmp_path_factory.mktemp("duplicates")
    source = folder / "pictures"
    source.mkdir()
    for number in range(4):
        painting(number).save(source / f"{number}.png")
    painting(0).save(source / "same name in 日本.png")
    painting(1).save(source / "another.png")
    resized(0.5)(painting(1)).save(source / "half.png")
    compressed(60)(painting(2)).save(source / f"{'very ' * 30}long.png")
    return pack(source, folder / "packed", PackOptions(resolution=32)).collection


def test_the_groups_of_a_collection(collection: Collection) -> None:
    groups = duplicate_groups(collection)
    names = {tuple(member.path[:9] for member in group) for group in groups}
    assert names == {
        ("0.png", "same name"),
        ("1.png", "another.p", "half.png"),
        ("2.png", "very very"),
    }
    assert len(collection) == 4
    for group in groups:
        assert [member.kept for member in group] == [True] + [False] * (len(group) - 1)
    # The least alike come first, those that are the same last.
    assert [member.kind for member in groups[-1]] == ["exact", "exact"]


def test_the_pages_show_them(collection: Collection) -> None:
    (page,) = pages(collection, duplicate_groups(collection))
    drawn = np.asarray(page)
    # Seven pictures, six beside each other, but no group in two rows; three of them in frames.
    assert page.size == (6 * 212 + 8, 2 * 216 + 8)
    corners = [
        tuple(drawn[6 + row * 216, 6 + column * 212].tolist())
        for row in range(2)
        for column in range(6)
    ]
    assert corners.count((0, 120, 60)) == 3
    first = duplicate_groups(collection)[0][0]
    shown = Image.fromarray(collection.images(np.array([first.row]))[0])
    expected = np.asarray(shown.resize((144, 144), Image.Resampling.LANCZOS))
    assert (drawn[8:151, 8:151] == expected[:143, :143]).all()


def test_a_large_group_goes_on_in_the_next_row(collection: Collection) -> None:
    (first, *_), *_ = duplicate_groups(collection)
    large = [replace(first, kept=number == 0) for number in range(20)]
    (page,) = pages(collection, [large[:2], large, large[:2]])
    # Two; a row and a row of six, of twenty; two.
    assert page.size == (6 * 212 + 8, 4 * 216 + 8)
    drawn = np.asarray(page)
    lines = [(drawn[8 + row * 216, 4::212] == 225).all(axis=1).tolist() for row in range(4)]
    assert [line.index(True) if any(line) else None for line in lines] == [0, 0, None, 0]
    assert [sum(line) for line in lines] == [1, 1, 0, 1]


def test_a_long_name_keeps_both_ends() -> None:
    assert _shortened("name.jpg") == "name.jpg"
    for text in ("Impressionism/" + "x" * 99 + "/1 (2).jpg", "мост " * 40, "w" * 400):
        short = _shortened(text)
        start, end = short.split("…")
        assert text.startswith(start)
        assert text.endswith(end)
        assert abs(len(start) - len(end)) <= 1
        assert len(short) > 20 or text[0] == "w"


def inspect(*arguments: str) -> tuple[str, BaseException | None]:
    result = CliRunner().invoke(app, ["inspect", *arguments])
    return result.output, result.exception


def test_inspect_draws_them(collection: Collection, tmp_path: Path) -> None:
    output, error = inspect(str(collection.path), "--duplicates", "--out", str(tmp_path))
    assert error is None, output
    assert "duplicates  4 source pictures excluded (2 exact, 2 near)" in output
    assert f"duplicates: {tmp_path / 'packed-duplicates.png'}: 3 groups" in output
    assert (tmp_path / "packed-duplicates.png").is_file()


def test_many_groups_take_several_pages(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.collection.duplicates import sheets as duplicate_sheets

    monkeypatch.setattr(duplicate_sheets, "GROUPS", 1)
    monkeypatch.setattr(duplicate_sheets, "PAGES", 2)
    output, error = inspect(str(collection.path), "--duplicates", "--out", str(tmp_path))
    assert error is None, output
    assert "packed-duplicates-01.png to packed-duplicates-02.png: 2 groups of 3" in output
    assert len(list(tmp_path.glob("*duplicates*"))) == 2


def test_a_damaged_table_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for name in "ab":
        painting(0).save(tmp_path / "pictures" / f"{name}.png")
    packed = tmp_path / "packed"
    pack(tmp_path / "pictures", packed, PackOptions(resolution=16))
    table = packed / "duplicates.csv"
    before = table.read_text()
    for damaged in (before.replace("kept,", "keep,"), before.replace(",0,0,", ",0,7,"), "group\n1"):
        table.write_text(damaged)
        _, error = inspect(str(packed), "--duplicates", "--out", str(tmp_path))
        assert isinstance(error, ImpastoError)
        assert "duplicates.csv is damaged" in str(error)
        assert "\n" not in str(error)


def test_where_there_are_none_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    painting(0).save(tmp_path / "pictures" / "a.png")
    pack(tmp_path / "pictures", tmp_path / "packed", PackOptions(resolution=16))
    output, error = inspect(str(tmp_path / "packed"), "--duplicates", "--out", str(tmp_path))
    assert error is None
    assert "duplicates: none" in output
    assert not list(tmp_path.glob("*duplicates*.png"))


@pytest.mark.parametrize(
    "copy",
    [
        "copy of the first.jpg",
        "a/Fox - Copy.jpg",
        "fox - Copy (2).png",
        "fox copy.jpg",
        "fox copy 3.jpg",
        "fox (1).jpg",
        "fox (copy).jpg",
        "fox (another copy).jpg",
        "fox (3rd copy).jpg",
    ],
)
def test_of_equal_files_the_one_that_is_not_named_as_a_copy_is_kept(copy: str) -> None:
    looks = np.array([record(painting(0))] * 2, FINGERPRINT)
    outcome = find_duplicates(looks, np.full((2, 2), 64), [0, 0], [copy, "zebra/the first.jpg"])
    assert outcome.kept.tolist() == [False, True]


@pytest.mark.parametrize("name", ["a copy/fox.jpg", "copyist.jpg", "fox 2.jpg", "(1).jpg", "00012"])
def test_names_that_are_no_copies(name: str) -> None:
    assert not is_named_a_copy(name)
