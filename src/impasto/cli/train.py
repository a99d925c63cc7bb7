"""`impasto train`: a recipe and a collection become a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Device, print_finished

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.processes import Processes
    from impasto.training.choosing import TrainingChoice


_CROWDED = 0.6
"""Below this share of processor time, other programs slowed the measured steps."""


def command(
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="What to train; `impasto recipes` lists them.",
            show_default="the flagship, at the collection's resolution",
            metavar="RECIPE",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Collection to train on, made by impasto pack, or 'masters' (21 paintings).",
            show_default=False,
            metavar="COLLECTION",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="Train on a part of the collection: style=Ukiyo-e, or any condition as of pack --where "
            "on label fields and the columns of sources.csv.",
        ),
    ] = None,
    start_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="MODEL",
            help=(
                "Start from the weights of a run or model, of 'masters', 'paintings' or "
                "'paintings-128' (models in this package) or of hf:OWNER/NAME, as far as they fit. "
                "Resolution and classes may differ. 'auto': the model of this package whose pictures "
                "are nearest to the collection's, if they are near enough; measured in some seconds."
            ),
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting. May be repeated."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A config: what 'impasto recipes NAME' prints, a run.json, or 'recipe: NAME' with "
            "changes to it (YAML or JSON). --set comes on top.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Label fields to train on, such as genre or style,genre.", metavar="FIELDS"
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(help="Train for N real images (each stage), such as 200k.", metavar="N"),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Train for this long, such as 30m, 2h or overnight (8h): measures some steps and plans "
            "the images. Without a recipe, the flagships of 64, 128 and 256 pixels one after another, "
            "each from the weights of the one before, up to the collection's size; with --from they "
            "begin with that model's size.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.", metavar="N")] = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option(help="Folder of runs.", metavar="FOLDER")] = Path("runs"),
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            "--run-folder",  # torchrun takes --run for an option of its own
            metavar="RUN",
            help="Folder of the run. If it is there, go on from its newest checkpoint: so the same "
            "command can be started again, as torchrun and Slurm do.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print configuration, memory and time; do not train.")
    ] = False,
    numbers: Annotated[
        Path | None,
        typer.Option(
            help="With --dry-run: also write speed, time and memory as JSON.", metavar="FILE.json"
        ),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Train a generator on a collection, following a recipe.

    To train on several processes: torchrun --nproc-per-node N -m impasto train ..., or srun.
    """
    from impasto.errors import ImpastoError
    from impasto.messages import say
    from impasto.processes import joined
    from impasto.settings import parse_settings
    from impasto.training import train
    from impasto.training.config_files import load_config
    from impasto.training.starting import chosen_start
    from impasto.training.time_plan import choose_in, planned

    if numbers is not None and not dry_run:
        raise ImpastoError("--numbers is of what --dry-run measures; give both")
    with joined() as processes:
        chosen = recipe if config is None else load_config(config, recipe)
        given = parse_settings(settings or [])
        start = processes.on_first(
            lambda: chosen_start(start_from, chosen, data, given, only=only, run=run)
        )
        choice = choose_in(
            processes,
            chosen,
            data,
            given,
            time=time,
            device=device,
            run=run,
            start_from=start.model,
            labels=labels,
            images=images,
            seed=seed,
            only=only,
        )
        if choice.note is not None:
            say(choice.note, to_stderr=True)
        if dry_run:
            _print_estimate(choice, device, start.model, processes, numbers)
            return
        made = train(
            choice.config,
            choice.collection,
            out=out,
            run=run,
            device=device,
            recipe_text=choice.recipe_text,
            tensorboard=tensorboard,
            start_from=start.model,
            planned=planned(start, time),
        )
        if processes.first:
            print_finished(made)


def _print_estimate(
    choice: TrainingChoice,
    device: str,
    start_from: Path | None,
    processes: Processes,
    numbers: Path | None,
) -> None:
    from impasto.config import to_yaml
    from impasto.files import write_json
    from impasto.formatting import readable_time
    from impasto.processes import processes_in_words
    from impasto.training.estimate import estimate

    found = estimate(
        choice.config, choice.collection, device, start_from=start_from, processes=processes
    )
    if not processes.first:
        return
    if numbers is not None:
        write_json(numbers, found.numbers())
    typer.echo(to_yaml(found.config))
    for stage in found.stages:
        if found.first_stage is not None:
            typer.echo(f"\nstage at {stage.config.resolution} pixels")
        for line in [] if stage.transfer is None else stage.transfer.lines():
            typer.echo(line)
        typer.echo(f"generator:     {stage.generator_parameters:,} parameters")
        if stage.config.discriminator is not None:
            typer.echo(f"discriminator: {stage.discriminator_parameters:,} parameters")
        if stage.memory_bytes is not None:
            typer.echo(f"memory:        {stage.memory_bytes / 2**20:,.0f} MiB at most, as measured")
        typer.echo(
            f"time:          {readable_time(stage.seconds)} for {stage.config.training.images:,} "
            f"images, at the {stage.images_per_second:.1f} images a second of a few measured steps"
        )
        if stage.encoding_seconds is not None:
            typer.echo(
                f"encoding:      {readable_time(stage.encoding_seconds)} before that, once for this "
                "collection and autoencoder"
            )
        typer.echo(
            "processes:     "
            + processes_in_words(
                processes.count, stage.config.training.accumulate, stage.gradient_bytes
            )
        )
        if stage.processor_share is not None and stage.processor_share < _CROWDED:
            typer.echo("               (other programs used the processor; alone it is faster)")
        scored = stage.config.evaluation
        if scored.every:
            typer.echo(
                f"evaluation:    {scored.pictures:,} pictures by {scored.features} every "
                f"{scored.every:,} images, in additional time"
            )
