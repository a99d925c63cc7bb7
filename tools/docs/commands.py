"""The page of commands, made from the command line itself: it says what `--help` says."""

import re

import typer
import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from impasto.cli import app, groups_of, without_type
from tools.docs.text import definition, escaped, paragraphs

HEAD = """# Commands
Each command also prints this with `--help`. The exit code is 0 where all went well, 2 after an error
(one line says what, where, and what to do), and 130 after Ctrl-C.
"""


def _in_words(notes: str) -> str:
    """typer's `default: (its folder's)` and `x>=2` as one writes them."""
    plain = re.sub(r"^default: \((.*?)\)(?=$|; )", r"default: \1", " ".join(notes.split()))
    return re.sub(r"\bx>=(\d+)", r"at least \1", plain)


def _entry(record: tuple[str, str]) -> str:
    names, text = record
    # Notes such as [default: 64] stand at the end; square brackets may also be in the text itself.
    noted = re.fullmatch(r"(.*\S)?\s*\[((?:default: |required|x[<>=]).*)\]", text, flags=re.DOTALL)
    body, notes = (noted[1] or "", noted[2]) if noted else (text, "")
    shown = escaped(" ".join(body.split()))
    if notes:
        shown = f"{shown} *({escaped(_in_words(notes))})*".strip()
    return definition(f"`{without_type(names)}`", shown or "&nbsp;")


def _section(name: str, command: TyperCommand) -> str:
    context = typer.Context(command, info_name=f"impasto {name}")
    pieces = " ".join(command.collect_usage_pieces(context))
    parts = [f"### {name}\n", *(escaped(each) + "\n" for each in paragraphs(command.help or ""))]
    parts.append(f"    impasto {name} {pieces}\n")
    for title, kind in (("Arguments", TyperArgument), ("Options", TyperOption)):
        of_kind = [each for each in command.get_params(context) if isinstance(each, kind)]
        records = [each.get_help_record(context) for each in of_kind]
        entries = [_entry(record) for record in records if record and "--help" not in record[0]]
        if entries:
            parts += [f"**{title}**\n", *entries]
    return "\n".join(parts)


def command_line() -> TyperGroup:
    """The commands as typer knows them."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def page() -> str:
    group = command_line()
    context = typer.Context(group)
    parts = [HEAD]
    for heading, names in groups_of(group.list_commands(context)).items():
        commands = [(name, group.get_command(context, name)) for name in names]
        parts += [
            f"## {heading}\n",
            *(_section(name, each) for name, each in commands if isinstance(each, TyperCommand)),
        ]
    return "\n".join(parts)
