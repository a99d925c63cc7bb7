"""The page of `impasto export --as html`, as a file; tests_web opens it in a browser."""

import base64
import gzip
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import impasto
from impasto.enlarging import load_enlarger
from impasto.errors import ImpastoError
from impasto.exploring.directions import About, Directions
from impasto.exporting import page
from impasto.exporting.onnx_file import OnnxReport
from impasto.formatting import one_line
from impasto.resolution import Resolution, Size
from impasto.sampling.model import Model
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke
from tests.helpers.records import record_of

HOSTILE = "</script><script>alert(1)</script><!--\u2028<img src=x onerror=alert(2)>"
RECORD = record_of({HOSTILE: ("a", HOSTILE), "genre": ("b", "c")}, [(0, 1), (1, -1)], [3, 4])


class Elements(HTMLParser):
    """The elements of a page as a browser reads them, with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def text(self, tag: str, **attributes: str) -> str:
        (found,) = [t for n, a, t in self.found if n == tag and attributes.items() <= a.items()]
        return found


@pytest.fixture(autouse=True)
def graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that stands for the ONNX file."""

    def export_onnx(model: Model, destination: Path, **_: Any) -> OnnxReport:
        destination.write_bytes(b"graph")
        return OnnxReport(difference=0.0, size=5)

    monkeypatch.setattr(page, "export_onnx", export_onnx)


def written(
    folder: Path,
    directions: Directions | None = None,
    half: bool = False,
    resolution: Resolution = 8,
) -> tuple[Elements, page.PageReport]:
    """A page around the file that stands for the ONNX file."""
    collection = RECORD.collection.model_copy(update={"name": HOSTILE, "artists": {HOSTILE: 2}})
    changes = {"collection": collection, "recipe": HOSTILE, "resolution": resolution}
    record = RECORD.model_copy(update=changes)
    report = page.write_page(
        Model(torch.nn.Identity(), record), folder / "p.html", directions, half=half
    )
    return Elements((folder / "p.html").read_text(encoding="utf-8")), report


def test_a_page_of_rectangles_says_their_size(tmp_path: Path) -> None:
    elements, _ = written(tmp_path, resolution=Size(24, 32))
    first, *_ = json.loads(elements.text("script", id="model"))["about"]
    assert first.startswith("New pictures of 24 x 32 pixels")


def test_the_parts_of_a_page(tmp_path: Path) -> None:
    elements, report = written(tmp_path)
    assert report.size == (tmp_path / "p.html").stat().st_size
    assert gzip.decompress(base64.b64decode(elements.text("script", id="weights"))) == b"graph"
    wasm = gzip.decompress(base64.b64decode(elements.text("script", id="wasm")))
    assert wasm[:4] == b"\0asm"
    for name, text in (
        ("painter.js", elements.text("script", id="painter")),
        ("page.css", elements.text("style")),
    ):
        assert text == (page.FILES / name).read_text(encoding="utf-8").strip(), name


def test_the_enlarger_of_a_page_is_torchs(tmp_path: Path) -> None:
    """Of any size, from the page itself."""
    elements, _ = written(tmp_path)
    graph = gzip.decompress(base64.b64decode(elements.text("script", id="enlarger")))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for height, width in ((5, 7), (33, 20)):
        picture = (
            torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
        )
        (images,) = session.run(["images"], {"picture": picture.numpy()})
        expected = load_enlarger()(picture).numpy()
        assert images.shape == expected.shape == (1, 3, 4 * height, 4 * width)
        assert np.abs(images - expected).max() < 1e-5
        assert np.abs(expected).max() > 0.1


def test_texts_of_a_model_are_data(tmp_path: Path) -> None:
    elements, _ = written(tmp_path)
    names = [tag for tag, _, _ in elements.found]
    assert names == [
        *("html", "head", "meta", "meta", "meta", "title", "style", "body", "noscript"),
        *["script"] * 6,
    ]
    record = json.loads(elements.text("script", id="model"))
    line = one_line(HOSTILE)
    assert [each["name"] for each in record["labels"]["fields"]] == [line, "genre"]
    assert record["labels"]["fields"][0]["classes"] == ["a", line]
    assert record["labels"]["rows"] == [[0, 1], [1, -1]]
    assert record["labels"]["counts"] == [3, 4]
    assert any(HOSTILE in sentence for sentence in record["about"])


