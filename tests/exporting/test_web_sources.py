"""What is built from `web/` is built from its sources as they are, and tested against torch as it is."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from tools.web import expected

WEB = Path(__file__).parents[2] / "web"
OWN = (
    "collect.mjs",
    "licences",
    "package-lock.json",
    "src",
    "svelte.config.js",
    "vite.config.ts",
)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [file for each in sorted(path.iterdir()) for file in _files(each)]


def test_the_page_was_built_from_these_sources() -> None:
    found = hashlib.sha256()
    for path in [file for name in OWN for file in _files(WEB / name)]:
        found.update(f"{path.relative_to(WEB).as_posix()}\n".encode())
        found.update(path.read_bytes() + b"\0")
    built = (WEB / "sources.sha256").read_text().strip()
    assert found.hexdigest() == built, (
        "web/ has changed since: run `make web` and commit the result"
    )


def test_the_page_is_tested_against_this_torch() -> None:
    written = json.loads(expected.FILE.read_text(encoding="utf-8"))
    now = json.loads(json.dumps(expected.expected()))
    assert written.keys() == now.keys()
    assert written["classes"] == now["classes"]
    assert written["pixels"] == now["pixels"]
    assert len(written["latents"]) == len(now["latents"])
    for before, after in zip(written["latents"], now["latents"], strict=True):
        values = [
            np.frombuffer(expected.unpacked(each.pop("values")), "<f4") for each in (before, after)
        ]
        assert before == after
        assert values[0] == pytest.approx(values[1], rel=1e-6, abs=1e-7), before
    assert len(written["points"]) == len(now["points"]) == 3
    assert [each["distribution"] for each in written["walks"]] == ["normal", "uniform", "normal"]
    assert written["mixed"] == now["mixed"]
    for before, after in zip(written["walks"], now["walks"], strict=True):
        for one, other in zip(before["values"], after["values"], strict=True):
            pair = [np.frombuffer(expected.unpacked(each), "<f4") for each in (one, other)]
            assert pair[0] == pytest.approx(pair[1], rel=1e-6, abs=1e-6)
