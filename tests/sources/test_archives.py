"""Zip and tar archives: read as the folder that was packed, and never trusted."""

import bz2
import contextlib
import dataclasses
import gzip
import io
import lzma
import os
import random
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
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
from impasto.sources import archives as common
from impasto.sources.archives import plain_name, tar
from impasto.sources.archives import zip as zips
from impasto.sources.trees import Tree, UnusableError, open_source

ALL = PackOptions(resolution=16, name="x", duplicates="none")


def picture(number: int, suffix: str = "PNG") -> bytes:
    random = np.random.default_rng(number)
    file = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(file, suffix)
    return file.getvalue()


FILES = {f"{kind}/{n}.png": picture(n) for n in range(6) for kind in ("cats" if n % 2 else "dogs",)}


def in_zip(path: Path, files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def in_tar(path: Path, files: Mapping[str, bytes], **options: Any) -> Path:
    packing = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}
    mode = packing.get(path.suffix[1:], "w")
    with tarfile.open(path, mode, **options) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def on_disk(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def tree(path: Path) -> Tree:
    opened = open_source(path)
    assert opened.file is None, "no archive claims it"
    return opened.tree


def all_of(path: Path) -> dict[str, bytes | str]:
    """What is in an archive: the bytes of each file, or why it cannot be read."""
    opened = tree(path)
    names = list(opened.files)
    contents = zip(names, opened.contents(names), strict=True)
    return {name: got if isinstance(got, bytes) else str(got) for name, got in contents}


def refused(path: Path) -> str:
    with pytest.raises(ImpastoError) as caught:
        all_of(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def packed(source: Path, destination: Path) -> dict[str, bytes]:
    folder = pack(source, destination, ALL).collection.path
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    # They say when it was made and of what, and when the source's files were written.
    del files["collection.json"], files["facts.npz"]
    return files


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("IMPASTO_CACHE", str(folder))
    return folder


NAMES = [
    "a.zip",
    "deflated.zip",
    "a.tar",
    "a.tar.gz",
    "a.tgz",
    "a.tar.bz2",
    "a.tar.xz",
    "no-suffix",
]


def made(path: Path, files: Mapping[str, bytes]) -> Path:
    if path.suffix in (".zip", ""):
        method = zipfile.ZIP_DEFLATED if path.stem == "deflated" else zipfile.ZIP_STORED
        return in_zip(path, files, method)
    return in_tar(path, files)


def test_an_archive_is_packed_as_the_folder_is(tmp_path: Path) -> None:
    expected = packed(on_disk(tmp_path / "folder", FILES), tmp_path / "a")
    wrapped = {f"paintings-main/{name}": content for name, content in reversed(FILES.items())}
    for number, name in enumerate(NAMES):
        source = made(tmp_path / name, wrapped if number % 2 else FILES)
        assert packed(source, tmp_path / f"{number}") == expected, name
        before = source.stat()
        assert sorted(entry.relative for entry in read_source(source, None).entries) == sorted(
            FILES
        )
        assert source.stat() == before
    assert "labels.npy" in expected


@pytest.mark.parametrize("name", NAMES)
def test_any_files_in_any_order(tmp_path: Path, name: str) -> None:
    order = list(FILES)
    random.Random(3).shuffle(order)
    opened = tree(made(tmp_path / name, {name: FILES[name] for name in order}))
    assert list(opened.files) == sorted(FILES)
    assert [file.size for file in opened.files.values()] == [len(FILES[n]) for n in sorted(FILES)]
    for names in (sorted(FILES), order, order[2:3], sorted(FILES)[1::2], []):
        assert list(opened.contents(names)) == [FILES[name] for name in names]
    with pytest.raises(UnusableError, match="no such file"):
        opened.read("cats/none.png")


@pytest.mark.parametrize("name", NAMES)
def test_stamps(tmp_path: Path, name: str) -> None:
    same = {"a/1.png": b"pixels", "b/2.png": b"pixels", "c/3.png": b"others"}
    first = {file.name: file.stamp for file in tree(made(tmp_path / name, same)).files.values()}
    assert all(first.values())
    changed = {**same, "c/3.png": b"OTHERS"}
    second = {file.name: file.stamp for file in tree(made(tmp_path / name, changed)).files.values()}
    assert first["c/3.png"] != second["c/3.png"]
    if name.endswith(".zip"):
        assert first["a/1.png"] == second["a/1.png"]


def test_a_folder_that_wraps_everything_is_taken_off(tmp_path: Path) -> None:
    def names(*inside: str) -> list[str]:
        return list(tree(in_zip(tmp_path / "a.zip", dict.fromkeys(inside, b"x"))).files)

    assert names("w/cats/1.png", "w/dogs/2.png") == ["cats/1.png", "dogs/2.png"]
    assert names("v/w/cats/1.png", "v/w/dogs/2.png") == ["cats/1.png", "dogs/2.png"]
    assert names("w/metadata.csv", "w/1.png") == ["1.png", "metadata.csv"]
    assert names("w/cats/1.png", "w/2.png") == ["2.png", "cats/1.png"]
    assert names("w/cats/1.png", "__MACOSX/._1.png", ".DS_Store") == ["cats/1.png"]
    # A class, not a wrapper.
    assert names("cats/1.png", "cats/2.png", "cats/read me.txt") == [
        *("cats/1.png", "cats/2.png", "cats/read me.txt"),
    ]
    assert names("cats/1.png", "metadata.csv") == ["cats/1.png", "metadata.csv"]
    assert names("a/b/1.png", "ab/2.png") == ["a/b/1.png", "ab/2.png"]
    assert names() == []


@pytest.mark.parametrize("name", NAMES)
def test_what_programs_leave_behind_is_passed_over(tmp_path: Path, name: str) -> None:
    litter = [
        "__MACOSX/cats/._1.png",
        "cats/.1.png",
        ".git/x.png",
        "a/__pycache__/x.png",
        "._x.png",
    ]
    packed = ["old/collection.json", "old/sheet.png", "old/deep/x.png"]
    source = made(tmp_path / name, {**FILES, **dict.fromkeys([*litter, *packed], b"x")})
    assert list(tree(source).files) == sorted(FILES)
    assert not read_source(source, None).left_out


def test_a_collection_in_an_archive_is_no_source(tmp_path: Path) -> None:
    source = in_zip(tmp_path / "a.zip", {"c/collection.json": b"{}", "c/x.npy": b""})
    assert "holds a collection; unpack it" in refused(
        in_zip(tmp_path / "b.zip", {"collection.json": b"{}"})
    )
    assert list(tree(source).files) == []


LEADING_OUT = {
    "/etc/1.png": "etc/1.png",
    "../../2.png": "2.png",
    "a/../../b/./3.png": "a/b/3.png",
    "./c//4.png": "c/4.png",
    "ü/5 ½ \n.png": "ü/5 ½ \n.png",
    "6" * 150 + "/" + "x" * 251 + ".png": "6" * 150 + "/" + "x" * 251 + ".png",
    "日本/7.png": "日本/7.png",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_lead_nowhere(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    files = {name: picture(number) for number, name in enumerate(LEADING_OUT)}
    source = made(folder / name, files)
    assert all_of(source) == {LEADING_OUT[name]: content for name, content in files.items()}
    pack(source, folder / "x", ALL)
    assert sorted(path.name for path in folder.iterdir()) == sorted(["x", name])
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]


def test_plain_names() -> None:
    assert plain_name("a/..") == "a"
    assert plain_name("/") == plain_name("..") == plain_name("") == ""
    assert plain_name("b\udcff.png") == r"b\xff.png"


def test_of_two_files_of_one_name_the_later_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", b"old")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a.png", b"new")
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        for name, content in (("a.png", b"old"), ("./a.png", b"new")):
            member = tarfile.TarInfo(name)
            member.size = 3
            packed.addfile(member, io.BytesIO(content))
    for source in (tmp_path / "a.zip", tmp_path / "a.tar"):
        assert all_of(source) == {"a.png": b"new"}
        assert tree(source).left_out == [("a.png", "twice in the archive: the later one counts")]


def test_a_pipe_is_no_archive(tmp_path: Path) -> None:
    for name in ("a.zip", "a.tar", "a.tar.gz", "none"):
        os.mkfifo(tmp_path / name)
        assert not zips.claims(tmp_path / name)
        assert not tar.claims(tmp_path / name)
    assert not zips.claims(tmp_path / "missing.zip")
    assert not tar.claims(tmp_path / "missing.tar")


def test_what_is_claimed(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", x=np.zeros(3))
    assert not zips.claims(tmp_path / "arrays.npz")
    assert zips.claims(in_zip(tmp_path / "download", {"a.png": b""}))
    assert zips.claims(in_zip(tmp_path / "comic.CBZ", {}))
    assert tar.claims(in_tar(tmp_path / "data", {"a.png": b""}))
    assert tar.claims(in_tar(tmp_path / "A.TAR", {"a.png": b""}))
    for name in ("a.png", "a.csv"):
        (tmp_path / name).write_bytes(b"x" * 600)
        assert not zips.claims(tmp_path / name)
        assert not tar.claims(tmp_path / name)


# Zip


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)
    return path


def test_a_damaged_file_in_a_zip_leaves_the_others_alone(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        source = in_zip(tmp_path / "a.zip", FILES, method)
        with zipfile.ZipFile(source) as archive:
            info = archive.getinfo("cats/3.png")

        def flip(content: bytearray, place: int = info.header_offset + 400) -> None:
            content[place] ^= 16

        read = all_of(patched(source, flip))
        assert str(read.pop("cats/3.png")).startswith("unreadable: damaged in the archive: ")
        assert read == {name: content for name, content in FILES.items() if name != "cats/3.png"}
    report = pack(source, tmp_path / "x", ALL)
    assert report.source_count == 5
    assert [(name, reason[:12]) for name, reason in report.left_out] == [
        ("cats/3.png", "unreadable: ")
    ]


def in_directory(name: bytes, offset: int, layout: str, value: int) -> Callable[[bytearray], None]:
    """Change a number in a file's entry of the directory (APPNOTE 4.3.12)."""

    def change(content: bytearray) -> None:
        place = content.index(name, content.index(b"PK\x01\x02")) - 46
        struct.pack_into(layout, content, place + offset, value)

    return change


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [0, 1, 999, 1001, 100_000, 2**31])
def test_sizes_that_are_not_true(tmp_path: Path, method: int, size: int) -> None:
    source = in_zip(tmp_path / "a.zip", {"a.png": b"\0" * 1000, "b.png": b"whole"}, method)
    read = all_of(patched(source, in_directory(b"a.png", 24, "<I", size)))
    assert read["b.png"] == b"whole"
    wrong = str(read["a.png"])
    assert wrong.startswith("too large" if size == 2**31 else "unreadable: damaged in the archive:")


def test_a_file_that_is_far_larger_than_said_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    source = in_zip(tmp_path / "a.zip", {"a.png": bytes(2**26)}, zipfile.ZIP_DEFLATED)
    patched(source, in_directory(b"a.png", 24, "<I", 10))
    tracemalloc.start()
    assert "damaged" in str(all_of(source)["a.png"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_be_so_large(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "MOST_BYTES", 1000)
    source = made(tmp_path / name, {"a.png": bytes(1000), "b.png": bytes(1001)})
    assert all_of(source) == {
        "a.png": bytes(1000),
        "b.png": "too large: 1,001 bytes; from an archive, at most 1,000 are read",
    }


def test_what_a_zip_may_hold_that_is_not_read(tmp_path: Path) -> None:
    source = in_zip(tmp_path / "a.zip", {"e.png": b"secret", "f.png": b"x", "g.png": b"y"})
    patched(source, in_directory(b"e.png", 8, "<H", 1))
    patched(source, in_directory(b"f.png", 10, "<H", 9))
    patched(source, in_directory(b"g.png", 10, "<H", 77))
    with zipfile.ZipFile(source, "a") as archive:
        link = zipfile.ZipInfo("h.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("i.png", b"z", zipfile.ZIP_LZMA)
        archive.writestr("j.png", b"z", zipfile.ZIP_BZIP2)
        archive.mkdir("k.png") if hasattr(archive, "mkdir") else archive.writestr("k.png/", b"")
    assert all_of(source) == {}
    assert tree(source).left_out == [
        ("e.png", "encrypted: unpack the archive with its password"),
        ("f.png", "unknown compression: Deflate64; unpack the archive"),
        ("g.png", "unknown compression: number 77; unpack the archive"),
        ("h.png", "a link: links in an archive are not followed"),
        ("i.png", "unknown compression: LZMA; unpack the archive"),
        ("j.png", "unknown compression: bzip2; unpack the archive"),
    ]
    with pytest.raises(ImpastoError, match=r"no pictures in .*; 6 left out, such as e\.png"):
        pack(source, tmp_path / "x", ALL)


def test_names_in_a_zip_in_every_spelling(tmp_path: Path) -> None:
    def spelt(name: bytes, flag: int) -> Path:
        """A zip of one file of this name, in bytes."""
        source = in_zip(tmp_path / "a.zip", {"n" * len(name): b"x"})

        def change(content: bytearray) -> None:
            content[:] = content.replace(b"n" * len(name), name)
            struct.pack_into("<H", content, 6, flag)
            struct.pack_into("<H", content, content.index(b"PK\x01\x02") + 8, flag)

        return patched(source, change)

    utf_8 = "é.png".encode()
    assert all_of(spelt(utf_8, 0x800)) == {"é.png": b"x"}
    assert all_of(spelt(utf_8, 0)) == {"é.png": b"x"}  # As macOS does.
    assert all_of(spelt("é.png".encode("cp437"), 0)) == {"é.png": b"x"}
    assert all_of(spelt(b"C:\\art\\a.png", 0)) == {"art/a.png": b"x"}
    assert all_of(spelt(b"..\\..\\a.png", 0)) == {"a.png": b"x"}
    assert "damaged or was cut short" in refused(spelt(b"\xff\xfe.png", 0x800))


def test_larger_than_four_gigabytes_is_another_format(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
    assert all_of(tmp_path / "a.zip") == FILES


def test_a_zip_behind_a_program(tmp_path: Path) -> None:
    source = in_zip(tmp_path / "a.zip", FILES)
    source.write_bytes(b"MZ" + b"\x90" * 5000 + source.read_bytes())
    assert all_of(source) == FILES


def test_zips_that_are_none(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    for content in (b"", b"<!DOCTYPE html><html>Sign in</html>", b"Rar!\x1a\x07\x00" + bytes(99)):
        source.write_bytes(content)
        assert "is no zip archive, or its end is missing" in refused(source)
    whole = in_zip(source, FILES).read_bytes()
    for length in range(1, len(whole), 97):
        source.write_bytes(whole[:length])
        assert "damaged or was cut short" in refused(source) or length == 1


# Tar


def member(name: str, kind: bytes, size: int = 0, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def test_links_devices_and_pipes_in_a_tar(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(0))
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for kind, name in (
            (tarfile.SYMTYPE, "s.png"),
            (tarfile.LNKTYPE, "l.png"),
            (tarfile.CHRTYPE, "c.png"),
            (tarfile.BLKTYPE, "b.png"),
            (tarfile.FIFOTYPE, "f.png"),
            (tarfile.DIRTYPE, "d.png"),
        ):
            archive.addfile(member(name, kind, link=str(tmp_path / "secret.png")))
        archive.addfile(member("p.png", tarfile.REGTYPE, 1), io.BytesIO(b"p"))
    assert all_of(tmp_path / "a.tar") == {"p.png": b"p"}
    link, other = "a link: links in an", "not a file: a device"
    assert [(name, reason[: len(link)]) for name, reason in tree(tmp_path / "a.tar").left_out] == [
        ("s.png", link),
        ("l.png", link),
        *((f"{letter}.png", other[: len(link)]) for letter in "cbf"),
    ]


def test_sparse_files_are_left_out(tmp_path: Path) -> None:
    content = bytearray(512)
    content[:] = member("sparse.png", tarfile.GNUTYPE_SPARSE, 512).tobuf(tarfile.GNU_FORMAT)[:512]
    struct.pack_into("12s12s", content, 386, b"00000000000\0", b"00000001000\0")
    struct.pack_into("12s", content, 483, b"00000010000\0")
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    (tmp_path / "a.tar").write_bytes(bytes(content) + b"x" * 512 + bytes(1024))
    assert all_of(tmp_path / "a.tar") == {}
    assert tree(tmp_path / "a.tar").left_out[0][1].startswith("not a file")


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_kinds_of_tar(tmp_path: Path, kind: int) -> None:
    files = dict(FILES)
    if kind != tarfile.USTAR_FORMAT:
        files["deep/" * 60 + "ö" * 100 + ".png"] = b"long"
    assert all_of(in_tar(tmp_path / "a.tar", files, format=kind)) == files


def test_names_in_a_tar_that_are_no_utf_8(tmp_path: Path) -> None:
    files = {"é/1.png": b"x", "è/1.png": b"y", "plain.png": b"z"}
    for encoding in ("latin-1", "cp437"):
        path = tmp_path / f"{encoding}.tar"
        source = in_tar(path, files, format=tarfile.GNU_FORMAT, encoding=encoding)
        guessed = tree(source)
        # Whatever they are taken for, they are two.
        assert sorted(map(guessed.read, guessed.files)) == [b"x", b"y", b"z"]
        assert guessed.notes[0].startswith("2 file names beyond ASCII taken for Windows-1252 or")
        told = open_source(source, encoding).tree
        assert {name: told.read(name) for name in told.files} == files
        assert not told.notes
    # PAX headers are in UTF-8 whatever else is.
    told = open_source(in_tar(tmp_path / "pax.tar", files), "cp932").tree
    assert set(told.files) == set(files)


def legacy_zip(path: Path, names: list[str], encoding: str, field: bytes = b"") -> Path:
    """A zip with names in a code page, no flag that says so, and an extra field for each file."""

    class Legacy(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
            return self.filename.encode(encoding), self.flag_bits & ~0x800

    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            info = Legacy(name)
            info.extra = field
            archive.writestr(info, picture(number))
    with zipfile.ZipFile(path) as archive:
        assert not any(info.flag_bits & 0x800 for info in archive.infolist())
    return path


def test_zips_in_a_legacy_code_page(tmp_path: Path) -> None:
    names = [f"{kind}/絵{n}.png" for kind in ("浮世絵", "油絵") for n in range(2)]
    source = legacy_zip(tmp_path / "sjis.zip", names, "cp932")
    notes = read_source(source, None).notes
    assert notes[0].startswith("4 file names beyond ASCII taken for code page 437, such as ")
    assert "--names-encoding cp932" in notes[0]
    listing = read_source(source, None, "cp932")
    assert sorted(entry.relative for entry in listing.entries) == sorted(names)
    assert {entry.labels[0] for entry in listing.entries} == {"浮世絵", "油絵"}
    assert not listing.notes
    with pytest.raises(ImpastoError, match=r"name \\x95.* is not in ascii; give another --names"):
        read_source(source, None, "ascii")
    with pytest.raises(ImpastoError, match="'nonsense' is no encoding that Python knows"):
        PackOptions(names_encoding="nonsense")
    packed = pack(source, tmp_path / "packed", dataclasses.replace(ALL, names_encoding="cp932"))
    assert packed.collection.fields[0].classes == ("油絵", "浮世絵")


def test_the_unicode_path_field_of_a_zip_counts(tmp_path: Path) -> None:
    given, meant = "ü.png", "ユ.png"
    for name, checksum, expected in (
        ("good.zip", zlib.crc32(given.encode("cp437")), meant),
        ("of-another-name.zip", 7, given),
    ):
        told = struct.pack("<BL", 1, checksum) + meant.encode()
        field = struct.pack("<HH", 0x7075, len(told)) + told
        source = legacy_zip(tmp_path / name, [given], "cp437", field)
        assert list(tree(source).files) == [expected]


def test_how_a_tar_is_compressed_is_seen_in_its_bytes(tmp_path: Path) -> None:
    content = in_tar(tmp_path / "a.tar", FILES).read_bytes()
    for compress in (bytes, gzip.compress, bz2.compress, lzma.compress):
        (tmp_path / "b.tar").write_bytes(compress(content))
        assert all_of(tmp_path / "b.tar") == FILES
        (tmp_path / "b.tar.xz").write_bytes(compress(content))
        assert all_of(tmp_path / "b.tar.xz") == FILES
    (tmp_path / "b.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(90))
    assert "decompress it with zstd -d b.tar.zst, and give the .tar" in refused(
        tmp_path / "b.tar.zst"
    )


def test_large_ones_are_decompressed_to_a_file_without_a_name(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar, "_IN_MEMORY", 100)
    source = in_tar(tmp_path / "a.tar.gz", FILES)
    assert all_of(source) == FILES
    assert list(cache.iterdir()) == []
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file"))
    message = refused(source)
    assert message.startswith(f"cannot write {tmp_path / 'file'}: ")
    assert message.endswith(f"(to decompress {source}); or set IMPASTO_CACHE to another folder")


def test_what_becomes_far_too_large_is_a_trap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar, "_SUSPECT_BYTES", 2**20)
    source = in_tar(tmp_path / "a.tar.gz", {"a.png": bytes(2**22)})
    assert "becomes more than 100 times larger when it is decompressed" in refused(source)
    monkeypatch.setattr(tar, "_SUSPECT_BYTES", 2**23)
    assert all_of(source) == {"a.png": bytes(2**22)}


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_tars_cut_short(tmp_path: Path, name: str) -> None:
    source = in_tar(tmp_path / name, FILES)
    whole = source.read_bytes()
    last = whole.rindex(b"IEND") if name == "a.tar" else len(whole) - 1
    for length in range(0, last, 61):
        source.write_bytes(whole[:length])
        # Where one file ends and the next would begin, all that can be told is that the end lacks.
        at_a_border = name == "a.tar" and length % 512 == 0 and length > 0
        if not at_a_border or not tree(source).left_out:
            assert "damaged or was cut short" in refused(source), length


def test_a_tar_without_an_end_is_told(tmp_path: Path) -> None:
    source = in_tar(tmp_path / "a.tar", {"a.png": picture(1)})
    source.write_bytes(source.read_bytes()[: 512 * (1 + -(-len(picture(1)) // 512))])
    report = pack(source, tmp_path / "x", ALL)
    assert report.source_count == 1
    reason = "unreadable: the archive has no end mark; it may have been cut short"
    assert report.left_out == [("the end of a.tar", reason)]


def test_a_damaged_header_amid_a_tar_does_not_hide_the_rest(tmp_path: Path) -> None:
    source = in_tar(tmp_path / "a.tar", FILES)

    def damage(content: bytearray) -> None:
        content[content.index(b"cats/3.png") + 150] ^= 1

    assert "damaged or was cut short (no header at byte " in refused(patched(source, damage))


def lying(**fields: bytes) -> bytes:
    """A header with some fields as given, its checksum right."""
    header = bytearray(member("a.png", fields.pop("kind", tarfile.REGTYPE)).tobuf()[:512])
    places = {"size": 124, "mtime": 136}
    for name, value in fields.items():
        header[places[name] : places[name] + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize(
    "content",
    [
        lying(size=b"\xff" * 12),  # -1, in base 256
        lying(size=b"\xff" * 10 + b"\xfc\x00"),  # -1024: back to the header itself
        lying(size=b"\xff" * 10 + b"\xfc\x00", kind=b"Z"),
        lying(size=b"\x80" + b"\x7f" * 11),
        lying(size=b"77777777777\0"),
        lying(size=b"not a number"),
        *(
            lying(size=size, kind=kind) + bytes(512)
            for kind in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)
            for size in (b"77777777777\0", b"\xff" * 12, b"\xff" * 10 + b"\xfc\x00")
        ),
        lying(size=b"00000000100\0", kind=tarfile.XHDTYPE) + b"99999999 path=x\n".ljust(512, b"\0"),
        lying(size=b"00000000100\0", kind=tarfile.XHDTYPE) + b"0 path=x\n".ljust(512, b"\0"),
        lying(size=b"00000000020\0", kind=tarfile.XHDTYPE)
        + b"13 size=-1024\n16 a=bcdefgh\n".ljust(512, b"\0")
        + lying(),
        lying(kind=tarfile.GNUTYPE_SPARSE, size=b"00000001000\0"),
        b"\x1f\x8b" + bytes(600),
        b"BZh9" + bytes(600),
        b"\xfd7zXZ\0" + bytes(600),
        gzip.compress(b"", mtime=0),
        gzip.compress(b"no tar at all" * 99, mtime=0),
        b"",
        b"x" * 511,
        b"x" * 2000,
    ],
)
def test_lying_headers(tmp_path: Path, content: bytes) -> None:
    before = in_tar(tmp_path / "b.tar", {"c.png": b"c"}).read_bytes()[:1024]
    source = tmp_path / "a.tar"
    for begin, end in (before, b""), (b"", b""), (before, bytes(1024)), (b"", bytes(1024)):
        source.write_bytes(begin + content + end)
        with contextlib.suppress(ImpastoError):
            assert "a.png" not in all_of(source)


# Damage of any kind


def _whole(folder: Path) -> dict[str, bytes]:
    files = {"w/cats/1.png": b"one" * 50, "w/dogs/2.png": b"two" * 400, "w/é" * 40 + ".png": b"3"}
    return {
        "a.zip": in_zip(folder / "a.zip", files, zipfile.ZIP_DEFLATED).read_bytes(),
        "a.tar": in_tar(folder / "a.tar", files, format=tarfile.PAX_FORMAT).read_bytes(),
        "b.tar": in_tar(folder / "b.tar", files, format=tarfile.GNU_FORMAT).read_bytes(),
        "a.tar.gz": in_tar(folder / "a.tar.gz", files).read_bytes(),
        "a.tar.xz": in_tar(folder / "a.tar.xz", files).read_bytes(),
    }


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "b.tar", "a.tar.gz", "a.tar.xz"])
def test_damage_of_any_kind(tmp_path: Path, name: str) -> None:
    whole = _whole(tmp_path)[name]
    source = tmp_path / f"damaged-{name}"
    # Most bytes of a tar are its padding; changes belong where something is.
    places = [place for place, byte in enumerate(whole) if byte] or [0]

    @settings(max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(places), st.binary(min_size=1, max_size=8), st.integers(0, 8)
            ),
            min_size=1,
            max_size=5,
        )
    )
    def check(changes: list[tuple[int, bytes, int]]) -> None:
        content = whole
        for place, put, taken in changes:
            # Either in place, or with what follows moved.
            taken = len(put) if taken > 4 else taken
            content = content[:place] + put + content[place + taken :]
        source.write_bytes(content)
        with contextlib.suppress(ImpastoError):
            for reason in all_of(source).values():
                assert isinstance(reason, bytes) or "\n" not in reason

    check()
