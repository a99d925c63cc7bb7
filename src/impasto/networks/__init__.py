"""Generators and discriminators: one file a family, found by its name.

Shapes: B pictures, 3 channels, H = W = resolution; Z latent values; F label fields; K classes.

Contract, kept by every file here:
- `Generator(*, latent_dim, resolution, label_sizes, ...)`, called with latents [B, Z] and labels
  [B, F] (int64, -1 = unknown), gives images [B, 3, H, W] in [-1, 1];
- `Discriminator(*, resolution, label_sizes, ...)`, called with images and labels, gives a
  `Judgement`.
A generator whose later part can paint from a discriminator's features has `decode(features) ->
images`; one that paints in stages has `stages(latents, labels) -> (images, ..., images)`, the last of
them what calling it gives.
A frozen part (pretrained features) must also stay in evaluation mode when `train()` is called, or
its batch norms move. Noise inside a generator must come from its latents, or be off in evaluation
mode: a seed names a picture.

Further keyword-only arguments are the family's settings, reached as `--set generator.NAME=VALUE`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.registry import load_module, resolve_options

_GIVEN = ("latent_dim", "resolution", "label_sizes")


class Judgement(NamedTuple):
    """What a discriminator says of a batch."""

    realness: Tensor
    """[B, N] logits (or critic scores), N of them a picture: one, or heads times patches."""
    class_logits: tuple[Tensor, ...] | None = None
    """A [B, K] tensor a label field, where the network classifies."""
    features: Tensor | None = None
    """[B, C, h, w] activations, where a term asks for them."""
    reconstruction: Tensor | None = None
    """[B, 3, h, w] in [-1, 1]: the pictures as the network's own decoder paints them again, where it
    has one; h = w may be a fraction of H."""
    reconstruct: Callable[[], tuple[tuple[Tensor, Tensor], ...]] | None = None
    """Where the network has several decoders, of which only some terms ask: pairs of what they paint
    and what that should be, the picture or a part of it, each [B, 3, h, w] in [-1, 1]."""
    realness_under: Callable[[Tensor], Tensor] | None = None
    """Where labels come in only at the network's end: the realness of the same pictures under other
    labels [B, F], without looking at the pictures again."""


def _family(name: str, player: str) -> Any:
    module = load_module("networks", name, "network")
    if not hasattr(module, player):
        raise ImpastoError(f"network '{name}' has no {player.lower()}; choose another")
    return getattr(module, player)


def resolve_network(name: str, player: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a network, given and by default; `player` is `generator` or `discriminator`.

    Raises:
        ImpastoError: an unknown network or option (listing the valid ones), or a wrong value.
    """
    return resolve_options(_family(name, player.capitalize()), options, player, _GIVEN)


def build_generator(
    name: str,
    options: Mapping[str, Any],
    *,
    latent_dim: int,
    resolution: int,
    label_sizes: tuple[int, ...] = (),
) -> nn.Module:
    """The generator of family `name` with fresh weights, drawn from torch's global random state."""
    options = resolve_network(name, "generator", options)
    module: nn.Module = _family(name, "Generator")(
        latent_dim=latent_dim, resolution=resolution, label_sizes=label_sizes, **options
    )
    return module


def build_discriminator(
    name: str,
    options: Mapping[str, Any],
    *,
    resolution: int,
    label_sizes: tuple[int, ...] = (),
) -> nn.Module:
    """The discriminator of family `name` with fresh weights, as `build_generator`."""
    options = resolve_network(name, "discriminator", options)
    module: nn.Module = _family(name, "Discriminator")(
        resolution=resolution, label_sizes=label_sizes, **options
    )
    return module


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def refuse_labels(label_sizes: tuple[int, ...], network: str) -> None:
    """For a network that knows no classes.

    Raises:
        ImpastoError: it is asked to be conditioned on some.
    """
    if label_sizes:
        raise ImpastoError(
            f"network '{network}' knows no classes: leave out --labels (or --set labels=[])"
        )


def one_hot(labels: Tensor, label_sizes: tuple[int, ...]) -> Tensor:
    """Labels [B, F] as [B, K1 + K2 + ...] float32: a one at each field's class, nothing where it is
    unknown. Made where the labels are; no value is read on the host."""
    rows = [
        labels[:, field, None] == torch.arange(size, device=labels.device)
        for field, size in enumerate(label_sizes)
    ]
    if not rows:
        return torch.zeros(len(labels), 0, device=labels.device)
    return torch.cat(rows, dim=1).float()


class ClassHead(nn.Module):
    """Features [B, D] to class logits, a tensor [B, K] a label field; None without fields."""

    def __init__(self, features: int, label_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        self.linear = nn.Linear(features, sum(label_sizes)) if label_sizes else None

    def forward(self, features: Tensor) -> tuple[Tensor, ...] | None:
        if self.linear is None:
            return None
        return self.linear(features).split(self.label_sizes, dim=1)


def levels_above(resolution: int, base: int, network: str) -> int:
    """How often `base` doubles to `resolution`.

    Raises:
        ImpastoError: it is not `base` times a power of two.
    """
    levels = (resolution // base).bit_length() - 1
    if levels < 1 or base << levels != resolution:
        raise ImpastoError(
            f"network '{network}' makes pictures of {base * 2}, {base * 4}, {base * 8}, ... pixels, "
            f"not {resolution}; choose one of these with --set resolution"
        )
    return levels
