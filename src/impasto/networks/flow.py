"""Generators that turn noise into a picture by removing it in many small steps (flow matching,
Liu et al. 2022, arXiv:2209.03003; diffusion, Karras et al. 2022, arXiv:2206.00364). There is no
discriminator; train them with the term `flow`.

A latent is the noise itself: one value for each pixel and colour. The network is a denoiser: from a
noisy picture t x + (1 - t) e (x the picture, e noise, t the time from 0 to 1) it predicts x. See
`_ode.py` for how pictures are made with it.

`preconditioning` says what the layers compute:
- `x`: the picture (JiT: Li and He 2025, arXiv:2511.13720).
- `mixed`: the picture, with a skip connection near t = 1: the prediction is (1 - t^4) times what the
  layers compute plus t^4 times the noisy picture. So the finest detail need not pass through the layers.
  With `x`, layers that lose detail blur the picture again in each step near t = 1, so results do not
  converge with more steps. This is impasto's own.
- `edm`: a mixture of the picture and the noise, weighted so that input, output and error have the same
  size at every noise level (Karras et al. 2022, section 5).

Guidance makes pictures match their classes better and vary less. The denoised picture is extrapolated
away from that of the same network without labels (classifier-free guidance, Ho and Salimans 2022,
arXiv:2207.12598), or from that of a worse network with the same labels (autoguidance, Karras et al.
2024, arXiv:2406.02507). The first needs a training with label dropout (`training.hide_labels`).

Sizes are of impasto's own choice, for one or two CPU cores (`large` for a GPU).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.config import Count, Fraction, Interval, NotNegative, Steps
from impasto.errors import ImpastoError
from impasto.networks import unknown_like
from impasto.networks._conditioning import LabelEmbedding
from impasto.networks._ode import Method, even_times, integrate, integrate_in_a_loop, karras_times
from impasto.networks._overlaps import Overlaps
from impasto.networks._transformer import Transformer
from impasto.networks._unet import UNet, check_halves
from impasto.resolution import Resolution, area, square_of, width_and_height

SIGMA_DATA = 0.5
"""Standard deviation of pictures in [-1, 1], as EDM assumes it."""
AUGMENTATION_VALUES = 9
"""Number of augmentation labels of a training picture; see the term `flow`."""

AT_SAMPLING = ("steps", "sampler", "guidance", "guidance_times", "guide")
"""Settings that may be changed when sampling; the weights do not depend on them."""

Size = Literal["small", "medium", "large"]

_UNETS: dict[Size, dict[str, Any]] = {
    "small": {"embedding": 128, "patch": 2, "widths": (32, 64, 128), "blocks": 2},
    "medium": {"embedding": 192, "patch": 4, "widths": (64, 128, 192), "blocks": 2},
    "large": {"embedding": 512, "patch": 2, "widths": (128, 256, 384), "blocks": 3},
}
_TRANSFORMERS: dict[Size, dict[str, Any]] = {
    "small": {"embedding": 192, "width": 192, "depth": 8},
    "medium": {"embedding": 320, "width": 320, "depth": 8},
    "large": {"embedding": 512, "width": 512, "depth": 12},
}
_TOKENS: dict[Size, int] = {"small": 8, "medium": 8, "large": 16}  # along each side, by default
_FREQUENCIES = (0.125, 8.0, 16)  # lowest, highest, count


def latent_dim(
    resolution: Resolution,
    *,
    latent_channels: int = 3,
    buckets: Sequence[Resolution] = (),
    **settings: Any,
) -> int:
    """Number of values of a latent: those of a picture of this resolution; of several sizes those of the
    largest, and smaller ones take the first of them."""
    del settings
    return latent_channels * max(map(area, (resolution, *buckets)))


def one_size(*, body: str = "unet", **settings: Any) -> bool:
    """Whether a network with these settings makes pictures of one size only."""
    del settings
    return body != "unet"


class Condition(nn.Module):
    """The embedding [B, E] that the denoiser is conditioned on: of noise level, labels and augmentation
    labels.

    The noise is one value, as sines and cosines of several frequencies (Fourier features). Unknown
    labels and pictures that were not augmented contribute zero.

    Args:
        label_sizes: number of classes of each label field.
        dim: E.
    """

    frequencies: Tensor

    def __init__(self, label_sizes: tuple[int, ...], dim: int) -> None:
        super().__init__()
        low, high, count = _FREQUENCIES
        exponents = torch.linspace(math.log2(low), math.log2(high), count)
        self.register_buffer("frequencies", 2 * math.pi * 2**exponents, persistent=False)
        self.noise = nn.Linear(2 * count, dim)
        self.embedding = LabelEmbedding(label_sizes, dim) if label_sizes else None
        self.augmentation = nn.Linear(AUGMENTATION_VALUES, dim, bias=False)
        self.last = nn.Linear(dim, dim)

    def forward(self, noise: Tensor, labels: Tensor, augmentation: Tensor | None) -> Tensor:
        angles = noise[:, None] * self.frequencies
        embedding = self.noise(torch.cat([angles.sin(), angles.cos()], dim=1))
        if self.embedding is not None:
            embedding = embedding + self.embedding(labels)
        if augmentation is not None:
            embedding = embedding + self.augmentation(augmentation)
        return F.silu(self.last(F.silu(embedding)))


class Generator(nn.Module):
    """Noise to a picture.

    Args:
        latent_dim: Z, C * H * W, of several sizes of the largest; see the function of this name.
        resolution: H x W.
        buckets: all sizes that are made, `resolution` among them, if there are several; see `paint_as`.
            Body `unet` only, whose layers are the same for all sizes.
        label_sizes: classes of each label field, any number of fields or none.
        latent_channels: C, of an autoencoder's latents; None: it makes pictures, 3 colours in [-1, 1].
        body: `unet` or `transformer`.
        size: of the body.
        patch: side of the squares of pixels that become one position; by default 2 or 4 (`unet`, by
            size), or an eighth or a sixteenth of the side (`transformer`, by size).
        blocks: residual blocks of each level of `unet`, in each half; by default 2 or 3 (by size).
        dropout: probability that values inside the body are set to 0 in training.
        preconditioning: `x`, `mixed` or `edm`, see above. It also determines the times of the steps.
        steps: number of sampling steps.
        sampler: `heun` (second order, two passes a step) or `euler` (first order, one pass).
        guidance: guidance scale; 1 is no guidance.
        guidance_times: first and last time t of the steps that have guidance, from 0 (noise) to 1.
    """

    canvas_side = 1
    canvas_margin = None

    def __init__(
        self,
        *,
        latent_dim: int,
        resolution: Resolution,
        label_sizes: tuple[int, ...] = (),
        latent_channels: int | None = None,
        buckets: tuple[Resolution, ...] = (),
        body: Literal["unet", "transformer"] = "unet",
        size: Size = "small",
        patch: Count | None = None,
        blocks: Count | None = None,
        dropout: Fraction = 0.0,
        preconditioning: Literal["x", "mixed", "edm"] = "x",
        steps: Steps = 32,
        sampler: Method = "heun",
        guidance: NotNegative = 1.0,
        guidance_times: Interval = (0.1, 1.0),
    ) -> None:
        super().__init__()
        channels = latent_channels or 3
        self.buckets = buckets
        self._shape_as(resolution, channels)
        values = channels * max(map(area, (resolution, *buckets)))
        if latent_dim != values:
            made = "pictures" if latent_channels is None else "an autoencoder's latents"
            raise ImpastoError(
                f"network 'flow' turns noise of {values} values into {made} of "
                f"{resolution} pixels, not {latent_dim}: leave latent.dim out "
                "(or --set latent.dim=null)"
            )
        self.limited = latent_channels is None
        self.preconditioning = preconditioning
        self.steps = steps
        self.sampler: Method = sampler
        self.guidance = guidance
        self.guidance_times = guidance_times
        self._guide: tuple[nn.Module, ...] = ()
        settings = dict((_UNETS if body == "unet" else _TRANSFORMERS)[size])
        if body == "transformer":
            settings["patch"] = max(1, square_of(resolution) // _TOKENS[size])
        if patch is not None:
            settings["patch"] = patch
        if blocks is not None:
            if body != "unet":
                raise ImpastoError("generator.blocks is about body unet: leave it out for another")
            settings["blocks"] = blocks
        if buckets and one_size(body=body):
            raise ImpastoError(
                f"body {body} has positions of one size, not of several; choose --set "
                "generator.body=unet, or --set buckets=[]"
            )
        for size_made in buckets:
            check_halves(size_made, settings["patch"], len(settings["widths"]))
        network: type[UNet | Transformer] = UNet if body == "unet" else Transformer
        self.condition = Condition(label_sizes, settings["embedding"])
        self.body = network(
            channels=self.shape[0], resolution=resolution, dropout=dropout, **settings
        )

    def _shape_as(self, size: Resolution, channels: int) -> None:
        width, height = width_and_height(size)
        self.shape = (channels, height, width)

    def paint_as(self, size: Resolution) -> None:
        """Make pictures of this one of the buckets from now on.

        Raises:
            ImpastoError: it is none of them.
        """
        if size not in self.buckets:
            raise ImpastoError(f"{size} is none of the sizes {', '.join(map(str, self.buckets))}")
        self._shape_as(size, self.shape[0])

    def guided_by(self, guide: nn.Module | None) -> None:
        """Set the worse generator of this family to guide away from (autoguidance). It is not part of
        the state dict.

        Args:
            guide: the generator; None: this one without labels (classifier-free guidance).
        """
        # In a tuple, so that torch does not take it for a part of this network.
        self._guide = () if guide is None else (guide,)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Generator":
        """Move the guide to another device or format together with this network."""
        for guide in self._guide:
            guide._apply(fn, recurse)
        super()._apply(fn, recurse)
        return self

    def denoise(
        self, noisy: Tensor, time: Tensor, labels: Tensor, augmentation: Tensor | None = None
    ) -> Tensor:
        """The prediction of the pictures x, [B, 3, H, W], from noisy pictures.

        Args:
            noisy: [B, 3, H, W], t x + (1 - t) e.
            time: [B], t of each, from 0 to 1.
            labels: [B, F].
            augmentation: [B, 9], the augmentation labels of each x; None: none was augmented.
        """
        if self.preconditioning != "edm":
            images: Tensor = self.body(noisy, self.condition(time, labels, augmentation))
            images = images.to(noisy.dtype)
            if self.preconditioning == "mixed":
                images = torch.lerp(images, noisy, time[:, None, None, None] ** 4)
            return images
        # Karras et al. 2022, equation 7 and table 1, for z / t and sigma = (1 - t) / t.
        t = time.clamp(1e-5, 1 - 1e-5)
        embedding = self.condition(((1 - t) / t).log() / 4, labels, augmentation)
        t = t[:, None, None, None]
        size = ((1 - t) ** 2 + (SIGMA_DATA * t) ** 2).sqrt()
        change: Tensor = self.body(noisy / size, embedding)
        kept = noisy * (SIGMA_DATA**2 * t / size**2)
        return torch.addcmul(kept, change.to(noisy.dtype), SIGMA_DATA * (1 - t) / size)

    def _strength(self, time: float) -> float:
        """The guidance scale at a time."""
        first, last = self.guidance_times
        return self.guidance if first <= time <= last else 1.0

    def _guided(
        self, noisy: Tensor, times: Tensor, labels: Tensor, factor: float | Tensor
    ) -> Tensor:
        """The denoised pictures at these times [B], with a guidance scale `factor`; 1 is no guidance."""
        images = self.denoise(noisy, times, labels)
        if self.guidance == 1 or (isinstance(factor, float) and factor == 1):
            return images
        if self._guide:
            others: Tensor = self._guide[0].denoise(noisy, times, labels)  # type: ignore[operator]
        elif labels.shape[1]:
            others = self.denoise(noisy, times, unknown_like(labels))
        else:
            return images  # without labels there is nothing to be moved away from
        return torch.lerp(others, images, factor)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        if self.buckets:
            latents = latents[:, : math.prod(self.shape)]
        noise = latents.reshape(-1, *self.shape)
        if not torch.compiler.is_exporting():
            return self._images(lambda noisy, time: self._guided_at(noisy, time, labels), noise)
        images = integrate_in_a_loop(
            lambda noisy, time, factor: self._guided(
                noisy, time.expand(noisy.shape[:1]), labels, factor
            ),
            noise,
            self._times(),
            self.sampler,
            self._strength,
        )
        return images.clamp(-1, 1) if self.limited else images

    def canvas(self, latents: Tensor, labels: Tensor, *, tile: bool = False) -> Tensor:
        """A canvas of the noise of each picture, [B, Z, R, C], and class weights [B, K, R, C]; see
        `_overlaps.py`. With `tile`, it continues at its opposite edges."""
        rows, columns = latents.shape[2:]
        overlaps = Overlaps(self.shape[1], rows, columns, tile=tile)
        noise = latents.unflatten(1, self.shape).permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
        weights = overlaps.of_fields(labels)

        def denoise(noisy: Tensor, time: float) -> Tensor:
            return overlaps.averaged(
                lambda parts, known: self._guided_at(parts, time, known), noisy, weights
            )

        return self._images(denoise, noise)

    def _guided_at(self, noisy: Tensor, time: float, labels: Tensor) -> Tensor:
        """The denoised pictures at one time, with the guidance scale of that time."""
        times = noisy.new_full((len(noisy),), time)
        return self._guided(noisy, times, labels, self._strength(time))

    def _times(self) -> list[float]:
        """The times at which the steps begin, and the end."""
        return (karras_times if self.preconditioning == "edm" else even_times)(self.steps)

    def _images(self, denoise: Callable[[Tensor, float], Tensor], noise: Tensor) -> Tensor:
        """The pictures that the flow leads to."""
        images = integrate(denoise, noise, self._times(), self.sampler)
        return images.clamp(-1, 1) if self.limited else images
