"""`impasto recipes`: list the recipes."""

import inspect
from textwrap import indent
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins


def command(
    name: Annotated[
        str | None, typer.Argument(help="Show this recipe in full.", metavar="RECIPE")
    ] = None,
    plugin: Plugins = None,
) -> None:
    """List the recipes, or show one in full with its source."""
    from impasto.config import to_yaml
    from impasto.registry import load_recipe, recipe_names

    if name is not None:
        recipe = load_recipe(name)
        from impasto.training.resolve import with_defaults

        # Its docstring as comments, so that the output is valid for train --config.
        head = "\n".join([name, "", *(inspect.getdoc(recipe) or "").splitlines()])
        typer.echo(indent(head, "# ", lambda _: True).replace("# \n", "#\n"))
        typer.echo(f"\n{to_yaml(with_defaults(recipe()))}", nl=False)
        return
    names = recipe_names()
    width = max(map(len, names))
    for each in names:
        summary = (inspect.getdoc(load_recipe(each)) or "").partition("\n")[0]
        typer.echo(f"{each:<{width}}  {summary}")
