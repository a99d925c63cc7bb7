"""Shards: what goes in comes out, raw or compressed; and one line where they are damaged."""

import contextlib
import hashlib
import io
import multiprocessing
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.collection import shards, writer
from impasto.collection.encoding import ENCODINGS, RAW, choose_encoding, decode, encode
from impasto.collection.shards import ShardReader, load_array
from impasto.collection.writer import ShardWriter, shard_prefix
from impasto.errors import ImpastoError

SIDE = 16
COUNT = 23
LOSSLESS = [RAW, "webp"]
EVERY = [RAW, *ENCODINGS]


def paint(count: int = COUNT, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """Soft pictures, uint8 [K, R, R, 3], all different."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(each).resize((side, side), Image.Resampling.BICUBIC))
            for each in coarse
        ]
    )


def written(folder: Path, pixels: np.ndarray, encoding: str, prefix: str = "images") -> ShardReader:
    with ShardWriter(folder, pixels.shape[1], encoding, prefix) as out:
        out.append(pixels)
    return ShardReader(folder, pixels.shape[1], encoding, out.describe())


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some five raw pictures a shard, and few compressed ones."""
    monkeypatch.setattr(writer, "SHARD_BYTES", 5 * SIDE**2 * 3)


@pytest.fixture(params=[1, 3])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(shards, "available_cores", lambda: request.param)
    return int(request.param)


@pytest.mark.parametrize("encoding", LOSSLESS)
@pytest.mark.parametrize("side", [4, 17, 64])
def test_nothing_is_lost(tmp_path: Path, encoding: str, side: int, cores: int) -> None:
    hard = np.random.default_rng(1).integers(0, 256, (3, side, side, 3), np.uint8)
    flat = np.zeros((1, side, side, 3), np.uint8)
    pixels = np.concatenate([paint(5, side), hard, flat, flat + 255])
    reader = written(tmp_path, pixels, encoding)
    indices = np.array([9, 0, 3, 3, 7, 1])
    assert (reader.pixels(indices) == pixels[indices]).all()
    assert reader.pixels(indices).flags.writeable


def test_jpeg_loses_little(tmp_path: Path) -> None:
    pixels = paint(side=64)
    found = written(tmp_path, pixels, "jpeg").pixels(np.arange(COUNT))
    error = ((found.astype(float) - pixels) ** 2).mean(axis=(1, 2, 3))
    assert (10 * np.log10(255**2 / error)).min() > 38
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < pixels.nbytes / 4


@pytest.mark.parametrize("encoding", EVERY)
@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, COUNT), max_size=6))
def test_shards_do_not_depend_on_how_many_come_at_a_time(
    tmp_path_factory: pytest.TempPathFactory, encoding: str, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("cuts")
    pixels = paint()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "SHARD_BYTES", 5 * SIDE**2 * 3)
        described = []
        for name, edges in (("at-once", []), ("cut", sorted(cuts))):
            (folder / name).mkdir()
            with ShardWriter(folder / name, SIDE, encoding) as out:
                for some in np.split(pixels, edges):
                    out.append(some)
            described.append(out.describe())
    assert described[0] == described[1]
    assert sum(shard["pictures"] for shard in described[0]) == COUNT
    assert len(described[0]) > 1


