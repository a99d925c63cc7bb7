"""`impasto recipes`: what there is to train."""

import inspect
from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="Show this one in full.")] = None,
) -> None:
    """List the recipes, or show one in full with its source."""
    from impasto.config import to_yaml
    from impasto.registry import load_recipe, recipe_modules

    if name is not None:
        recipe = load_recipe(name)
        from impasto.training.resolve import with_defaults

        typer.echo(
            f"{name}\n\n{inspect.getdoc(recipe)}\n\n{to_yaml(with_defaults(recipe()))}", nl=False
        )
        return
    names = recipe_modules()
    width = max(map(len, names))
    for each in names:
        summary = (inspect.getdoc(load_recipe(each)) or "").partition("\n")[0]
        typer.echo(f"{each:<{width}}  {summary}")
