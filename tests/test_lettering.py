"""Names in pictures: which letters there are."""

import importlib.util
import subprocess
import sys

import pytest
from PIL import Image, ImageDraw, ImageFont

from impasto import lettering
from impasto.sampling.grid import written

BOX = "\uffff"


def drawn(text: str, size: int = 20) -> bytes:
    return bytes(lettering.font(size).getmask(text))


@pytest.mark.parametrize("name", ["Café", "Dürer", "Å. Åberg", "Ελ", "Кандинский", "Łódź"])
def test_names_in_other_scripts_are_no_boxes(name: str) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("without matplotlib the font is whatever the system has")
    box = drawn(BOX)
    assert all(drawn(letter) != box for letter in name if letter not in " .")
    assert len({drawn(letter) for letter in name}) == len(set(name))


def test_without_any_other_font_there_is_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_of_matplotlib", lambda: ["/nowhere/no such font.ttf"])
    monkeypatch.setattr(lettering, "_INSTALLED", ("no such font.ttf",))
    lettering.font.cache_clear()
    try:
        taken = lettering.font(12)
        probe = ImageDraw.Draw(Image.new("L", (1, 1)))
        own = ImageFont.load_default(12)
        assert probe.textbbox((0, 0), "name", taken) == probe.textbbox((0, 0), "name", own)
        assert written("name in 日本").width > 20
    finally:
        lettering.font.cache_clear()


def test_a_font_is_found_without_importing_matplotlib() -> None:
    code = (
        "import sys\n"
        "from impasto.lettering import font\n"
        "assert 'PIL' not in sys.modules\n"
        "font(12)\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
