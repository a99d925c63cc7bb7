"""The page of recipes, made from their docstrings and from the settings they return."""

import importlib
import re

from impasto.config import RunConfig, to_yaml
from impasto.registry import load_recipe, recipe_modules
from tools.docs.text import escaped, paragraphs

HEAD = """# Recipes
A recipe is everything that makes a training run, but for the collection and the device. Train one
with `impasto train NAME --data COLLECTION`. Without a name, `impasto train` takes the flagship at the
largest of its sizes that the collection can be brought down to. `impasto recipes NAME` prints a recipe
in full. [Settings](settings.md) says what each setting means.
"""
_LABEL = re.compile(r"^([A-Z][A-Za-z ]{2,30}): ")


def _entries(docstring: str) -> list[str]:
    """A docstring's paragraphs, each `Source: ...`, `Command: ...` or the like one by itself."""
    text = "\n".join(
        ("\n" if _LABEL.match(line.strip()) else "") + line for line in docstring.splitlines()
    )
    return paragraphs(text)


def _commands(text: str) -> list[str]:
    """The commands of a docstring as code, and the words between them as text."""
    parts: list[str] = []
    for at, piece in enumerate(re.split(r"(impasto [^;]+)", text)):
        piece = piece.strip(" ;")
        if at % 2:
            parts.append(f"    {piece}")
        elif piece:
            told = piece[:1].upper() + piece[1:]
            parts.append(f"\n{escaped(told.rstrip(':'))}:\n")
    return parts


def _shown(entry: str) -> str:
    label = _LABEL.match(entry)
    if label is None:
        return escaped(entry) + "\n"
    rest = entry[label.end() :]
    if label[1] == "Command":
        return "\n".join([*_commands(rest), ""])
    linked = re.sub(r"docs/(\w+)\.md", r"[\1](\1.md)", escaped(rest))
    return f"**{label[1]}:** {linked}\n"


def _configuration(config: RunConfig) -> str:
    lines = ["    " + line for line in to_yaml(config).splitlines()]
    return "\n".join(['??? note "Settings"\n', "    ```yaml", *lines, "    ```\n"])


def page() -> str:
    modules = recipe_modules()
    rows = ["| recipe | | pixels | labels |", "|---|---|---|---|"]
    sections: list[str] = []
    for file in sorted(set(modules.values()), key=lambda each: (each != "flagship", each)):
        told = paragraphs(importlib.import_module(f"impasto.recipes.{file}").__doc__ or file)
        title = re.split(r"[(:,.]", told[0])[0].strip()
        sections += [f"## {escaped(title)}\n", *(escaped(each) + "\n" for each in told)]
        for name in (each for each, home in modules.items() if home == file):
            recipe = load_recipe(name)
            config: RunConfig = recipe()
            entries = _entries(recipe.__doc__ or "")
            labels = ", ".join(config.labels)
            summary = escaped(entries[0]) if entries else ""
            rows.append(f"| [`{name}`](#{name}) | {summary} | {config.resolution} | {labels} |")
            sections += [f"### `{name}` {{ #{name} }}\n", summary + "\n", *map(_shown, entries[1:])]
            sections.append(_configuration(config))
    return "\n".join([HEAD, *rows, "", *sections])
