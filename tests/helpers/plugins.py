"""Shared by several tests: what users bring, as a file and as an installed package."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from impasto import plugins
from tests.helpers.contributing import examples

REALLY_INSTALLED = plugins.entry_points
RECIPE = '''
from impasto.config import RunConfig
from impasto.settings import change
from impasto.recipes.first_look import first_look


def plain_32() -> RunConfig:
    """Plain networks and the least-squares loss, for a test."""
    settings = {
        "resolution": 32, "training.images": 32, "training.batch": 8, "training.grid": 4,
        "generator": {"network": "plain", "width": 4}, "evaluation.every": 0,
        "discriminator": {"network": "plain", "width": 4}, "objective": [{"term": "TERM"}],
    }
    return change(first_look(), settings)
'''


def parts() -> dict[str, str]:
    """What CONTRIBUTING.md shows, and a recipe of it: network, term, metric and reader."""
    shown = {
        path.removeprefix("src/impasto/").split("/")[0]: text
        for path, text in examples().items()
        if path.startswith("src/")
    }
    return {**shown, "recipes": RECIPE}


def plain_file(folder: Path) -> Path:
    """`plain.py`: the network, the term and the metric `plain`, and the recipe `plain_32`."""
    held = parts()
    text = "\n\n".join(held[room] for room in ("networks", "objectives", "metrics", "recipes"))
    file = folder / "plain.py"
    file.write_text(text.replace("TERM", "plain"), encoding="utf-8")
    return file


def package(folder: Path, version: str = "1.2", **more: str) -> Path:
    """The package impasto-plain as pip puts it into `folder`; `more` are further entry points."""
    code = folder / "impasto_plain"
    code.mkdir(parents=True)
    (code / "__init__.py").write_text("")
    held = parts()
    for room in ("networks", "objectives", "metrics", "readers", "recipes"):
        text = held[room].replace("TERM", "least_squares_2")
        text += '\nBETTER = {"gap": "lower"}\n' if room == "metrics" else ""
        (code / f"{room}.py").write_text(text, encoding="utf-8")
    entries: Mapping[str, str] = {
        "networks": "plain = impasto_plain.networks",
        "objectives": "least_squares_2 = impasto_plain.objectives",
        "metrics": "mean_gap_2 = impasto_plain.metrics",
        "readers": "idx_2 = impasto_plain.readers",
        "recipes": "plain_32 = impasto_plain.recipes:plain_32",
        **more,
    }
    about = folder / f"impasto_plain-{version}.dist-info"
    about.mkdir()
    told = f"Metadata-Version: 2.1\nName: impasto-plain\nVersion: {version}\n"
    (about / "METADATA").write_text(told)
    (about / "entry_points.txt").write_text(
        "".join(f"[impasto.{room}]\n{line}\n" for room, line in entries.items())
    )
    return folder


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Plugins are found in this test, and forgotten after it."""
    plugins.forget_plugins()
    with monkeypatch.context() as patch:
        patch.setattr(plugins, "entry_points", REALLY_INSTALLED)
        yield
    plugins.forget_plugins()
