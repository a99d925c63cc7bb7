"""The second stage of a stacked GAN (Zhang et al. 2017, StackGAN, arXiv:1612.03242, section 3.3).

A trained first stage makes a small image. The second stage is conditioned on that image and on
the label, and makes a large image. GANtor-v2 does so, and GANGogh proposes it as its next step.
There is no discriminator here: that of any family can be used.
"""

import math
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count
from impasto.errors import ImpastoError
from impasto.networks import build_generator, of_fields, one_hot
from impasto.networks._canvas import at_positions, spread
from impasto.networks._layers import Doubling
from impasto.networks._start import levels_above

_KEPT = 0.95  # factor of the small image under `skip`; the slope of tanh is then at least 0.0975


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _convolution(inputs: int, outputs: int, *, halve: bool = False) -> list[nn.Module]:
    """A convolution and its batch norm, adjacent so that sampling can fold the two."""
    kernel, stride = (4, 2) if halve else (3, 1)
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def _layer(inputs: int, outputs: int, *, halve: bool = False) -> nn.Sequential:
    return nn.Sequential(*_convolution(inputs, outputs, halve=halve), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Residual block of two convolutions with batch norm. Maps [B, C, h, w] keep their shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_convolution(channels, channels),
            nn.ReLU(inplace=True),
            *_convolution(channels, channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(maps + self.layers(maps))


def _painting_layers(joined: int, width: int, blocks: int, doublings: int) -> nn.Sequential:
    """Maps of `joined` channels to pictures of 2**doublings times their side."""
    layers: list[nn.Module] = [
        _layer(joined, 4 * width),
        *(Residual(4 * width) for _ in range(blocks)),
    ]
    channels = 4 * width
    for _ in range(doublings):
        fewer = max(channels // 2, width // 4, 1)
        layers += [Doubling(channels, fewer), nn.BatchNorm2d(fewer), nn.ReLU(inplace=True)]
        channels = fewer
    return nn.Sequential(*layers, nn.Conv2d(channels, 3, 3, padding=1))


class Generator(nn.Module):
    """Latent and label to a small image by a frozen first stage, and from there to a large one.

    The first stage may be conditioned on some of the label fields only (`base_fields`). For
    example, conditioned on genre it decides the subject, and the second stage, conditioned on
    genre and style, the manner.

    The trained part encodes the small image [B, 3, r, r] to maps of side r/4, concatenates the
    label at all positions, and upsamples to the resolution. It has no noise of its own. So the
    differences between two images of a class come from the first stage, and training this stage
    does not change them.

    Channels halve at each doubling, so that all doublings cost the same, down to a quarter of
    `width` at full resolution. From 64 to 256 pixels at width 64, with labels, an image takes
    1.67 billion multiply-adds besides the first stage's own: 0.28 for the encoder, 0.23 to join,
    0.30 a residual block, 0.13 a doubling and 0.03 for the last layer.

    Args:
        latent_dim: Z, of the first stage.
        resolution: H, `base_resolution` times 2, 4, 8, ...
        label_sizes: classes of each label field, or none; this stage is conditioned on all of them.
        base: the first stage, as {"network": its name, ...its settings}.
        base_resolution: r, the resolution of the first stage.
        base_fields: indices in `label_sizes` of the label fields that the first stage is
            conditioned on, in its order. None: all of them.
        width: channels after the first convolution; 4 times as many at r/4, at least a quarter at
            the end.
        blocks: residual blocks at r/4. The paper has 2 for 128 pixels and 4 for 256.
        skip: whether the layers are added to the upsampled small image, before the tanh. Not in
            the paper. The first images are then as good as the first stage's, which helps short
            trainings. The price is that the layers must also correct its faults.

    Raises:
        ImpastoError: there is no `base`, or `base_fields` or a resolution does not fit.
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
        self.factor = 1 << levels
        self.skip = skip
        self.look = nn.Sequential(
            _layer(3, width),
            _layer(width, 2 * width, halve=True),
            _layer(2 * width, 4 * width, halve=True),
        )
        self.label = nn.Linear(sum(label_sizes), 2 * width) if label_sizes else None
        joined = 4 * width + (2 * width if label_sizes else 0)
        self.paint = _painting_layers(joined, width, blocks, levels + 2)
        self.apply(_initialise)
        conditions = range(len(label_sizes)) if base_fields is None else base_fields
        if not set(conditions) <= set(range(len(label_sizes))):
            raise ImpastoError(
                f"generator.base_fields is {list(conditions)}, but there are {len(label_sizes)} label "
                "fields; set first_stage.labels instead, which determines it"
            )
        self.base_fields = None if base_fields is None else tuple(base_fields)
        options = {name: value for name, value in base.items() if name != "network"}
        # Built last, so that `apply` above does not initialise its weights again.
        self.base = build_generator(
            base["network"],
            options,
            latent_dim=latent_dim,
            resolution=base_resolution,
            label_sizes=tuple(label_sizes[field] for field in conditions),
        )
        self.base.eval().requires_grad_(False)
        # At a quarter of the first stage's side, 2 of its positions and more for each block.
        self.own_margin = math.ceil((2 * blocks + 6) / (base_resolution / 4))

    @property
    def canvas_side(self) -> int:
        """The `canvas_side` of the first stage; see `networks/__init__.py`."""
        return self.base.canvas_side  # type: ignore[return-value]

    @property
    def canvas_margin(self) -> int:
        """The `canvas_margin` of the first stage plus that of this one; see `networks/__init__.py`."""
        return self.base.canvas_margin + self.own_margin  # type: ignore[return-value, operator]

    def canvas(self, latents: Tensor, labels: Tensor) -> Tensor:
        """A canvas of fields, as the first stage takes them, and [B, K, h, w]."""
        own = labels
        if self.base_fields is not None:
            own = of_fields(labels, self.label_sizes, self.base_fields)
        small: Tensor = self.base.canvas(latents, own)  # type: ignore[operator]
        return self.repaint(small, labels)

    def train(self, mode: bool = True) -> Self:
        """Set training mode; the frozen first stage stays in evaluation mode."""
        super().train(mode)
        self.base.eval()
        return self

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        return self.stages(latents, labels)[-1]

    def stages(self, latents: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The first stage's image [B, 3, r, r] and the final one [B, 3, H, W], in [-1, 1]."""
        base_labels = labels
        if self.base_fields is not None:
            base_labels = of_fields(labels, self.label_sizes, self.base_fields)
        # The latents have a gradient only where they are searched for a given picture.
        wanted = torch.is_grad_enabled() and (latents.requires_grad or labels.requires_grad)
        with torch.set_grad_enabled(wanted):
            small: Tensor = self.base(latents, base_labels)
        return small, self.repaint(small, labels)

    def repaint(self, small: Tensor, labels: Tensor) -> Tensor:
        """The trained part alone.

        Args:
            small: [B, 3, r, r] images of the first stage, in [-1, 1].
            labels: [B, F]; or a field of class weights for a canvas.

        Returns:
            The large images [B, 3, H, W], in [-1, 1].
        """
        maps = self.look(small)
        if self.label is not None:
            if labels.ndim == 4:
                label = spread(at_positions(self.label, labels), maps)
            else:
                label = self.label(one_hot(labels, self.label_sizes))[:, :, None, None]
            maps = torch.cat([maps, label.expand(-1, -1, *maps.shape[2:])], dim=1)
        change: Tensor = self.paint(maps)
        if self.skip:
            size = [self.factor * side for side in small.shape[2:]]
            enlarged = F.interpolate(small, size, mode="bilinear")
            change = change + torch.atanh(_KEPT * enlarged)
        return torch.tanh(change)
