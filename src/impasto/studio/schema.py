"""What a form of settings is made from: the typed config as JSON schema, with its docstrings, and the
settings of networks."""

import ast
import inspect
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from impasto import config, config_values
from impasto.config import RunConfig
from impasto.registry import load_module, option_types, parsed


class Setting(BaseModel):
    """A setting of a network."""

    name: str
    default: Any = None
    required: bool
    kind: dict[str, Any]
    """The JSON schema of its values; empty if it has none."""


def config_schema() -> dict[str, Any]:
    """The JSON schema of a whole config; descriptions are the docstrings below the settings."""
    schema = RunConfig.model_json_schema()
    described = _docstrings()
    for name, section in schema["$defs"].items():  # the whole config, too: it may hold another one
        for setting, text in described.get(name, {}).items():
            if setting in section.get("properties", {}):
                section["properties"][setting].setdefault("description", text)
    return schema


def _docstrings() -> dict[str, dict[str, str]]:
    """By class, the text below each setting, on one line."""
    found: dict[str, dict[str, str]] = {}
    for module in (config, config_values):
        for node in parsed(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef):
                found[node.name] = _below(node)
    return found


def _below(node: ast.ClassDef) -> dict[str, str]:
    texts = {}
    for before, after in zip(node.body, node.body[1:], strict=False):
        if (
            isinstance(before, ast.AnnAssign)
            and isinstance(before.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            texts[before.target.id] = " ".join(after.value.value.split())
    return texts


def settings_of_network(name: str) -> dict[str, list[Setting]]:
    """The settings of a network's generator and discriminator, as far as it has them.

    Raises:
        ImpastoError: there is no such network.
    """
    from impasto.networks import settings_given

    module = load_module("networks", name, "network")
    return {
        role: _settings(getattr(module, role.capitalize()), settings_given(role))
        for role in ("generator", "discriminator", "autoencoder")
        if hasattr(module, role.capitalize())
    }


def _settings(function: Callable[..., Any], given: tuple[str, ...]) -> list[Setting]:
    return [
        Setting(
            name=name,
            default=None if default is ... else default,
            required=default is ...,
            kind=_kind(annotation),
        )
        for name, (annotation, default) in option_types(function).items()
        if name not in given
    ]


def _kind(annotation: Any) -> dict[str, Any]:
    try:
        return TypeAdapter(annotation).json_schema()
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
        return {}
