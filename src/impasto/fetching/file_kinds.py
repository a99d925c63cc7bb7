"""What a file is by its bytes, whatever its server calls it."""

import mmap
from pathlib import Path

_BRANDS = {b"avif": ".avif", b"avis": ".avif"}
_HEIC = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
# Header sizes of the kinds of BMP: `BM` alone may well begin a text.
_BMP = (12, 40, 52, 56, 64, 108, 124)


def picture_suffix(start: bytes) -> str | None:
    """The suffix of the kind of picture that begins so; None if it is none that Pillow opens."""
    if start.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if start.startswith((b"GIF87a", b"GIF89a")):
        return ".gif"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return ".webp"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return ".tif"
    if start[4:8] == b"ftyp" and start[8:12] in _BRANDS:
        return _BRANDS[start[8:12]]
    if start.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xffO\xffQ")):
        return ".jp2"
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP:
        return ".bmp"
    return None


def described(start: bytes) -> str:
    """What begins so and is no picture, in words."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if is_page(start):
        return "a web page (HTML)"
    if text.startswith((b"<?xml", b"<svg")):
        return "SVG or other XML"
    if text.startswith((b"{", b"[")):
        return "JSON"
    if start.startswith(b"%PDF"):
        return "a PDF"
    if start.startswith(b"PK\x03\x04"):
        return "a zip"
    if start[4:8] == b"ftyp":
        return "HEIC" if start[8:12] in _HEIC else "a film"
    return "by its first bytes"


def is_page(start: bytes) -> bool:
    """Whether it begins as web pages do."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return text.startswith(
        (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--", b"<title", b"<meta")
    )


def is_whole(path: Path, suffix: str) -> bool:
    """Whether a picture has its end, for the kinds that mark it: JPEG, PNG and WebP.

    A server that says a wrong length cuts its pictures off with nobody the wiser.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if suffix == ".png":
            return content.rfind(b"IEND\xaeB`\x82") >= 0
        if suffix == ".webp":
            return int.from_bytes(content[4:8], "little") + 8 <= len(content)
        if suffix == ".jpg":
            return content.find(b"\xff\xd9", _scan(content)) >= 0
    return True


def _scan(jpeg: mmap.mmap) -> int:
    """Where a JPEG's first scan begins: a small picture in its header has an end of its own
    (ITU-T T.81, B.1.1: marker segments and their lengths)."""
    place = 2
    while place + 4 <= len(jpeg) and jpeg[place] == 0xFF:
        marker = jpeg[place + 1]
        if marker == 0xDA:
            return place
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            place += 1 if marker == 0xFF else 2
        else:
            place += 2 + int.from_bytes(jpeg[place + 2 : place + 4], "big")
    return place
