"""Docstrings and help texts as Markdown."""

import ast
import inspect
import re
from typing import Any


def escaped(text: str) -> str:
    """Plain text as Markdown that shows just this text; what stands in backticks stays code."""
    parts = re.split(r"(`[^`\n]+`)", text)
    return "".join(
        part if index % 2 else re.sub(r"([\\*_\[\]<>|#$])", r"\\\1", part)
        for index, part in enumerate(parts)
    )


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a docstring, each on one line."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text))
    return [" ".join(block.split()) for block in blocks if block.strip()]


def lists_apart(markdown: str) -> str:
    """The page with an empty line before each list. Python-Markdown needs one; others do not."""
    item = re.compile(r"([-*]|\d+\.) ")
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        before = lines[-1] if lines else ""
        begins = item.match(line) and before and not item.match(before) and before[0] != " "
        if begins and not fenced:
            lines.append("")
        fenced ^= line.startswith("```")
        lines.append(line)
    return "\n".join(lines) + "\n"


def definition(term: str, text: str) -> str:
    """An entry of a definition list; `term` is Markdown, `text` too."""
    return f"{term}\n:   {text}\n"


def attribute_docstrings(owner: type[Any]) -> dict[str, str]:
    """The text under each annotated attribute of a class."""
    body = ast.parse(inspect.getsource(owner)).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        if not (isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name)):
            continue
        value = after.value if isinstance(after, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[before.target.id] = " ".join(value.value.split())
    return found


def arguments(docstring: str) -> dict[str, str]:
    """The entries of a docstring's `Args:` section, by name."""
    lines = inspect.cleandoc(docstring).splitlines()
    start = next((at for at, line in enumerate(lines) if line.strip() == "Args:"), None)
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines[start + 1 :] if start is not None else []:
        if line and not line.startswith(" "):
            break
        entry = re.match(r" {4}(\w+): (.*)", line)
        if entry:
            name = entry[1]
            found[name] = [entry[2]]
        elif name and line.strip():
            found[name].append(line.strip())
    return {each: " ".join(text) for each, text in found.items()}
