"""The page of settings, made from the config classes and from the signatures of networks and terms.

Networks and terms import torch, which the site's environment lacks, so their files are read without
being run.
"""

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any, get_args

import impasto
from impasto.config import Config, NetworkConfig, Ramp, RunConfig, TermConfig
from impasto.registry import module_names
from tools.docs.text import (
    arguments,
    attribute_docstrings,
    definition,
    escaped,
    paragraphs,
)

_PACKAGE = Path(impasto.__file__).parent

HEAD = """# Settings
Every setting of a run has a dotted name. `--set NAME=VALUE` of `impasto train` changes it, as often as
you like; the value is YAML:

    impasto train --data masters --set training.batch=64 --set generator.width=32

An unknown name or a value of the wrong kind is an error that lists what is valid. `--dry-run` prints the
settings that a run would have, and `run.json` keeps them.

A term of the objective is named by its file: `--set objective.bce.weight=2`. A whole section may be
given at once: `--set 'training.augment={kinds: [diffaugment]}'`. Another network, term or optimiser puts
its section's other settings back to their defaults.
"""

# What the given names of types mean; other types are shown as they are written.
_TYPES = {
    "Count": "whole number above 0",
    "Fraction": "number from 0 to below 1",
    "Interval": "two numbers from 0 to 1",
    "Scheduled": "number from 0 up, or a ramp",
    "ScheduledPositive": "number above 0, or a ramp",
    "ScheduledShare": "number from 0 to 1, or a ramp",
    "ScheduledFraction": "number from 0 to below 1, or a ramp",
    "bool": "true or false",
    "float": "number",
    "int": "whole number",
    "str": "text",
    "tuple[str, ...]": "list of texts",
    "tuple[Fraction, ScheduledFraction]": "two numbers from 0 to below 1, the second may be a ramp",
    "tuple[int, ...]": "list of whole numbers",
    "tuple[float, float]": "two numbers",
    "None": "null",
}

ENVIRONMENT = {
    "IMPASTO_CACHE": "Folder of the cache: the collection of the word `masters`, features of real "
    "pictures, downloads. By default `impasto` in `XDG_CACHE_HOME`, which is `~/.cache`.",
    "IMPASTO_OFFLINE": "With `1`, nothing is downloaded. `HF_HUB_OFFLINE` does the same.",
    "IMPASTO_DEBUG": "With `1`, an error shows its whole traceback.",
    "HF_TOKEN": "Your token for repositories of the Hugging Face hub that need one.",
    "HF_ENDPOINT": "Address of another hub.",
    "HF_HOME": "Where Hugging Face's tools keep the token and the cache.",
    "OMP_NUM_THREADS": "CPU threads. Where other programs hold the processor, `1` can be quicker.",
}


def _kind(annotation: str) -> str:
    """A type as it is written in the code, in words."""
    if annotation in _TYPES:
        return _TYPES[annotation]
    choices = re.fullmatch(r"Literal\[(.*)\]", annotation)
    if choices:
        return " or ".join(f"`{each.strip()[1:-1]}`" for each in choices[1].split(","))
    parts = [part.strip() for part in re.split(r"\|(?![^\[]*\])", annotation)]
    if len(parts) > 1:
        return " or ".join(_kind(part) for part in parts)
    return f"`{annotation}`"


def _default(value: Any) -> str:
    """A default as `--set` would be given it."""
    return value if isinstance(value, str) else json.dumps(value)


def _setting(name: str, kind: str, default: str | None, text: str) -> str:
    told = [
        kind[:1].upper() + kind[1:] + ("" if default is None else f", default `{default}`") + "."
    ]
    if text:
        told.append(escaped(text[:1].upper() + text[1:]))
    return definition(f"`{name}`", " ".join(told))


