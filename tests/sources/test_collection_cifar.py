"""CIFAR's own files: pixels, labels and split as published, and no trust in damaged archives."""

import contextlib
import hashlib
import io
import os
import pickle
import struct
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import Collection, PackOptions, pack
from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.plain_pickle import Array, PlainPickleError, load_plain

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
RECORDS = 40
AT_32 = PackOptions(resolution=32, name="x", duplicates="none")


def records(seed: int, classes: tuple[int, ...], count: int = RECORDS) -> np.ndarray:
    """Random records, uint8 [N, L + 3072], with one label in turn for each number of classes."""
    made = np.random.default_rng(seed).integers(0, 256, (count, len(classes) + 3072), np.uint8)
    for column, number in enumerate(classes):
        made[:, column] = np.arange(count) % number
    return made


def cifar_10() -> dict[str, bytes]:
    files = {f"{name}.bin": records(seed, (10,)).tobytes() for seed, name in enumerate(BATCHES)}
    return {"batches.meta.txt": "\n".join([*NAMES, "", ""]).encode(), **files}


def cifar_100() -> dict[str, bytes]:
    return {
        "coarse_label_names.txt": b"fish\nflowers\n",
        "fine_label_names.txt": b"ray\nshark\nrose\n",
        "train.bin": records(1, (2, 3), 60).tobytes(),
        "test.bin": records(2, (2, 3), 12).tobytes(),
    }


