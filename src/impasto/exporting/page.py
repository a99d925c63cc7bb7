"""Writing a model as one HTML page that paints in the browser, from the disk and without a network.

The page holds the model as ONNX, onnxruntime's WebAssembly, and its scripts, which are built from `web/`
(Svelte and TypeScript) into `page_files/`. Its content security policy allows these scripts, and no
request to anywhere. Texts from the model are data, never markup.
"""

import base64
import gzip
import hashlib
import html
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from impasto import __version__
from impasto.collection.provenance import in_words
from impasto.enlarging import load_enlarger
from impasto.errors import ImpastoError
from impasto.exploring.directions import About, Directions
from impasto.exporting.onnx_file import OnnxReport, export_onnx, graph_of, keep_in_half
from impasto.files import atomic_file, check_new
from impasto.formatting import counted, one_line
from impasto.resolution import width_and_height
from impasto.sampling.model import Model
from impasto.sampling.records import ModelRecord

FILES = Path(__file__).parent / "page_files"
SUFFIX = ".html"
MOST_DIRECTIONS = 8
_LEAST_CORRELATION = 0.3
"""Least held-out correlation of a direction with its attribute. A slider of a weaker direction would
change something else."""
_WASM = "onnxruntime.wasm.gz"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<noscript>This page paints its pictures with JavaScript, which this browser does not run.</noscript>
<script type="application/json" id="model">{model}</script>
<script type="text/plain" id="painter">{painter}</script>
<script type="text/plain" id="wasm">{wasm}</script>
<script type="text/plain" id="weights">{weights}</script>
<script type="text/plain" id="enlarger">{enlarger}</script>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class PageReport:
    """The result of writing a page."""

    onnx: OnnxReport
    """The report of the ONNX model inside the page."""
    size: int
    """Bytes of the page."""
    sliders: tuple[str, ...]
    """Names of the directions that have sliders."""


def write_page(
    model: Model,
    destination: Path,
    directions: Directions | None = None,
    *,
    half: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> PageReport:
    """Write a model as an HTML page.

    Args:
        model: as loaded, on the CPU, with the steps and the guidance that the page is to have.
        destination: the file, which ends in `.html` and does not exist yet.
        directions: of the model. The strongest get sliders.
        half: keep the weights in float16; see `export_onnx`.
        progress: called with the number of seeds compared with torch so far.

    Raises:
        ImpastoError: as `export_onnx`, or another name of the file.
    """
    check_page_path(destination)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "model.onnx"
        levels = model.levels is not None
        report = export_onnx(model, graph, half=half, levels=levels, progress=progress)
        weights = gzip.compress(graph.read_bytes(), mtime=0)
    chosen = strongest(directions)
    made_with = [*filter(None, [model.made_with]), *(["weights in float16"] if half else [])]
    record = page_record(model.record, directions, chosen, ", ".join(made_with), model.levels)
    text = _page(model.record, record, weights)
    with atomic_file(destination) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        size = temporary.stat().st_size
    return PageReport(report, size, tuple(about.name for _, about in chosen))


def check_page_path(destination: Path) -> None:
    """Raises: ImpastoError: a page cannot be written there."""
    if destination.suffix.lower() != SUFFIX:
        raise ImpastoError(f"a page ends in {SUFFIX}; give such a path, not {destination}")
    check_new(destination)


def _page(model: ModelRecord, record: dict[str, Any], weights: bytes) -> str:
    scripts = {name: _script(name) for name in ("page.js", "painter.js")}
    style = (FILES / "page.css").read_text(encoding="utf-8").strip()
    policy = {
        "default-src": "'none'",
        "script-src": f"{_hash_of(scripts['page.js'])} 'wasm-unsafe-eval'",
        "style-src": _hash_of(style),
        "worker-src": "blob:",
        "img-src": "blob: data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return _PAGE.format(
        policy="; ".join(f"{name} {value}" for name, value in policy.items()),
        title=html.escape(f"{one_line(model.collection.name)} - {one_line(model.recipe)}"),
        style=style,
        model=_in_script(record),
        painter=scripts["painter.js"],
        wasm=base64.b64encode((FILES / _WASM).read_bytes()).decode(),
        weights=base64.b64encode(weights).decode(),
        enlarger=base64.b64encode(enlarger_graph()).decode(),
        script=scripts["page.js"],
    )


@cache
def enlarger_graph() -> bytes:
    """The packaged enlarging network as ONNX, packed by gzip: `picture` [1, 3, H, W] in [-1, 1] to
    `images` [1, 3, 4H, 4W]. Its weights are float16, as those in the package are."""
    picture = torch.zeros(1, 3, 20, 24)
    free = {2: "height", 3: "width"}
    graph = graph_of(load_enlarger(), {"picture": picture}, free, "the enlarging network")
    keep_in_half(graph)
    return gzip.compress(graph.SerializeToString(), mtime=0)


def _script(name: str) -> str:
    """A script of the page. The build keeps what would end the element that holds it out of it."""
    return (FILES / name).read_text(encoding="utf-8").strip()


def _hash_of(text: str) -> str:
    """The source expression of an inline script or style, for the policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _in_script(value: object) -> str:
    """JSON that cannot end the element that holds it, nor open a comment in it."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")


