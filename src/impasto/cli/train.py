"""`impasto train`: a recipe and a collection become a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.errors import ImpastoError

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.collection import Collection
    from impasto.config import RunConfig


def parse_count(text: str) -> int:
    """`200000`, `200k` or `1.5M` as a number.

    Raises:
        ImpastoError: not such a number, or below one.
    """
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text if scale == 1 else text[:-1]
    try:
        value = float(digits) * scale
    except ValueError:
        value = -1
    if not 1 <= value < 1e15 or value != int(value):
        raise ImpastoError(f"--images is a number of pictures such as 200k or 1.5M, not '{text}'")
    return int(value)


def configure(
    recipe: str,
    settings: list[str],
    *,
    labels: str | None = None,
    images: str | None = None,
    seed: int | None = None,
) -> RunConfig:
    """The recipe's config with what the command line changes."""
    from impasto.config import change, parse_settings
    from impasto.registry import load_recipe

    changes = parse_settings(settings)
    if labels is not None:
        changes["labels"] = [name.strip() for name in labels.split(",") if name.strip()]
    config: RunConfig = load_recipe(recipe)()
    if images is not None:
        changes["training.images"] = parse_count(images)
        if config.first_stage is not None:
            # Each stage is that long, unless the first one's length is set too.
            changes.setdefault("first_stage.training.images", changes["training.images"])
    if config.first_stage is not None and "first_stage" not in changes:
        # Both stages are evaluated alike, unless the first one is told otherwise.
        for name in [name for name in changes if name.startswith("evaluation.")]:
            changes.setdefault(f"first_stage.{name}", changes[name])
    if seed is not None:
        changes["training.seed"] = seed
    if config.training.balance is not None and changes.get("labels"):
        # Other fields than the recipe's: the first of them is what is balanced.
        changes.setdefault("training.balance", changes["labels"][0])
    return change(config, changes)


def command(
    recipe: Annotated[str, typer.Argument(help="What to train; see: impasto recipes.")],
    data: Annotated[
        str, typer.Option(help="A collection made by impasto pack, or 'masters' (21 paintings).")
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; may be repeated."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Label fields to learn, such as genre or style,genre.")
    ] = None,
    images: Annotated[
        str | None, typer.Option(help="Length in pictures shown, such as 200k; of each stage.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder of runs.")] = Path("runs"),
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard events too.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would be and cost.")
    ] = False,
) -> None:
    """Train a generator on a collection, following a recipe."""
    config = configure(recipe, settings or [], labels=labels, images=images, seed=seed)

    from impasto.collection import open_or_pack

    collection = open_or_pack(data, config.resolution)
    if dry_run:
        _print_estimate(config, collection, device)
        return

    from impasto.registry import load_recipe
    from impasto.training import train

    run = train(
        config,
        collection,
        out=out,
        device=device,
        recipe_text=load_recipe(recipe).__doc__ or "",
        tensorboard=tensorboard,
    )
    tell_finished(run)


def tell_finished(run: Path) -> None:
    """Where a run is, and what to do with it."""
    typer.echo(f"finished: {run}")
    typer.echo(f"look at it: impasto report {shlex.quote(str(run))}")
    typer.echo(f"score it:   impasto evaluate {shlex.quote(str(run))}")


def _print_estimate(config: RunConfig, collection: Collection, device: str) -> None:
    from impasto.config import to_yaml
    from impasto.training.estimate import estimate
    from impasto.words import readable_time

    found = estimate(config, collection, device)
    typer.echo(to_yaml(found.config))
    for stage in [found] if found.first_stage is None else [found.first_stage, found]:
        if found.first_stage is not None:
            typer.echo(f"\nstage at {stage.config.resolution} pixels")
        typer.echo(f"generator:     {stage.generator_parameters:,} parameters")
        typer.echo(f"discriminator: {stage.discriminator_parameters:,} parameters")
        if stage.memory_bytes is not None:
            typer.echo(f"memory:        {stage.memory_bytes / 2**20:,.0f} MiB at most, as measured")
        typer.echo(
            f"time:          {readable_time(stage.seconds)} for {stage.config.training.images:,} "
            f"images, at the {stage.images_per_second:.1f} images a second of a few measured steps"
        )
        scored = stage.config.evaluation
        if scored.every:
            typer.echo(
                f"evaluation:    {scored.pictures:,} pictures by {scored.features} every "
                f"{scored.every:,} images, for which time comes on top"
            )
