"""`impasto train`: a recipe and a collection become a run."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.errors import ImpastoError
from impasto.formatting import quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.collection import Collection
    from impasto.config import RunConfig
    from impasto.sampling.model import ModelRecord


def parse_count(text: str) -> int:
    """`200000`, `200k` or `1.5M` as a number.

    Raises:
        ImpastoError: not such a number, or below one.
    """
    scale = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text if scale == 1 else text[:-1]
    try:
        value = Decimal(digits) * scale
    except ArithmeticError:
        value = Decimal(-1)
    if not value.is_finite() or not 1 <= value < 10**15 or value != int(value):
        raise ImpastoError(f"--images is a number of pictures such as 200k or 1.5M, not '{text}'")
    return int(value)


FLAGSHIP = "flagship_"
"""Recipes of this name and a side in pixels are trained where none is named."""
USUAL_SIDE = 64
_CROWDED = 0.6
"""A share of the processor below which its steps were slowed by other programs, not by waiting."""


def default_recipe(data: str, *, wanted: object = None, model: ModelRecord | None = None) -> str:
    """The flagship for a collection that no recipe is named for, at the first of these sides:

    - the `wanted` one, where there is such a flagship;
    - that of the `model` to start from, where the collection is packed at it;
    - of the flagship's sides that the pictures can be averaged down to, the largest;
    - 64, for the 21 paintings and what is no collection yet.
    """
    from impasto.collection import Collection
    from impasto.registry import recipe_modules

    names = [name for name in recipe_modules() if name.startswith(FLAGSHIP)]
    sides = [int(name.removeprefix(FLAGSHIP)) for name in names]
    path = Path(data).expanduser()
    fitting: list[int] = []
    if isinstance(wanted, int | float) and wanted in sides:
        return f"{FLAGSHIP}{int(wanted)}"
    if data != "masters" and (path / "collection.json").is_file():
        packed = Collection.open(path).resolutions
        if model is not None and model.resolution in packed and model.resolution in sides:
            return f"{FLAGSHIP}{model.resolution}"
        fitting = [side for side in sides if any(each % side == 0 for each in packed)]
    return f"{FLAGSHIP}{max(fitting, default=USUAL_SIDE)}"


def choose_recipe(
    recipe: str | None, data: str | None, model: ModelRecord | None, wanted: object = None
) -> str:
    """The recipe that is named; else that of the model to start from, unless it is a flagship, of
    which the collection and the `wanted` resolution decide the side; else the flagship.

    Raises:
        ImpastoError: an unknown recipe, or no collection.
    """
    from impasto.registry import load_recipe, recipe_modules

    known = recipe_modules()
    if recipe is not None and recipe not in known:
        try:
            load_recipe(recipe)
        except ImpastoError as error:
            if recipe != "masters" and not Path(recipe).exists():
                raise
            raise ImpastoError(
                f"{error}; to learn from {recipe}: --data {quoted(recipe)}"
            ) from None
    if data is None:
        raise ImpastoError(
            "say what to learn from: --data, with a collection made by impasto pack or the word masters"
        )
    if recipe is not None:
        return recipe
    if model is not None and model.recipe in known and not model.recipe.startswith(FLAGSHIP):
        return model.recipe
    return default_recipe(data, wanted=wanted, model=model)


def as_model(config: RunConfig, model: ModelRecord) -> RunConfig:
    """The recipe of a model with the model's own networks, resolution, latent and labels, which may
    have been set otherwise when it was trained. Another size of the flagship keeps its resolution,
    and the side that its discriminator reads at."""
    own = {name: getattr(model, name) for name in ("latent", "generator", "discriminator")}
    if model.recipe == config.recipe:
        own["resolution"] = model.resolution
    elif all("read_at" in each.discriminator.options for each in (config, model)):
        read_at = config.discriminator.options["read_at"]
        own["discriminator"] = model.discriminator.model_copy(update={"read_at": read_at})
    changed = config.model_copy(update=own)
    return with_labels(changed, tuple(field.name for field in model.labels))


def with_labels(config: RunConfig, labels: tuple[str, ...]) -> RunConfig:
    """The config with other label fields; what was balanced is, if need be, the first of these."""
    from impasto.config import change

    balance = config.training.balance
    if balance is not None and balance not in labels:
        balance = next(iter(labels), None)
    return change(config, {"labels": list(labels), "training.balance": balance})


def configure(
    recipe: str,
    settings: list[str],
    *,
    labels: str | None = None,
    images: str | None = None,
    seed: int | None = None,
    model: ModelRecord | None = None,
) -> RunConfig:
    """The recipe's config with what the command line changes; as `model` was trained, where given."""
    from impasto.config import change, parse_settings
    from impasto.registry import load_recipe

    changes = parse_settings(settings)
    if labels is not None:
        changes["labels"] = [name.strip() for name in labels.split(",") if name.strip()]
    config: RunConfig = load_recipe(recipe)()
    if model is not None:
        config = as_model(config, model)
    if images is not None:
        for name in ("training.images", "training.epochs"):
            if name in changes:
                raise ImpastoError(
                    f"--images and --set {name} both say how long to train; give one of them"
                )
        changes["training.images"] = parse_count(images)
        said = {"first_stage", "first_stage.training.epochs"} & changes.keys()
        if config.first_stage is not None and not said:
            # Each stage is that long, unless the first one's length is set too.
            changes.setdefault("first_stage.training.images", changes["training.images"])
    if config.first_stage is not None and "first_stage" not in changes:
        # Both stages are evaluated alike, unless the first one is told otherwise.
        for name in [name for name in changes if name.startswith("evaluation.")]:
            changes.setdefault(f"first_stage.{name}", changes[name])
    if seed is not None:
        changes["training.seed"] = seed
    fields = changes.get("labels")
    if config.training.balance is not None and isinstance(fields, list) and fields:
        # Other fields than the recipe's: the first of them is what is balanced.
        changes.setdefault("training.balance", fields[0])
    return change(config, changes)


