"""A JSON object that describes one picture, as names and texts."""

import json
from collections.abc import Iterator

from impasto.tabular import tidy


def object_of(content: bytes) -> list[tuple[str, str]]:
    """Name and text of every value in a `.json` file.

    Raises:
        ValueError: it is no JSON, or no object.
        RecursionError: it is nested too deeply.
    """
    loaded = json.loads(content.decode("utf-8", "replace"))
    if not isinstance(loaded, dict):
        raise ValueError("no object in braces")
    return list(_flat(loaded))


def _flat(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Name and text of every value; one inside another object is called `a.b`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            key = tidy(str(key)).lower()
            if not key.startswith("__"):  # What programs keep for themselves.
                yield from _flat(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        if not any(isinstance(item, dict | list) for item in value):
            yield name, "|".join(text for item in value for _, text in _flat(item) if text)
    elif isinstance(value, str):
        # JSON may escape half of a letter, which no file can hold.
        yield name, tidy(value.encode("utf-8", "replace").decode())
    elif value is not None:
        yield name, json.dumps(value)
