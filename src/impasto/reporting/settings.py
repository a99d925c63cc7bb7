"""Facts of compared runs, and their differing settings."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from impasto.formatting import readable_time
from impasto.reporting.compared import Compared
from impasto.reporting.elements import PageTable, moment, words
from impasto.reporting.record import RunRecord


def facts(runs: Sequence[Compared]) -> PageTable:
    """Recipe, collection, duration and machine of each run."""

    def seconds(record: RunRecord) -> str:
        seconds = record.last("seconds")
        return readable_time(seconds) if seconds is not None else ""

    def parameters(record: RunRecord) -> str:
        count = record.count("parameters", "generator")
        return f"{count:,}" if count else ""

    def trained(record: RunRecord) -> str:
        planned = record.images_planned
        whole = f" of {planned:,}" if planned and planned > record.images_done else ""
        return f"{record.images_done:,}{whole} images"

    def text(*names: str) -> Callable[[RunRecord], str]:
        return lambda record: str(record.get(*names, default=""))

    of: dict[str, Callable[[RunRecord], str]] = {
        "Recipe": text("recipe"),
        "Trained on": text("collection", "name"),
        "Pictures": lambda record: f"{record.pictures:,}" if record.pictures else "",
        "Resolution": text("config", "resolution"),
        "Seed": text("config", "training", "seed"),
        "Trained": trained,
        "Training time": seconds,
        "Device": text("machine", "device"),
        "Generator's parameters": parameters,
    }
    if any(run.record.get("started_from") for run in runs):
        of["Started from"] = text("started_from", "model")
    rows = [(name, [words(tell(run.record)) for run in runs]) for name, tell in of.items()]
    rows.append(("Checkpoint", [words(moment(run.record, run.images_seen)) for run in runs]))
    return PageTable(["", *(run.name for run in runs)], rows)


def settings(runs: Sequence[Compared]) -> PageTable:
    """A table of the settings that differ; empty if none does."""
    rows = settings_that_differ([run.record.get("config", default={}) for run in runs])
    rows_of_cells = [(name, [words(value) for value in values]) for name, values in rows]
    return PageTable(["", *(run.name for run in runs)], rows_of_cells)


def settings_that_differ(configs: Sequence[Any]) -> list[tuple[str, list[str]]]:
    """Dotted names of differing settings, with each run's value as text."""
    # A missing setting equals null, and a term's name is part of its settings' names.
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
        # Terms of the objective are named as for --set.
        parts = [(str(item.get("term", place)), item) for place, item in enumerate(value)]
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return {name: text}
    found: dict[str, str] = {}
    for key, item in parts:
        found |= _flat(item, f"{name}.{key}" if name else key)
    return found
