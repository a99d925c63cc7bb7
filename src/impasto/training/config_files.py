"""Config files of users: whole configs, and changes to a recipe."""

import codecs
import json
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from impasto.config import RunConfig, parse_config
from impasto.errors import ImpastoError
from impasto.plugin_records import needs_of, read_plugins, require
from impasto.registry import load_recipe
from impasto.settings import change
from impasto.training.resolve import with_defaults

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SELECTORS = ("network", "term", "optimiser")


def load_config(path: str | PathLike[str], recipe: str | None = None) -> RunConfig:
    """The config in a YAML or JSON file, one of:

    - a whole config, as `impasto recipes NAME` prints it, or a whole `run.json`;
    - changes to a recipe: `recipe: flagship_64`, and settings by dotted names or in sections.

    A run.json that needs missing plugins is refused; plugins are never run because of a file.

    Args:
        path: the file, in UTF-8, or in UTF-16 with a byte-order mark.
        recipe: the recipe to change, if the file names none.

    Raises:
        ImpastoError: the file is missing, no YAML or JSON, or has an unknown setting or wrong
            value.
    """
    file = Path(path).expanduser()
    tree, plugins = _read(file), None
    if isinstance(tree.get("config"), dict) and "format" in tree:
        tree, plugins = tree["config"], tree.get("plugins")
    try:
        config = _config(tree, recipe)
        require(read_plugins(plugins), needs_of(config), "it")
        with_defaults(config)
    except ImpastoError as error:
        raise ImpastoError(f"{file}: {error}") from error
    return config


def _config(tree: Mapping[str, Any], recipe: str | None) -> RunConfig:
    """A whole config, or the changes in `tree` made to a recipe."""
    named = tree.get("recipe", recipe)
    if not isinstance(named, str):
        raise ImpastoError(
            "it names no recipe; add a line such as recipe: flagship_64, or name it in the command"
            if named is None
            else f"recipe should be a name, not {named!r}"
        )
    if recipe is not None and named != recipe:
        raise ImpastoError(f"it is of the recipe {named}, not of {recipe}; leave one of them out")
    sections = {name: value for name, value in tree.items() if "." not in name}
    if _is_whole(sections):
        config = parse_config({**sections, "recipe": named}, "config")
        changes = {name: value for name, value in tree.items() if "." in name}
    else:
        config = load_recipe(named)()
        changes = {name: value for name, value in tree.items() if name != "recipe"}
    return change(config, dict(_dotted(changes, config.model_dump(mode="json"))))


def _is_whole(tree: Mapping[str, Any]) -> bool:
    """Whether it has all required sections of a config."""
    fields = RunConfig.model_fields.items()
    return all(name in tree for name, field in fields if field.is_required() and name != "recipe")


def _dotted(changes: Mapping[Any, Any], now: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten sections to dotted settings where `now` has such sections. Choices of networks, terms
    and optimisers come first, because they reset other options."""
    for key, value in sorted(changes.items(), key=lambda each: each[0] not in _SELECTORS):
        inside = now
        for part in str(key).split("."):
            inside = _inside(inside, part)
        if isinstance(value, dict) and isinstance(inside, dict | list):
            yield from _dotted(value, inside, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _inside(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        return node.get(key)
    if isinstance(node, list):  # terms of the objective, by name
        terms = (each for each in node if isinstance(each, dict))
        return next((term for term in terms if term.get("term") == key), None)
    return None


class _TwiceError(ValueError):
    """A key occurs twice."""


def _read(file: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file.

    Raises:
        ImpastoError: it cannot be read, or is no mapping.
    """
    try:
        content = file.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
        tree = _parsed(text)
    except OSError as error:
        raise ImpastoError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ImpastoError(f"{file} is not text in UTF-8; save it as UTF-8") from error
    except _TwiceError as error:
        raise ImpastoError(f"{file}: {error}; leave one of them out") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise ImpastoError(f"{file}{line} is not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ImpastoError(f"{file} is neither YAML nor JSON: {error}") from error
    if not isinstance(tree, dict) or not tree or not all(isinstance(key, str) for key in tree):
        raise ImpastoError(
            f"{file} has no settings; it should have lines such as training.batch: 64, or be what "
            "impasto recipes NAME prints"
        )
    return tree


def _parsed(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text, object_pairs_hook=_once)
        except json.JSONDecodeError:
            pass  # YAML may begin with a brace, too
    return yaml.load(text, _Loader)


def _once(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping without duplicate keys."""
    tree = dict(pairs)
    if len(tree) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _TwiceError(f"'{twice}' is there twice")
    return tree


class _Loader(yaml.SafeLoader):
    """As `yaml.safe_load`, but duplicate keys are errors."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        _once([(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
        return super().construct_mapping(node, deep)
