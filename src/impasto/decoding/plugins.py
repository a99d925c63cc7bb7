"""Formats that Pillow may lack: HEIC and JPEG XL, which it reads by plugins (the extra `formats`), and
AVIF."""

import importlib
import io

from PIL import Image

from impasto.decoding.heif_boxes import top_level_boxes
from impasto.sources.trees import UnusableError

NOT_INSTALLED = "not installed"
"""The kind of reason for a picture whose decoder is missing. The picture is tried again at the next
packing, since the decoder may be installed by then."""

_NAMES = {"HEIF": "a HEIC photo", "JXL": "a JPEG XL picture", "AVIF": "an AVIF picture"}
_INSTALL = {
    "HEIF": "pip install 'impasto[formats]' (or pillow-heif)",
    "JXL": "pip install 'impasto[formats]' (or pillow-jxl-plugin)",
    "AVIF": "pip install --upgrade pillow (11.3 or newer)",
}


def load_plugin(form: str) -> None:
    """Register Pillow's decoder for a format: `HEIF`, `JXL` or `AVIF`.

    Raises:
        UnusableError: it is not installed; the reason says how to install it.
    """
    Image.init()
    try:
        if form == "HEIF":
            plugin = importlib.import_module("pillow_heif")
            # Without thumbnails, which could be read as the picture; one thread, as each process
            # has one core.
            plugin.register_heif_opener(thumbnails=False, decode_threads=1)
        elif form == "JXL":
            importlib.import_module("pillow_jxl")
            vars(importlib.import_module("pillow_jxl.JpegXLImagePlugin"))["DECODE_THREADS"] = 0
    except ImportError:
        pass
    if form not in Image.OPEN or (form == "AVIF" and not _reads_avif()):
        raise UnusableError(f"{NOT_INSTALLED}: {_NAMES[form]}; to read it: {_INSTALL[form]}")


def _reads_avif() -> bool:
    return bool(importlib.import_module("PIL.AvifImagePlugin").SUPPORTED)


def jxl_size(file: io.BufferedReader | io.BytesIO) -> tuple[int, int]:
    """Width and height of a JPEG XL picture by its header (ISO/IEC 18181-1, SizeHeader); 0, 0 for an
    invalid header. Pillow's plugin would decode the whole picture for these."""
    bits = int.from_bytes(_codestream(file)[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    def side(small: bool) -> int:
        return 8 * (take(5) + 1) if small else 1 + take((9, 13, 18, 30)[take(2)])

    if not bits:
        return 0, 0
    small = bool(take(1))
    height = side(small)
    ratio = take(3)
    if ratio == 0:
        return side(small), height
    across, down = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * across // down, height


def _codestream(file: io.BufferedReader | io.BytesIO) -> bytes:
    """The first 16 bytes of a JPEG XL file's codestream, which is bare or in a container (18181-2);
    empty if there is none."""
    file.seek(0)
    start = file.read(16)
    if start.startswith(b"\xff\x0a"):
        return start
    for kind, begins, _ in top_level_boxes(file):
        if kind in (b"jxlc", b"jxlp"):  # The whole codestream, or a part that follows its number.
            file.seek(begins if kind == b"jxlc" else begins + 4)
            return file.read(16)
    return b""
