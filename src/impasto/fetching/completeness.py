"""Check that a fetched picture is complete."""

import mmap
from pathlib import Path


def is_whole(path: Path, suffix: str) -> bool:
    """Whether a picture has its end marker (JPEG, PNG and WebP).

    A server that declares a wrong length truncates pictures unnoticed.
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
    """The offset of a JPEG's first scan, since a thumbnail in its header has an end marker of its
    own (ITU-T T.81, B.1.1: marker segments and their lengths)."""
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
