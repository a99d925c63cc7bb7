"""`impasto export --as space`: the folder, and its app with a stand-in for Gradio."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from impasto.exporting.space import write_space
from impasto.sampling.model import Model
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke
from tests.helpers.markdown import shown


class FakeError(Exception):
    """Gradio's error that is shown to the user."""


class Interface:
    """What the app makes of Gradio's: the function, its inputs, and whether it was launched."""

    def __init__(
        self, fn: Callable[..., Any], inputs: list[Any], outputs: Any, **_: object
    ) -> None:
        self.fn, self.inputs, self.outputs = fn, inputs, outputs
        self.loaded: list[Any] = []
        self.launched = False

    def __enter__(self) -> "Interface":
        return self

    def __exit__(self, *_: object) -> None: ...

    def load(self, *arguments: Any) -> None:
        self.loaded += arguments

    def launch(self) -> None:
        self.launched = True


@pytest.fixture
def gradio(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("gradio")

    def component(kind: str) -> Callable[..., Any]:
        return lambda *values, **options: (kind, values, options)

    for kind in ("Number", "Slider", "Dropdown", "Image"):
        setattr(module, kind, component(kind))
    module.__dict__.update(Error=FakeError, Interface=Interface)
    monkeypatch.setitem(sys.modules, "gradio", module)
    return module


def test_the_app_paints_what_the_model_paints(tmp_path: Path, gradio: ModuleType) -> None:
    source = random_model(tmp_path / "lake", "fastgan")
    code, out = invoke("export", source, tmp_path / "space", "--as", "space")
    assert code == 0
    assert f"python {tmp_path / 'space' / 'app.py'}" in out
    app = runpy.run_path(str(tmp_path / "space" / "app.py"), run_name="__main__")
    demo = app["demo"]
    assert demo.launched
    assert [kind for kind, _, _ in demo.inputs] == ["Number", "Slider", "Dropdown"]
    drawn, *classes = demo.inputs[2][1][0]
    assert classes == ["Cubism", "Rococo", "Ukiyo-e"]
    assert demo.loaded == [
        demo.fn,
        demo.inputs,
        demo.outputs,
    ]  # the first pictures are there at once
    model = Model.load(source)
    for made, expected in (
        (demo.fn(7, 3.0, "Rococo"), model.grid(range(7, 23), {"style": "Rococo"})),
        (demo.fn(0.0, 0.7, drawn), model.grid(range(16), truncation=0.7)),
        (demo.fn(0, 3.0, None), model.grid(range(16))),
    ):
        assert np.array_equal(np.asarray(made), np.asarray(expected))
    for seed in (-1, 2**32, 1e300):
        with pytest.raises(FakeError, match="seeds are numbers from 0 to 4294967295"):
            demo.fn(seed, 3.0, drawn)
    with pytest.raises(FakeError, match="Nope"):
        demo.fn(0, 3.0, "Nope")


def test_a_folder_for_a_space(tmp_path: Path) -> None:
    source = random_model(tmp_path / "lake", "dcgan")
    write_space(source, tmp_path / "space", licence="mit")
    folder = tmp_path / "space"
    assert {path.name for path in folder.iterdir()} == {
        *("README.md", "app.py", "requirements.txt", "model.json", "generator.safetensors"),
    }
    heading, _, text = (folder / "README.md").read_text().removeprefix("---\n").partition("---\n")
    metadata = yaml.safe_load(heading)
    assert metadata["sdk"] == "gradio"
    assert (folder / metadata["app_file"]).is_file()
    assert metadata["license"] == "mit"
    assert len(metadata["short_description"]) <= 60  # the hub's limit
    assert "What it learned from" in shown(text)[0]
    assert "impasto[torch]==" in (folder / "requirements.txt").read_text()
    for path in folder.iterdir():
        assert str(tmp_path).encode() not in path.read_bytes()
