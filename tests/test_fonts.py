"""Names in pictures: which letters there are."""

import importlib.util
import io
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from impasto import fonts
from impasto.reporting.charts import Level, Line, Mark, chart
from impasto.sampling.grid import named_grid_picture, shortened, written

BOX = "\uffff"


def drawn(text: str, size: int = 20) -> bytes:
    return bytes(fonts.font(size).getmask(text))


@pytest.mark.parametrize("name", ["Café", "Dürer", "Å. Åberg", "Ελ", "Кандинский", "Łódź"])
def test_names_in_other_scripts_are_no_boxes(name: str) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("without matplotlib the font is whatever the system has")
    box = drawn(BOX)
    assert all(drawn(letter) != box for letter in name if letter not in " .")
    assert len({drawn(letter) for letter in name}) == len(set(name))


def test_without_any_other_font_there_is_pillows_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_of_matplotlib", lambda: ["/nowhere/no such font.ttf"])
    monkeypatch.setattr(fonts, "_INSTALLED", ("no such font.ttf",))
    fonts.font.cache_clear()
    try:
        taken = fonts.font(12)
        probe = ImageDraw.Draw(Image.new("L", (1, 1)))
        own = ImageFont.load_default(12)
        assert probe.textbbox((0, 0), "name", taken) == probe.textbbox((0, 0), "name", own)
        assert written("name in 日本").width > 20
    finally:
        fonts.font.cache_clear()


def test_a_font_is_found_without_importing_matplotlib() -> None:
    code = (
        "import sys\n"
        "from impasto.fonts import font\n"
        "assert 'PIL' not in sys.modules\n"
        "font(12)\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# Letters that DejaVu Sans does not have

UKIYO_E = "浮世絵"


def font_with(letters: str, path: Path) -> None:
    """Write a font in which each of these letters is a square as large as its em."""
    # matplotlib comes with it.
    builder = pytest.importorskip("fontTools.fontBuilder").FontBuilder(1000)
    pens = pytest.importorskip("fontTools.pens.ttGlyphPen")
    pen = pens.TTGlyphPen(None)
    for number, corner in enumerate([(0, -100), (0, 900), (1000, 900), (1000, -100)]):
        (pen.lineTo if number else pen.moveTo)(corner)
    pen.closePath()
    square, names = pen.glyph(), [f"u{ord(letter):05X}" for letter in letters]
    builder.setupGlyphOrder([".notdef", *names])
    builder.setupCharacterMap({ord(letter): f"u{ord(letter):05X}" for letter in letters})
    builder.setupGlyf({".notdef": pens.TTGlyphPen(None).glyph(), **dict.fromkeys(names, square)})
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names], (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": f"Squares {path.stem}", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)


def forget() -> None:
    for cached in (fonts.font, fonts._opened, fonts._further, fonts._has, fonts._font_of):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only folder of fonts on this system, empty."""
    monkeypatch.setattr(fonts, "_folders", lambda: [tmp_path / "fonts"])
    forget()
    yield tmp_path / "fonts"
    forget()


def ink(picture: Image.Image) -> int:
    return int((np.asarray(picture.convert("L")) < 128).sum())


def test_without_a_font_letters_are_boxes(folder: Path) -> None:
    assert fonts.missing(["Café", f"a {UKIYO_E}", "浮 🎨"]) == "浮世絵🎨"
    assert fonts.text_length(UKIYO_E, 20) > 20
    assert ink(written(UKIYO_E)) > 0


def test_a_letter_is_drawn_in_the_first_font_that_has_it(folder: Path) -> None:
    font_with("浮世", folder / "opentype" / "noto" / "NotoSansCJK-Regular.ttf")
    font_with("浮世絵", folder / "wqy-zenhei.ttf")
    font_with("🎨", folder / "NotoEmoji[wght].ttf")
    font_with("x", folder / "SomeOther.ttf")
    (folder / "malgun.ttf").write_bytes(b"no font")
    assert fonts.missing([UKIYO_E, "🎨", "가"]) == "가"
    assert [Path(fonts._font_of(letter) or "").name for letter in "浮絵🎨a"] == [
        "NotoSansCJK-Regular.ttf",
        "wqy-zenhei.ttf",
        "NotoEmoji[wght].ttf",
        "",
    ]
    # Each letter is a square of 20 by 20 pixels, on the line of the others.
    assert fonts.text_length(f"{UKIYO_E}🎨", 20) == 80
    assert ink(written(UKIYO_E, 20)) == 3 * 20 * 20
    usual = ink(written("Café", 20))
    assert ink(written(f"Café{UKIYO_E}", 20)) == pytest.approx(usual + 1200, abs=40)
    assert shortened(UKIYO_E * 1000, 200, 20) == (UKIYO_E * 4)[:9] + "…"


def test_the_regular_font_of_a_family_is_taken(folder: Path) -> None:
    for name in ("NotoSansCJK-Black", "NotoSansCJK-Bold", "NotoSansCJK-Regular"):
        font_with("浮", folder / f"{name}.ttf")
    assert Path(fonts._font_of("浮") or "").stem == "NotoSansCJK-Regular"


def test_an_accent_stays_with_its_letter(folder: Path) -> None:
    font_with("浮", folder / "NotoSansCJK-Regular.ttf")
    pieces = [piece for _, piece in fonts._runs("e\u0301浮\u3099\ufe0fa")]
    assert pieces == ["e\u0301", "浮\u3099\ufe0f", "a"]


@pytest.mark.parametrize(
    "text",
    ["two\nlines", "a\r\nb", "tab\there", "\x00\x07\x1b[31m\x7f\x85", "a\u2028b\u2029c", "", "\n"],
)
def test_odd_texts_can_be_drawn(text: str) -> None:
    for odd in (text, text + "\ud800", UKIYO_E + text):
        assert written(odd).height < 20
        assert written(odd, upright=True).width < 20
        assert fonts.text_length(shortened(odd, 40), 12) <= 40
        image = np.zeros((2, 32, 32, 3), np.uint8)
        assert named_grid_picture(image, 2, [odd, "b"], [odd]).width >= 64


def test_charts_use_the_same_fonts(folder: Path, recwarn: pytest.WarningsRecorder) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    font_with(UKIYO_E, folder / "NotoSansCJK-Regular.ttf")

    def picture(text: str) -> Image.Image:
        file = io.BytesIO()
        with fonts.chart_fonts([text]):
            figure = Figure(figsize=(2, 0.5), dpi=100)
            figure.text(0.05, 0.2, text, fontsize=14.4)  # 20 pixels
            figure.savefig(file, format="png")
        return Image.open(file)

    assert ink(picture(UKIYO_E)) == pytest.approx(3 * 20 * 20, rel=0.1)
    assert ink(picture("가🎨")) > 0
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


def test_curves_with_names_that_no_font_has(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    values = np.array([1.0, 3.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = chart(
            np.array([1, 2, 3]),
            [Line("浮世絵\n🎨 a\x07b", values)],
            [Mark(2, "감")],
            levels=[Level("水平", 2.5)],
            identity="a",
            label="b",
        )
    # The browser has its own fonts: the text stays text.
    assert all(text in svg for text in ("浮世絵 🎨 ab", "감", "水平"))