def strongest(directions: Directions | None) -> list[tuple[int, About]]:
    """The directions that get sliders, each with its place: fitted ones by their correlation, then
    unsupervised ones. Differences of classes are left to the choosers of classes."""
    if directions is None:
        return []
    latent = [(place, each) for place, each in enumerate(directions.about) if each.start is None]
    fitted = [each for each in latent if abs(each[1].correlation or 0) >= _LEAST_CORRELATION]
    fitted.sort(key=lambda each: -abs(each[1].correlation or 0))
    others = [each for each in latent if each[1].correlation is None]
    return [*fitted, *others][:MOST_DIRECTIONS]


def page_record(
    record: ModelRecord,
    directions: Directions | None,
    chosen: list[tuple[int, About]],
    made_with: str = "",
    levels: int | None = None,
) -> dict[str, Any]:
    """What the page's script knows of the model (`Model` in `web/src/painting/model.ts`).

    Args:
        record: of the model.
        directions: of the model.
        chosen: those with sliders; see `strongest`.
        made_with: what was changed when it was loaded and exported, in words.
        levels: latents that it takes, one for each level of the generator; None: one for all.
    """
    sliders = []
    for place, about in chosen:
        assert directions is not None
        sliders.append(
            {
                "name": about.name,
                "how": about.how
                + ("" if about.correlation is None else f"; correlation {about.correlation:.2f}"),
                "first": about.first,
                "last": about.last,
                "latents": _rounded(directions.latents[place].tolist()),
                "classes": _rounded(directions.classes[place].tolist()),
            }
        )
    return {
        "name": one_line(record.collection.name),
        "recipe": record.recipe,
        "sha256": record.weights_sha256,
        "size": width_and_height(record.resolution),
        "latent": {"size": record.latent.size, "distribution": record.latent.distribution},
        "levels": levels,
        "reach": load_enlarger().reach,
        "labels": {
            "fields": [
                {"name": each.name, "classes": list(each.classes)} for each in record.labels
            ],
            "rows": [list(row) for row, _ in record.combinations],
            "counts": [count for _, count in record.combinations],
        },
        "directions": sliders,
        "about": _about(record, made_with),
        "licences": json.loads((FILES / "licences.json").read_text(encoding="utf-8")),
    }


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 8) for value in values]


def _about(record: ModelRecord, made_with: str) -> list[str]:
    """Sentences on the model and on whom it learned from."""
    learned = record.collection
    width, height = width_and_height(record.resolution)
    how = f", with {made_with}" if made_with else ""
    kind = f" ({one_line(learned.kind)})" if learned.kind else ""
    return [
        f"New pictures of {width} x {height} pixels by a generator that learned from {learned.name}. "
        "They are computed in this page, and nothing is sent anywhere.",
        f"The generator: recipe {record.recipe} of impasto {__version__}, {record.parameters:,} "
        f"weights{how}; in training it saw {record.images_seen:,} images, repetitions included.",
        f"It learned from {learned.name}{kind}: {counted(learned.count, 'picture')} from "
        f"{counted(learned.sources, 'source picture')}.",
        *in_words(learned.model_dump()),
    ]
