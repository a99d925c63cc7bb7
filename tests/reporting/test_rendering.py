"""The pages are made by the templates alone, and whatever is put into them is escaped."""

import ast
import re
from pathlib import Path

import pytest
from jinja2 import UndefinedError

import impasto.reporting
from impasto.reporting.axes import Axis, AxisChoice
from impasto.reporting.charts import Line, chart
from impasto.reporting.elements import Card, Cell, Figure, PageImage, PageTable
from impasto.reporting.rendering import environment, render

ROOM = Path(impasto.reporting.__file__).parent
HOSTILE = "<script>alert('1')</script>\"&"


def test_no_module_writes_html() -> None:
    tag = re.compile(r"</?[a-z][a-z0-9]*[\s>/]")
    for path in ROOM.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        assert not [text for text in texts if tag.search(text)], path.name
        # Text that counts as HTML is made by a template, or is a drawing.
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Markup" and node.args
        ]
        assert not calls or path.name in ("rendering.py", "charts.py"), path.name


def test_every_template_escapes() -> None:
    assert environment().autoescape is True
    names = environment().list_templates()
    assert len(names) > 10
    for name in names:
        source = (ROOM / "templates" / name).read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|autoescape", source), name


def test_hostile_text_is_escaped_wherever_it_stands() -> None:
    import numpy as np

    text = HOSTILE
    places, values = np.array([1, 2], dtype=np.int64), np.array([1.0, 2.0])
    units = (Axis("images", text, 1, text), Axis("epochs", text, 2, text))
    drawing = chart(places, [Line(text, values)], identity="chart0", label=text, axes=units)
    cells = [Cell(text, text, 1), Cell(text, best=True), Cell(text, words=True)]
    cells.append(Cell(code=[text, text], words=True))
    table = PageTable([text] * 5, [(text, cells)], [text])
    pages = [
        render(
            "findings", verdict=text, findings=[], good=[(text, text)], few_rows=0, doctor=table
        ),
        render(
            "pictures",
            figures=[Figure(PageImage(text, text, text), text)],
            works={"Pictures": text},
        ),
        render(
            "curves",
            heading=text,
            choice=AxisChoice(units),
            works={text: text},
            legend=text,
            cards=[Card(text, drawing, text, text)],
            classifier=[],
        ),
        render("particulars", rows=[(text, text)], recipe=text, settings=text),
        render("stages", says=text, groups=[(text, [PageImage(text, text)])]),
    ]
    for page in pages:
        assert "&lt;script&gt;" in page
        assert "<script" not in page
        assert '">alert' not in page
    assert pages[0].count("&lt;script&gt;") == 2 + 1 + 5 + 1 + 2 + 1 + 1 + 2 + 1


def test_what_a_template_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="works"):
        render("pictures")
