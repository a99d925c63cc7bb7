"""What several commands share: options, their parsing, and the closing lines."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.errors import ImpastoError, StoppedError
from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.sampling.records import ModelRecord

CollectionArgument = Annotated[
    str,
    typer.Argument(
        help="A collection's folder, or 'masters' (at 64 pixels).", metavar="COLLECTION"
    ),
]
MODEL_HELP = (
    "A run, a checkpoint, a model, 'masters', 'paintings' or 'paintings-128' (models in this package), "
    "or a model of the Hugging Face hub as hf:OWNER/NAME[@REVISION]."
)
ModelArgument = Annotated[
    Path,
    typer.Argument(
        help=MODEL_HELP,
        metavar="MODEL",
    ),
]
Truncation = Annotated[
    float | None,
    typer.Option(
        help="Truncation of the latents; lower is safer and less varied, such as 0.7.",
        metavar="VALUE",
    ),
]
Classes = Annotated[
    list[str] | None,
    typer.Option(
        "--class",
        metavar="FIELD=CLASS",
        help=(
            "Class to generate, such as genre=landscape, or just CLASS if there is one "
            "field; or a mixture, such as style=0.6*Ukiyo-e+0.4*Cubism. May be repeated for other "
            "fields. Default: each seed draws its classes, as frequent as in the collection."
        ),
    ),
]
Device = Annotated[
    str, typer.Option(help="Device to compute on.", metavar="auto|cpu|cuda|cuda:N|mps")
]
Batch = Annotated[int, typer.Option(metavar="N", min=1, help="Pictures computed at a time.")]
Licence = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Licence of the model: its identifier on the Hugging Face hub, such as cc0-1.0.",
        show_default="unknown",
    ),
]
EvaluationBatch = Annotated[
    int, typer.Option(metavar="N", min=1, help="Pictures generated at a time, 64 at most.")
]
Features = Annotated[
    str,
    typer.Option(
        help="Feature networks, separated by commas: lite0, inception, dinov2, clip.",
        metavar="NETWORKS",
    ),
]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NETWORK=FILE", help="File or URL of a feature network's weights. May be repeated."
    ),
]
Reference = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=2, help="Compare with at most N real pictures, chosen at random."
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Number of sampling steps of a flow model. Default: as saved in the model.",
    ),
]
StepSampler = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        metavar="heun|euler",
        help="ODE solver of a flow model; euler takes half the time of heun and needs more steps. "
        "Default: as saved in the model.",
    ),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        metavar="VALUE",
        help="Guidance scale of a flow model: above 1, pictures match their class better and vary less. "
        "Default: as saved in the model.",
    ),
]
Aspect = Annotated[
    str | None,
    typer.Option(
        metavar="W:H",
        help="Width to height, such as 3:4, for a model of several sizes: it paints the nearest one.",
        show_default="the one with the most training pictures",
    ),
]
Guide = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL",
        help="With --guidance: a worse model to guide away from (autoguidance), such as an earlier "
        "checkpoint of the run. Default: the model itself without classes (classifier-free guidance).",
    ),
]


@contextmanager
def stoppable(kept: str = "no file is left half written") -> Iterator[None]:
    """Make a Ctrl-C an error of one line.

    Args:
        kept: what becomes of the work.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(f"stopped; {kept}") from None


def weights_of(texts: Sequence[str] | None, features: str) -> dict[str, str]:
    """Texts such as `inception=FILE` of `--weights`, as network to file.

    Raises:
        ImpastoError: a text has no network's name.
    """
    given = {}
    for text in texts or ():
        name, equals, source = text.partition("=")
        if not equals:
            raise ImpastoError(
                f"--weights takes NETWORK=FILE for a network of --features ({features}), not '{text}'"
            )
        given[name] = source
    return given


def print_learned_from(record: "ModelRecord") -> None:
    """Print what a model learned from, with licences and artists."""
    from impasto.collection.provenance import in_words

    learned = record.collection
    typer.echo(
        f"learned from {learned.name}{f', {learned.kind}' if learned.kind else ''}: "
        f"{counted(learned.count, 'picture')} from {counted(learned.sources, 'source picture')}"
    )
    for line in in_words(learned.model_dump()):
        typer.echo(line)


def print_finished(run: Path) -> None:
    """Print a finished run's folder, and the next commands."""
    from impasto.messages import say

    say(f"finished: {quoted(run)}")
    say(f"look at it: impasto report {quoted(run)}")
    say(f"score it:   impasto evaluate {quoted(run)}")
