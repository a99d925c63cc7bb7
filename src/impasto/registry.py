"""A name is found by its file: adding a network, term or recipe touches one file and its test.

Two kinds of room are listed by scanning their folder, without importing anything:
- in `networks/` and `objectives/`, a file's name is the thing's name (`dcgan.py` is `dcgan`);
- in `recipes/`, every public function that returns a `RunConfig` is a recipe of that name.

`names` and `recipe_names` include plugins; `module_names` and `recipe_modules` do not.
"""

import ast
import functools
import importlib
import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from impasto.errors import ImpastoError, choices, in_words
from impasto.plugins import RECIPES, WHAT, Plugin, plugins_of

_ROOT = Path(__file__).parent
_PARSING = threading.Lock()
"""Python 3.11 counts the depth of a parse for all threads together, and fails if two parse at once."""


def module_names(room: str) -> list[str]:
    """Names of the package's own public files in a room, sorted; imports none of them."""
    files = (_ROOT / room).glob("*.py")
    return sorted(file.stem for file in files if not file.stem.startswith("_"))


def _added(room: str, own: Iterable[str]) -> dict[str, Plugin]:
    """The names of a room's plugins.

    Raises:
        ImpastoError: a name is one of the package's own, or occurs twice.
    """
    found = plugins_of(room)
    for name in own:
        if name in found:
            raise ImpastoError(
                f"{WHAT[room]} '{name}' is in impasto itself (impasto.{room}) and in "
                f"{found[name].origin}; rename that one, or do without it"
            )
    return found


def names(room: str) -> list[str]:
    """All names in a room, with plugins, sorted; imports none of them.

    Raises:
        ImpastoError: a name is there twice.
    """
    own = module_names(room)
    return sorted([*own, *_added(room, own)])


def load_module(room: str, name: str, what: str) -> ModuleType:
    """Import `room/name.py`, or the plugin of that name.

    Raises:
        ImpastoError: there is no such name, and the message lists the valid ones; it is there twice;
            or what is from outside cannot be imported.
    """
    own = module_names(room)
    added = _added(room, own) if room in WHAT else {}
    if name in added:
        module: ModuleType = added[name].load()
        return module
    if name not in own:
        raise ImpastoError(f"unknown {what} '{name}'; there is {choices([*own, *added])}")
    return importlib.import_module(f"impasto.{room}.{name}")


def parsed(source: str) -> ast.Module:
    """The syntax tree of a source text, also where other threads parse."""
    with _PARSING:
        return ast.parse(source)


def recipe_modules(folder: Path = _ROOT / "recipes") -> dict[str, str]:
    """Map the name of each recipe of the package to the module that holds it, read from the sources
    without importing.

    Raises:
        RuntimeError: two files define a recipe of the same name.
    """
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*.py")):
        if file.stem.startswith("_"):
            continue
        for node in parsed(file.read_text(encoding="utf-8")).body:
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


def recipe_names() -> list[str]:
    """The names of all recipes: the package's own, then those of plugins.

    Raises:
        ImpastoError: a name is there twice.
    """
    own = recipe_modules()
    return [*own, *sorted(_added(RECIPES, own))]


def load_recipe(name: str) -> Callable[[], Any]:
    """The function of recipe `name`; call it for its `RunConfig`.

    Raises:
        ImpastoError: there is no such recipe, and the message lists the valid names; it is there
            twice; or what is from outside cannot be imported.
    """
    modules = recipe_modules()
    added = _added(RECIPES, modules)
    if name in added:
        return _named(added[name])
    if name not in modules:
        raise ImpastoError(f"unknown recipe '{name}'; there is {choices([*modules, *added])}")
    recipe: Callable[[], Any] = getattr(
        importlib.import_module(f"impasto.recipes.{modules[name]}"), name
    )
    return recipe


def _named(plugin: Plugin) -> Callable[[], Any]:
    """A plugin's recipe, whose config gets the recipe's name."""
    function: Callable[[], Any] = plugin.load()

    @functools.wraps(function)
    def recipe() -> Any:
        config = function()
        if type(config).__name__ != "RunConfig":
            raise ImpastoError(f"recipe '{plugin.name}' of {plugin.origin} gives no RunConfig")
        return config.model_copy(update={"recipe": plugin.name})

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
