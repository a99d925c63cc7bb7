"""CIFAR's own files: pixels, labels and split as published, and no trust in damaged archives."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import Collection, PackOptions, pack
from impasto.collection.readers import read_source
from impasto.errors import ImpastoError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
RECORDS = 40
AT_32 = PackOptions(resolution=32, name="x")


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
    del files["collection.json"]  # It says when it was made, and of what.
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
            options = PackOptions(resolution=32, name="x", workers=workers, seed=number)
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
    report = pack(unpacked(tmp_path / "ten", files), tmp_path / "x", AT_32)
    assert report.heldout_source_count == RECORDS + 3
    assert any("3 of those held out are among those for training" in note for note in report.notes)


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

    with pytest.raises(ImpastoError, match=r"test_batch.bin is damaged or was cut short"):
        pack(source, tmp_path / "x", AT_32, cut)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["data_batch_1", "batches.meta", "test_batch"], "cifar-10-binary.tar.gz"),
        (["data_batch_1.mat", "batches.meta.mat"], "cifar-10-binary.tar.gz"),
        (["train", "test", "meta"], "cifar-100-binary.tar.gz"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_pickles_are_never_opened(
    tmp_path: Path, names: list[str], wanted: str, packed: bool
) -> None:
    files = dict.fromkeys(names, b"cos\nabort\n(tR.")  # It would end this process.
    source = archive(tmp_path / "c.tar.gz", files) if packed else unpacked(tmp_path / "py", files)
    message = refused(source, tmp_path / "x")
    assert f"{wanted}, from https://www.cs.toronto.edu/~kriz/cifar.html" in message


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


def test_a_file_twice_in_an_archive_is_refused(tmp_path: Path) -> None:
    source = archive(tmp_path / "c.tar", cifar_10())
    with tarfile.open(source, "a") as tar:
        tar.addfile(tarfile.TarInfo("other/test_batch.bin"))
    assert "has two files test_batch.bin" in refused(source, tmp_path / "x")


def test_archives_of_something_else(tmp_path: Path) -> None:
    source = archive(tmp_path / "c.tar.gz", {"a.png": b"", "train.bin": b"tokens"})
    assert "an archive of neither CIFAR-10 nor CIFAR-100" in refused(source, tmp_path / "x")
    (tmp_path / "d.tar.gz").write_text("no archive")
    assert "damaged or was cut short" in refused(tmp_path / "d.tar.gz", tmp_path / "x")


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
