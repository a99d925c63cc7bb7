"""`impasto sample`: pictures from a run or a model."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    model: Annotated[Path, typer.Argument(help="A run, one of its checkpoints, or a model.")],
    seeds: Annotated[str, typer.Option(help="Such as 7, 0-63 or 1,5,10-20.")] = "0-63",
    truncation: Annotated[
        float | None,
        typer.Option(help="Stay within this distance of the middle: 0.7 is safer, less varied."),
    ] = None,
    grid: Annotated[
        Path | None, typer.Option(help="One PNG with all of them, instead of one each.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for one PNG a seed.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    batch: Annotated[int, typer.Option(min=1, help="Pictures made at once.")] = 64,
) -> None:
    """Make pictures: one PNG a seed, named by it, or one grid of them all."""
    from impasto.device import choose_device
    from impasto.errors import ImpastoError
    from impasto.sampling import Model, Sampler, find_model, parse_seeds
    from impasto.sampling.output import save_grid_of, save_pictures
    from impasto.words import counted

    numbers = parse_seeds(seeds)
    if grid is not None and out is not None:
        raise ImpastoError("--grid makes one picture and --out one a seed: choose one of the two")
    folder = find_model(model)
    loaded = Model.load(folder)
    sampler = Sampler(
        loaded.generator,
        loaded.latent,
        choose_device(device),
        label_fields=len(loaded.record.labels),
    )
    batches = sampler.batches(numbers, truncation=truncation, batch=batch)
    if grid is not None:
        save_grid_of(batches, grid)
        typer.echo(f"{counted(len(numbers), 'picture')} in {grid}")
        return
    target = out or Path("samples") / (model.resolve().name)
    save_pictures(batches, numbers, target)
    typer.echo(f"{counted(len(numbers), 'picture')} in {target}")
