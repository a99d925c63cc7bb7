"""Letters for names in pictures."""

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFont

_INSTALLED = ("DejaVuSans.ttf", "Arial.ttf")
"""Asked for by name where matplotlib is not installed: Linux has the first as a rule, Windows and
macOS the second."""


@functools.lru_cache
def font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    """The font with the most letters that is sure to be found: Latin with all accents, Greek and
    Cyrillic from DejaVu Sans or Arial, but not Chinese, Japanese or Korean, which stay boxes.

    Where there is neither, Pillow's own, which has no letters but those of ASCII.

    Args:
        size: of the letters, in pixels.
    """
    from PIL import ImageFont

    for name in (*_of_matplotlib(), *_INSTALLED):
        try:
            return ImageFont.truetype(name, size)
        except (OSError, ImportError):  # Not there, or a Pillow without FreeType.
            continue
    return ImageFont.load_default(size)


def _of_matplotlib() -> list[str]:
    """Where matplotlib keeps DejaVu Sans, if it is installed; it is not imported."""
    found = importlib.util.find_spec("matplotlib")
    if found is None or found.origin is None:
        return []
    return [str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf")]
