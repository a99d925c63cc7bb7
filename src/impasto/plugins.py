"""Plugins: parts from installed packages, by their entry points, and from Python files that the
user names.

An installed package declares an entry point for each name. For networks, terms, augmentations,
feature networks, metrics and readers it names a module with the parts that a file of that room has;
for recipes it names the function:

    [project.entry-points."impasto.networks"]
    plain = "my_package.plain"

    [project.entry-points."impasto.recipes"]
    plain_64 = "my_package.recipes:plain_64"

A file provides its own name: `plain.py` with a class Generator is the network `plain`. A file may
have parts for several rooms, and any number of recipes.

Only `use_plugin` runs a file; no config, run or model runs a plugin by itself.
"""

import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from os import PathLike
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from impasto.errors import ImpastoError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

RECIPES = "recipes"
WHAT = {
    "networks": "network",
    "objectives": "term",
    "augmentations": "augmentation",
    "features": "feature network",
    "metrics": "metric",
    "readers": "reader",
    RECIPES: "recipe",
}
"""By room that plugins can add to: the noun for its parts."""

_PARTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "networks": (("Generator",), ("Discriminator",)),
    "objectives": (("discriminator_loss",), ("generator_loss",)),
    "augmentations": (("augment",), ("source",)),
    "features": (("load",),),
    "metrics": (("NEEDS", "LEAST", "LIMIT", "ranges", "prepare", "warning"),),
    "readers": (("ORDER", "claims", "read"),),
}
"""By room: sets of attributes, one of which a module must have."""


@dataclass(frozen=True)
class Origin:
    """A package or a file outside impasto.

    Attributes:
        name: the package's, or the file's without its folder.
        version: of the package; None for a file.
        sha256: of the file; None for a package.
        path: of the file; None for a package.
    """

    name: str
    version: str | None = None
    sha256: str | None = None
    path: Path | None = None

    def __str__(self) -> str:
        return f"package {self.name} {self.version}" if self.path is None else str(self.path)


@dataclass(frozen=True)
class Plugin:
    """A name that a plugin adds to a room.

    Attributes:
        room: such as `networks`.
        name: such as `plain`.
        origin: its package or file.
        load: gives the module, or the recipe's function.
    """

    room: str
    name: str
    origin: Origin
    load: Callable[[], Any]


_files: dict[Path, tuple[Plugin, ...]] = {}


def use_plugin(path: str | PathLike[str]) -> None:
    """Run a Python file and register its networks, terms, recipes, ...

    This runs the file's code. A file used before is run again. It cannot import other files beside
    it; make those a package.

    Args:
        path: the file; its name without `.py` is the name of the network, term, ... in it.

    Raises:
        ImpastoError: the file is missing, fails, or has no part that impasto knows.
    """
    import hashlib  # imported here and below, because `--help` uses no plugin

    file = Path(path).expanduser().resolve()
    if file.suffix != ".py" or not re.fullmatch(r"[A-Za-z][\w-]*", file.stem, re.ASCII):
        raise ImpastoError(
            f"--plugin takes a Python file named by letters, digits, - and _, such as plain.py, "
            f"not {path}"
        )
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ImpastoError(f"cannot read the plugin {path}: {error.strerror or error}") from error
    origin = Origin(file.name, sha256=hashlib.sha256(content).hexdigest(), path=file)
    module = _run(file, content)
    found = [
        *((room, file.stem, module) for room in _PARTS if _is_of(room, module, own=True)),
        *((RECIPES, name, recipe) for name, recipe in _recipes_of(module).items()),
    ]
    if not found:
        raise ImpastoError(
            f"{path} has nothing that impasto knows: no class Generator or Discriminator, no "
            "discriminator_loss or generator_loss, no recipe (a function '-> RunConfig'), and no "
            "whole metric, reader, augmentation or feature network"
        )
    _files[file] = tuple(
        Plugin(room, name, origin, partial(_itself, thing)) for room, name, thing in found
    )


def _itself(thing: Any) -> Any:
    return thing


def forget_plugins() -> None:
    """Unregister all files, and forget the cached entry points."""
    _files.clear()
    _installed.cache_clear()


def plugins_of(room: str) -> dict[str, Plugin]:
    """The plugins of a room, by name.

    Raises:
        ImpastoError: two of them have the same name.
    """
    found: dict[str, Plugin] = {}
    for plugin in (*_installed(room), *(p for each in _files.values() for p in each)):
        if plugin.room != room:
            continue
        other = found.setdefault(plugin.name, plugin)
        if other is not plugin:
            raise ImpastoError(
                f"{WHAT[room]} '{plugin.name}' is in {other.origin} and in {plugin.origin}; use "
                "one of them, or rename one"
            )
    return found


@cache
def _installed(room: str) -> tuple[Plugin, ...]:
    """The installed packages' plugins of a room, without importing them."""
    return tuple(_entry(room, entry) for entry in entry_points(room))


def entry_points(room: str) -> "Sequence[EntryPoint]":
    """The entry points of a room in all installed packages, by name."""
    from importlib import metadata

    return sorted(metadata.entry_points(group=f"impasto.{room}"), key=lambda entry: entry.name)


def _entry(room: str, entry: "EntryPoint") -> Plugin:
    package = entry.dist
    origin = Origin(
        "unknown" if package is None else package.name,
        version="" if package is None else package.version,
    )

    def load() -> Any:
        what = f"{WHAT[room]} '{entry.name}' of {origin}"
        try:
            found = entry.load()
        except Exception as error:
            raise ImpastoError(f"{what} cannot be imported: {_in_short(error)}") from error
        if not (callable(found) if room == RECIPES else _is_of(room, found)):
            raise ImpastoError(f"{what} is not whole: it has no {_missing(room)}")
        return found

    return Plugin(room, entry.name, origin, load)


def _missing(room: str) -> str:
    if room == RECIPES:
        return "function to call"
    return " or ".join(", ".join(each) for each in _PARTS[room])


def _run(file: Path, content: bytes) -> ModuleType:
    """Run a file's content as a module, without writing bytecode beside it."""
    module = ModuleType(f"impasto_plugin_{file.stem}")
    module.__file__ = str(file)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # type hints and dataclasses look it up there
    try:
        exec(compile(content, str(file), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[module.__name__]
        else:
            sys.modules[module.__name__] = before
        raise ImpastoError(f"the plugin {file} fails: {_in_short(error)}") from error
    return module


def _is_of(room: str, module: Any, *, own: bool = False) -> bool:
    """Whether a module has the attributes of this room; with `own`, imported functions do not count."""

    def has(name: str) -> bool:
        found = getattr(module, name, None)
        return hasattr(module, name) and not (
            own and isinstance(found, FunctionType) and found.__module__ != module.__name__
        )

    return any(all(has(name) for name in names) for names in _PARTS[room])


def _recipes_of(module: ModuleType) -> dict[str, Any]:
    return {
        name: function
        for name, function in vars(module).items()
        if isinstance(function, FunctionType)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and _gives_config(function.__annotations__.get("return"))
    }


def _gives_config(annotation: Any) -> bool:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.rpartition(".")[2] == "RunConfig"


def _in_short(error: BaseException) -> str:
    """A plugin's error as one line, with its place."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = " ".join(str(error).split())
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{said} ({Path(where.filename).name}, line {where.lineno})"
