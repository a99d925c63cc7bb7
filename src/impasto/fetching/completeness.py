"""Check that a fetched picture is complete."""

import mmap
from pathlib import Path


def is_whole(path: Path, suffix: str) -> bool:
    """Whether a JPEG or PNG has its end marker, and a WebP the length in its header.

    Servers that declare a wrong length send truncated pictures without an error.

    Args:
        path: a file that is not empty.
        suffix: of its format: `.jpg`, `.png` or `.webp`. Other formats count as complete.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if suffix == ".png":
            return content.rfind(b"IEND\xaeB`\x82") >= 0
        if suffix == ".webp":
            return int.from_bytes(content[4:8], "little") + 8 <= len(content)
        if suffix == ".jpg":
            return content.find(b"\xff\xd9", _first_scan(content)) >= 0
    return True


def _first_scan(jpeg: mmap.mmap) -> int:
    """The offset of a JPEG's first scan (ITU-T T.81, B.1.1: marker segments and their lengths).

    The end marker is searched from there, since a thumbnail in the header has one of its own.
    """
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
