"""Fonts for text in pictures, with Pillow and matplotlib.

Most text is drawn in one font (`font`). Letters that it lacks (Chinese, Japanese, Korean, emoji)
are drawn in the first system font that has them, or else as a box.
"""

import contextlib
import functools
import importlib.util
import itertools
import os
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from impasto.formatting import one_line

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_INSTALLED = ("DejaVuSans.ttf", "Arial.ttf")
"""Font names to try without matplotlib: the first is on most Linux systems, the second on Windows
and macOS."""

_PREFERRED = (
    *("notosanscjk", "sourcehansans", "notosansjp", "notosanssc", "notosanstc", "notosanskr"),
    *("wqymicrohei", "wqyzenhei", "droidsansfallback", "ipaexg", "ipag", "takaogothic", "vlgothic"),
    *("ヒラギノ角ゴシックw3", "hiraginosansgb", "pingfang", "applesdgothicneo", "applegothic"),
    *("yugothr", "yugothm", "meiryo", "msyh", "malgun", "msgothic", "simsun", "gulim"),
    *("nanumgothic", "undotum", "arialunicode"),
    *("notoemoji", "symbola", "seguisym", "seguiemj", "nirmala", "leelawui", "notosans", "unifont"),
)
"""Beginnings of font file names for further letters, in lower case without blanks and hyphens, in
order of preference. `notosans` covers the families for single scripts."""
_SUFFIXES = ("ttf", "ttc", "otf", "otc")
_NOT_REGULAR = ("bold", "black", "heavy", "thin", "light", "italic", "medium", "mono")
_NO_LETTER = "\uffff"
"""A letter that no font has; its drawing is that of every missing letter."""
_PROBE = 32
"""Font size for comparing letters with the missing letter."""


@functools.lru_cache
def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """The font that text is drawn in: DejaVu Sans or Arial, which have Latin with all accents, Greek
    and Cyrillic.

    Without either, Pillow's own, which has ASCII only.

    Args:
        size: of the letters, in pixels.
    """
    from PIL import ImageFont

    for name in (*_of_matplotlib(), *_INSTALLED):
        if (found := _opened(name, size)) is not None:
            return found
    return ImageFont.load_default(size)


@functools.lru_cache
def _opened(name: str, size: int) -> "ImageFont.FreeTypeFont | None":
    from PIL import ImageFont

    try:
        return ImageFont.truetype(name, size)
    except (OSError, ImportError):  # Missing, no font, or a Pillow without FreeType.
        return None


def _of_matplotlib() -> list[str]:
    """The path of matplotlib's DejaVu Sans, if installed, without importing it."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return []
    return [str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")]


# Fonts of the system


def _folders() -> list[Path]:
    """The font folders of Linux, macOS and Windows."""
    home = Path.home()
    data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
    linux = [Path(own) / "fonts", home / ".fonts", *(Path(at) / "fonts" for at in data.split(":"))]
    mac = [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    windows = [Path(os.environ.get("WINDIR") or "C:/Windows") / "Fonts"]
    if local := os.environ.get("LOCALAPPDATA"):
        windows.append(Path(local) / "Microsoft/Windows/Fonts")
    return [*linux, Path("/usr/share/fonts"), *mac, *windows]


@functools.lru_cache
def _further() -> tuple[str, ...]:
    """The system's fonts of `_PREFERRED`, in that order; of one family, the regular one first."""
    found = []
    for folder in dict.fromkeys(_folders()):
        for place, _, files in os.walk(folder):
            for name in files:
                stem, _, suffix = unicodedata.normalize("NFC", name).lower().rpartition(".")
                plain = "".join(letter for letter in stem if letter not in " -_")
                rank = next(
                    (n for n, start in enumerate(_PREFERRED) if plain.startswith(start)), -1
                )
                if suffix in _SUFFIXES and rank >= 0:
                    odd = any(word in plain for word in _NOT_REGULAR)
                    found.append((rank, odd, len(plain), plain, str(Path(place, name))))
    return tuple(dict.fromkeys(path for *_, path in sorted(found)))


