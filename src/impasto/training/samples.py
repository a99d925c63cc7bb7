"""Sample grids during training, with fixed latents and labels."""

from pathlib import Path

import numpy as np
import torch

from impasto.sampling import Sampler
from impasto.sampling.output import save_grid
from impasto.sampling.pixels import to_uint8
from impasto.training.heldout_probe import probe_heldout
from impasto.training.records import TensorBoard, diversity
from impasto.training.session import Session


def draw_samples(run: Path, session: Session, board: TensorBoard | None) -> torch.Tensor:
    """Write the averaged generator's grids of the fixed latents; gives the pictures of the first."""
    sampler = Sampler(session.state.average, session.config.latent, session.device, fold=False)
    fakes = torch.cat(
        [
            sampler.images(latents, labels)
            for latents, labels in zip(
                session.fixed_latents.split(64), session.fixed_labels.split(64), strict=True
            )
        ]
    )
    pixels = to_uint8(fakes).cpu().numpy()
    images_seen = session.state.images_seen
    save_grid(run / "samples" / f"fakes-{images_seen:012d}.png", pixels)
    for name, grid in session.class_grids.items():
        latents, labels = grid.inputs(session.fixed_latents[: grid.rows])
        painted = [
            to_uint8(sampler.images(*some)).cpu().numpy()
            for some in zip(latents.split(64), labels.split(64), strict=True)
        ]
        path = run / "samples" / f"classes-{name}-{images_seen:012d}.png"
        save_grid(path, np.concatenate(painted), columns=len(grid.classes))
    if board is not None:
        board.grid(pixels, images_seen)
    return fakes


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