def test_nothing_can_be_fetched(tmp_path: Path) -> None:
    elements, _ = written(tmp_path)
    for _, attributes, _ in elements.found:
        assert not attributes.keys() & {"src", "href", "action", "style", "srcset", "data"}
    (policy,) = [a["content"] or "" for _, a, _ in elements.found if "http-equiv" in a]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules, "the default is stricter"
    script, style = elements.found[-1][2], elements.text("style")
    for kind, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind].split()[0] == f"'sha256-{digest}'"
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy


def test_the_strongest_directions_get_sliders(tmp_path: Path) -> None:
    about = (
        About(name="a-to-b", how="from a to b", start="genre=b"),
        About(name="weak", how="measured", correlation=0.1),
        About(name="strong", how="measured", correlation=0.5),
        About(name="stronger", how="measured", correlation=-0.75, first=-2),
        *(About(name=f"pc{number}", how="principal component") for number in range(8)),
    )
    directions = Directions(
        about, torch.arange(48.0).view(12, 4) / 3, torch.eye(12)[:, :4], "a" * 64, "x"
    )
    elements, report = written(tmp_path, directions)
    names = ("stronger", "strong", "pc0", "pc1", "pc2", "pc3", "pc4", "pc5")
    assert report.sliders == names
    sliders = json.loads(elements.text("script", id="model"))["directions"]
    assert tuple(each["name"] for each in sliders) == names
    assert sliders[0]["how"] == "measured; correlation -0.75"
    assert (sliders[0]["first"], sliders[0]["last"]) == (-2, 3)
    assert sliders[0]["latents"] == pytest.approx([4, 4 + 1 / 3, 4 + 2 / 3, 5])
    assert sliders[0]["classes"] == [0, 0, 0, 1]


def test_what_the_page_says_of_the_model() -> None:
    learned = {
        "name": "masters",
        "count": 40,
        "sources": 2,
        "licences": {"public domain": 2},
        "artists": {"Hokusai": 2},
        "only": "style = 'Ukiyo-e'",
    }
    collection = RECORD.collection.model_copy(update=learned)
    record = page.page_record(
        RECORD.model_copy(update={"collection": collection}), None, [], "8 steps, euler"
    )
    text = "\n".join(record["about"])
    for part in (
        *("8 x 8 pixels", "with 8 steps, euler", "40 pictures from 2 source pictures"),
        *("public domain (2)", "Hokusai (2)", "style = 'Ukiyo-e'"),
    ):
        assert part in text
    assert {"Svelte", "ONNX"} <= {name.split(" ")[0] for name in record["licences"]}
    assert "MIT License" in record["licences"]["Libraries inside ONNX Runtime"]


def test_a_page_says_that_its_weights_are_halved(tmp_path: Path) -> None:
    for half in (False, True):
        elements, _ = written(tmp_path, half=half)
        about = "\n".join(json.loads(elements.text("script", id="model"))["about"])
        assert ("weights in float16" in about) is half
        (tmp_path / "p.html").unlink()


def test_the_command(tmp_path: Path) -> None:
    folder = random_model(tmp_path / "model", "self-modulated")
    record = Model.load(folder).record
    code, said = invoke("export", folder, tmp_path / "plain.html")
    assert code == 0, said
    assert f"without sliders: impasto directions {folder} finds" in said
    about = (About(name="warmth", how="measured", correlation=0.9),)
    found = Directions(about, torch.ones(1, 16), torch.zeros(1, 3), record.weights_sha256, "x")
    found.save(folder / "directions.safetensors")
    code, said = invoke("export", folder, tmp_path / "sliders", "--as", "html")
    assert code == 2
    assert "a page ends in .html" in said
    code, said = invoke("export", folder, tmp_path / "sliders.html")
    assert code == 0, said
    assert "sliders: warmth" in said
    same = impasto.export(folder, tmp_path / "python.html")
    assert same.read_bytes() == (tmp_path / "sliders.html").read_bytes()
    assert "learned from x" in said
    code, said = invoke("export", folder, tmp_path / "sliders.html")
    assert code == 2
    assert "exists already" in said
    code, said = invoke("export", folder, tmp_path / "m", "--directions", "d.safetensors")
    assert code == 2
    assert "--directions is for --as html" in said
    code, said = invoke("export", folder, tmp_path / "n.html", "--directions", tmp_path / "none")
    assert code == 2
    assert "there is no file of directions" in said


def test_a_page_needs_a_new_path(tmp_path: Path) -> None:
    model = Model(torch.nn.Identity(), RECORD)
    with pytest.raises(ImpastoError, match=r"a page ends in \.html"):
        page.write_page(model, tmp_path / "p.pdf")
    (tmp_path / "p.html").touch()
    with pytest.raises(ImpastoError, match="exists already"):
        page.write_page(model, tmp_path / "p.html")