@functools.lru_cache(maxsize=1 << 16)
def _has(path: str | None, letter: str) -> bool:
    """Whether the font at `path` (None: the usual one) has a letter."""
    found = font(_PROBE) if path is None else _opened(path, _PROBE)
    if found is None:
        return False
    try:
        mask, none = found.getmask(letter), found.getmask(_NO_LETTER)
    except (OSError, ValueError):  # A bitmap font that has other sizes only, or no Unicode.
        return False
    return (mask.size, bytes(mask)) != (none.size, bytes(none))


@functools.lru_cache(maxsize=1 << 16)
def _font_of(letter: str) -> str | None:
    """The system font for a letter; None: the usual one, which has it or draws a box."""
    if _has(None, letter):
        return None
    return next((path for path in _further() if _has(path, letter)), None)


def _joins(letter: str) -> bool:
    """Whether a letter is drawn with the one before it: an accent, a joiner, a variant's sign."""
    return unicodedata.category(letter) in ("Mn", "Me", "Mc", "Cf")


def _runs(text: str) -> list[tuple[str | None, str]]:
    """Split a text by font: the font's path (None: the usual one), and the piece."""
    places: list[str | None] = []
    for letter in text:
        places.append(places[-1] if places and _joins(letter) else _font_of(letter))
    grouped = itertools.groupby(zip(places, text, strict=True), key=lambda pair: pair[0])
    return [(path, "".join(letter for _, letter in pairs)) for path, pairs in grouped]


# What is drawn


def missing(texts: Iterable[str]) -> str:
    """The letters in these texts that no installed font has, each once."""
    letters = dict.fromkeys(letter for text in texts for letter in one_line(text))
    return "".join(
        letter
        for letter in letters
        if not letter.isspace()
        and not _joins(letter)
        and _font_of(letter) is None
        and not _has(None, letter)
    )


def _sized(path: str | None, size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    found = None if path is None else _opened(path, size)
    return font(size) if found is None else found


def text_length(text: str, size: int) -> float:
    """Width in pixels of a text on one line."""
    return sum(_sized(path, size).getlength(piece) for path, piece in _runs(one_line(text)))


def draw_text(
    draw: "ImageDraw.ImageDraw",
    corner: tuple[float, float],
    text: str,
    fill: tuple[int, int, int],
    size: int,
) -> tuple[float, float]:
    """Draw a text on one line, the top of its tallest letters at `corner`.

    Line breaks and control characters, on which Pillow may fail, are not drawn.

    Returns:
        The right and bottom ends of the text.
    """
    from PIL import ImageFont

    x, y = corner
    usual = font(size)
    if not isinstance(usual, ImageFont.FreeTypeFont):
        plain = one_line(text).encode("ascii", "replace").decode()
        draw.text(corner, plain, fill, usual)
        return draw.textbbox(corner, plain, usual)[2:]
    line = y + usual.getmetrics()[0]
    right, bottom = x, y
    for path, piece in _runs(one_line(text)):
        own = _sized(path, size)
        draw.text((x, line), piece, fill, own, anchor="ls")
        box = draw.textbbox((x, line), piece, own, anchor="ls")
        right, bottom = max(right, box[2]), max(bottom, box[3])
        x += own.getlength(piece)
    return max(right, x), bottom


@contextlib.contextmanager
def chart_fonts(texts: Iterable[str]) -> Iterator[None]:
    """In this context matplotlib draws these texts in the same fonts, and boxes without a warning.

    Args:
        texts: all texts with possibly non-Latin letters.
    """
    import matplotlib as mpl
    from matplotlib import font_manager
    from matplotlib.ft2font import FT2Font

    paths = dict.fromkeys(path for text in texts for path, _ in _runs(one_line(text)))
    families = ["sans-serif"]
    for path in filter(None, paths):
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            font_manager.fontManager.addfont(path)
            families.append(FT2Font(path).family_name)
    with warnings.catch_warnings(), mpl.rc_context({"font.family": families}):
        warnings.filterwarnings("ignore", message="Glyph |Matplotlib currently does not support ")
        yield
