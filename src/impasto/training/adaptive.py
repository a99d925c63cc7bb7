"""Adaptive augmentation probability (ADA: Karras et al. 2020, arXiv:2006.06676, section 3.1).

A discriminator that overfits takes ever more of the augmented real pictures x for real. The measure
r_t = E[sign(D(x))], equation 1, is 0 for a guessing discriminator and 1 for a certain one. Above a
target the augmentations' probability rises by a small step, below it falls.
"""

import torch
from torch import Tensor


class AdaptiveProbability:
    """The probability of augmentation, with its statistics, all on the device.

    Args:
        target: the target of r_t, in [-1, 1]; published: 0.6.
        every: discriminator updates between two steps of the probability.
        adjust_images: real pictures in which it can rise from 0 to 1.
        start: the initial probability, in [0, 1].
    """

    def __init__(
        self,
        *,
        target: float = 0.6,
        every: int = 4,
        adjust_images: int = 500_000,
        start: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.target = target
        self.every = every
        self.adjust_images = adjust_images
        self.state = torch.tensor([start, 0.0, 0.0, 0.0, 0.0], device=device)
        """[5] float32, all there is to resume from: the probability, the last overfitting sign, and
        since the last step the sum of the pictures' signs, the pictures and the updates."""

    @property
    def probability(self) -> Tensor:
        """Scalar in [0, 1], on the device."""
        return self.state[0]

    @property
    def overfitting_sign(self) -> Tensor:
        """Scalar in [-1, 1] on the device: r_t at the last step, 0 before the first."""
        return self.state[1]

    @torch.no_grad()
    def observe(self, total: Tensor, count: Tensor) -> None:
        """Take in what the discriminator makes of the real pictures of one of its updates.

        Args:
            total: sum of the signs of their realness, see `signs`.
            count: how many pictures.
        """
        probability, last, signs, pictures, updates = self.state.unbind()
        signs, pictures, updates = signs + total, pictures + count, updates + 1
        sign = signs / pictures
        step = torch.sign(sign - self.target) * pictures / self.adjust_images
        none = torch.zeros_like(signs)
        stepped = torch.stack([(probability + step).clamp(0, 1), sign, none, none, none])
        waiting = torch.stack([probability, last, signs, pictures, updates])
        # Computed on the device, without synchronisation.
        self.state = torch.where(updates >= self.every, stepped, waiting)


@torch.no_grad()
def signs(realness: Tensor, boundary: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """The sum over pictures of the mean sign of their realness, and the number of pictures.

    Args:
        realness: [B, N], of real pictures as augmented.
        boundary: see `Objective.boundary`.
    """
    realness = realness.float()
    count = realness.new_tensor(float(len(realness)))
    return torch.sign(realness - boundary).mean() * count, count
