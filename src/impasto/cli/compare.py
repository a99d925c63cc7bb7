"""`impasto compare`: runs side by side, as one HTML page."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import (
    Device,
    EvaluationBatch,
    Features,
    Reference,
    Weights,
    stoppable,
    weights_of,
)
from impasto.formatting import quoted


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Two to six runs, checkpoints or models, such as hf:OWNER/NAME."
        ),
    ],
    data: Annotated[
        str, typer.Option(help="Collection to compare with, or 'masters'.", metavar="COLLECTION")
    ],
    out: Annotated[Path, typer.Option(help="The page to write.", metavar="FILE")] = Path(
        "compare.html"
    ),
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help=(
                "Compare each run's best checkpoint by the KID measured in training, "
                "instead of its newest."
            ),
        ),
    ] = False,
    features: Features = "lite0",
    weights: Weights = None,
    pictures: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=2,
            help=(
                "Number of generated pictures per run. Default: what the runs' evaluations "
                "share, else 2,000."
            ),
        ),
    ] = None,
    per_class: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="At least N pictures of each class (default 100)."),
    ] = None,
    reference: Reference = None,
    device: Device = "auto",
    batch: EvaluationBatch = 64,
    plugin: Plugins = None,
) -> None:
    """Compare runs on one HTML page: pictures, scores, tables.

    The page shows the same latents of each run side by side, and scores over time, overall and by
    class. A value is marked as the best only if its interval overlaps no other's. Checkpoints
    without an evaluation on this collection by the same settings are evaluated first. The page's
    path is the last line printed.
    """
    from impasto.api.comparing import compare

    with stoppable("what was scored is kept: the same command goes on with the rest"):
        found = compare(
            runs,
            data,
            out=out,
            best=best,
            features=features,
            weights=weights_of(weights, features),
            pictures=pictures,
            per_class=per_class,
            reference=reference,
            device=device,
            batch=batch,
        )
    for text in found.lines:
        typer.echo(text)
    typer.echo(quoted(found.page))
