"""`impasto pack`: a collection from a folder of pictures."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.words import counted

if TYPE_CHECKING:
    from impasto.collection import PackReport

_PLAIN_SECONDS = 5.0
"""Seconds between lines of progress where there is no terminal."""


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder of pictures, with folders by class or a table metadata.csv if you have "
            "labels; or a table (CSV); or cifar-10-binary.tar.gz (or CIFAR-100's), packed or "
            "unpacked; or the word masters, 21 paintings that come with impasto."
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="The collection's folder; new, or empty.")
    ],
    resolution: Annotated[int, typer.Option(help="Side of the packed pictures, in pixels.")] = 64,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Columns of the table to keep as labels, such as style,genre; for folders by "
            "class or CIFAR-10, a name for that label."
        ),
    ] = None,
    fit: Annotated[
        str,
        typer.Option(
            help="How a picture becomes square: crop (the centre), squash (all of it, proportions "
            "ignored), pad (all of it on a background), or tiles (many overlapping squares at "
            "several scales, and mirrored: for few pictures)."
        ),
    ] = "crop",
    heldout: Annotated[
        float,
        typer.Option(
            help="Share of the source pictures kept from training, for tests; CIFAR's own test "
            "part is, whatever this says."
        ),
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Another seed holds out other pictures.")] = 0,
    background: Annotated[
        str, typer.Option(help="What pad fills with: a colour's name, or #rrggbb.")
    ] = "white",
    max_upscale: Annotated[
        float, typer.Option(help="Leave out what would have to be enlarged by more.")
    ] = 1.25,
    max_pixels: Annotated[
        int, typer.Option(help="Leave out pictures of more pixels, unopened.")
    ] = 200_000_000,
    exact: Annotated[
        bool, typer.Option("--exact", help="Decode every JPEG in full: slower, little better.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes.", show_default="one for each core")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The collection's name.", show_default="that of its folder")
    ] = None,
) -> None:
    """Make a collection of a folder of pictures: square, of one size, ready for training."""
    from impasto.collection import PackOptions, pack

    options = PackOptions(
        resolution=resolution,
        labels=None if labels is None else _names(labels),
        fit=fit,
        heldout=heldout,
        seed=seed,
        background=_colour(background),
        max_upscale=max_upscale,
        max_pixels=max_pixels,
        exact=exact,
        workers=workers,
        name=name,
    )
    with _progress() as progress:
        report = pack(source, destination, options, progress)
    for line in report_lines(report, destination):
        typer.echo(line)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    from impasto.errors import ImpastoError

    try:
        return ImageColor.getcolor(text, "RGB")[:3]  # type: ignore[index,return-value]
    except ValueError as error:
        raise ImpastoError(
            f"unknown background '{text}'; give a colour's name, such as white, or #rrggbb"
        ) from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show progress on the error stream: a bar in a terminal, elsewhere a line now and then."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), "pictures", TimeRemainingColumn())
        with Progress("packing", *columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return

    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _PLAIN_SECONDS:
            last = time.monotonic()
            print(f"packing: {done:,} of {total:,} pictures", file=sys.stderr, flush=True)

    yield tell


def report_lines(report: "PackReport", destination: Path) -> list[str]:
    """What was made and what was left out, in words."""
    packed = report.collection
    train, heldout = len(packed.train_indices), len(packed.heldout_indices)
    train_sources = report.source_count - report.heldout_source_count
    lines = [
        f"{packed.name}: {counted(len(packed), 'picture')} of {packed.resolution} px "
        f"from {counted(report.source_count, 'source picture')} ({packed.fit}), "
        f"in {report.seconds:.1f} s",
        f"  training  {train:,} from {counted(train_sources, 'source picture')}",
        f"  held out  {heldout:,} from {counted(report.heldout_source_count, 'source picture')}",
    ]
    lines += [f"  {field.name}: {len(field.classes)} classes" for field in packed.fields]
    if report.left_out:
        lines.append(
            f"left out: {len(report.left_out):,}, listed in {destination / 'left-out.csv'}"
        )
        lines += [f"  {count:,} {reason}" for reason, count in report.reasons().items()]
        path, reason = report.left_out[0]
        lines.append(f"  such as {path} ({reason})")
    lines += [f"note: {note}" for note in report.notes]
    lines.append(f"look at it: impasto inspect {destination}")
    return lines
