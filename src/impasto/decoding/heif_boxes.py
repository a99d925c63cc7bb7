"""Files in boxes (ISO/IEC 14496-12), such as AVIF, HEIC and JPEG XL: whether they are complete, and
a picture's code points for colour (ISO/IEC 23008-12), of which Pillow gives only ICC profiles."""

import io
from collections.abc import Iterator

_MOST = 2**24
"""Most bytes of metadata that are searched."""

CodePoints = tuple[int, int, int, bool]
"""Colour primaries, transfer characteristics and matrix coefficients by ITU-T H.273, and whether
samples use the full range."""


def code_points(file: io.BufferedReader | io.BytesIO) -> CodePoints | None:
    """The code points of the primary picture; None if the file has none."""
    meta = _meta(file)[4:]
    boxes = dict(_inside(meta))
    properties = dict(_inside(boxes.get(b"iprp", b"")))
    each = list(_inside(properties.get(b"ipco", b"")))
    known = {
        number: _of_box(content)
        for number, (kind, content) in enumerate(each, 1)
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 11
    }
    chosen = _properties_of(_primary(boxes.get(b"pitm", b"")), properties.get(b"ipma", b""))
    mine = [known[number] for number in chosen if number in known]
    if mine:
        return mine[0]
    # A picture in tiles may have them at the tiles only.
    return next(iter(known.values())) if len(set(known.values())) == 1 else None


def _of_box(content: bytes) -> CodePoints:
    primaries, transfer, matrix = (int.from_bytes(content[at : at + 2], "big") for at in (4, 6, 8))
    return primaries, transfer, matrix, bool(content[10] & 0x80)


def top_level(file: io.BufferedReader | io.BytesIO) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each box in a file, with the start and declared end of its content."""
    size = file.seek(0, io.SEEK_END)
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, begins = int.from_bytes(head[:4], "big"), at + 8
        if length == 1:
            length, begins = int.from_bytes(head[8:16], "big"), at + 16
        end = at + length if length else max(size, begins)
        if end < begins:
            return
        yield head[4:8], begins, end
        at = end


def is_cut(file: io.BufferedReader | io.BytesIO) -> bool:
    """Whether a file is shorter than its boxes declare."""
    size = file.seek(0, io.SEEK_END)
    return max((end for _, _, end in top_level(file)), default=0) > size


def _meta(file: io.BufferedReader | io.BytesIO) -> bytes:
    """The content of the file's box `meta`; empty where there is none."""
    for kind, begins, end in top_level(file):
        if kind == b"meta":
            file.seek(begins)
            return file.read(min(_MOST, end - begins))
    return b""


def _inside(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each box inside another."""
    at = 0
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big") or len(content) - at
        if length < 8:
            return
        yield content[at + 4 : at + 8], content[at + 8 : at + length]
        at += length


def _primary(content: bytes) -> int:
    """The number of a file's primary picture."""
    return int.from_bytes(content[4:6] if content[:1] == b"\0" else content[4:8], "big")


def _properties_of(item: int, content: bytes) -> list[int]:
    """The indices of a picture's properties, from 1."""
    if len(content) < 8:
        return []
    wide = 2 if content[0] == 0 else 4
    long = content[3] & 1
    at = 8
    for _ in range(int.from_bytes(content[4:8], "big")):
        if at + wide >= len(content):
            break
        number = int.from_bytes(content[at : at + wide], "big")
        count, at = content[at + wide], at + wide + 1
        size = 2 if long else 1
        if number == item:
            some = (content[at + size * n : at + size * (n + 1)] for n in range(count))
            return [int.from_bytes(one, "big") & (0x7FFF if long else 0x7F) for one in some]
        at += size * count
    return []
