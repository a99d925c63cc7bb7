"""Generators and discriminators: one file a family, found by its name.

Shapes: B images, 3 channels, H x W of the resolution; Z latent values; F label fields; K classes.

Every family keeps this contract:
- `Generator(*, latent_dim, resolution, label_sizes, ...)` is called with latents [B, Z] and
  labels [B, F] (int64, -1 = unknown). It returns images [B, 3, H, W] in [-1, 1]. In place of labels
  it also takes class weights [B, K1 + K2 + ...] (float32), for pictures between classes.
- `Discriminator(*, resolution, label_sizes, ...)` is called with images and labels. It returns a
  `Judgement`.

A family whose `resolution` is annotated `Resolution` also makes rectangles, and `start_of` of
`_start.py` gives the height and width of its smallest maps; one with `int` makes squares only.

Further keyword-only arguments are the family's settings, set with `--set generator.NAME=VALUE`.

A generator that can make latents of an autoencoder in place of pictures also takes `latent_channels`,
the number of their channels; they have no bounds. Its `resolution` is that of the latents then.

A file may have a function `latent_dim(resolution, **settings)`: the number of latent values of a
network that does not take any number; it gets `latent_channels`, too, where the network makes
latents, and `buckets`, where there are several sizes. It may have a function `one_size(**settings)`:
whether a network that takes several sizes takes only one with these settings. The file may have
`AT_SAMPLING`, the names of settings that may be changed when sampling, of `steps`, `sampler`,
`guidance` and `guide`; with `guide`, the generator has a method `guided_by(generator)`.

A file may have a class `Autoencoder(*, ...settings)`, whose settings include `scale`. It has the methods
`encoder()` and `decoder()`, which give frozen modules (images to latents, and back), `identified()`,
which gives the settings that determine the weights, among them `encoder_sha256`, and the attributes
`channels`, `reduction` (of the side) and `scale`.

A generator may have further methods and attributes:
- `decode(features) -> images` makes images from a discriminator's features.
- `stages(latents, labels) -> (images, ..., images)` returns the image of each stage. The last is
  the generator's result.
- `levels`, the number L of levels that take a latent, where there are several. The generator then also
  takes latents [B, L, Z], one for each level; [B, Z] is the same latent at all levels. `level_sides`, a
  tuple, has the side of each level's maps (for rectangles that of a square of about as many pixels).
- `canvas(latents, labels) -> images` makes a picture of R x C pictures' size, whose latents and classes
  change from place to place: latents [B, Z, R * n, C * n] (or [B, L, Z, ...]) and class weights [B, K,
  R * n, C * n] give images [B, 3, R * H, C * H]; see `_canvas.py`. Such a generator has the attributes
  `canvas_side`, n, and `canvas_margin`: a pixel depends on nothing beyond so many pictures from its own
  one. If all places of R = C = 1 have the same values, the image is that of these values. With a
  `canvas_margin` of None a canvas is made as a whole, and the method also takes `tile`, whether it is
  to continue at its opposite edges.
- `paint_as(size)`, if the constructor has the argument `buckets`: images have this one of the bucket
  sizes from then on. At first they have the size `resolution`.
- `denoise(noisy, times, labels) -> images` is the network of a flow or diffusion model, which
  `forward` calls several times.

A frozen part (pretrained features) must stay in evaluation mode when `train()` is called.
Otherwise its batch norms change. Noise in a generator must come from its latents or be off in
evaluation mode, so that a seed always gives the same image.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError, choices
from impasto.networks._latent import LatentGenerator
from impasto.networks._start import levels_above as levels_above  # networks of plugins use it
from impasto.registry import load_module, names, option_types, resolve_options
from impasto.resolution import Resolution, resolution_of, width_and_height

_GIVEN = {
    "generator": ("latent_dim", "resolution", "label_sizes", "latent_channels", "buckets"),
    "discriminator": ("resolution", "label_sizes", "buckets"),
}
"""Constructor arguments that impasto fills in; all others are settings of the network."""


class Judgement(NamedTuple):
    """A discriminator's output for a batch."""

    realness: Tensor
    """[B, N] logits (or critic scores), N an image: one, or one a head and patch."""
    class_logits: tuple[Tensor, ...] | None = None
    """One tensor [B, K] a label field, where the network classifies."""
    features: Tensor | None = None
    """[B, C, h, w] activations that some terms use."""
    reconstruction: Tensor | None = None
    """[B, 3, h, w] in [-1, 1]: the images as reconstructed by the network's decoder, where it has
    one. h and w may be a fraction of H and W."""
    reconstruct: Callable[[], tuple[tuple[Tensor, Tensor], ...]] | None = None
    """Computes the reconstructions of a network with several decoders, which only some terms
    need. Returns a pair a decoder: the reconstruction and its target, the image or a part of it,
    each [B, 3, h, w] in [-1, 1]."""
    realness_under: Callable[[Tensor], Tensor] | None = None
    """Computes the realness [B, N] of the same images with other labels [B, F], without another
    forward pass. Only networks that use labels in their last layers have it."""


