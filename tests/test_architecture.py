"""Imports between rooms run downwards only, as docs/architecture.md draws it."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import impasto

ROOT = Path(impasto.__file__).parent
GROUND = {
    "asking",
    "time_left",
    "errors",
    "files",
    "registry",
    "config",
    "config_values",
    "resolution",
    "plugins",
    "plugin_records",
    "settings",
    "formatting",
    "messages",
    "progress",
    "fonts",
    "delimited",
    "tabular",
    "device",
    "fold",
    "processes",
    "threads",
    "__init__",
}


def drawn() -> dict[str, set[str]]:
    """Rooms and what each may import, as the table in docs/architecture.md has it."""
    page = Path(__file__).parent.parent / "docs" / "architecture.md"
    rooms: dict[str, set[str]] = {}
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3 and cells[0].endswith("/`"):
            rooms[cells[0].strip("`/")] = set(re.findall(r"`(\w+)`", cells[2]))
    return rooms


MAY_IMPORT = drawn()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_rooms_import_downwards() -> None:
    rooms = {file.relative_to(ROOT).parts[0] for file in ROOT.glob("*/**/*.py")}
    assert rooms == set(MAY_IMPORT), "docs/architecture.md draws other rooms than there are"
    for room, allowed in MAY_IMPORT.items():
        for file in (ROOT / room).rglob("*.py"):
            for name in _imported(file):
                parts = name.split(".")
                if parts[0] != "impasto" or len(parts) < 2:
                    continue
                known = {*allowed, room, *GROUND, "__version__"}
                assert parts[1] in known, f"{file.relative_to(ROOT)} imports {name}"


def test_no_command_imports_another() -> None:
    for file in (ROOT / "cli").glob("*.py"):
        commands = {name for name in _imported(file) if name.startswith("impasto.cli.")}
        shared = {name for name in commands if name.split(".")[2].startswith("_")}
        assert commands == shared, f"{file.name} imports {commands - shared}"


def test_what_several_commands_take_is_declared_once() -> None:
    """An option or argument of the same words in two commands is a type in `cli/_shared.py`."""
    declared: dict[str, list[str]] = {}
    for file in sorted((ROOT / "cli").glob("*.py")):
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
                declared.setdefault(ast.unparse(node), []).append(file.name)
    assert declared
    assert not {text: files for text, files in declared.items() if len(files) > 1}


LONGEST_FILE, LONGEST_FUNCTION, LARGEST_ROOM = 450, 60, 1 / 8
"""Lines of a file, lines of a function with its docstring, and a room's share of all lines of src."""


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines; of a command those of its body, since its parameters are its help."""
    assert function.end_lineno is not None
    first = function.body[0] if function.name == "command" else function
    return function.end_lineno - first.lineno + 1


def test_files_are_short() -> None:
    lines = {
        file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines())
        for file in ROOT.rglob("*.py")
    }
    assert not {name for name, count in lines.items() if count > LONGEST_FILE}


def test_functions_are_short() -> None:
    long = {
        f"{file.relative_to(ROOT).as_posix()} {node.name}"
        for file in ROOT.rglob("*.py")
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _length(node) > LONGEST_FUNCTION
    }
    assert not long


def test_rooms_are_small() -> None:
    lines = {
        room: sum(
            len(file.read_text(encoding="utf-8").splitlines())
            for file in (ROOT / room).rglob("*.py")
        )
        for room in MAY_IMPORT
    }
    everything = sum(lines.values()) + sum(
        len(file.read_text(encoding="utf-8").splitlines()) for file in ROOT.glob("*.py")
    )
    assert not {r for r, count in lines.items() if count > LARGEST_ROOM * everything}


def test_files_that_are_named_exist() -> None:
    """`name.py` in docs/architecture.md and in the code's own texts, with its folder or without."""
    top = ROOT.parent.parent
    there = [path.relative_to(top).as_posix() for path in top.glob("[a-z]*/**/*.py")]
    elsewhere = {"plain.py", "room/name.py"}  # examples
    for file in (top / "docs" / "architecture.md", *ROOT.rglob("*.py")):
        named = re.findall(r"`((?:\w+/)*\w+\.py)`", file.read_text(encoding="utf-8"))
        for name in {name for name in named if name.islower()} - elsewhere:
            assert any(f"/{path}".endswith(f"/{name}") for path in there), f"{file}: no {name}"


def test_pictures_are_packed_without_torch() -> None:
    for room in ("collection", "decoding", "readers", "sources"):
        for file in (ROOT / room).rglob("*.py"):
            assert not {n for n in _imported(file) if n.split(".")[0] == "torch"}, file


def test_networks_and_objectives_know_only_torch() -> None:
    for room in ("networks", "objectives"):
        for file in (ROOT / room).glob("*.py"):
            outside = {name.split(".")[0] for name in _imported(file)}
            foreign = outside - set(sys.stdlib_module_names) - {"torch", "impasto"}
            assert not foreign, f"{file} imports {foreign}"


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\n"
        "from impasto.cli import main\n"
        "sys.argv = ['impasto', '--help']\n"
        "try:\n    main()\n"
        "finally:\n"
        "    heavy = {'torch', 'numpy', 'PIL', 'matplotlib', 'pydantic', 'importlib.metadata'}\n"
        "    assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("pack", "inspect", "train", "resume", "recipes", "sample", "export", "report"):
        assert command in done.stdout
