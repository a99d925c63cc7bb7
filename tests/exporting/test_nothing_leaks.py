"""What is exported holds no path, user, host or position of whoever made it."""

import base64
import getpass
import gzip
import platform
import re
import socket
import zlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.collection import Collection, PackOptions, pack
from impasto.training import train
from tests.helpers.command_line import invoke
from tests.helpers.training import small

PLANTED = {
    "home": "zqhomezq",
    "user": "zquserzq",
    "host": "zqhostzq",
    "pictures": "zqpictureszq",
    "collections": "zqcollectionszq",
    "runs": "zqrunszq",
    "here": "zqherezq",
    "camera": "zqcamerazq",
}
_GPS_INFO, _MODEL = 0x8825, 0x0110
_LATITUDE = 48.858370
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def _unpacked(content: bytes, start: int) -> bytes:
    """What a stream of gzip or zlib that begins here holds; nothing if none does."""
    wbits = 31 if content[start : start + 2] == b"\x1f\x8b" else 15
    try:
        return zlib.decompressobj(wbits).decompress(content[start:], 2**26)
    except zlib.error:
        return b""


def layers(content: bytes, depth: int = 4) -> Iterator[bytes]:
    """A file's bytes, and those of everything packed in it by zlib, gzip or base64."""
    yield content
    if not depth:
        return
    for magic in _PACKED:
        for found in re.finditer(re.escape(magic), content):
            inner = _unpacked(content, found.start())
            if len(inner) >= 8:
                yield from layers(inner, depth - 1)
    for found in _BASE64.finditer(content):
        text = found.group()
        yield from layers(base64.b64decode(text[: len(text) // 4 * 4]), depth - 1)


def planted_in(content: bytes) -> list[str]:
    """The planted words that a file holds, in UTF-8 or UTF-16, packed or not."""
    words = {
        each: form
        for each in PLANTED.values()
        for form in ([each.encode(), each.encode("utf-16-le"), each.encode("utf-16-be")],)
    }
    found = set()
    for layer in layers(content):
        lower = layer.lower()
        found |= {each for each, forms in words.items() if any(form in lower for form in forms)}
    return sorted(found)


def test_the_search_finds_what_is_packed() -> None:
    word = PLANTED["user"].encode()
    deep = base64.b64encode(
        gzip.compress(b"<p>" + base64.b64encode(zlib.compress(word + bytes(range(99)))) + b"</p>")
    )
    for content in (
        b"a" + word.upper(),
        PLANTED["user"].encode("utf-16-le"),
        zlib.compress(word),
        deep,
    ):
        assert planted_in(b"before " + content + b" after") == [PLANTED["user"]]
    assert planted_in(bytes(range(256)) * 40) == []


def _photographs(folder: Path, count: int) -> None:
    """Pictures with the position, the camera and its owner in their EXIF."""
    random = np.random.default_rng(0)
    for number in range(count):
        kind = folder / ("warm" if number % 2 else "cold")
        kind.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        exif = Image.Exif()
        exif[_MODEL] = PLANTED["camera"]
        degrees = Fraction(_LATITUDE).limit_denominator(10**6)
        exif[_GPS_INFO] = {1: "N", 2: (degrees, 0, 0), 29: PLANTED["camera"]}
        picture = Image.fromarray(pixels).resize((40, 40), Image.Resampling.BICUBIC)
        picture.save(kind / f"{number:03d}.jpg", exif=exif, comment=PLANTED["camera"].encode())


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose every surrounding has a planted name."""
    home = tmp_path / PLANTED["home"]
    here = home / PLANTED["here"]
    here.mkdir(parents=True)
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, PLANTED["user"])
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HOSTNAME", PLANTED["host"])
    monkeypatch.setattr(getpass, "getuser", lambda: PLANTED["user"])
    monkeypatch.setattr(socket, "gethostname", lambda: PLANTED["host"])
    monkeypatch.setattr(platform, "node", lambda: PLANTED["host"])
    monkeypatch.chdir(here)
    source = home / PLANTED["pictures"]
    _photographs(source, 24)
    packed = home / PLANTED["collections"] / "landscapes"
    pack(source, packed, PackOptions(resolution=32, fit="crop", labels=("class",)))
    config = small("flagship_64", training__images=16)
    return train(config, Collection.open(packed), out=home / PLANTED["runs"], device="cpu")


def test_nothing_of_whoever_exports_is_in_what_is_exported(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for arguments in (
        ["export", run, out / "folder", "--discriminator"],
        ["export", run, out / "model.onnx"],
        ["export", run, out / "page.html"],
        ["export", run, out / "card", "--as", "hub", "--discriminator"],
        ["export", run, out / "space", "--as", "space"],
        ["sample", run, "--seeds", "0,1", "--out", out / "pictures"],
        ["sample", run, "--seeds", "0-3", "--grid", out / "grid.png", "--captions"],
        [
            "sample",
            run,
            "--seeds",
            "0,1",
            "--out",
            out / "p",
            "--save-points",
            out / "p.safetensors",
        ],
        ["walk", run, "--out", out / "walk.mp4", "--seeds", "0,1", "--seconds", "1"],
        ["walk", run, "--out", out / "walk.gif", "--seeds", "0,1", "--seconds", "1"],
    ):
        code, text = invoke(*arguments)
        assert code == 0, text
    files = sorted(path for path in out.rglob("*") if path.is_file())
    kinds = {path.suffix for path in files}
    assert kinds == {
        ".json",
        ".safetensors",
        ".onnx",
        ".html",
        ".png",
        ".mp4",
        ".gif",
        ".md",
        ".py",
        ".txt",
    }
    found = {path: planted_in(path.read_bytes()) for path in files}
    assert not {path: words for path, words in found.items() if words}


def test_the_search_finds_what_a_run_holds(run: Path) -> None:
    """A run's folder is its maker's: it names the collection's path and the command."""
    assert PLANTED["collections"] in planted_in((run / "run.json").read_bytes())
