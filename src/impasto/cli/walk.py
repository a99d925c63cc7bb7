"""`impasto walk`: a video through a model's latents and classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import (
    Aspect,
    Batch,
    Device,
    Guidance,
    ModelArgument,
    Steps,
    StepSampler,
    Truncation,
    stoppable,
)
from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from impasto.sampling.model import ModelRecord
    from impasto.sampling.points import Points


def command(
    model: ModelArgument,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Seeds to walk through, such as 3,17,42.", metavar="SEEDS", show_default="0-3"
        ),
    ] = None,
    points: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Walk through the points of a file of sample --save-points, or of a PNG that impasto "
            "painted, in place of seeds. May be repeated, or a quoted pattern, such as 'mine/*.png'.",
        ),
    ] = None,
    favourites: Annotated[
        str | None,
        typer.Option(
            metavar="all|NAME,NAME",
            help="Walk through favourites of this model; see sample --keep.",
        ),
    ] = None,
    around: Annotated[
        str | None,
        typer.Option(
            metavar="SEED|FILE|NAME",
            help="Walk in a loop around a seed, a file's point (see --points), or a favourite.",
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            metavar="VALUE",
            help="With --around: distance from it; 1 is as far as another seed.",
            show_default="0.4",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Length of the video.",
            show_default="12; that of --audio, or up to the last of --beats",
        ),
    ] = None,
    fps: Annotated[int, typer.Option(help="Frames a second.", metavar="N", min=1)] = 30,
    loop: Annotated[
        bool, typer.Option("--loop", help="Go back to the first point, so that the video repeats.")
    ] = False,
    straight: Annotated[
        bool,
        typer.Option(
            "--straight",
            help="Take the shortest way between neighbouring points instead of a curve without "
            "corners.",
        ),
    ] = False,
    easing: Annotated[bool, typer.Option("--easing", help="Slow down at each point.")] = False,
    even: Annotated[
        bool,
        typer.Option(
            "--even",
            help="Make pictures change at the same pace throughout, measured by features of lite0.",
        ),
    ] = False,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=CLASS,CLASS",
            help="Classes to go through on the way, such as style=Impressionism,Ukiyo-e, or just the "
            "classes if there is one field. May be repeated for other fields. Default: the classes of "
            "seeds and points.",
        ),
    ] = None,
    audio: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Walk to music: the louder, the faster, or with --around the further away. An MP4 gets "
            "the sound.",
        ),
    ] = None,
    beats: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|S,S,S",
            help="Seconds at which the seeds after the first are reached, such as 0.5,1.0,1.5, or a "
            "file with one in each line. With more beats than seeds, the seeds repeat in order.",
        ),
    ] = None,
    truncation: Truncation = None,
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMNSxROWS",
            help="Show several walks side by side, such as 4x2; seeds are dealt out in order.",
        ),
    ] = None,
    scale: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=64,
            help="Enlarge each pixel N times.",
            show_default="1; in an MP4 up to 512 pixels",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="A video (.mp4, .gif, .webp; an existing one is replaced), or a folder for the frames "
            "as PNGs, which the same command goes on with if it was stopped.",
            show_default="samples/NAME-walk.mp4",
        ),
    ] = None,
    device: Device = "auto",
    batch: Batch = 64,
    steps: Steps = None,
    sampler: StepSampler = None,
    guidance: Guidance = None,
    aspect: Aspect = None,
    plugin: Plugins = None,
) -> None:
    """Walk through a model: a video whose pictures change smoothly from seed to seed.

    --classes changes the class on the way. MP4, GIF and --audio need the extra video (PyAV).
    """
    from impasto.device import choose_device
    from impasto.exploring.frames import check_target
    from impasto.exploring.rhythm import parse_beats
    from impasto.exploring.walk_options import RADIUS, WalkOptions, film_of, parse_grid
    from impasto.exploring.walks import Style, parse_stations
    from impasto.progress import shown
    from impasto.sampling import find_model
    from impasto.sampling.model import name_of
    from impasto.sampling.painter import Painter
    from impasto.sampling.step_settings import StepSettings

    if around is None and radius is not None:
        raise ImpastoError("--radius is the distance from --around: add it, or leave --radius out")
    if around is not None and (seeds or points or favourites):
        raise ImpastoError(
            "--around has a point of its own: leave out --seeds, --points and --favourites"
        )
    columns, rows = parse_grid(grid) if grid is not None else (1, 1)
    times = parse_beats(beats) if beats is not None else []
    folder = find_model(model)
    target = out or Path("samples") / f"{name_of(model)}-walk.mp4"
    check_target(target, fps)
    how = StepSettings(steps, sampler, guidance, aspect=aspect)
    painter = Painter.load(folder, choose_device(device), how, truncation=truncation, batch=batch)
    numbers, given = _given(folder, painter.record, seeds, points, favourites, around)
    options = WalkOptions(
        seeds=numbers,
        points=given,
        around=around is not None,
        radius=RADIUS if radius is None else radius,
        style=Style(loop, not straight, easing),
        even=even,
        classes=parse_stations(painter.record, classes or []),
        columns=columns,
        rows=rows,
        audio=audio,
        beats=times,
    )
    with stoppable("no file is left half written, and frames in a folder are kept"):
        film = film_of(painter, options, seconds=seconds, rate=fps, scale=scale, progress=shown)
        with shown("frames", film.count) as progress:
            painted = film.write(target, progress)
    kept = film.count - painted
    again = f", {kept} of them there before" if kept else ""
    typer.echo(f"{counted(film.count, 'frame')} in {quoted(target)}{again}")


def _given(
    folder: Path,
    record: ModelRecord,
    seeds: str | None,
    points: list[Path] | None,
    favourites: str | None,
    around: str | None,
) -> tuple[list[int], list[Path | Points]]:
    """The seeds to walk through, and the points or files of points."""
    from impasto.exploring.favourites import chosen_favourites, parse_point
    from impasto.sampling import parse_seeds

    if around is not None:
        named = parse_point(around, folder, record)
        return named.seeds, [] if named.points is None else [named.points]
    given: list[Path | Points] = [*points] if points else []
    if favourites is not None:
        given.append(chosen_favourites(folder, record, favourites)[1])
    return parse_seeds(seeds) if seeds is not None else [], given
