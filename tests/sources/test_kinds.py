"""Files known by their first bytes: HEIC, AVIF and JPEG XL, camera raw, and names that hide pictures."""

import io
import struct
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.collection import PackOptions, pack
from impasto.decoding.plugins import jxl_size, load_plugin
from impasto.errors import ImpastoError
from impasto.readers import read_source
from impasto.sources.archives import Archive
from impasto.sources.file_kinds import begins_as_picture, container
from impasto.sources.file_names import find_named
from impasto.sources.listing import Listing, is_picture, pictures
from impasto.sources.trees import Folder
from tests.helpers.decoded import SEEN_AT, how, result_of
from tests.helpers.hostile_files import (
    GLASS,
    QUARTERS,
    WHITE,
    image,
    jpeg,
    over,
    quarters,
    rgb,
    saved,
    swapped,
    tiff,
    tiff_entries,
    turned,
    unswapped,
)
from tests.helpers.lfs import POINTER

PLAIN = PackOptions(resolution=16, workers=1, duplicates="none", heldout=0)


def boxed(*brands: bytes) -> bytes:
    """The beginning of a file with these brands, the major one first, and nothing in it."""
    told = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(told)) + b"ftyp" + told + bytes(200)


def heic(picture: Image.Image, **options: object) -> bytes:
    load_plugin("HEIF")
    return saved(picture, "HEIF", **{"quality": 95, "chroma": 444, **options})


def jxl(picture: Image.Image, **options: object) -> bytes:
    load_plugin("JXL")
    return saved(picture, "JXL", **{"lossless": True, **options})


def shown(content: bytes) -> np.ndarray:
    fitted = result_of(content, how())
    assert not isinstance(fitted, str), fitted
    return np.array([fitted.pixels[16][0][place] for place in SEEN_AT]).astype(int)


def near(content: bytes, colours: object, by: int = 3) -> None:
    found = shown(content)
    assert np.abs(found - np.array(colours)).max() <= by, found.tolist()