def known_labels(config: RunConfig, model: ModelRecord, collection: Collection) -> RunConfig:
    """Without those label fields of the model that the collection has not."""
    if config.labels != tuple(field.name for field in model.labels):
        return config  # others are asked for, and checked later
    there = {field.name for field in collection.fields}
    return with_labels(config, tuple(name for name in config.labels if name in there))


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="What to train; see: impasto recipes.",
            show_default="the flagship, at the collection's resolution",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="What to learn from: a collection made by impasto pack, or 'masters' (21 paintings).",
            show_default=False,
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help="Start from the weights of a run or a model, or of 'masters' (the one in this "
            "package), as far as they fit: also at another resolution, or with other classes.",
        ),
    ] = None,
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
    model = own = None
    if start_from is not None:
        from impasto.config import read_record
        from impasto.sampling.model import MODEL_FILE, ModelRecord, find_model

        model = read_record(find_model(start_from) / MODEL_FILE, "model", ModelRecord)
    from impasto.config import parse_settings

    chosen = choose_recipe(recipe, data, model, parse_settings(settings or []).get("resolution"))
    assert data is not None
    if recipe is None and model is not None:
        flagships = model.recipe.startswith(FLAGSHIP) and chosen.startswith(FLAGSHIP)
        own = model if flagships or model.recipe == chosen else None
    config = configure(chosen, settings or [], labels=labels, images=images, seed=seed, model=own)

    from impasto.collection import open_or_pack

    collection = open_or_pack(data, config.resolution)
    if own is not None:
        config = known_labels(config, own, collection)
    if recipe is None and collection.fields and not config.labels:
        names = [field.name for field in collection.fields]
        typer.echo(
            f"note: labels are not learned ({', '.join(names)}); to paint by class: "
            f"--labels {quoted(names[0])}",
            err=True,
        )
    if dry_run:
        _print_estimate(config, collection, device, start_from)
        return

    from impasto.registry import load_recipe
    from impasto.training import train

    run = train(
        config,
        collection,
        out=out,
        device=device,
        recipe_text=load_recipe(chosen).__doc__ or "",
        tensorboard=tensorboard,
        start_from=start_from,
    )
    tell_finished(run)


def tell_finished(run: Path) -> None:
    """Where a run is, and what to do with it."""
    from impasto.progress import say

    say(f"finished: {quoted(run)}")
    say(f"look at it: impasto report {quoted(run)}")
    say(f"score it:   impasto evaluate {quoted(run)}")


def _print_estimate(
    config: RunConfig, collection: Collection, device: str, start_from: Path | None
) -> None:
    from impasto.config import to_yaml
    from impasto.formatting import readable_time
    from impasto.training.estimate import estimate

    found = estimate(config, collection, device, start_from=start_from)
    typer.echo(to_yaml(found.config))
    for told in [] if found.transfer is None else found.transfer.lines():
        typer.echo(told)
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
        if stage.processor_share is not None and stage.processor_share < _CROWDED:
            typer.echo(
                "               (other programs held the processor: alone it is quicker, and beside "
                "them OMP_NUM_THREADS=1 may be)"
            )
        scored = stage.config.evaluation
        if scored.every:
            typer.echo(
                f"evaluation:    {scored.pictures:,} pictures by {scored.features} every "
                f"{scored.every:,} images, for which time comes on top"
            )
