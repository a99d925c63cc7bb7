"""What `impasto sample` does with an ONNX file, without torch."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from impasto.cli._sampling import Options, option_of, seeds_of
from impasto.cli._shared import stoppable
from impasto.errors import ImpastoError
from impasto.formatting import counted, quoted

if TYPE_CHECKING:  # only for the types: --help must not wait for these
    from collections.abc import Iterator

    import numpy as np

    from impasto.sampling.onnx_model import OnnxModel

_TAKEN = {"seeds", "truncation", "classes", "every_class", "points", "like", "grid", "out"}


def check(options: Options, **others: Any) -> None:
    """Check that nothing is asked for that an ONNX file cannot do.

    Args:
        options: what is asked for.
        others: further options with their values; None or False if they were not given.

    Raises:
        ImpastoError: something is.
    """
    asked = {name: value for name, value in asdict(options).items() if name not in _TAKEN}
    for name, value in (asked | others).items():
        if not (value is None or value is False or value == []):
            raise ImpastoError(
                f"{option_of(name)} is not for ONNX files: leave it out, or give the run or the model "
                "folder"
            )


def sample(
    path: Path,
    options: Options,
    batch: int,
    device: str,
    steps: int | None,
    sampler: str | None,
    guidance: float | None,
    guide: Path | None,
    aspect: str | None,
    precision: str,
) -> None:
    """Check the options, and generate the pictures.

    Raises:
        ImpastoError: as `check`, or another device than the CPU is asked for.
    """
    if device not in ("auto", "cpu"):
        raise ImpastoError(f"ONNX files are painted on the CPU: leave out --device {device}")
    check(
        options,
        steps=steps,
        sampler=sampler,
        guidance=guidance,
        guide=guide,
        aspect=aspect,
        precision=precision != "float32",
    )
    options.check()
    with stoppable():
        paint(path, options, batch)


def paint(path: Path, options: Options, batch: int) -> None:
    """Generate the pictures that the options ask for with an ONNX file."""
    from impasto.sampling.class_choice import field_of, parse_mixtures
    from impasto.sampling.onnx_check import MOST_BYTES, limited_memory
    from impasto.sampling.onnx_model import OnnxModel

    with limited_memory(MOST_BYTES):
        model = OnnxModel.load(path)
    target = Path("samples") / path.stem
    if files := [*(options.points or []), *(options.like or [])]:
        _paint_points(model, files, options, batch, target)
        return
    seeds = seeds_of(options.seeds, every_class=options.every_class is not None, candidates=None)
    chosen, mixtures = parse_mixtures(model.record, options.classes or [])
    if options.every_class is None:
        _save(model, seeds, model.weights(seeds, chosen, mixtures), options, batch, target)
        return
    if mixtures:
        options.leave_out("a mixture is one class for all", "every_class")
    field = field_of(model.record, options.every_class)
    _paint_every_class(model, seeds, chosen, field, options, batch, target)


def _limited(
    model: "OnnxModel", batches: "Iterator[np.ndarray]", batch: int
) -> "Iterator[np.ndarray]":
    """Images in batches, each within the memory that such a model may take."""
    from impasto.sampling.onnx_check import limited_memory, memory_for

    more = memory_for(model.record, model.size, batch)
    while True:
        with limited_memory(more):
            images = next(batches, None)
        if images is None:
            return
        yield images


def _painted(
    model: "OnnxModel", seeds: list[int], weights: "np.ndarray", options: Options, batch: int
) -> "Iterator[np.ndarray]":
    """Images of the seeds in batches."""
    batches = model.paint(seeds, weights, truncation=options.truncation, batch=batch)
    return _limited(model, batches, batch)


def _save(
    model: "OnnxModel",
    seeds: list[int],
    weights: "np.ndarray",
    options: Options,
    batch: int,
    target: Path,
) -> None:
    """Generate a picture for each seed, with these class weights [B, K]."""
    from impasto.sampling.output import seed_name

    pictures = _painted(model, seeds, weights, options, batch)
    texts = model.texts(seeds, weights, options.truncation)
    _write(pictures, [seed_name(seed) for seed in seeds], texts, options, target)


def _paint_points(
    model: "OnnxModel", files: list[Path], options: Options, batch: int, target: Path
) -> None:
    """Generate a picture for each point of these files."""
    points = model.points(files)
    count = len(points.latents)
    pictures = _limited(model, model.paint_points(points, batch), batch)
    texts = (points.single(number).text() for number in range(count))
    _write(pictures, [f"point-{number:04d}" for number in range(count)], texts, options, target)


def _write(
    pictures: "Iterator[np.ndarray]",
    names: list[str],
    texts: "Iterator[str]",
    options: Options,
    target: Path,
) -> None:
    """Write pictures into the grid or the folder that is asked for."""
    from impasto.sampling.output import save_grid_of, save_pictures

    if options.grid is not None:
        save_grid_of(pictures, options.grid)
    else:
        save_pictures(pictures, names, options.out or target, texts)
    where = options.grid or options.out or target
    typer.echo(f"{counted(len(names), 'picture')} in {quoted(where)}")


def _paint_every_class(
    model: "OnnxModel",
    seeds: list[int],
    chosen: dict[int, int],
    field: int,
    options: Options,
    batch: int,
    target: Path,
) -> None:
    """Generate each seed in every class of a field."""
    import numpy as np

    from impasto.sampling.class_choice import columns_of, weights_of_rows
    from impasto.sampling.output import save_every_class

    names, labels = columns_of(model.record, field, chosen)
    repeated = [seed for seed in seeds for _ in names]
    weights = np.tile(weights_of_rows(model.record, labels, {}), (len(seeds), 1))
    pictures = _painted(model, repeated, weights, options, batch)
    texts = model.texts(repeated, weights, options.truncation)
    where = save_every_class(
        pictures,
        texts,
        seeds,
        model.record.labels[field],
        names,
        grid=options.grid,
        out=options.out,
        default=target,
    )
    known = model.record.labels[field]
    typer.echo(
        f"{counted(len(seeds), 'seed')} in {len(names)} of {len(known.classes)} classes of "
        f"{known.name}: {quoted(str(where))}"
    )
