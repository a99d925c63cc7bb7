"""Shared by several tests: Echo."""

from torch import Tensor, nn


class Echo(nn.Module):
    """Paints its latent: four values as grey squares, 2x2 and over again; the class is the last."""

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        grey = latents.clone() / 4
        if labels.shape[1]:
            grey[:, 3] = labels[:, 0] / 4
        return grey.view(-1, 1, 2, 2).repeat(1, 3, 4, 4)