def unpacked(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def archive(path: Path, files: dict[str, bytes], inside: str = "cifar-10-batches-bin/") -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(inside + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    # They say when it was made and of what, and when the source's files were written.
    del files["collection.json"], files["facts.npz"]
    return files


def refused(source: Path, destination: Path) -> str:
    """The line with which a source is refused, with nothing left behind."""
    before = sorted(destination.parent.iterdir())
    with pytest.raises(ImpastoError) as caught:
        pack(source, destination, AT_32)
    assert sorted(destination.parent.iterdir()) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_record_is_a_label_and_three_planes(tmp_path: Path) -> None:
    files = cifar_10()
    red, green, blue = (np.zeros((32, 32), np.uint8) for _ in range(3))
    red[0, 31] = 200  # row by row: the last of the first row
    green[31, 0] = 100
    blue[:] = 7
    blue[2, 3] = 50
    record = bytes([6]) + red.tobytes() + green.tobytes() + blue.tobytes()
    files["data_batch_2.bin"] = files["data_batch_2.bin"][:3073] + record
    collection = pack(archive(tmp_path / "c.tar.gz", files), tmp_path / "x", AT_32).collection
    place = RECORDS + 1
    assert collection.source_table()[place]["path"] == "data_batch_2/00001"
    picture = collection.images(np.array([place]))[0]
    expected = np.zeros((32, 32, 3), np.uint8)
    expected[0, 31, 0], expected[31, 0, 1] = 200, 100
    expected[:, :, 2] = 7
    expected[2, 3, 2] = 50
    assert np.array_equal(picture, expected)
    assert collection.fields[0].classes[collection.labels[place, 0]] == "frog"


def test_all_is_packed_as_published(tmp_path: Path) -> None:
    files = cifar_10()
    report = pack(archive(tmp_path / "c.tar.gz", files), tmp_path / "x", AT_32)
    collection = report.collection
    whole = np.concatenate([np.frombuffer(files[f"{name}.bin"], np.uint8) for name in BATCHES])
    whole = whole.reshape(-1, 3073)
    pixels = whole[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    assert np.array_equal(collection.images(np.arange(6 * RECORDS)), pixels)
    assert [field.name for field in collection.fields] == ["class"]
    assert collection.fields[0].classes == tuple(NAMES)
    assert np.array_equal(collection.labels[:, 0], whole[:, 0])
    table = collection.source_table()
    assert [row["path"] for row in table] == [
        f"{name}/{number:05}" for name in BATCHES for number in range(RECORDS)
    ]
    # The split is the data set's own, to the last picture.
    assert np.array_equal(collection.heldout_indices, np.arange(5 * RECORDS, 6 * RECORDS))
    assert {row["split"] for row in table[5 * RECORDS :]} == {"heldout"}
    assert not report.left_out
    assert any("the test part of CIFAR-10" in note for note in report.notes)
    assert '"kind": "CIFAR-10, binary version"' in (tmp_path / "x/collection.json").read_text()
    collection.verify()


def test_archive_folder_order_and_processes_make_no_difference(tmp_path: Path) -> None:
    files = cifar_10()
    backwards = dict(reversed(files.items()))
    sources = [
        archive(tmp_path / "a.tar.gz", files),
        archive(tmp_path / "b.tgz", backwards, inside="./somewhere/else/"),
        archive(tmp_path / "c.tar", backwards, inside=""),
        unpacked(tmp_path / "cifar-10-batches-bin", {**files, "readme.html": b"<html>"}),
    ]
    made = []
    for number, source in enumerate(sources):
        for workers in (1, 2):
            options = replace(AT_32, workers=workers, seed=number)
            made.append(pack(source, tmp_path / f"{number}-{workers}", options).collection)
    assert len({collection.content_hash for collection in made}) == 1
    assert all(contents(other.path) == contents(made[0].path) for other in made[1:])


def test_labels(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "ten", cifar_10())
    assert read_source(folder, ("thing",)).fields == ("thing",)
    assert read_source(folder, ()).fields == ()
    with pytest.raises(ImpastoError, match="CIFAR-10 holds one label, but --labels names 2: a, b"):
        read_source(folder, ("a", "b"))
    bare = pack(folder, tmp_path / "x", PackOptions(resolution=32, labels=())).collection
    assert (bare.fields, bare.labels.shape) == ((), (6 * RECORDS, 0))


def test_cifar_100_has_two_labels(tmp_path: Path) -> None:
    files = cifar_100()
    source = archive(tmp_path / "c.tar.gz", files, inside="cifar-100-binary/")
    collection = pack(source, tmp_path / "x", AT_32).collection
    assert [(field.name, field.classes) for field in collection.fields] == [
        ("coarse", ("fish", "flowers")),
        ("fine", ("ray", "rose", "shark")),
    ]
    first = collection.source_table()[5]
    assert (first["path"], first["coarse"], first["fine"]) == ("train/00005", "flowers", "rose")
    assert np.array_equal(collection.heldout_indices, np.arange(60, 72))
    pixels = np.frombuffer(files["test.bin"], np.uint8).reshape(12, 3074)[11, 2:]
    picture = collection.images(np.array([71]))[0]
    assert np.array_equal(picture, pixels.reshape(3, 32, 32).transpose(1, 2, 0))
    folder = unpacked(tmp_path / "cifar-100-binary", files)
    assert pack(folder, tmp_path / "y", AT_32).collection.content_hash == collection.content_hash
    listing = read_source(source, ("fine",))
    assert (listing.fields, listing.entries[1].labels) == (("fine",), ("shark",))
    with pytest.raises(ImpastoError, match="unknown label 'class' of CIFAR-100; there is coarse"):
        read_source(source, ("class",))


def test_pictures_that_are_in_both_parts_are_told(tmp_path: Path) -> None:
    files = cifar_10()
    # The same pictures under other labels.
    twice = np.frombuffer(files["data_batch_1.bin"], np.uint8).reshape(-1, 3073)[:3].copy()
    twice[:, 0] = 9
    files["test_batch.bin"] += twice.tobytes()
    source = unpacked(tmp_path / "ten", files)
    report = pack(source, tmp_path / "x", AT_32)
    assert report.heldout_source_count == RECORDS + 3
    report = pack(source, tmp_path / "y", replace(AT_32, duplicates="exact"))
    assert report.source_count == 6 * RECORDS
    assert any("3 pictures excluded as the same" in note for note in report.notes)


def test_other_sizes_and_fits_are_as_for_any_picture(tmp_path: Path) -> None:
    source = unpacked(tmp_path / "ten", cifar_10())
    assert pack(source, tmp_path / "a", PackOptions(resolution=16)).collection.resolution == 16
    larger = PackOptions(resolution=64, max_upscale=2)
    assert len(pack(source, tmp_path / "b", larger).collection) == 6 * RECORDS
    tiles = pack(source, tmp_path / "c", PackOptions(resolution=32, fit="tiles")).collection
    assert len(tiles) > 6 * RECORDS
    held = {row["split"] for row in tiles.source_table()[5 * RECORDS :]}
    assert held == {"heldout"}
    with pytest.raises(ImpastoError) as caught:
        pack(source, tmp_path / "d", PackOptions(resolution=64))
    assert str(caught.value).endswith(
        "240 left out, such as data_batch_1/00000 (too small: 32 x 32 pixels; 64 px takes "
        "52); lower --resolution or raise --max-upscale"
    )
    assert not (tmp_path / "d").exists()


def changed(name: str, change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    files = cifar_10()
    files[name] = change(files[name])
    return files


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("files", "message"),
    [
        (changed("data_batch_3.bin", lambda old: old[:-1]), "data_batch_3.bin in .* 122,919 bytes"),
        (changed("test_batch.bin", lambda old: b""), "test_batch.bin in .* has 0 bytes"),
        (
            changed("test_batch.bin", lambda old: old[:3073] + b"\x0a" + old[3074:]),
            "test_batch.bin in .* is damaged: record 1 is of class 10, and there are 10",
        ),
        (changed("batches.meta.txt", lambda old: b"\n"), "batches.meta.txt in .* does not name"),
        (changed("batches.meta.txt", lambda old: b"a\n\nb"), "batches.meta.txt in .* does not"),
        (
            {name: content for name, content in cifar_10().items() if "meta" not in name},
            "lacks batches.meta.txt of CIFAR-10; download cifar-10-binary.tar.gz again",
        ),
        (
            {name: content for name, content in cifar_10().items() if "batch_4" not in name},
            "lacks data_batch_4.bin of CIFAR-10",
        ),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, files: dict[str, bytes], message: str, packed: bool
) -> None:
    source = archive(tmp_path / "c.tar.gz", files) if packed else unpacked(tmp_path / "ten", files)
    with pytest.raises(ImpastoError, match=message):
        raise ImpastoError(refused(source, tmp_path / "x"))


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar"])
def test_archives_cut_short_anywhere_are_refused(tmp_path: Path, suffix: str) -> None:
    whole = archive(tmp_path / f"whole{suffix}", cifar_10()).read_bytes()
    source = tmp_path / f"cut{suffix}"
    # Beyond the last of them, a plain archive lacks nothing but its padding.
    for share in (0, 0.00001, 0.3, 0.5, 0.8, 0.95):
        source.write_bytes(whole[: int(len(whole) * share)])
        message = refused(source, tmp_path / "x")
        assert "damaged or was cut short" in message or "lacks" in message
    source.write_bytes(whole[:-9])
    if suffix == ".tar.gz":
        assert "damaged or was cut short" in refused(source, tmp_path / "x")


def test_a_flipped_bit_in_an_archive_is_found(tmp_path: Path) -> None:
    source = archive(tmp_path / "c.tar.gz", cifar_10())
    whole = bytearray(source.read_bytes())
    for place in np.random.default_rng(0).integers(20, len(whole), 20):
        whole[place] ^= 16
        source.write_bytes(whole)
        assert "damaged or was cut short" in refused(source, tmp_path / "x")
        whole[place] ^= 16


def test_what_changes_while_it_is_packed_leaves_nothing(tmp_path: Path) -> None:
    source = unpacked(tmp_path / "ten", cifar_10())

    def cut(done: int, total: int) -> None:
        if done == 0:
            (source / "test_batch.bin").write_bytes(b"")

    with pytest.raises(ImpastoError, match=r"test_batch.bin in .* has 0 bytes"):
        pack(source, tmp_path / "x", AT_32, cut)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "names", [["data_batch_1.mat", "batches.meta.mat"], ["train.mat", "meta.mat", "test.mat"]]
)
def test_the_matlab_version_is_not_read(tmp_path: Path, names: list[str]) -> None:
    source = archive(tmp_path / "c.tar.gz", dict.fromkeys(names, b"MATLAB 5.0 MAT-file"))
    assert "in its Matlab version, which is not read; download the binary" in refused(
        source, tmp_path / "x"
    )


def test_names_and_links_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    files = cifar_10()
    inside = tmp_path / "inside"
    inside.mkdir()
    source = archive(inside / "up.tar.gz", files, inside="../../")
    assert len(pack(source, inside / "x", AT_32).collection) == 6 * RECORDS
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]

    (tmp_path / "secret.bin").write_bytes(files.pop("test_batch.bin"))
    source = inside / "link.tar"
    archive(source, files)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
        with tarfile.open(source, "a") as tar:
            link = tarfile.TarInfo("test_batch.bin")
            link.type, link.linkname = kind, str(tmp_path / "secret.bin")
            tar.addfile(link)
        assert "lacks test_batch.bin" in refused(source, inside / "y")


def test_a_data_set_twice_is_refused(tmp_path: Path) -> None:
    files = cifar_10()
    twice = {f"{folder}/{name}": files[name] for name in files for folder in ("one", "other")}
    message = refused(archive(tmp_path / "c.tar", twice), tmp_path / "x")
    assert "holds CIFAR more than once" in message
    assert "in one, other; give one of them" in message


def test_archives_of_something_else(tmp_path: Path) -> None:
    source = archive(tmp_path / "c.tar.gz", {"a.png": b"", "train.bin": b"tokens"})
    assert read_source(source, None).kind == "a folder"
    (tmp_path / "d.tar.gz").write_text("no archive")
    assert "damaged or was cut short" in refused(tmp_path / "d.tar.gz", tmp_path / "x")


def test_among_pictures_it_is_only_read_at_the_top(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    unpacked(folder / "cifar-10-batches-bin", cifar_10())
    assert read_source(folder, None).kind == "CIFAR-10, binary version"
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    assert read_source(folder, None).kind == "a folder"


def test_a_folder_with_one_such_name_is_a_folder_of_pictures(tmp_path: Path) -> None:
    folder = unpacked(tmp_path / "f", {"train.bin": b"tokens", "meta": b"", "a.png": b""})
    assert read_source(folder, None).kind == "a folder"


def test_the_command(tmp_path: Path) -> None:
    source = archive(tmp_path / "cifar-10-binary.tar.gz", cifar_10())
    arguments = ["pack", str(source), str(tmp_path / "cifar"), "--resolution", "32"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "cifar: 240 pictures of 32 px from 240 source pictures (crop)" in result.stdout
    assert "class: 10 classes" in result.stdout
    assert "held out  40" in result.stdout
    assert len(Collection.open(tmp_path / "cifar").train_indices) == 200


class Python2:
    """Pickles as Python 2's cPickle wrote them, protocol 2."""

    def __init__(self) -> None:
        self.written = bytearray(b"\x80\x02")
        self.stored = 0

    def put(self) -> None:
        self.stored += 1
        small = self.stored < 256
        self.written += b"q" + bytes([self.stored]) if small else b"r" + le(self.stored)

    def named(self, module: str, name: str) -> None:
        self.written += f"c{module}\n{name}\n".encode()
        self.put()

    def add(self, *things: Any) -> "Python2":
        for thing in things:
            self.add_one(thing)
        return self

    def add_one(self, thing: Any) -> None:
        if thing is None or isinstance(thing, bool):
            self.written += {None: b"N", True: b"\x88", False: b"\x89"}[thing]
        elif isinstance(thing, int):
            if 0 <= thing < 256:
                self.written += b"K" + bytes([thing])
            elif 0 <= thing < 65536:
                self.written += b"M" + struct.pack("<H", thing)
            else:
                self.written += b"J" + le(thing)
        elif isinstance(thing, bytes):
            self.written += (
                b"U" + bytes([len(thing)]) if len(thing) < 256 else b"T" + le(len(thing))
            )
            self.written += thing
            if len(thing) > 1:
                self.put()
        elif isinstance(thing, list):
            self.written += b"]"
            self.put()
            for start in range(0, len(thing), 1000):
                self.written += b"("
                self.add(*thing[start : start + 1000]).written += b"e"
        elif isinstance(thing, dict):
            self.written += b"}"
            self.put()
            self.written += b"("
            for key, value in thing.items():
                self.add(key, value)
            self.written += b"u"
        elif isinstance(thing, tuple):
            self.written += b"(" if len(thing) > 3 else b""
            self.add(*thing).written += {1: b"\x85", 2: b"\x86", 3: b"\x87"}.get(len(thing), b"t")
            self.put()
        else:
            self.array(thing)

    def array(self, values: np.ndarray) -> None:
        self.named("numpy.core.multiarray", "_reconstruct")
        self.named("numpy", "ndarray")
        self.add((0,), b"b").written += b"\x87"
        self.put()
        self.written += b"R"
        self.put()
        self.written += b"("
        self.add(1, values.shape)
        self.named("numpy", "dtype")
        self.add(values.dtype.str[1:].encode(), 0, 1).written += b"\x87"
        self.put()
        self.written += b"R"
        self.put()
        self.add((3, b"|", None, None, None, -1, -1, 0)).written += b"b"
        fortran = values.flags.f_contiguous and not values.flags.c_contiguous
        self.add(bool(fortran), values.tobytes("F" if fortran else "C")).written += b"t"
        self.put()
        self.written += b"b"


def le(number: int) -> bytes:
    return struct.pack("<i", number)


def python_2(thing: Any) -> bytes:
    return bytes(Python2().add(thing).written + b".")


def as_python(files: dict[str, bytes], fortran: bool = False) -> dict[str, bytes]:
    """CIFAR-10's or CIFAR-100's binary version as the Python version of the same."""
    names = {name: text.decode().split() for name, text in files.items() if name.endswith(".txt")}
    if len(names) == 1:
        keys, meta, title = ["labels"], "batches.meta", ["label_names"]
    else:
        keys, meta = ["coarse_labels", "fine_labels"], "meta"
        title = ["coarse_label_names", "fine_label_names"]
    made = {}
    for name, content in files.items():
        if name.endswith(".bin"):
            rows = np.frombuffer(content, np.uint8).reshape(-1, len(keys) + 3072)
            data = rows[:, len(keys) :]
            data = np.asfortranarray(data) if fortran else np.ascontiguousarray(data)
            batch: dict[bytes, Any] = {b"batch_label": b"training batch 1 of 5"}
            for column, key in enumerate(keys):
                batch[key.encode()] = rows[:, column].tolist()
            batch[b"data"] = data
            batch[b"filenames"] = [b"camion_s_%06d.png" % number for number in range(len(rows))]
            made[name.removesuffix(".bin")] = python_2(batch)
    told = zip(title, names.values(), strict=True)
    made[meta] = python_2({key.encode(): [name.encode() for name in group] for key, group in told})
    return made


def test_the_pickles_here_are_as_python_2_wrote_them() -> None:
    names = [name.encode() for name in NAMES]
    meta = {b"num_cases_per_batch": 10000, b"label_names": names, b"num_vis": 3072}
    # The checksum that torchvision has for the file in the published archive.
    digest = hashlib.md5(python_2(meta)).hexdigest()
    assert digest == "5ff9c542aee3614f3951f8cda6e48888"
    batch = as_python(cifar_10())["data_batch_2"]
    loaded, expected = load_plain(batch), pickle.loads(batch, encoding="bytes")
    assert np.array_equal(loaded[b"data"].values, expected.pop(b"data"))
    assert isinstance(loaded.pop(b"data"), Array)
    assert loaded == expected


@pytest.mark.parametrize("fortran", [False, True])
def test_the_python_version_is_the_same_collection(tmp_path: Path, fortran: bool) -> None:
    for number, files in enumerate((cifar_10(), cifar_100())):
        source = unpacked(tmp_path / f"bin-{number}", files)
        binary = pack(source, tmp_path / f"a{number}", AT_32).collection
        pickled = as_python(files, fortran)
        source = archive(tmp_path / f"cifar-{number}-python.tar.gz", pickled, "cifar-batches-py/")
        report = pack(source, tmp_path / f"b{number}", AT_32)
        assert contents(report.collection.path) == contents(binary.path)
        assert not report.left_out
        text = (tmp_path / f"b{number}/collection.json").read_text()
        assert f'"kind": "CIFAR-10{"0" * number}, Python version"' in text
        folder = unpacked(tmp_path / f"py-{number}", pickled)
        entries = read_source(folder, ()).entries
        assert len({entry.stamp for entry in entries}) == len(entries) == report.source_count


class Attack:
    """What a pickle calls when it is loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.told = (function, arguments)

    def __reduce__(self) -> Any:
        return self.told


def hostile(goal: Path) -> list[bytes]:
    """Pickles that would make the file `goal`, run code, or take all memory."""
    command = f"touch {goal}"
    wanted = [
        Attack(os.system, command),
        Attack(eval, f"open({str(goal)!r}, 'w')"),
        Attack(getattr, os, "system"),
        {b"data": [Attack(open, str(goal), "w")]},
        np.array([Attack(os.system, command)], dtype=object),
        np.zeros(3, "V8"),
        np.zeros(3, "M8[s]"),
        np.float32(1),
        2.0,
        2**70,
        "text",
        {1, 2},
        bytearray(3),
        object(),
        type("C", (), {}),
    ]
    made = []
    for thing in wanted:
        for protocol in range(6):
            try:
                made.append(pickle.dumps(thing, protocol))
            except Exception:  # Not every protocol can say everything.
                continue
    start = b"\x80\x02"
    array = python_2(np.zeros((2, 2), np.uint8))
    begun = start + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\x01b\x87R"
    return [
        *made,
        b"cos\nabort\n(tR.",
        b"(S'touch x'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch x'\no.",
        start + b"cos\nsystem\nU\x01x\x85\x81.",
        start + b"c__builtin__\neval\nU\x011\x85R.",
        start + b"cnumpy\nload\nU\x01x\x85R.",
        start + b"cnumpy.core.multiarray\n_reconstruct\ncos\nsystem\nK\0\x85U\x01b\x87R.",
        start + b"cnumpy\ndtype\nU\x02O8K\0K\x01\x87R.",
        start + b"cnumpy\ndtype\ncnumpy\ndtype\n\x85R.",
        start + b"cnumpy\nndarray\n(K\x05tR.",
        start + b"c" + b"n" * 10**6,
        start + b"P1\n.",
        start + b"\x82\x01.",
        start + b"L" + b"9" * 10**5 + b"L\n.",
        # An array of other numbers, of other shapes than its bytes, or filled twice over.
        begun + b"(K\x01K\x05\x85NK\0U\x05aaaaatb.",
        array.replace(b"U\x02u1", b"U\x02O8"),
        array.replace(b"K\x02K\x02\x86", b"K\x02M\xff\xff\x86"),
        array.replace(b"K\x02K\x02\x86", b"J\xff\xff\xff\xffJ\xfc\xff\xff\xff\x86"),
        array.replace(b"K\x02K\x02\x86", b"(" + b"J\xff\xff\xff\x7f" * 4 + b"t"),
        array.replace(b"K\x02K\x02\x86", b"U\x02aa"),
        start + b"}cnumpy\nndarray\nb.",
        start + b"]}b.",
        # Bombs: a string and a memo that say they are large, many objects, deep ones, and themselves.
        start + b"T\xff\xff\xff\x7f.",
        start + b"T\xff\xff\xff\xff.",
        start + b"U\x09abc.",
        start + b"]" * 10**6,
        start + b"]" * 200_000 + b"a" * 199_999,
        start + b"}" * 9 + b"s.",
        start + b"}]]s.",
        start + b"}(]]u.",
        start + b"(.",
        start + b"K\x01K\x02.",
        start + b"h\x07.",
        start + b"q\x01.",
        start + b"tu.",
        b"",
        b".",
        b"\x80",
        b"\x80\x05]." * 2,
    ]


def test_no_pickle_runs_anything_or_takes_all_memory(tmp_path: Path) -> None:
    for content in hostile(tmp_path / "made"):
        with pytest.raises(PlainPickleError) as caught:
            load_plain(content)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_what_only_looks_large_is_small() -> None:
    start = b"\x80\x02"
    assert load_plain(start + b"]r\xff\xff\xff\xffj\xff\xff\xff\xff\x86.") == ([], [])
    # A list in itself, and a list of the same lists of the same lists: nothing looks into them.
    assert len(load_plain(start + b"]q\x01h\x01a.")) == 1
    laughs = b"]q\x00"
    for number in range(9):
        laughs += b"](" + b"h%c" % number * 200 + b"eq%c" % (number + 1)
    assert len(load_plain(start + b"(" + laughs + b"t.")) == 10
    deep = load_plain(start + b"]" * 200_000 + b"a" * 199_999 + b".")
    assert len(deep) == 1


@pytest.mark.parametrize("packed", [True, False])
def test_pickles_of_another_kind_are_refused_in_a_line(tmp_path: Path, packed: bool) -> None:
    whole = as_python(cifar_10())

    def message(name: str, content: bytes) -> str:
        number = len(list(tmp_path.iterdir()))
        files = {**whole, name: content}
        if packed:
            return refused(archive(tmp_path / f"{number}.tar.gz", files), tmp_path / "x")
        return refused(unpacked(tmp_path / f"{number}", files), tmp_path / "x")

    evil = pickle.dumps(Attack(os.system, f"touch {tmp_path / 'made'}"), 2)
    again = "download cifar-10-python.tar.gz again from https://www.cs.toronto.edu/~kriz/cifar.html"
    assert "data_batch_3 in " in (told := message("data_batch_3", evil))
    assert "is not as published (it wants to use posix.system); " + again in told
    assert "not as published" in message("batches.meta", evil)
    assert not (tmp_path / "made").exists()
    half = whole["test_batch"][: len(whole["test_batch"]) // 2]
    assert "cut short" in message("test_batch", half)
    assert "holds no dictionary" in message("test_batch", python_2([1]))
    names = [name.encode() for name in NAMES]
    assert "does not name each class" in message("batches.meta", python_2({b"label_names": b"a"}))
    assert "does not name each class" in message("batches.meta", python_2({b"names": names}))
    batch = {b"labels": [1, 2], b"data": np.zeros((2, 3072), np.uint8)}
    for key, value, reason in (
        (b"data", np.zeros((2, 3071), np.uint8), "does not hold pictures of 3,072 bytes"),
        (b"data", np.zeros((0, 3072), np.uint8), "does not hold pictures"),
        (b"data", b"pixels", "does not hold pictures"),
        (b"labels", [1], "does not hold a number in 'labels' for each picture"),
        (b"labels", [1, b"2"], "does not hold a number in 'labels'"),
        (b"labels", 1, "does not hold a number in 'labels'"),
        (b"labels", [1, 10], "is damaged: record 1 is of class 10, and there are 10, from 0"),
        (b"labels", [-1, 1], "is damaged: record 0 is of class -1"),
    ):
        assert reason in message("test_batch", python_2({**batch, key: value}))
    files = {name: content for name, content in whole.items() if name != "test_batch"}
    source = archive(tmp_path / "lacking.tar", files)
    assert "lacks test_batch of CIFAR-10; download cifar-10-python" in refused(
        source, tmp_path / "x"
    )


WHOLE = python_2({b"labels": [3, 300, 70000], b"data": np.arange(12, dtype=np.uint8).reshape(3, 4)})


def test_pickles_cut_short_anywhere_are_refused() -> None:
    for length in range(len(WHOLE)):
        with pytest.raises(PlainPickleError):
            load_plain(WHOLE[:length])


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3), st.integers(0, 3)),
        min_size=1,
        max_size=4,
    )
)
def test_damaged_pickles_are_refused_or_plain(changes: list[tuple[int, bytes, int]]) -> None:
    content = WHOLE
    for place, put, taken in changes:
        content = content[:place] + put + content[place + taken :]
    with contextlib.suppress(PlainPickleError):
        load_plain(content)
