"""Sample grids during training, with fixed latents and labels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from impasto.resolution import Resolution
from impasto.sampling import Sampler
from impasto.sampling.bucket_grids import in_rows
from impasto.sampling.class_choice import ClassGrid
from impasto.sampling.grid import columns_of
from impasto.sampling.output import save_grid
from impasto.sampling.pixels import to_uint8
from impasto.training.heldout_probe import probe_heldout
from impasto.training.records import TensorBoard, diversity
from impasto.training.run_folder import read_run
from impasto.training.session import Session


def draw_reals(run: Path, session: Session) -> None:
    """Write the grid of real pictures."""
    config, pictures = session.config, session.pictures
    if _of_all_sizes(run):
        pixels = in_rows(
            config.resolution,
            config.buckets,
            config.training.grid,
            lambda size, count: to_uint8(pictures.fixed(count, size)[0]).cpu().numpy(),
        )
    else:
        pixels = to_uint8(session.reals).cpu().numpy()
    save_grid(run / "samples" / "reals.png", pixels, columns_of(config.training.grid))


def draw_samples(run: Path, session: Session, board: TensorBoard | None) -> torch.Tensor:
    """Write the averaged generator's grids of the fixed latents; gives its pictures of these, of several
    sizes of the config's `resolution`."""
    sampler = Sampler(session.state.average, session.config.latent, session.device, fold=False)
    fakes = torch.cat([*_painted(sampler, session.fixed_latents, session.fixed_labels)])
    several = _of_all_sizes(run)
    pixels = _of_each_size(sampler, session) if several else to_uint8(fakes).cpu().numpy()
    columns = columns_of(len(fakes))
    images_seen = session.state.images_seen
    save_grid(run / "samples" / f"fakes-{images_seen:012d}.png", pixels, columns)
    for name, grid in session.class_grids.items():
        cells = _of_classes(run, name, grid, sampler, session)
        path = run / "samples" / f"classes-{name}-{images_seen:012d}.png"
        save_grid(path, cells, columns=len(grid.classes))
    if board is not None:
        board.grid(pixels, images_seen, columns)
    return fakes


def _painted(
    sampler: Sampler, latents: torch.Tensor, labels: torch.Tensor
) -> Iterator[torch.Tensor]:
    """The pictures of latents, in batches."""
    for some in zip(latents.split(64), labels.split(64), strict=True):
        yield sampler.images(*some)


def _of_all_sizes(run: Path) -> bool:
    """Whether a run's grids have rows of each size. Those of earlier versions have one size only, and
    stay so when the run goes on."""
    return "cell" in read_run(run)[1].get("grid", {})


def _of_classes(
    run: Path, name: str, grid: ClassGrid, sampler: Sampler, session: Session
) -> np.ndarray:
    """The cells of a label field's grid; of several sizes the rows take turns, except in runs of earlier
    versions."""
    known = read_run(run)[1]["class_grids"][name]
    classes = len(grid.classes)

    def pictures(rows: int) -> np.ndarray:
        inputs = grid.inputs(session.fixed_latents[:rows])
        return np.concatenate(
            [to_uint8(images).cpu().numpy() for images in _painted(sampler, *inputs)]
        )

    if "sizes" not in known:
        return pictures(grid.rows)
    config, generator = session.config, session.state.average

    def of_size(size: Resolution, count: int) -> np.ndarray:
        generator.paint_as(size)  # type: ignore[operator]
        return pictures(count // classes)

    try:
        return in_rows(
            config.resolution, config.buckets, known["rows"] * classes, of_size, columns=classes
        )
    finally:
        generator.paint_as(config.resolution)  # type: ignore[operator]


def _of_each_size(sampler: Sampler, session: Session) -> np.ndarray:
    """The cells of a grid in which the fixed latents are painted in each size."""
    config, generator = session.config, session.state.average

    def pictures(size: Resolution, count: int) -> np.ndarray:
        """Of the first so many latents, again from the first where there are no more."""
        generator.paint_as(size)  # type: ignore[operator]
        numbers = torch.arange(count) % len(session.fixed_latents)
        inputs = session.fixed_latents[numbers], session.fixed_labels[numbers]
        return np.concatenate(
            [to_uint8(images).cpu().numpy() for images in _painted(sampler, *inputs)]
        )

    try:
        return in_rows(config.resolution, config.buckets, config.training.grid, pictures)
    finally:
        generator.paint_as(config.resolution)  # type: ignore[operator]


def describe_samples(session: Session, fakes: torch.Tensor) -> dict[str, float]:
    """The statistics of a grid, and of the discriminator at that moment, if there is one."""
    described = {"diversity/fake": diversity(fakes), "diversity/real": session.real_diversity}
    if session.config.discriminator is None:
        return described
    return described | probe_heldout(
        session.state.discriminator,
        session.objective,
        session.pictures,
        session.config.labels,
        (fakes, session.fixed_labels),
        real_noise=session.config.training.real_noise,
        fake_noise=session.config.training.fake_noise,
    )
