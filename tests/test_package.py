"""What `pip install .` installs."""

import inspect
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import impasto

ROOT = Path(__file__).parent.parent
SOURCE = Path(impasto.__file__).parent


def test_the_wheel_holds_all_that_is_needed(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.startswith(f"impasto-{impasto.__version__}-")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("impasto/")}
    source = {
        path.relative_to(ROOT / "src").as_posix()
        for path in (ROOT / "src" / "impasto").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == source
    assert len([name for name in packed if name.endswith(".jpg")]) == 21


def test_every_extra_is_pinned() -> None:
    """A range in pyproject without a pin would be left out of `make venv`; what needs torchvision,
    which does not go with every build of torch, is pinned for `make test-peers`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for file in ("pins.txt", "peers.txt")
        for line in (ROOT / "requirements" / file).read_text().splitlines()
        if "==" in line
    }
    wanted = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        wanted += extra
    names = {re.split(r"[>=\[]", text)[0].strip().lower().replace("_", "-") for text in wanted}
    assert names - {"torch", "torchvision", "impasto"} <= pinned, "torch and torchvision: Makefile"


def test_the_papers_name_this_version() -> None:
    """The newest release in the changelog and the citation file are this version, of the same day."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d.*?)\] - (\S+)$", changelog, re.MULTILINE)
    version, date = releases[0]
    assert version == citation["version"] == impasto.__version__
    assert date == citation["date-released"]
    assert releases == sorted(releases, key=lambda each: each[1], reverse=True)


def test_the_public_surface() -> None:
    assert sorted(impasto._HOMES) == impasto.__all__
    for name in impasto.__all__:
        assert getattr(impasto, name).__module__.startswith("impasto.")
    assert not hasattr(impasto, "Pickle")
    code = "from impasto.reporting import page; import impasto; print(impasto.report)"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "function report" in shown.stdout, "a room has the function's name and hides it"
    assert not set(impasto.__all__) & {file.parent.name for file in SOURCE.glob("*/*.py")}
    code = "import sys, impasto; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_documented() -> None:
    for name in impasto.__all__:
        thing = getattr(impasto, name)
        assert thing.__doc__, name
        if inspect.isfunction(thing) and name not in ("change", "list_recipes"):
            assert "Raises:" in thing.__doc__, name
            told = set(inspect.signature(thing).parameters)
            assert all(f"{each}:" in thing.__doc__ for each in told) or len(told) == 1, name


def test_the_example_of_the_docstring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = impasto.__doc__ or ""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    length = "images=20_000"
    small = 'images=32, settings={"resolution": 32, "training.grid": 4}'
    code = "\n".join(lines)
    assert length in code
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code.replace(length, small), names)
    assert names["pictures"].shape == (3, 32, 32, 3)
    assert names["pictures"].dtype == "uint8"
    assert (tmp_path / "grid.png").is_file()
    assert list((tmp_path / "runs").iterdir()) == [tmp_path / names["run"].path]