def _annotations(owner: type[Config]) -> dict[str, str]:
    body = ast.parse(inspect.getsource(owner)).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        node.target.id: ast.unparse(node.annotation)
        for node in body.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def _sections_of(annotation: Any) -> list[type[Config]]:
    """The config classes that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [found for part in get_args(annotation) for found in _sections_of(part)]


def _title(owner: type[Config]) -> str:
    if owner is RunConfig:
        return "The run"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", owner.__name__.removesuffix("Config"))


def _anchor(owner: type[Config]) -> str:
    return f"{owner.__name__.removesuffix('Config').lower()}-settings"


def _field_kind(annotation: str, inner: list[type[Config]]) -> str:
    """What a setting of a config class may be: in words, or the sections it is made of."""
    parts = [part.strip() for part in annotation.split(" | ")]
    if not inner or all(part in _TYPES for part in parts):
        return _kind(annotation)
    return " or ".join(f"[{_title(each)}](#{_anchor(each)})" for each in inner)


def _config_sections() -> list[str]:
    """A section for each config class that a run's settings are made of, with where it stands."""
    places: dict[type[Config], list[str]] = {RunConfig: []}
    waiting: list[type[Config]] = [RunConfig]
    parts: list[str] = []
    for owner in waiting:  # grows while it is walked
        parts.append(f"## {_title(owner)} {{ #{_anchor(owner)} }}\n")
        above = places[owner]
        if len(above) > 1 and owner is not Ramp:
            parts.append(f"Of {', '.join(f'`{place}`' for place in above)}.\n")
        parts += [escaped(each) + "\n" for each in paragraphs(owner.__doc__ or "")]
        texts, kinds = attribute_docstrings(owner), _annotations(owner)
        for name, field in owner.model_fields.items():
            full = f"{above[0]}.{name}" if len(above) == 1 else name
            inner = list(dict.fromkeys(_sections_of(field.annotation)))
            for each in inner:
                place = f"{full}.TERM" if each is TermConfig else full
                if place not in places.setdefault(each, []):
                    places[each].append(place)
            waiting += [each for each in inner if each not in waiting]
            section = field.is_required() or isinstance(field.default, Config)
            default = None if section else _default(field.default)
            kind = _field_kind(kinds[name].strip("'\""), inner)
            parts.append(_setting(full, kind, default, texts.get(name, "")))
    return parts


def _parameters(function: ast.FunctionDef) -> dict[str, tuple[str, str | None]]:
    """The keyword-only parameters of a function: type and default as they are written."""
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {
        argument.arg: (
            ast.unparse(argument.annotation) if argument.annotation else "value",
            None if default is None else _default(ast.literal_eval(default)),
        )
        for argument, default in pairs
    }


def _module(room: str, name: str) -> ast.Module:
    return ast.parse((_PACKAGE / room / f"{name}.py").read_text(encoding="utf-8"))


# What a run gives its networks by itself.
_GIVEN = (
    *("latent_dim", "resolution", "label_sizes", "latent_channels"),
    *("base", "base_resolution", "base_fields"),
)


def _network(name: str) -> list[str]:
    module = _module("networks", name)
    first = paragraphs(ast.get_docstring(module) or "")[:1]
    parts = [f"### `{name}`\n", *(escaped(each) + "\n" for each in first)]
    for player in ("Generator", "Discriminator", "Autoencoder"):
        found = [n for n in module.body if isinstance(n, ast.ClassDef) and n.name == player]
        for owner in found:
            texts = arguments(ast.get_docstring(owner) or "")
            for node in owner.body:
                if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                    parts += [
                        _setting(
                            f"{player.lower()}.{each}", _kind(kind), default, texts.get(each, "")
                        )
                        for each, (kind, default) in _parameters(node).items()
                        if each not in _GIVEN
                    ]
    return parts


def _term(name: str) -> list[str]:
    module = _module("objectives", name)
    parts = [f"### `{name}`\n"]
    parts += [escaped(each) + "\n" for each in paragraphs(ast.get_docstring(module) or "")[:2]]
    settings: dict[str, tuple[str, str | None]] = {}
    texts: dict[str, str] = {}
    for node in module.body:
        if isinstance(node, ast.FunctionDef) and node.name.endswith("_loss"):
            settings |= _parameters(node)
            texts |= arguments(ast.get_docstring(node) or "")
    parts += [
        _setting(f"objective.{name}.{each}", _kind(kind), default, texts.get(each, ""))
        for each, (kind, default) in settings.items()
    ]
    return parts


def _named(room: str) -> list[str]:
    """A file each, with the first paragraph of what it says of itself."""
    return [
        definition(
            f"`{name}`", escaped(paragraphs(ast.get_docstring(_module(room, name)) or name)[0])
        )
        for name in module_names(room)
    ]


def page() -> str:
    networks, terms = (_anchor(owner) for owner in (NetworkConfig, TermConfig))
    parts = [HEAD, *_config_sections()]
    parts.append(
        "## Networks\nFor `generator.network`, `discriminator.network` and `autoencoder.network` "
        f"([above](#{networks})).\n"
    )
    for name in module_names("networks"):
        parts += _network(name)
    parts.append(f"## Terms of the objective\nFor `objective` ([above](#{terms})).\n")
    for name in module_names("objectives"):
        parts += _term(name)
    parts += ["## Augmentations\nFor `training.augment.kinds`.\n", *_named("augmentations")]
    parts += ["## Feature networks\nFor `evaluation.features`.\n", *_named("features")]
    parts.append("## Environment variables\n")
    parts += [definition(f"`{name}`", text) for name, text in ENVIRONMENT.items()]
    return "\n".join(parts)
