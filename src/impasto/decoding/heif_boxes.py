"""Files made of boxes (ISO/IEC 14496-12), such as AVIF, HEIC and JPEG XL: whether they are complete, and
a picture's code points for colour (ISO/IEC 23008-12). Pillow gives ICC profiles only."""

import io
from collections.abc import Iterator

_MOST = 2**24
"""Most bytes of metadata that are searched."""

CodePoints = tuple[int, int, int, bool]
"""Colour primaries, transfer characteristics and matrix coefficients by ITU-T H.273, and whether
samples use the full range."""


def code_points(file: io.BufferedReader | io.BytesIO) -> CodePoints | None:
    """The colour code points of the primary picture in an AVIF or HEIC file; None if it has none."""
    meta = _meta(file)[4:]
    boxes = dict(_inside(meta))
    properties = dict(_inside(boxes.get(b"iprp", b"")))
    known = {
        number: _in_colour_box(content)
        for number, (kind, content) in enumerate(_inside(properties.get(b"ipco", b"")), 1)
        if kind == b"colr" and content[:4] == b"nclx" and len(content) >= 11
    }
    primary = _primary(boxes.get(b"pitm", b""))
    for number in _properties_of(primary, properties.get(b"ipma", b"")):
        if number in known:
            return known[number]
    # In a picture made of tiles only the tiles may have them.
    return next(iter(known.values())) if len(set(known.values())) == 1 else None


def _in_colour_box(content: bytes) -> CodePoints:
    """The code points in a box `colr` of the kind `nclx`."""
    primaries, transfer, matrix = (int.from_bytes(content[at : at + 2], "big") for at in (4, 6, 8))
    return primaries, transfer, matrix, bool(content[10] & 0x80)


def top_level_boxes(file: io.BufferedReader | io.BytesIO) -> Iterator[tuple[bytes, int, int]]:
    """The kind of each top-level box in a file, with the offsets of its content's start and declared
    end."""
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


def is_truncated(file: io.BufferedReader | io.BytesIO) -> bool:
    """Whether a file is shorter than its boxes declare."""
    size = file.seek(0, io.SEEK_END)
    return max((end for _, _, end in top_level_boxes(file)), default=0) > size


def _meta(file: io.BufferedReader | io.BytesIO) -> bytes:
    """The content of the file's box `meta`; empty if there is none."""
    for kind, begins, end in top_level_boxes(file):
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
    """The item ID of the primary picture, from the content of the box `pitm`."""
    return int.from_bytes(content[4:6] if content[:1] == b"\0" else content[4:8], "big")


def _properties_of(item: int, content: bytes) -> list[int]:
    """The indices of an item's properties, from 1, from the content of the box `ipma`."""
    if len(content) < 8:
        return []
    id_bytes = 2 if content[0] == 0 else 4
    size = 2 if content[3] & 1 else 1
    at = 8
    for _ in range(int.from_bytes(content[4:8], "big")):
        if at + id_bytes >= len(content):
            break
        number = int.from_bytes(content[at : at + id_bytes], "big")
        count, at = content[at + id_bytes], at + id_bytes + 1
        if number == item:
            some = (content[at + size * n : at + size * (n + 1)] for n in range(count))
            # The highest bit says whether the property is essential.
            return [int.from_bytes(one, "big") & (0x7FFF if size == 2 else 0x7F) for one in some]
        at += size * count
    return []