@pytest.mark.parametrize("encoding", EVERY)
@pytest.mark.usefixtures("small_shards")
def test_what_is_told_of_them_is_so(tmp_path: Path, encoding: str) -> None:
    with ShardWriter(tmp_path, SIDE, encoding) as out:
        out.append(paint())
    files = {}
    for shard in out.describe():
        for told in (shard, shard["offsets"]) if encoding != RAW else (shard,):
            files[told["file"]] = told["sha256"]
            content = (tmp_path / told["file"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (
                told["bytes"],
                told["sha256"],
            )
    assert set(files) == {path.name for path in tmp_path.iterdir()}
    assert ShardReader(tmp_path, SIDE, encoding, out.describe()).digests == files


@pytest.mark.usefixtures("small_shards")
def test_raw_shards_are_plain_arrays(tmp_path: Path) -> None:
    pixels = paint()
    written(tmp_path, pixels, RAW, "images-16")
    paths = sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [f"images-16-{number:05}.npy" for number in range(5)]
    assert [len(np.load(path)) for path in paths] == [5, 5, 5, 5, 3]
    assert (np.concatenate([np.load(path) for path in paths]) == pixels).all()


def test_compressed_pictures_are_plain_files_one_after_another(tmp_path: Path) -> None:
    pixels = paint()
    written(tmp_path, pixels, "webp")
    blob = (tmp_path / "images-00000.webp.bin").read_bytes()
    offsets = np.load(tmp_path / "images-00000.webp.offsets.npy")
    (tmp_path / "x.webp").write_bytes(blob[offsets[4] : offsets[5]])
    with Image.open(tmp_path / "x.webp") as picture:
        assert (np.asarray(picture) == pixels[4]).all()


@pytest.mark.parametrize("encoding", EVERY)
@settings(max_examples=20)
@given(indices=st.lists(st.integers(0, COUNT - 1), max_size=12))
def test_rows_are_copied_as_they_lie(
    tmp_path_factory: pytest.TempPathFactory, encoding: str, indices: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("copied")
    rows = np.array(indices, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "SHARD_BYTES", 5 * SIDE**2 * 3)
        first = written(folder, paint(), encoding)
        with ShardWriter(folder, SIDE, encoding, "again") as out:
            out.append_stored(first.stored(rows[:5]))
            out.append_stored(first.stored(rows[5:]))
    again = ShardReader(folder, SIDE, encoding, out.describe())
    assert len(again) == len(rows)
    everything = np.arange(len(rows))
    assert (again.pixels(everything) == first.pixels(rows)).all()
    if encoding != RAW:
        assert again.stored(everything) == first.stored(rows)


def test_no_pictures_make_no_shards(tmp_path: Path) -> None:
    for encoding in EVERY:
        with ShardWriter(tmp_path, SIDE, encoding) as out:
            out.append(paint()[:0])
        assert out.describe() == []
        reader = ShardReader(tmp_path, SIDE, encoding, [])
        assert len(reader) == 0
        assert reader.pixels(np.array([])).shape == (0, SIDE, SIDE, 3)
        with pytest.raises(IndexError, match="from 0 to below 0"):
            reader.pixels(np.array([0]))
    assert not list(tmp_path.iterdir())


def test_a_picture_larger_than_a_shard_has_one_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SHARD_BYTES", 100)
    for encoding in LOSSLESS:
        reader = written(tmp_path, paint(3), encoding, encoding)
        assert (reader.pixels(np.arange(3)) == paint(3)).all()
    assert len(list(tmp_path.glob("*.bin"))) == 3


def test_many_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SHARD_BYTES", 2**20)
    count = 60_000
    numbers = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 4)
    pixels = np.zeros((count, 4, 4, 3), np.uint8)
    pixels[:, 0, :, 0] = numbers
    asked = np.random.default_rng(0).integers(0, count, 150_000)
    assert (written(tmp_path, pixels, RAW).pixels(asked)[:, 0, :, 0] == numbers[asked]).all()

    few = encode(paint(7), "webp")
    with ShardWriter(tmp_path, SIDE, "webp") as out:
        out.append_encoded([few[number % 7] for number in range(count)])
    reader = ShardReader(tmp_path, SIDE, "webp", out.describe())
    assert len(reader) == count
    assert len(out.describe()) > 5
    asked = asked[:500]
    assert (reader.pixels(asked) == paint(7)[asked % 7]).all()


def test_other_pixels_are_refused(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, SIDE) as out:
        for wrong in (paint(side=8), paint().astype(np.float32), paint()[..., :1]):
            with pytest.raises(ValueError, match="for shards of 16 px"):
                out.append(wrong)
        with pytest.raises(ValueError, match="raw shards take pixels"):
            out.append_encoded([b"x"])
        out.append(paint(1))
        with pytest.raises(RuntimeError, match="still being written"):
            out.describe()


def test_names_of_shards() -> None:
    assert shard_prefix(64, [64]) == "images"
    assert shard_prefix(64, [64, 256]) == "images-64"
    assert shard_prefix(256, [64, 256], "aside") == "aside-256"


def test_how_pictures_are_stored() -> None:
    by_side = {side: choose_encoding("auto", side) for side in (8, 64, 128, 255, 256, 1024)}
    assert [by_side[side] for side in (8, 64, 128, 255)] == [RAW] * 4
    assert [by_side[side] for side in (256, 1024)] == ["webp"] * 2
    assert choose_encoding("raw", 512) == RAW
    assert choose_encoding("webp", 8) == "webp"
    with pytest.raises(
        ImpastoError, match="unknown encoding 'zip'; there is auto, jpeg, raw, webp"
    ):
        choose_encoding("zip", 64)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_the_same_pixels_give_the_same_bytes(encoding: str) -> None:
    assert encode(paint(), encoding) == encode(paint().copy(), encoding)


# Damage


@pytest.mark.parametrize("encoding", list(ENCODINGS))
@pytest.mark.usefixtures("cores")
def test_a_damaged_picture_is_told_by_file_and_number(tmp_path: Path, encoding: str) -> None:
    pixels = paint(40)
    shards_of = []
    for name, some in (("a", pixels[:30]), ("b", pixels[30:])):
        with ShardWriter(tmp_path, SIDE, encoding, name) as out:
            out.append(some)
        shards_of += out.describe()
    reader = ShardReader(tmp_path, SIDE, encoding, shards_of)
    # Its beginning, so that it is no picture at all.
    offsets = np.load(tmp_path / f"b-00000.{encoding}.offsets.npy")
    with (tmp_path / f"b-00000.{encoding}.bin").open("r+b") as file:
        file.seek(int(offsets[3]))
        file.write(b"\0" * 20)
    with pytest.raises(
        ImpastoError, match=rf"b-00000\.{encoding}\.bin is damaged: picture 33 "
    ) as e:
        reader.pixels(np.arange(40))
    assert "\n" not in str(e.value)
    others = np.delete(np.arange(40), 33)
    assert reader.pixels(others).shape == (39, SIDE, SIDE, 3)


@settings(max_examples=60)
@given(
    st.sampled_from(list(ENCODINGS)),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 400),
)
def test_any_damage_gives_a_picture_or_one_error(
    encoding: str, changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(encode(paint(1), encoding)[0])
    for place, value in changes:
        content[place % len(content)] = value
    # Nothing but a ValueError comes of it.
    with contextlib.suppress(ValueError):
        pixels = decode(bytes(content[: len(content) - cut]), encoding, SIDE)
        assert pixels.shape == (SIDE, SIDE, 3)
        assert pixels.dtype == np.uint8


@pytest.mark.parametrize("other", ["size", "format", "grey"])
def test_other_pictures_are_refused(other: str) -> None:
    content = encode(
        paint(1, 8 if other == "size" else SIDE), "jpeg" if other != "format" else "webp"
    )
    if other == "grey":
        buffer = io.BytesIO()
        Image.new("L", (SIDE, SIDE)).save(buffer, "JPEG")
        content = [buffer.getvalue()]
    with pytest.raises(ValueError, match=r"8 x 8|mode is L|identify"):
        decode(content[0], "jpeg", SIDE)


@pytest.mark.parametrize("file", ["images-00000.webp.bin", "images-00000.webp.offsets.npy"])
@pytest.mark.parametrize("damage", ["missing", "short", "empty"])
def test_missing_or_short_files(tmp_path: Path, file: str, damage: str) -> None:
    reader = written(tmp_path, paint(), "webp")
    with ShardWriter(tmp_path, SIDE, "webp", "other") as out:
        out.append(paint())
    told = [{**out.describe()[0], "file": "images-00000.webp.bin"}]
    told[0]["offsets"] = {**told[0]["offsets"], "file": "images-00000.webp.offsets.npy"}
    assert len(ShardReader(tmp_path, SIDE, "webp", told)) == len(reader)
    path = tmp_path / file
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "short" else b"")
    with pytest.raises(ImpastoError, match=file) as caught:
        ShardReader(tmp_path, SIDE, "webp", told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("offsets", "error"),
    [
        (lambda right: right[::-1].copy(), ImpastoError),
        (lambda right: np.where(right == right[5], right[4], right), ImpastoError),
        (lambda right: right.astype(np.float64), ValueError),
        (lambda right: right + (right > 0), ValueError),
    ],
)
def test_offsets_that_make_no_sense(tmp_path: Path, offsets: Any, error: type) -> None:
    with ShardWriter(tmp_path, SIDE, "webp") as out:
        out.append(paint())
    path = tmp_path / "images-00000.webp.offsets.npy"
    np.save(path, offsets(np.load(path)))
    with pytest.raises(error, match="offsets"):
        ShardReader(tmp_path, SIDE, "webp", out.describe())


def test_names_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, SIDE, "webp") as out:
        out.append(paint())
    (shard,) = out.describe()
    outside = {**shard["offsets"], "file": "../x.npy"}
    for told in ({**shard, "file": "../x.bin"}, {**shard, "offsets": outside}):
        with pytest.raises(ValueError, match="is not a file's name"):
            ShardReader(tmp_path, SIDE, "webp", [told])


