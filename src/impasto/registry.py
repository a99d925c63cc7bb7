"""A name is found by its file: adding a network, term or recipe touches one file and its test.

Two kinds of room are listed by scanning their folder, without importing anything:
- in `networks/` and `objectives/`, a file's name is the thing's name (`dcgan.py` is `dcgan`);
- in `recipes/`, every public function that returns a `RunConfig` is a recipe of that name.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from impasto.errors import ImpastoError, choices, in_words

_ROOT = Path(__file__).parent


def module_names(room: str) -> list[str]:
    """Names of the public files in a room, sorted; imports none of them."""
    files = (_ROOT / room).glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def load_module(room: str, name: str, what: str) -> ModuleType:
    """Import `room/name.py`.

    Raises:
        ImpastoError: there is no such file; the message lists the valid names.
    """
    names = module_names(room)
    if name not in names:
        raise ImpastoError(f"unknown {what} '{name}'; there is {choices(names)}")
    return importlib.import_module(f"impasto.{room}.{name}")


def recipe_modules(folder: Path = _ROOT / "recipes") -> dict[str, str]:
    """Map each recipe's name to the module that holds it, read from the sources without importing.

    Raises:
        RuntimeError: two files define a recipe of the same name.
    """
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.py")):
        if file.stem.startswith("_"):
            continue
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
                continue
            if not (isinstance(node.returns, ast.Name) and node.returns.id == "RunConfig"):
                continue
            if node.name in found:
                raise RuntimeError(
                    f"recipe {node.name} is in {found[node.name]}.py and {file.name}"
                )
            found[node.name] = file.stem
    return found


def load_recipe(name: str) -> Callable[[], Any]:
    """The function of recipe `name`; call it for its `RunConfig`.

    Raises:
        ImpastoError: there is no such recipe; the message lists the valid names.
    """
    modules = recipe_modules()
    if name not in modules:
        raise ImpastoError(f"unknown recipe '{name}'; there is {choices(list(modules))}")
    recipe: Callable[[], Any] = getattr(
        importlib.import_module(f"impasto.recipes.{modules[name]}"), name
    )
    return recipe


def option_types(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """A function's keyword-only parameters, each with its type and default (or `...`)."""
    target = function.__init__ if inspect.isclass(function) else function
    hints = get_type_hints(target, include_extras=True)
    return {
        parameter.name: (
            hints.get(parameter.name, Any),
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for parameter in inspect.signature(target).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def resolve_options(
    function: Callable[..., Any],
    options: Mapping[str, Any],
    where: str,
    given: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Check `options` against a function's keyword-only parameters and fill in the defaults.

    Parameters named in `given` are supplied by the caller later and may not be set here.

    Raises:
        ImpastoError: an unknown option (the message lists the valid ones), a missing one, or a
            value of the wrong type; `where` says which setting, such as `generator`.
    """
    from pydantic import TypeAdapter, ValidationError  # here, for --help lists files only

    types = {name: kind for name, kind in option_types(function).items() if name not in given}
    for name in options:
        if name not in types:
            raise ImpastoError(f"unknown setting '{where}.{name}'; there is {choices(list(types))}")
    resolved: dict[str, Any] = {}
    for name, (kind, default) in types.items():
        if name not in options:
            if default is ...:
                raise ImpastoError(f"setting '{where}.{name}' is missing; set it with --set")
            resolved[name] = default
            continue
        try:
            resolved[name] = TypeAdapter(kind).validate_python(options[name])
        except ValidationError as error:
            reason = in_words(error.errors()[0])
            raise ImpastoError(
                f"setting '{where}.{name}' cannot be {options[name]!r}: {reason}"
            ) from error
    return resolved
