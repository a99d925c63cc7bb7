"""The command line: one small file a command, each with a `command` function that parses, calls
and prints. A new file here is a new command of that name; nothing else needs to be touched.

Files import what they need inside `command`, so that `impasto --help` stays quick.
"""

import contextlib
import importlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from impasto import __version__
from impasto.errors import ImpastoError, StoppedError, lacks_memory, missing_package
from impasto.formatting import as_message, one_line
from impasto.messages import printed
from impasto.registry import module_names


@contextmanager
def _ctrl_c_reported() -> Iterator[None]:
    """Turn a Ctrl-C that a command does not handle into an error for `main`; typer exits silently."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise StoppedError("interrupted") from stop


@contextmanager
def _values_in_one_line() -> Iterator[None]:
    """Turn an option's value that typer refuses into an error for `main`; typer prints four lines."""
    try:
        yield
    except typer.BadParameter as error:
        if type(error) is not typer.BadParameter:  # an option or argument is missing
            raise
        text = error.format_message()
        raise ImpastoError(text[:1].lower() + text[1:]) from error


GROUPS = {
    "Collections": ("fetch", "pack", "inspect", "forget", "unpack"),
    "Training": ("recipes", "train", "resume"),
    "Pictures": ("sample", "walk", "mix", "directions", "invert", "canvas", "enlarge"),
    "Judging": ("evaluate", "classify", "compare", "report"),
    "Sharing": ("export", "push"),
    "In a browser": ("studio",),
}
"""The headings of `impasto --help` with their commands, in the order of work. Commands in none of
them are listed as "Other commands"."""


def groups_of(names: Sequence[str]) -> dict[str, list[str]]:
    """These commands below their headings, without empty ones."""
    groups = {heading: [n for n in group if n in names] for heading, group in GROUPS.items()}
    grouped = {name for group in GROUPS.values() for name in group}
    groups["Other commands"] = [name for name in names if name not in grouped]
    return {heading: group for heading, group in groups.items() if group}


def without_type(names: str) -> str:
    """An argument's name for the help, without typer's suffix ` <path>`."""
    return re.sub(r" <\S+>$", "", names)


class _Command(TyperCommand):
    """A command that says so where torch or another package is missing, and whose help lists arguments
    without typer's suffix `<path>`, as it does options."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if (missing := missing_package(str(ctx.info_name), error)) is None:
                raise
            raise missing from error

    def format_options(self, ctx: Any, formatter: Any) -> None:
        write = formatter.write_dl
        formatter.write_dl = lambda rows: write([(without_type(name), text) for name, text in rows])
        super().format_options(ctx, formatter)
        formatter.write_dl = write


class _Commands(TyperGroup):
    def list_commands(self, ctx: Any) -> list[str]:
        """All commands in the order of work."""
        known = [name for names in GROUPS.values() for name in names]
        return sorted(
            super().list_commands(ctx),
            key=lambda n: (n not in known, known.index(n) if n in known else 0, n),
        )

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands below their headings."""
        names = self.list_commands(ctx)
        longest = max(map(len, names))
        for heading, group in groups_of(names).items():
            commands = [(name, self.get_command(ctx, name)) for name in group]
            width = formatter.width - 6 - longest
            rows = [(n.ljust(longest), c.get_short_help_str(width)) for n, c in commands if c]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with _ctrl_c_reported():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with _ctrl_c_reported(), _values_in_one_line(), printed():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    name="impasto",
    help="Turn a collection of pictures into a generator of new ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        typer.echo(f"impasto {__version__}")
        raise typer.Exit()


for _name in module_names("cli"):
    app.command(_name.rstrip("_"), cls=_Command)(
        importlib.import_module(f"impasto.cli.{_name}").command
    )


def _give_up_output() -> None:
    """Python writes what is left in the output's buffer at its end, and would print a second error."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main() -> None:
    """Run the command line; expected errors are one line and an exit code, mostly 2.

    With IMPASTO_DEBUG set in the environment, every error shows its traceback.
    """
    try:
        app()
    except ImpastoError as error:
        if os.environ.get("IMPASTO_DEBUG"):
            raise
        if not error.silent:
            print(f"impasto: {as_message(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if os.environ.get("IMPASTO_DEBUG"):
            raise
        print(
            f"impasto: cannot use {error.filename or 'the output'}: {error.strerror}",
            file=sys.stderr,
        )
        if error.filename is None:
            _give_up_output()
        sys.exit(2)
    except Exception as error:
        if os.environ.get("IMPASTO_DEBUG"):
            raise
        if lacks_memory(error):
            print(
                f"impasto: not enough memory ({one_line(str(error))[:200]}); ask for less at once, such "
                "as by a smaller --batch, or close other programs",
                file=sys.stderr,
            )
            sys.exit(2)
        print(
            f"impasto: an unexpected {type(error).__name__}: {as_message(str(error))}; "
            "run it again with IMPASTO_DEBUG=1 for the details, and please report them",
            file=sys.stderr,
        )
        sys.exit(1)
