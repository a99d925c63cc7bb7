"""Recognise a file's kind by its first bytes, whatever its name."""

import io
import re
import struct

from impasto.files import POINTER, POINTER_START

RAW = "a camera raw file; develop it to JPEG, PNG or TIFF first"
_RAW_SUFFIXES = """
.3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .rw2 .rwl
.sr2 .srf .srw .x3f
"""
RAW_SUFFIXES = frozenset(_RAW_SUFFIXES.split())
"""Endings of the names of camera raw files."""
BEGINNING = 64
"""The number of first bytes that are needed; `camera_raw` reads more of a TIFF."""
TIFF = (b"II*\0", b"MM\0*")

_PICTURES = {
    rb"\xff\xd8\xff": ".jpg",
    rb"\x89PNG\r\n\x1a\n": ".png",
    rb"GIF8[79]a": ".gif",
    rb"RIFF....WEBP": ".webp",
    rb"BM....\0\0\0\0": ".bmp",
    rb"II[*+]\0|MM\0[*+]": ".tif",  # either byte order; + is BigTIFF
    rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51": ".jp2",
}
"""By a regular expression for the first bytes: the usual suffix of such a picture file."""
_CONTAINERS = {"AVIF": ".avif", "HEIF": ".heic", "JXL": ".jxl"}
_JXL = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
"""JPEG XL, as a bare codestream and in a container."""
# Brands of ISO/IEC 23008-12 (HEIF), of AV1's binding to it, and Canon's own.
_AVIF = (b"avif", b"avis")
_HEVC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_ANY_CODE = (b"mif1", b"mif2", b"msf1")
"""Brands that do not say which codec is used; the file's further brands do."""
_CR3 = b"crx "
_RAW = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
"""Fujifilm, Olympus, Panasonic, Sigma, Minolta."""
_MAKE, _NEW_SUBFILE_TYPE, _PHOTOMETRIC, _SUB_IFDS, _DNG_VERSION = 271, 254, 262, 330, 50706
_COLOUR_FILTER_ARRAY = 32803

_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<!--", b"<title", b"<meta")
_OTHERS = {
    **dict.fromkeys(_PAGE, "a web page"),
    b"{": "JSON",
    b"[": "JSON",
    b"<svg": "an SVG drawing",
    b"<?xml": "an XML file",
    POINTER_START: POINTER,
    b"%pdf": "a PDF",
    b"%!ps": "a PostScript file",
    b"8bps": "a Photoshop file",
    b"pk\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
}
"""Other files that are often found under a picture's name, by their first bytes in lower case."""


def _brands(start: bytes) -> list[bytes]:
    """The brands of an ISO base media file (ISO/IEC 14496-12), the major one first."""
    if start[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(start[:4], "big"), len(start))
    return [start[8:12], *(start[at : at + 4] for at in range(16, end - 3, 4))]


def container(start: bytes) -> str:
    """`AVIF`, `HEIF` or `JXL`, the formats that Pillow may lack; empty for another format."""
    if start.startswith(_JXL):
        return "JXL"
    brands = _brands(start)
    if not brands:
        return ""
    if brands[0] in _AVIF:
        return "AVIF"
    if brands[0] in _HEVC:
        return "HEIF"
    if brands[0] in _ANY_CODE:
        avif = any(brand in _AVIF for brand in brands)
        return "AVIF" if avif and not any(brand in _HEVC for brand in brands) else "HEIF"
    return ""


def picture_suffix(start: bytes) -> str:
    """The usual suffix of a picture file with these first bytes; empty if it is in no known format."""
    kinds = (kind for begin, kind in _PICTURES.items() if re.match(begin, start, re.DOTALL))
    return next(kinds, "") or _CONTAINERS.get(container(start), "")


def begins_as_picture(start: bytes) -> bool:
    """Whether a file with these first bytes is a picture."""
    return picture_suffix(start) != ""


def camera_raw(file: io.BufferedReader | io.BytesIO) -> bool:
    """Whether a file is a camera raw file. Many of them are TIFFs whose first picture is a small
    preview, which Pillow would read."""
    file.seek(0)
    start = file.read(BEGINNING)
    if start.startswith(_RAW) or _brands(start)[:1] == [_CR3]:
        return True
    if not start.startswith(TIFF):
        return False
    if start[8:10] == b"CR":  # Canon's CR2 has its mark there.
        return True
    tags = _first_tags(file, "<" if start[:1] == b"I" else ">")
    preview = tags.get(_NEW_SUBFILE_TYPE, 0) & 1 and _SUB_IFDS in tags and _MAKE in tags
    return _DNG_VERSION in tags or tags.get(_PHOTOMETRIC) == _COLOUR_FILTER_ARRAY or bool(preview)


def _first_tags(file: io.BufferedReader | io.BytesIO, order: str) -> dict[int, int]:
    """The tags of a TIFF's first picture, with their values as 16- or 32-bit numbers.

    Args:
        file: the TIFF.
        order: the byte order for `struct`, `<` or `>`.
    """
    file.seek(4)
    try:
        file.seek(struct.unpack(order + "I", file.read(4))[0])
        count = struct.unpack(order + "H", file.read(2))[0]
        table = file.read(12 * count)
        entries = list(struct.iter_unpack(order + "HHI4s", table[: len(table) // 12 * 12]))
    except struct.error:
        return {}
    return {
        tag: struct.unpack(order + ("H" if kind == 3 else "I"), value[: 2 if kind == 3 else 4])[0]
        for tag, kind, _, value in entries
    }


def describe_other(start: bytes) -> str:
    """The probable kind of a file that is no picture, by its first bytes, for messages."""
    if start[4:8] == b"ftyp":
        return "a video"
    if not start.strip(b"\0"):
        return "zeros only"
    text = _text(start)
    known = (what for begin, what in _OTHERS.items() if text.startswith(begin))
    return next(known, "in no format that is known here")


def is_page(start: bytes) -> bool:
    """Whether the first bytes are a web page's."""
    return _text(start).startswith(_PAGE)


def _text(start: bytes) -> bytes:
    """The first bytes in lower case, without a byte order mark and leading blanks."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
