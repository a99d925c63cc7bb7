"""`impasto mix`: coarse levels of some seeds with fine levels of others."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.cli._plugins import Plugins
from impasto.cli._shared import Batch, Classes, Device, ModelArgument, Truncation, stoppable
from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted


def command(
    model: ModelArgument,
    coarse: Annotated[
        str,
        typer.Option(
            metavar="SEEDS|NAMES",
            help="Seeds of the coarse levels, or favourites (see sample --keep): a row each.",
        ),
    ] = "0-7",
    fine: Annotated[
        str,
        typer.Option(
            metavar="SEEDS|NAMES",
            help="Seeds of the fine levels, or favourites: a column each.",
        ),
    ] = "8-15",
    at: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="First level of the generator that takes the fine seed: its number (level 0 makes the "
            "smallest maps), or the side of its maps in pixels, such as 16.",
            show_default="half of the levels",
        ),
    ] = None,
    classes: Classes = None,
    truncation: Truncation = None,
    grid: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The PNG with all pictures. An existing file is replaced.",
            show_default="samples/NAME-mix.png",
        ),
    ] = None,
    save_points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.safetensors",
            help="Also write the points of the mixed pictures into this file, row by row, for "
            "sample --points and walk --points.",
        ),
    ] = None,
    device: Device = "auto",
    batch: Batch = 64,
    plugin: Plugins = None,
) -> None:
    """Mix seeds: coarse levels of one (composition), fine levels of another (colours, outlines).

    A grid shows each coarse seed with each fine one, and both seeds' own pictures at its edges. Classes
    are those of the coarse seed. For networks that take the latent at every level: the flagships.
    """
    from impasto.device import choose_device
    from impasto.exploring.favourites import parse_point
    from impasto.exploring.mixing import mix_of
    from impasto.sampling import find_model
    from impasto.sampling.class_choice import mixed, parse_mixtures
    from impasto.sampling.model import name_of
    from impasto.sampling.output import check_grid_path, save_grid_of
    from impasto.sampling.painter import Painter
    from impasto.sampling.point_text import check_points_file
    from impasto.sampling.points import Points

    folder = find_model(model)
    target = grid or Path("samples") / f"{name_of(model)}-mix.png"
    check_grid_path(target)
    if save_points is not None:
        check_points_file(save_points)
    painter = Painter.load(folder, choose_device(device), truncation=truncation, batch=batch)
    chosen, mixtures = parse_mixtures(painter.record, classes or [])
    rows, columns = (parse_point(text, folder, painter.record) for text in (coarse, fine))
    if classes and not rows.seeds:
        raise ImpastoError("favourites have classes of their own: leave out --class")

    def of_seeds(seeds: list[int]) -> Points:
        return painter.points(seeds, mixed(painter.record, painter.labels(seeds, chosen), mixtures))

    with stoppable():
        mix = mix_of(painter, rows.made(of_seeds), columns.made(of_seeds), at)
        if save_points is not None:
            typer.echo(f"points in {quoted(mix.mixed.save(save_points))}")
        above, beside = ["", *columns.names], ["", *rows.names]
        save_grid_of([mix.grid(painter)], target, len(above), above=above, beside=beside)
    sides = painter.level_sides
    maps = f" (maps up to {sides[mix.at - 1]} pixels)" if sides else ""
    typer.echo(
        f"{counted(len(mix.mixed), 'picture')} in {quoted(target)}: the first {mix.at} of "
        f"{mix.levels} levels{maps} from the row's seed, the others from the column's"
    )
