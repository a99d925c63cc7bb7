"""Ctrl-C while a command paints: one line, and nothing half written."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.sampling import Sampler
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke

COMMANDS: dict[str, list[str]] = {
    "sample": ["--seeds", "0-3", "--grid", "out.png"],
    "sample --more-like": ["--of", "0-3", "--more-like", "1", "--grid", "out.png"],
    "mix": ["--coarse", "0", "--fine", "1", "--grid", "out.png"],
    "canvas": ["--size", "64x32", "--out", "out.png"],
    "directions": ["--samples", "64", "--components", "0", "--out", "out.safetensors"],
    "invert": ["given.png", "--candidates", "4", "--starts", "1", "--out", "out.safetensors"],
    "walk": ["--seeds", "0,1", "--seconds", "0.2", "--out", "out.webp"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stopped_command_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(tmp_path / "m", "self-modulated")
    before = sorted(model.rglob("*"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    Image.new("RGB", (40, 40)).save("given.png")

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for painting in ("images", "pixels"):
        monkeypatch.setattr(Sampler, painting, stop)
    monkeypatch.setattr("impasto.exploring.canvases.Canvas.paint", stop)
    command = name.split()[0]
    code, text = invoke(command, model, *COMMANDS[name], "--device", "cpu")
    assert code, text
    assert "stopped; no file is left half written" in text
    assert [path.name for path in Path().iterdir()] == ["given.png"]
    assert sorted(model.rglob("*")) == before
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
