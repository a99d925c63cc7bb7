"""The second stage of a stacked GAN (Zhang et al. 2017, StackGAN, arXiv:1612.03242, section 3.3).

A trained generator sketches a small picture; this one looks at the sketch and the label again, and
paints the large picture. GANtor-v2 works so, and GANGogh proposes it as its next step. There is no
discriminator here: any family's can judge the large pictures.
"""

from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.networks import build_generator, levels_above, one_hot
from impasto.networks._layers import Doubling

_KEPT = 0.95  # of the sketch's contrast under `skip`; the slope of tanh there is still 0.1


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(inputs: int, outputs: int, *, halve: bool = False) -> list[nn.Module]:
    """A convolution and its batch norm, side by side so that sampling can fold the two."""
    kernel, stride = (4, 2) if halve else (3, 1)
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def _layer(inputs: int, outputs: int, *, halve: bool = False) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, outputs, halve=halve), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Maps plus what two convolutions make of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels),
            nn.ReLU(inplace=True),
            *_convolution(channels, channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.layers(maps))


class Generator(nn.Module):
    """Latent and label to a small picture by a frozen first stage, and from there to a large one.

    The first stage may know only some of the label fields (`base_fields`): told genre alone it settles
    what is painted, and this stage, told genre and style, how.

    The trained part brings the small picture [B, 3, r, r] down to r/4, joins it there with the label
    repeated over all positions, and doubles it up to the resolution. It has no noise of its own: what
    differs between two pictures of a class is the first stage's to say, and training this stage
    cannot unlearn it.

    Channels halve at each doubling, so that each costs the same, and full resolution is left to a
    quarter of `width`. From 64 to 256 pixels at width 64, with labels, a picture takes 1.67 billion
    multiply-adds besides the first stage's own: 0.28 to look, 0.23 to join, 0.30 a residual block,
    0.13 a doubling and 0.03 for the last layer.

    Args:
        latent_dim: Z, of the first stage.
        resolution: H, `base_resolution` times 2, 4, 8, ...
        label_sizes: classes of each label field, or none; this stage knows all of them.
        base: the first stage, as {"network": its name, ...its settings}.
        base_resolution: r, of its pictures.
        base_fields: places in `label_sizes` of the label fields that the first stage knows, in its
            order; None: all of them.
        width: channels after the first convolution; 4 times as many at r/4, at least a quarter at
            the end.
        blocks: residual blocks at r/4. The paper takes 2 for 128 pixels and 4 for 256.
        skip: the small picture, enlarged, is where the large one starts from, and the layers paint
            what is to be changed. Not in the paper. The first pictures are then as good as the first
            stage's, which helps short trainings; the price is that its faults must be painted over.
    """

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: int,
        label_sizes: tuple[int, ...] = (),
        base: dict[str, Any] | None = None,
        base_resolution: Count = 64,
        base_fields: tuple[int, ...] | None = None,
        width: Count = 64,
        blocks: Count = 2,
        skip: bool = False,
    ) -> None:
        super().__init__()
        if not base or "network" not in base:
            raise ImpastoError(
                "network 'stacked' is a second stage and needs a first one: choose a recipe that has a "
                "first_stage, such as gantor_v2"
            )
        levels = levels_above(resolution, base_resolution, "stacked")
        self.label_sizes = label_sizes
        self.resolution = resolution
        self.skip = skip
        self.look = nn.Sequential(
            _layer(3, width),
            _layer(width, 2 * width, halve=True),
            _layer(2 * width, 4 * width, halve=True),
        )
        self.label = nn.Linear(sum(label_sizes), 2 * width) if label_sizes else None
        joined = 4 * width + (2 * width if label_sizes else 0)
        paint: list[nn.Module] = [
            _layer(joined, 4 * width),
            *(Residual(4 * width) for _ in range(blocks)),
        ]
        channels = 4 * width
        for _ in range(levels + 2):
            fewer = max(channels // 2, width // 4, 1)
            paint += [Doubling(channels, fewer), nn.BatchNorm2d(fewer), nn.ReLU(inplace=True)]
            channels = fewer
        self.paint = nn.Sequential(*paint, nn.Conv2d(channels, 3, 3, padding=1))
        self.apply(_initialise)
        known = range(len(label_sizes)) if base_fields is None else base_fields
        if not set(known) <= set(range(len(label_sizes))):
            raise ImpastoError(
                f"generator.base_fields is {list(known)}, but there are {len(label_sizes)} label "
                "fields; set first_stage.labels instead, and this follows"
            )
        # Not saved: a function of the settings. A buffer, so that it lies where the labels do.
        self.register_buffer(
            "base_fields",
            None if base_fields is None else torch.tensor(base_fields, dtype=torch.int64),
            persistent=False,
        )
        options = {name: value for name, value in base.items() if name != "network"}
        # Built last: its own first weights are not to be drawn anew.
        self.base = build_generator(
            base["network"],
            options,
            latent_dim=latent_dim,
            resolution=base_resolution,
            label_sizes=tuple(label_sizes[field] for field in known),
        )
        self.base.eval().requires_grad_(False)

    base_fields: Tensor | None

    def train(self, mode: bool = True) -> Self:
        """As ever, but the first stage stays as it is: in evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.stages(latents, labels)[-1]

    def stages(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The first stage's picture [B, 3, r, r] and the final one [B, 3, H, W]."""
        known = labels
        if self.base_fields is not None:
            known = labels.index_select(1, self.base_fields)
        with torch.no_grad():
            sketch: Tensor = self.base(latents, known)
        return sketch, self.repaint(sketch, labels)

    def repaint(self, sketch: Tensor, labels: Tensor) -> Tensor:
        """The large picture [B, 3, H, W] of a small one [B, 3, r, r]: the trained part by itself."""
        maps = self.look(sketch)
        if self.label is not None:
            said = self.label(one_hot(labels, self.label_sizes))
            maps = torch.cat([maps, said[:, :, None, None].expand(-1, -1, *maps.shape[2:])], dim=1)
        change: Tensor = self.paint(maps)
        if self.skip:
            enlarged = F.interpolate(sketch, size=self.resolution, mode="bilinear")
            change = change + torch.atanh(_KEPT * enlarged)
        return torch.tanh(change)
