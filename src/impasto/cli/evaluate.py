"""`impasto evaluate`: how good the pictures of a run, a model or a folder are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import (
    Device,
    EvaluationBatch,
    Features,
    Guidance,
    Guide,
    Reference,
    Steps,
    StepSampler,
    Weights,
    stoppable,
    weights_of,
)
from impasto.formatting import quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.evaluation.outcome import Outcome


def _print_outcomes(outcomes: Sequence[Outcome], home: Path) -> None:
    """Print each outcome's table, and the paths of all files."""
    from impasto.evaluation.outcome import LEFT_OUT, PAIRS, SHEET, TABLE
    from impasto.evaluation.record import METRICS_FILE
    from impasto.evaluation.table import lines

    for outcome in outcomes:
        for text in lines(outcome.row):
            typer.echo(text)
        if outcome.before:
            typer.echo(
                f"scored before ({outcome.row.created[:10]}), with the same pictures and reference; "
                "--again does it anew"
            )
        typer.echo()
        if outcome.row.folder is not None:
            folder = home / outcome.row.folder
            typer.echo(
                f"closest pairs: {quoted(folder / SHEET)}, of all pictures: {quoted(folder / PAIRS)}"
            )
            typer.echo(f"this table: {quoted(folder / TABLE)}")
            if outcome.row.pictures.left_out:
                typer.echo(f"left out: {quoted(folder / LEFT_OUT)}")
    typer.echo(f"all numbers: {quoted(home / METRICS_FILE)}")


def command(
    path: Annotated[
        str,
        typer.Argument(
            help=(
                "A run, a checkpoint or a model, such as hf:OWNER/NAME; or a folder or archive "
                "of pictures (in folders by class, if there are classes), on disk or at an address "
                "such as s3://bucket/folder; or a collection."
            ),
            metavar="PATH",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Collection to compare with, or 'masters'. Default: the run's own.",
            metavar="COLLECTION",
        ),
    ] = None,
    features: Features = "lite0",
    weights: Weights = None,
    checkpoints: Annotated[
        str | None,
        typer.Option(
            help="Evaluate all checkpoints of a run, or every N-th, instead of the newest.",
            metavar="all|every:N",
        ),
    ] = None,
    pictures: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=2,
            help=("Number of generated pictures, with classes as frequent as in the collection."),
        ),
    ] = 2_000,
    per_class: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Generated pictures per class, at least, for scores by class."
        ),
    ] = 100,
    against: Annotated[
        str, typer.Option(help="Real pictures to compare with.", metavar="train|heldout|all")
    ] = "train",
    reference: Reference = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole",
            help="Compare a model of train --only with the whole collection; without it, with the part "
            "that it was trained on.",
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Seed of the first generated picture.")
    ] = 0,
    fit: Annotated[
        str | None,
        typer.Option(
            help=(
                "Bring the pictures of a folder or archive to one size, as impasto pack "
                "does. Without it, pictures of other sizes are left out."
            ),
            metavar="crop|squash|pad",
        ),
    ] = None,
    resolution: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="With --fit: the side of the pictures in pixels, or width x height such as 192x256. "
            "Default: the size of most of them, or else the collection's.",
        ),
    ] = None,
    truncation: Annotated[
        float | None,
        typer.Option(
            help="Truncation of the latents, as in impasto sample. Default: none.", metavar="VALUE"
        ),
    ] = None,
    steps: Steps = None,
    sampler: StepSampler = None,
    guidance: Guidance = None,
    aspect: Annotated[
        str | None,
        typer.Option(
            metavar="W:H",
            help="Width to height, such as 3:4, for a model of several sizes: "
            "score only the nearest one.",
            show_default="each size is scored",
        ),
    ] = None,
    guide: Guide = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for metrics.jsonl and the tables. Default: the run.", metavar="FOLDER"
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Evaluate again even if the same evaluation is already recorded."
        ),
    ] = False,
    device: Device = "auto",
    batch: EvaluationBatch = 64,
    plugin: Plugins = None,
) -> None:
    """Score pictures against a collection's, with 95% intervals.

    Distance, quality, variety, classes and copies, overall and by class.
    A model of several sizes is scored at each of them, against the real pictures of that size.
    Adds a row to metrics.jsonl, and beside it the table and the closest pairs of a generated and a
    training picture. Features of the collection are kept in the cache for the next time.
    """
    from impasto.api.judging import evaluate
    from impasto.evaluation.table import lines_of_sizes, over_time
    from impasto.sampling.step_settings import StepSettings

    with stoppable("what was scored is kept: the same command goes on with the rest"):
        found = evaluate(
            path,
            data,
            features=features,
            weights=weights_of(weights, features),
            checkpoints=checkpoints,
            pictures=pictures,
            per_class=per_class,
            against=against,
            reference=reference,
            whole=whole,
            seed=seed,
            fit=fit,
            resolution=resolution,
            truncation=truncation,
            how=StepSettings(steps, sampler, guidance, guide, aspect),
            out=out,
            again=again,
            device=device,
            batch=batch,
        )
    _print_outcomes(found.newest_of_all_sizes, found.folder)
    for rows in found.all_sizes():
        typer.echo()
        for text in lines_of_sizes(rows):
            typer.echo(text)
    for rows in found.over_time():
        typer.echo()
        for text in over_time(rows):
            typer.echo(text)