def reason(content: bytes) -> str:
    found = result_of(content, how())
    assert isinstance(found, str)
    return found


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra `formats` is not installed."""
    Image.init()
    for form, module in (("HEIF", "pillow_heif"), ("JXL", "pillow_jxl")):
        monkeypatch.delitem(Image.OPEN, form, raising=False)
        monkeypatch.setitem(sys.modules, module, None)


# --- What begins how


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (boxed(b"heic", b"mif1"), "HEIF"),
        (boxed(b"heix", b"mif1", b"heic"), "HEIF"),
        (boxed(b"heim"), "HEIF"),
        (boxed(b"heis"), "HEIF"),
        (boxed(b"hevc", b"msf1"), "HEIF"),
        (boxed(b"hevx"), "HEIF"),
        (boxed(b"mif1", b"heic"), "HEIF"),
        (boxed(b"mif1", b"miaf"), "HEIF"),
        (boxed(b"msf1", b"hevc"), "HEIF"),
        (boxed(b"avif", b"mif1"), "AVIF"),
        (boxed(b"avis", b"msf1"), "AVIF"),
        (boxed(b"mif1", b"avif", b"miaf"), "AVIF"),
        (b"\xff\x0a" + bytes(20), "JXL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20), "JXL"),
        (boxed(b"isom", b"avc1"), ""),
        (boxed(b"mp42", b"isom"), ""),
        (boxed(b"qt  "), ""),
        (boxed(b"M4V "), ""),
        (boxed(b"3gp5"), ""),
        (boxed(b"crx ", b"isom"), ""),
    ],
)
def test_brands_tell_photos_from_videos(content: bytes, form: str) -> None:
    assert container(content) == form
    assert begins_as_picture(content) == bool(form)
    if not form:
        wanted = "a camera raw file" if content[8:12] == b"crx " else "a video"
        assert reason(content).startswith(f"not a picture: {wanted}")


def raw_tiff(order: str = "<", **tags: int) -> bytes:
    """A small preview with the tags that camera raw files have."""
    data = quarters(QUARTERS).astype(np.uint8).tobytes()
    entries = tiff_entries([8] * 3, 2)
    entries |= {int(name[1:]): (4, [value]) for name, value in tags.items()}
    return tiff(data, entries, order)


RAW = {
    "Canon CR2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(200),
    "Canon CR3": boxed(b"crx ", b"isom"),
    "Nikon NEF, Sony ARW": raw_tiff(_254=1, _271=0, _330=8),
    "Pentax, big-endian": raw_tiff(">", _254=1, _271=0, _330=8),
    "DNG": raw_tiff(_50706=4),
    "a filter's colours": tiff(bytes(64 * 64), tiff_entries([8], 32803)),
    "Fujifilm RAF": b"FUJIFILMCCD-RAW 0201" + bytes(200),
    "Olympus ORF": b"IIRO\x08\0\0\0" + bytes(200),
    "Panasonic RW2": b"IIU\0\x18\0\0\0" + bytes(200),
}


@pytest.mark.parametrize("content", RAW.values(), ids=RAW)
def test_camera_raw_is_told_by_its_bytes(content: bytes) -> None:
    wanted = "not a picture: a camera raw file; develop it to JPEG, PNG or TIFF first"
    assert reason(content) == wanted


def test_tiffs_that_are_no_raw() -> None:
    for content in (raw_tiff(), raw_tiff(_271=0), raw_tiff(_254=1), raw_tiff(_330=8, _271=0)):
        near(content, QUARTERS)
    for cut in (3, 6, 8, 9, 12):
        assert reason(raw_tiff()[:cut])


def test_camera_raw_is_told_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(saved(rgb(), "PNG"))
    for name in ("a.CR2", "b.cr3", "c.nef", "d.arw", "e.dng", "f.raf"):
        (tmp_path / name).write_bytes(b"")
    listing = read_source(tmp_path, None)
    assert len(listing.left_out) == 6
    assert dict(listing.left_out)["a.CR2"].endswith(
        ": .cr2, a camera raw file; develop it to JPEG, PNG or TIFF first"
    )


# --- HEIC, AVIF and JPEG XL


def test_heic_is_read() -> None:
    near(heic(rgb()), QUARTERS)
    near(heic(rgb().resize((640, 480), Image.Resampling.NEAREST)), QUARTERS)
    near(heic(image("RGBA", GLASS)), over(GLASS, WHITE))
    near(heic(rgb(), icc_profile=swapped()), unswapped())


def test_a_heic_photo_is_upright() -> None:
    lying = rgb().transpose(Image.Transpose.ROTATE_90).resize((80, 40), Image.Resampling.NEAREST)
    content = heic(lying, exif=turned())
    near(content, QUARTERS)
    fitted = result_of(content, how())
    assert not isinstance(fitted, str)
    assert (fitted.width, fitted.height) == (40, 80)


def test_a_heic_photo_is_not_taken_for_its_thumbnail() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    photo = Image.fromarray(noise).resize((512, 512), Image.Resampling.NEAREST)
    plain, with_one = heic(photo), heic(photo, thumbnails=[64])
    assert len(with_one) != len(plain)
    one, other = result_of(plain, how()), result_of(with_one, how())
    assert not isinstance(one, str)
    assert not isinstance(other, str)
    assert (one.pixels[16] == other.pixels[16]).all()


def test_a_heic_photo_of_high_dynamic_range_is_left_out() -> None:
    content = heic(rgb())
    at = content.index(b"colrnclx") + 8
    for transfer, name in ((16, "PQ"), (18, "HLG")):
        changed = content[:at] + struct.pack(">HH", 9, transfer) + content[at + 4 :]
        assert reason(changed).startswith(f"unreadable: of high dynamic range ({name})")


def test_jpeg_xl_is_read() -> None:
    for options in ({}, {"use_container": True}, {"lossless": False, "quality": 95}):
        near(jxl(rgb(), **options), QUARTERS)
    near(jxl(image("RGBA", GLASS)), over(GLASS, WHITE))
    near(jxl(image("L", (20, 90, 160, 230))), [[value] * 3 for value in (20, 90, 160, 230)])


@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_is_known_before_it_is_decoded(container: bool) -> None:
    sizes = [(64, 64), (100, 40), (640, 480), (1920, 1080), (300, 200), (77, 1000), (9000, 16)]
    for size in sizes:
        content = jxl(Image.new("RGB", size), use_container=container, effort=1)
        assert jxl_size(io.BytesIO(content)) == size
    large = jxl(Image.new("RGB", (2000, 1000)), use_container=container, effort=1)
    assert reason(large) == "too large: more than 1,000,000 pixels; --max-pixels allows more"


@pytest.mark.parametrize("make", [heic, jxl])
def test_damaged_ones_give_a_reason(make: object) -> None:
    content = make(rgb())  # type: ignore[operator]
    for end in range(20, len(content), 37):
        assert reason(content[:end]).startswith(("truncated: ", "unreadable: damaged"))
    rng = np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), 3):
            changed[at] = rng.integers(0, 256)
        result_of(bytes(changed), how())


def test_a_folder_of_all_kinds_by_any_name(tmp_path: Path) -> None:
    source = tmp_path / "phone"
    source.mkdir()
    files = {
        "IMG_0001.HEIC": heic(rgb()),
        "IMG_0002.heif": heic(rgb()),
        "sent.jpg": heic(rgb()),
        "scan.jxl": jxl(rgb()),
        "scan.jpg": jxl(rgb(), use_container=True),
        "web.avif": saved(rgb(), "AVIF", quality=95, subsampling="4:4:4"),
        "web": saved(rgb(), "AVIF", quality=95, subsampling="4:4:4"),
        "no-suffix": heic(rgb()),
        "large": saved(rgb(), "TIFF", big_tiff=True),
    }
    for name, content in files.items():
        (source / name).write_bytes(content)
    report = pack(source, tmp_path / "packed", PLAIN)
    assert not report.left_out
    images = report.collection.images(np.arange(len(files))).astype(int)
    found = np.array([[each[place] for place in SEEN_AT] for each in images])
    assert np.abs(found - np.array(QUARTERS)).max() <= 8


def test_worker_processes_read_them_too(tmp_path: Path) -> None:
    source = tmp_path / "phone"
    source.mkdir()
    for number in range(20):
        (source / f"{number}.heic").write_bytes(heic(rgb()))
        (source / f"{number}.jxl").write_bytes(jxl(rgb()))
    options = PackOptions(resolution=16, workers=2, duplicates="none", heldout=0)
    report = pack(source, tmp_path / "packed", options)
    assert (report.source_count, report.left_out) == (40, [])


def test_where_nothing_reads_them_it_says_what_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall(monkeypatch)
    source = tmp_path / "phone"
    source.mkdir()
    photo = boxed(b"heic", b"mif1")
    (source / "IMG_0.HEIC").write_bytes(photo)
    with pytest.raises(ImpastoError, match=r"IMG_0.HEIC .*pip install 'impasto\[formats\]'"):
        pack(source, tmp_path / "packed", PLAIN)
    (source / "burst.jpg").write_bytes(boxed(b"hevc", b"mif1", b"hevc"))
    (source / "scan.jpg").write_bytes(b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(200))
    (source / "plain.png").write_bytes(saved(rgb(), "PNG"))
    report = pack(source, tmp_path / "packed", PLAIN)
    how_to = "to read it: pip install 'impasto[formats]' (or pillow-heif)"
    assert dict(report.left_out) == {
        "IMG_0.HEIC": f"not installed: a HEIC photo; {how_to}",
        "burst.jpg": f"not installed: a HEIC photo; {how_to}",
        "scan.jpg": "not installed: a JPEG XL picture; to read it: pip install 'impasto[formats]' (or "
        "pillow-jxl-plugin)",
    }
    assert f"2 pictures left out: a HEIC photo; {how_to}" in report.notes


def test_once_the_plugin_is_there_they_are_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "phone"
    source.mkdir()
    (source / "IMG_0.HEIC").write_bytes(heic(rgb()))
    (source / "plain.png").write_bytes(saved(rgb(), "PNG"))
    uninstall(monkeypatch)
    assert pack(source, tmp_path / "packed", PLAIN).source_count == 1
    monkeypatch.undo()
    report = pack(source, tmp_path / "packed", PLAIN)
    assert (report.source_count, report.known, report.left_out) == (2, 1, [])


# --- Names that hide pictures


HIDING = [
    *("a.jpg_large", "b.jpg!Large", "c.jpg?w=640", "d.jpg (1)", "e.jpeg.download", "f.JPG_"),
    *("g.jpg?w=640&q=0.5", "h.jpg:large", "i.png@2x", "j.jpg.1", "k.jpg.orig", "l.jpglarge", "m"),
]


def fill(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number, name in enumerate(HIDING):
        (folder / name).write_bytes(jpeg(image("RGB", [(number * 9, 90, 90)] * 4)))
    others = {
        "a.jpg.json": b'{"id": 1}',
        "b.jpg.xmp": b"<x/>",
        "c.jpg.zzz": b"no picture at all",
        "d.bin": jpeg(rgb()),
        "e.mp4": boxed(b"isom"),
        "f.jpg.mp4": boxed(b"isom"),
    }
    for name, content in others.items():
        (folder / name).write_bytes(content)


def test_names_with_something_after_the_suffix(tmp_path: Path) -> None:
    fill(tmp_path / "saved")
    report = pack(tmp_path / "saved", tmp_path / "packed", PLAIN)
    packed = {row["path"] for row in report.collection.source_table()}
    assert packed == {*HIDING}
    assert dict(report.left_out) == {
        "c.jpg.zzz": "not a picture file by its name: .zzz",
        "d.bin": "not a picture file by its name: .bin",
        "e.mp4": "not a picture file by its name: .mp4",
        "f.jpg.mp4": "not a picture file by its name: .mp4",
    }
    note = "4 files left out by suffix, unopened: 2 .mp4, 1 .zzz, 1 .bin"
    assert note in report.notes


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_such_names_in_archives(tmp_path: Path, kind: str) -> None:
    fill(tmp_path / "saved")
    path = tmp_path / f"saved.{kind}"
    files = sorted((tmp_path / "saved").iterdir())
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, file.name)
    else:
        with tarfile.open(path, "w") as archive:
            for file in files:
                archive.add(file, file.name)
    listing = read_source(path, None)
    # To read every file without a suffix out of an archive may take long.
    assert [entry.relative for entry in listing.entries] == [*HIDING[:-1]]
    assert dict(listing.left_out)["m"] == "not a picture file by its name: without a suffix"


def test_what_has_such_a_name_and_no_bytes_is_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg_large").write_bytes(b"")
    (tmp_path / "good.jpg_large").write_bytes(jpeg(rgb()))
    tree = Folder(tmp_path)
    assert [file.name for file in pictures(tree, Listing("folder"))] == ["good.jpg_large"]
    tree = Folder(tmp_path)
    file = tree.files["good.jpg_large"]
    (tmp_path / "good.jpg_large").unlink()
    assert not is_picture(file, tree)


def test_such_a_file_is_looked_into_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cubism/a.jpg_large", "op/b.jpg?w=640", "op/c.jpg (1)"):
            archive.writestr(name, jpeg(rgb()))
    read: list[str] = []
    content = Archive.read

    def note(tree: Archive, name: str) -> bytes:
        read.append(name)
        return content(tree, name)

    monkeypatch.setattr(Archive, "read", note)
    assert len(read_source(path, None).entries) == 3
    # Out of an archive, all of a file is read for its first bytes.
    assert sorted(read) == ["cubism/a.jpg_large", "op/b.jpg?w=640", "op/c.jpg (1)"]


def test_tables_name_such_pictures() -> None:
    files = ["a.jpg_large", "b.jpg?w=640", "c.jpg (1)", "c.jpg", "d.jpeg.download", "e.png"]
    assert find_named(["a", "b.jpg", "c", "d.jpeg", "e.jpg"], files) == {
        "a": "a.jpg_large",
        "b.jpg": "b.jpg?w=640",
        "c": "c.jpg",
        "d.jpeg": "d.jpeg.download",
        "e.jpg": "e.png",
    }
    assert find_named(["a.jpg?name=orig", "x/b.jpg%3Fw=640"], ["a.jpg", "x/b.jpg"]) == {
        "a.jpg?name=orig": "a.jpg",
        "x/b.jpg%3Fw=640": "x/b.jpg",
    }


def test_labels_reach_pictures_with_such_names(tmp_path: Path) -> None:
    for name in ("a.jpg_large", "b.heic", "c.jpg (1)"):
        (tmp_path / name).write_bytes(jpeg(rgb()))
    table = "file_name,style\na.jpg,Cubism\nb.jpg,Fauvism\nc,Baroque\n"
    (tmp_path / "metadata.csv").write_text(table)
    listing = read_source(tmp_path, ("style",))
    assert {entry.relative: entry.labels for entry in listing.entries} == {
        "a.jpg_large": ("Cubism",),
        "b.heic": ("Fauvism",),
        "c.jpg (1)": ("Baroque",),
    }


@pytest.mark.parametrize(
    "name", ["a.zip", "a.tar", "a.tar.gz", "a.npz", "a.npy", "a.parquet", "a.csv", "metadata.csv"]
)
def test_a_git_lfs_pointer_in_place_of_a_source_is_called_that(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(POINTER)
    with pytest.raises(ImpastoError) as caught:
        read_source(path, None)
    assert str(caught.value) == (
        f"{path} is a Git LFS pointer; fetch the files themselves with git lfs pull"
    )