def _family(name: str, role: str) -> Any:
    module = load_module("networks", name, "network")
    if not hasattr(module, role):
        raise ImpastoError(f"network '{name}' has no {role.lower()}; choose another")
    return getattr(module, role)


def settings_given(role: str) -> tuple[str, ...]:
    """The constructor arguments of a network of this role that are not settings."""
    return _GIVEN.get(role, ())


def resolve_network(name: str, role: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a network, with defaults filled in.

    Args:
        name: the family.
        role: `generator`, `discriminator` or `autoencoder`.
        options: the settings that were chosen.

    Raises:
        ImpastoError: an unknown network or setting (the message lists the valid ones), or an
            invalid value.
    """
    return resolve_options(_family(name, role.capitalize()), options, role, settings_given(role))


def _able(role: str, can: Callable[[str, str], bool]) -> list[str]:
    """The families with a generator or discriminator for which `can(family, role)` is true."""
    return [
        each
        for each in names("networks")
        if hasattr(load_module("networks", each, "network"), role.capitalize()) and can(each, role)
    ]


def makes_rectangles(name: str, role: str) -> bool:
    """Whether a family's generator or discriminator takes rectangles."""
    types = option_types(_family(name, role.capitalize()))
    return types["resolution"][0] is not int


def _check_rectangles(name: str, role: str, resolution: Resolution) -> None:
    """
    Raises:
        ImpastoError: the resolution is a rectangle, and the family knows squares only.
    """
    if isinstance(resolution, int) or makes_rectangles(name, role):
        return
    raise ImpastoError(
        f"network '{name}' makes squares, not {resolution}; rectangles are made by "
        f"{choices(_able(role, makes_rectangles))}: choose one with --set {role}.network=NAME"
    )


def takes_buckets(name: str, role: str, options: Mapping[str, Any] | None = None) -> bool:
    """Whether a family's generator or discriminator takes pictures of several sizes, with these
    settings."""
    if "buckets" not in option_types(_family(name, role.capitalize())):
        return False
    one_size = getattr(load_module("networks", name, "network"), "one_size", None)
    return one_size is None or not one_size(**(options or {}))


def _buckets_for(
    name: str, role: str, buckets: tuple[Resolution, ...], resolution: Resolution
) -> dict[str, Any]:
    """The argument `buckets`, if there are any.

    Raises:
        ImpastoError: the family takes one size only, or the resolution is none of the buckets.
    """
    if not buckets:
        return {}
    if resolution not in buckets:
        raise ImpastoError(
            f"resolution {resolution} is none of the buckets, {', '.join(map(str, buckets))}"
        )
    if not takes_buckets(name, role):
        raise ImpastoError(
            f"network '{name}' takes pictures of one size, not of several; "
            f"{choices(_able(role, takes_buckets))} takes them: "
            f"--set {role}.network=NAME, or --set buckets=[]"
        )
    return {"buckets": buckets}


def build_generator(
    name: str,
    options: Mapping[str, Any],
    *,
    latent_dim: int,
    resolution: Resolution,
    label_sizes: tuple[int, ...] = (),
    latent_channels: int | None = None,
    buckets: tuple[Resolution, ...] = (),
) -> nn.Module:
    """Build the generator of family `name`. Its weights are drawn from torch's global random state.

    Args:
        name: the family.
        options: its settings.
        latent_dim: Z.
        resolution: of the pictures, or of the latents.
        label_sizes: classes of each label field.
        latent_channels: of an autoencoder's latents, which it makes; None: it makes pictures.
        buckets: all sizes of the pictures, if there are several.

    Raises:
        ImpastoError: as `resolve_network`, or a resolution, labels or latents that the family does not
            support.
    """
    options = resolve_network(name, "generator", options)
    options |= _buckets_for(name, "generator", buckets, resolution)
    family = _family(name, "Generator")
    _check_rectangles(name, "generator", resolution)
    if latent_channels is not None:
        if "latent_channels" not in option_types(family):
            raise ImpastoError(
                f"network '{name}' makes pictures, not an autoencoder's latents: choose --set "
                "generator.network=flow, or --set autoencoder=null"
            )
        options["latent_channels"] = latent_channels
    module: nn.Module = family(
        latent_dim=latent_dim, resolution=resolution, label_sizes=label_sizes, **options
    )
    return module


def build_discriminator(
    name: str,
    options: Mapping[str, Any],
    *,
    resolution: Resolution,
    label_sizes: tuple[int, ...] = (),
    buckets: tuple[Resolution, ...] = (),
) -> nn.Module:
    """Build the discriminator of family `name`. Its weights are drawn from torch's global random
    state.

    Raises:
        ImpastoError: as `resolve_network`, or a resolution or labels that the family does not
            support.
    """
    options = resolve_network(name, "discriminator", options)
    options |= _buckets_for(name, "discriminator", buckets, resolution)
    _check_rectangles(name, "discriminator", resolution)
    module: nn.Module = _family(name, "Discriminator")(
        resolution=resolution, label_sizes=label_sizes, **options
    )
    return module


def at_sampling(network: str) -> tuple[str, ...]:
    """The names of a generator's settings that may change when sampling; its weights do not depend on
    them."""
    names: tuple[str, ...] = getattr(load_module("networks", network, "network"), "AT_SAMPLING", ())
    return names


class Architecture(Protocol):
    """A description of a run's or model's networks: a `RunConfig` or a `ModelRecord`."""

    @property
    def generator(self) -> NetworkConfig: ...
    @property
    def discriminator(self) -> NetworkConfig | None: ...
    @property
    def autoencoder(self) -> NetworkConfig | None: ...
    @property
    def latent(self) -> LatentConfig: ...
    @property
    def resolution(self) -> Resolution: ...
    @property
    def buckets(self) -> tuple[Resolution, ...]: ...


def autoencoder_of(what: Architecture) -> Any:
    """Build the `Autoencoder` of a config or record; None without one."""
    if what.autoencoder is None:
        return None
    options = resolve_network(what.autoencoder.network, "autoencoder", what.autoencoder.options)
    return _family(what.autoencoder.network, "Autoencoder")(**options)


def learned_shape(what: Architecture) -> tuple[int, int, int]:
    """Channels, height and width of the generator's output before decoding: of pictures, or of the
    autoencoder's latents.

    Raises:
        ImpastoError: the autoencoder cannot make latents of such pictures.
    """
    autoencoder = autoencoder_of(what)
    if autoencoder is None:
        width, height = width_and_height(what.resolution)
        return 3, height, width
    width, height = (side // autoencoder.reduction for side in width_and_height(what.resolution))
    if (width * autoencoder.reduction, height * autoencoder.reduction) != width_and_height(
        what.resolution
    ):
        unit = autoencoder.reduction
        raise ImpastoError(
            f"the autoencoder takes pictures of {unit}, {2 * unit}, {3 * unit}, ... pixels, not "
            f"{what.resolution}; choose one of these with --set resolution"
        )
    return autoencoder.channels, height, width


def latent_dim_of(config: Architecture) -> int:
    """The number of latent values of a config: its own, or what its generator's network needs.

    Raises:
        ImpastoError: it has none, and the network takes any number.
    """
    network = config.generator
    needed = getattr(load_module("networks", network.network, "network"), "latent_dim", None)
    if config.latent.dim is not None:
        return config.latent.dim
    if needed is None:
        raise ImpastoError(
            f"latent.dim is not set, and network '{network.network}' takes any number: set it, such as "
            "--set latent.dim=128"
        )
    channels, height, width = learned_shape(config)
    shape: dict[str, Any] = {} if config.autoencoder is None else {"latent_channels": channels}
    if config.buckets:
        shape["buckets"] = config.buckets
    return int(needed(resolution_of(width, height), **shape, **network.options))


def generator_of(what: Architecture, label_sizes: tuple[int, ...]) -> nn.Module:
    """Build the generator of a config or record; see `build_generator`. With an autoencoder, it holds
    the decoder, whose weights are not in its state dict."""
    channels, height, width = learned_shape(what)
    autoencoder = autoencoder_of(what)
    generator = build_generator(
        what.generator.network,
        what.generator.options,
        latent_dim=what.latent.size,
        resolution=resolution_of(width, height),
        label_sizes=label_sizes,
        latent_channels=None if autoencoder is None else channels,
        buckets=what.buckets,
    )
    if autoencoder is None:
        return generator
    return LatentGenerator(generator, autoencoder.decoder(), autoencoder.scale or 1.0)


class NoDiscriminator(nn.Module):
    """Stands for the discriminator where a config has none. It has no weights and judges nothing."""

    def forward(self, images: Tensor, labels: Tensor) -> Judgement:
        """
        Raises:
            ImpastoError: always.
        """
        raise ImpastoError(
            "a term of the objective uses the discriminator's output, and discriminator is null"
        )


def discriminator_of(what: Architecture, label_sizes: tuple[int, ...]) -> nn.Module:
    """Build the discriminator of a config or record; see `build_discriminator`."""
    if what.discriminator is None:
        return NoDiscriminator()
    return build_discriminator(
        what.discriminator.network,
        what.discriminator.options,
        resolution=what.resolution,
        label_sizes=label_sizes,
        buckets=what.buckets,
    )


def count_parameters(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


class NoClassesError(ImpastoError):
    """A network without label conditioning got label fields."""


def refuse_labels(label_sizes: tuple[int, ...], network: str) -> None:
    """Check that a network without label conditioning gets no label fields.

    Raises:
        NoClassesError: there are label fields.
    """
    if label_sizes:
        raise NoClassesError(
            f"network '{network}' knows no classes: leave out --labels (or --set labels=[])"
        )


def one_hot(labels: Tensor, label_sizes: tuple[int, ...]) -> Tensor:
    """Labels [B, F] as one-hot vectors [B, K1 + K2 + ...] float32, one field after another.

    An unknown label (-1) is all zeros in its field. The result is on the labels' device, without
    synchronisation. Class weights, which are such vectors already, are returned as they are.
    """
    if labels.is_floating_point():
        return labels
    rows = [
        labels[:, field, None] == torch.arange(size, device=labels.device)
        for field, size in enumerate(label_sizes)
    ]
    if not rows:
        return torch.zeros(len(labels), 0, device=labels.device)
    return torch.cat(rows, dim=1).float()


def of_fields(labels: Tensor, label_sizes: tuple[int, ...], fields: Sequence[int]) -> Tensor:
    """The labels [B, len(fields)], or class weights, of the label fields with these indices."""
    if labels.is_floating_point():
        parts = labels.split(label_sizes, dim=1)
        return torch.cat([labels[:, :0], *(parts[field] for field in fields)], dim=1)
    return torch.cat([labels[:, :0], *(labels[:, field : field + 1] for field in fields)], dim=1)


def unknown_like(labels: Tensor) -> Tensor:
    """Unknown labels of the same shape: -1, or for class weights 0."""
    return torch.full_like(labels, 0 if labels.is_floating_point() else -1)


class ClassHead(nn.Module):
    """Features [B, D] to class logits: one tensor [B, K] a label field, or None without fields."""

    def __init__(self, features: int, label_sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.label_sizes = label_sizes
        self.linear = nn.Linear(features, sum(label_sizes)) if label_sizes else None

    def forward(self, features: Tensor) -> tuple[Tensor, ...] | None:
        if self.linear is None:
            return None
        return self.linear(features).split(self.label_sizes, dim=1)