# Threads and processes


def _sum(reader: ShardReader) -> int:
    return int(reader.pixels(np.arange(len(reader))).sum())


def _in_child(reader: ShardReader, connection: Any) -> None:
    connection.send(_sum(reader))


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_decodes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "available_cores", lambda: 2)
    reader = written(tmp_path, paint(), "webp")
    expected = _sum(reader)  # The threads of this process run now; a fork does not inherit them.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_in_child, args=(reader, theirs))
    process.start()
    assert ours.poll(60)
    assert ours.recv() == expected
    process.join()


def test_what_is_no_array_is_told_in_our_own_words(tmp_path: Path) -> None:
    path = tmp_path / "labels.npy"
    np.save(path, np.arange(24))
    whole = path.read_bytes()
    np.savez(tmp_path / "zip", labels=np.arange(3))
    objects = io.BytesIO()
    np.save(objects, np.array([{}]), allow_pickle=True)
    for content, message in [
        (b"", "is no array of numbers"),
        (b"junk" * 9, "is no array of numbers"),
        ((tmp_path / "zip.npz").read_bytes(), "is no array of numbers"),
        (objects.getvalue(), "is damaged or too short"),
        (whole[:-8], "is damaged or too short"),
        (whole[:60], "is damaged or too short"),
        (whole.replace(b"{'descr'", b"{{{'\xffscr"), "is damaged or too short"),
        (whole.replace(b"False", b"Fa\x00(("), "is damaged or too short"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ImpastoError) as caught:
            load_array(path)
        assert str(caught.value).startswith(f"{path} {message}; restore it")
    path.unlink()
    path.mkdir()
    with pytest.raises(ImpastoError, match="cannot be read"):
        load_array(path)


@pytest.mark.parametrize(
    ("processes", "threads"),
    [(None, 8), ("1", 8), ("4", 2), ("3", 2), ("16", 1), ("0", 8), ("", 8)],
)
def test_processes_of_one_machine_share_its_cores(
    processes: str | None, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "available_cores", lambda: 8)
    monkeypatch.setattr(shards, "_pools", {})
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    if processes is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
    pixels = paint()
    reader = written(tmp_path, pixels, "webp")
    assert (reader.pixels(np.arange(COUNT)) == pixels).all()
    started = [pool._max_workers for pool in shards._pools.values()]
    assert started == ([threads] if threads > 1 else [])
