"""Changing a run's configuration by dotted names: `--set training.batch=64`, and recipes as changes
of another one."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from impasto.config import OPTIMISERS, Ramp, RunConfig, parse_config
from impasto.errors import ImpastoError, choices

# Changing one of these keys resets the section's other options to their defaults, except these few
# that mean the same everywhere. So only networks, terms and optimisers may have settings of these
# names.
_SELECTORS = ("network", "term", "optimiser")
_SHARED = ("learning_rate", "learning_rate_decay", "weight", "every", "only")
# The two ways to give a run's length.
_LENGTHS = {"images": "epochs", "epochs": "images"}
# Sections that may be left out with null.
_OPTIONAL = (
    "first_stage",
    "autoencoder",
    "discriminator",
    "discriminator_optimiser",
    "learning_rate_decay",
    "augment",
)


def parse_settings(assignments: list[str]) -> dict[str, Any]:
    """Parse `name=value` texts; values are YAML (`2`, `1e-4`, `[0.5, 0.9]`, `null`, `text`).

    Raises:
        ImpastoError: a text without `=`, or a value that is not YAML.
    """
    settings: dict[str, Any] = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ImpastoError(f"--set takes name=value, such as training.batch=64, not '{text}'")
        try:
            settings[name.strip()] = yaml.safe_load(value)
        except (
            yaml.YAMLError,
            ValueError,
        ) as error:  # YAML dates may raise ValueError, such as for a day 32
            raise ImpastoError(f"--set {name}: '{value}' is not a YAML value") from error
    return settings


def _step_into(node: Any, key: str, path: str) -> Any:
    """The index or key for `key` in `node`; terms of the objective are found by name or position."""
    if isinstance(node, list):
        names = [item.get("term", "") for item in node if isinstance(item, dict)]
        if key in names:
            return names.index(key)
        if key.isdecimal() and int(key) < len(node):
            return int(key)
        whole = path.rpartition(".")[0]
        if not names:
            raise ImpastoError(f"unknown setting '{path}': '{whole}' is a list; set all of it")
        terms = ", ".join(f"{{term: {name}}}" for name in names)
        raise ImpastoError(
            f"unknown setting '{path}'; there is {choices(names)}; to add a term, set the whole list, "
            f"such as --set '{whole}=[{terms}, {{term: r1, weight: 1}}]'"
        )
    if isinstance(node, dict):
        return key
    if node is None:
        whole = path.rpartition(".")[0]
        raise ImpastoError(
            f"'{whole}' is left out here (null), so there is no '{path}'; set the whole section: "
            f"--set '{whole}={{{key}: ..., ...}}'"
        )
    raise ImpastoError(f"unknown setting '{path}': what stands before '.{key}' is a plain value")


def _is_ramp(node: Any) -> bool:
    """Whether this is a ramp, which a plain number may replace."""
    return isinstance(node, dict) and node.keys() == Ramp.model_fields.keys()


def _is_open(node: Mapping[str, Any]) -> bool:
    """Whether a section takes further options, which are checked later against the network or term."""
    return "network" in node or "term" in node


def change(config: RunConfig, settings: Mapping[str, Any], recipe: str | None = None) -> RunConfig:
    """A copy of `config` with dotted settings changed.

    Args:
        config: the original.
        settings: such as `{"training.epochs": 100, "objective.bce.weight": 2.0}`.
        recipe: the copy's own name, if it is a recipe.

    Raises:
        ImpastoError: an unknown name (the message lists the valid ones) or an invalid value.
    """
    tree: dict[str, Any] = config.model_dump(mode="json")
    if recipe is not None:
        tree["recipe"] = recipe
    first = tree["first_stage"]
    follows = first is not None and first["labels"] == tree["labels"]
    if (
        follows
        and "labels" in settings
        and not {"first_stage", "first_stage.labels"} & set(settings)
    ):
        settings = {**settings, "first_stage.labels": settings["labels"]}
    # Copied, because a section may be set whole and then changed.
    for path, value in copy.deepcopy(dict(settings)).items():
        _set(tree, path, value)
    return parse_config(tree, "settings")


def _set(tree: dict[str, Any], path: str, value: Any) -> None:
    """Change one setting in a tree of sections.

    Raises:
        ImpastoError: the name is unknown, or it is a section and the value is not.
    """
    *parents, last = path.split(".")
    node: Any = tree
    for position, key in enumerate(parents):
        place = ".".join(parents[: position + 1])
        step = _step_into(node, key, place)
        if isinstance(node, dict) and step not in node:
            raise ImpastoError(f"unknown setting '{place}'; there is {choices(list(node))}")
        node = node[step]
    step = _step_into(node, last, path)
    if isinstance(node, dict):
        _check_value(node, step, path, value)
        if step in _SELECTORS and node.get(step) != value:
            _select(node, step, value)
    node[step] = value
    # The length is given in one of two ways; setting one unsets the other.
    if parents[-1:] == ["training"] and last in _LENGTHS and value is not None:
        node[_LENGTHS[last]] = None


def _check_value(section: dict[str, Any], name: str, path: str, value: Any) -> None:
    """Refuse a name that a section does not have, and a plain value for a section.

    Raises:
        ImpastoError: the message lists the valid names.
    """
    if name not in section and not _is_open(section):
        raise ImpastoError(f"unknown setting '{path}'; there is {choices(list(section))}")
    whole = (name in _OPTIONAL and value is None) or _is_ramp(section.get(name))
    if isinstance(section.get(name), dict) and not isinstance(value, dict) and not whole:
        inside = choices(list(section[name]))
        raise ImpastoError(f"'{path}' is a section; set one of {inside} in it")


def _select(section: dict[str, Any], selector: str, value: Any) -> None:
    """Reset a section's options to the defaults, for another network, term or optimiser."""
    for other in [name for name in section if name not in _SHARED]:
        del section[other]
    if selector == "optimiser" and isinstance(value, str) and value in OPTIMISERS:
        for name, option in OPTIMISERS[value].model_fields.items():
            section.setdefault(name, option.get_default())


def settings_that_differ(configs: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """Dotted names of settings that are not the same in all, with each one's value as text."""
    # What is left out means what null means, and a term's name is in that of its settings.
    flat = [
        {
            name: text
            for name, text in _flat(config).items()
            if text != "null" and not name.endswith(".term")
        }
        for config in configs
    ]
    names = list(dict.fromkeys(name for each in flat for name in each))
    rows = [(name, [each.get(name, "") for each in flat]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if isinstance(value, dict) and value:
        parts = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        # Terms of the objective go by their names, as for --set.
        parts = [(str(item.get("term", place)), item) for place, item in enumerate(value)]
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return {name: text}
    found: dict[str, str] = {}
    for key, item in parts:
        found |= _flat(item, f"{name}.{key}" if name else key)
    return found
