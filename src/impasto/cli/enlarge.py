"""`impasto enlarge`: pictures two or four times as large."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from impasto.cli._shared import Device, stoppable
from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    import torch

_SEEDS = "0-15"


def command(
    pictures: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURES|RUN...",
            help="Pictures; folders and archives of pictures; runs, checkpoints and models, which paint "
            "the pictures of --seeds.",
        ),
    ],
    by: Annotated[int, typer.Option(metavar="2|4", help="Factor of width and height.")] = 4,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder for the PNGs; those of a run go into a subfolder with its name. PNGs that are "
            "there already are kept, except those of a run, which are replaced.",
        ),
    ] = Path("enlarged"),
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS",
            help="For runs and models: the seeds to paint, such as 7, 0-63 or 1,5,10-20.",
            show_default=_SEEDS,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Weights of a known super-resolution network, such as ESRGAN or SwinIR: safetensors, "
            "or a file that holds tensors only. The extra 'enlarge' reads them.",
            show_default="the network in this package",
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Enlarge pictures by a small network that was trained on paintings, or by one of --weights.

    For a run, the newest checkpoint paints; give RUN/best for its best one. sample --enlarge has more
    ways to choose its pictures.
    """
    from impasto.device import choose_device

    models = [path for path in pictures if _is_model(path)]
    files = [path for path in pictures if path not in models]
    if seeds is not None and not models:
        raise ImpastoError("--seeds are of a run or model, and none is given: leave them out")
    where = choose_device(device)
    with stoppable("no file is left half written, and the same command goes on"):
        if models:
            _enlarge_seeds(models, seeds or _SEEDS, out, by, weights, where)
        if files:
            _enlarge_files(files, out, by, weights, where)


def _is_model(path: Path) -> bool:
    """Whether it stands for a run or a model, rather than for pictures."""
    from impasto.sampling.model import BEST, HUB, MODEL_FILE
    from impasto.sampling.shipped import SHIPPED

    if path.exists():
        return (path / MODEL_FILE).is_file() or (path / "run.json").is_file()
    named = str(path) in SHIPPED or str(path).startswith(HUB)
    return named or (path.name == BEST and (path.parent / "run.json").is_file())


def _enlarge_seeds(
    models: list[Path],
    seeds: str,
    out: Path,
    by: int,
    weights: Path | None,
    device: torch.device,
) -> None:
    from dataclasses import replace

    from impasto.enlarging import finisher
    from impasto.sampling import find_model
    from impasto.sampling.model import name_of
    from impasto.sampling.output import save_pictures, seed_name
    from impasto.sampling.painter import Painter
    from impasto.sampling.seeds import parse_seeds

    finish, numbers = finisher(by, device, weights), parse_seeds(seeds)
    for model in models:
        painter = replace(Painter.load(find_model(model), device, batch=16), finish=finish)
        labels, folder = painter.labels(numbers, {}), out / name_of(model)
        names = [seed_name(seed) for seed in numbers]
        batches = painter.paint(numbers, labels)
        save_pictures(batches, names, folder, painter.texts(numbers, labels))
        typer.echo(f"{counted(len(numbers), 'picture')} in {quoted(folder)}")


def _enlarge_files(
    files: list[Path], out: Path, by: int, weights: Path | None, device: torch.device
) -> None:
    from impasto.enlarging import load_enlarger
    from impasto.enlarging.files import enlarge_files
    from impasto.progress import counting

    network = load_enlarger(device, weights)
    with counting("pictures") as update:
        result = enlarge_files(files, out, network, by, progress=update)
    for name, reason in result.left_out:
        typer.echo(f"left out: {name}: {reason}", err=True)
    if result.kept:
        typer.echo(f"{counted(len(result.kept), 'picture')} of these names were there already")
    if not result.made and not result.kept:
        raise ImpastoError(f"nothing was enlarged; {quoted(out)} has no new picture")
    typer.echo(f"{counted(len(result.made), 'picture')} in {quoted(out)}")
