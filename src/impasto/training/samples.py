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
    if _has_all_sizes(run):
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
    """Write the grids of the averaged generator's images of the fixed latents.

    Returns:
        The images [B, 3, H, W] in [-1, 1]; with several sizes those of the config's `resolution`.
    """
    sampler = Sampler(session.state.average, session.config.latent, session.device, fold=False)
    fakes = torch.cat([*_generate(sampler, session.fixed_latents, session.fixed_labels)])
    several = _has_all_sizes(run)
    pixels = _cells_of_all_sizes(sampler, session) if several else to_uint8(fakes).cpu().numpy()
    columns = columns_of(len(fakes))
    images_seen = session.state.images_seen
    save_grid(run / "samples" / f"fakes-{images_seen:012d}.png", pixels, columns)
    for name, grid in session.class_grids.items():
        cells = _class_cells(run, name, grid, sampler, session)
        path = run / "samples" / f"classes-{name}-{images_seen:012d}.png"
        save_grid(path, cells, columns=len(grid.classes))
    if board is not None:
        board.grid(pixels, images_seen, columns)
    return fakes


def _generate(
    sampler: Sampler, latents: torch.Tensor, labels: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Images [b, 3, H, W] of latents [B, Z] and labels [B, F], in batches."""
    for some in zip(latents.split(64), labels.split(64), strict=True):
        yield sampler.images(*some)


def _has_all_sizes(run: Path) -> bool:
    """Whether a run's grids have rows of each size. The grids of runs that an earlier version began have
    one size only, and keep it when the run is resumed."""
    return "cell" in read_run(run)[1].get("grid", {})


def _class_cells(
    run: Path, name: str, grid: ClassGrid, sampler: Sampler, session: Session
) -> np.ndarray:
    """The cells of a label field's class grid, uint8 [B, H, W, 3]. With several sizes the rows alternate
    between the sizes, except in runs that an earlier version began."""
    known = read_run(run)[1]["class_grids"][name]
    classes = len(grid.classes)

    def pictures(rows: int) -> np.ndarray:
        inputs = grid.inputs(session.fixed_latents[:rows])
        return np.concatenate(
            [to_uint8(images).cpu().numpy() for images in _generate(sampler, *inputs)]
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


def _cells_of_all_sizes(sampler: Sampler, session: Session) -> np.ndarray:
    """The cells, uint8 [B, H, W, 3], of a grid with the fixed latents in each size."""
    config, generator = session.config, session.state.average

    def pictures(size: Resolution, count: int) -> np.ndarray:
        """Images of the first `count` fixed latents; with more, the latents are repeated in order."""
        generator.paint_as(size)  # type: ignore[operator]
        numbers = torch.arange(count) % len(session.fixed_latents)
        inputs = session.fixed_latents[numbers], session.fixed_labels[numbers]
        return np.concatenate(
            [to_uint8(images).cpu().numpy() for images in _generate(sampler, *inputs)]
        )

    try:
        return in_rows(config.resolution, config.buckets, config.training.grid, pictures)
    finally:
        generator.paint_as(config.resolution)  # type: ignore[operator]


def describe_samples(session: Session, fakes: torch.Tensor) -> dict[str, float]:
    """The statistics that are recorded with a grid: its diversity, and the held-out probe of the
    discriminator if there is one."""
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
