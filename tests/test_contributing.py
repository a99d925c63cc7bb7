"""The examples of CONTRIBUTING.md run as they stand, each with its test."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import impasto
from tests.helpers.contributing import PAGE, examples

TESTS = Path(__file__).parent


def test_the_files_it_names_are_there() -> None:
    told = re.sub(r"^```python\n.*?^```$", "", PAGE.read_text("utf-8"), flags=re.M | re.S)
    named = set(re.findall(r"\b(?:src|tests|docs|requirements)/[\w./-]*\w/?", told))
    assert {"src/impasto/networks/", "tests/metrics/test_metrics.py"} <= named
    missing = [path for path in sorted(named) if not (PAGE.parent / path).exists()]
    assert not missing


def test_the_examples_of_contributing_work(tmp_path: Path) -> None:
    written = examples()
    tests = sorted(path for path in written if path.startswith("tests/"))
    assert len(tests) == len(written) - len(tests) == 5
    source = Path(impasto.__file__).parent
    # The caches come along: the copies keep their times, so nothing is compiled again.
    shutil.copytree(source, tmp_path / "src/impasto", ignore=shutil.ignore_patterns("masters"))
    (tmp_path / "src/impasto/masters").symlink_to(source / "masters")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "helpers").symlink_to(TESTS / "helpers")
    for path, text in written.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        assert not file.exists(), f"{path} is there already; choose another example"
        file.write_text(text, encoding="utf-8")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "src"), str(tmp_path)]),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout
