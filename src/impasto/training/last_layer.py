"""The last layer of a generator that starts from a model of fewer pixels.

The last layer of `fastgan` and `r3gan` (`to_rgb`) turns the largest maps into colours, so in a larger
generator it is new. With random weights the first pictures would be grey, and the discriminator would
learn from these. So the layer is fitted by least squares to the model's pictures, enlarged. For the fit,
its input must have the colours: the first channels of FastGAN's new levels are those that the model's
last layer makes. New batch norms ignore latent and classes at first, and get the running statistics of
their inputs.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from impasto.networks import generator_of
from impasto.networks._conditioning import ConditionalBatchNorm2d
from impasto.networks._fastgan_layers import Gated
from impasto.resolution import Resolution, times
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import ModelRecord
from impasto.sampling.seeds import latents_of_seeds

PICTURES = 64
"""Number of pictures that the layer is fitted to."""
_BATCH = 8
_RIDGE = 1e-4
"""Added to the diagonal of the normal equations, as a share of its mean."""


def fit_last_layer(
    generator: nn.Module,
    record: ModelRecord,
    resolution: Resolution,
    tensors: Mapping[str, Tensor],
    new: Iterable[str],
) -> bool:
    """Fit the last layer, so that each seed's picture is that of the smaller model, enlarged.

    Args:
        generator: the larger generator, with the model's layers already copied.
        record: of the larger generator.
        resolution: of the model.
        tensors: of the model's generator.
        new: names of the larger generator's layers that were not copied.

    Returns:
        Whether it was fitted. It is not if the last layer is not new or has spectral norm, or if the
        generator is no extension of the model's by further levels.
    """
    new = set(new)
    last = _last_layer(generator)
    smaller = None if last is None else _smaller(generator, record, resolution, tensors)
    if last is None or smaller is None or not any(name.startswith("to_rgb.") for name in new):
        return False
    seeds = range(PICTURES)
    device = next(generator.parameters()).device
    latents = latents_of_seeds(seeds, record.latent).to(device)
    labels = labels_of_seeds(seeds, record).to(device)
    batches = list(zip(latents.split(_BATCH), labels.split(_BATCH), strict=True))
    modes = {module: module.training for module in generator.modules()}
    with torch.no_grad():
        generator.eval()
        _carry_colours(generator, new, smaller)
        _settle_norms(generator, new, batches)
        last.weight.copy_(_fitted(generator, smaller.eval(), batches))
    for module, mode in modes.items():
        module.training = mode
    return True


def _last_layer(generator: nn.Module) -> nn.Conv2d | None:
    """The convolution to colours; None if its weights cannot be set, as with spectral norm."""
    layers = getattr(generator, "to_rgb", None)
    if not isinstance(layers, nn.ModuleDict):
        return None
    (last,) = layers.values()
    if not isinstance(last, nn.Conv2d) or last.bias is not None or is_parametrized(last):
        return None
    return last


def _smaller(
    generator: nn.Module, record: ModelRecord, resolution: Resolution, tensors: Mapping[str, Tensor]
) -> nn.Module | None:
    """The generator without its added levels and with the model's last layer; None if it is no
    extension of the model's generator."""
    if record.buckets or record.autoencoder or times(record.resolution, resolution) < 2:
        return None
    with torch.random.fork_rng(devices=[]):
        smaller = generator_of(
            record.model_copy(update={"resolution": resolution}), record.label_sizes
        )
    mine = generator.state_dict()
    state = {}
    for name, value in smaller.state_dict().items():
        found = (tensors if name.startswith("to_rgb.") else mine).get(name)
        if found is None or found.shape != value.shape:
            return None
        state[name] = found
    smaller.load_state_dict(state)
    return smaller.to(next(generator.parameters()).device)


def _carry_colours(generator: nn.Module, new: set[str], smaller: nn.Module) -> None:
    """Let the first channels of FastGAN's new levels be the colours that the smaller generator makes."""
    colours = _last_layer(smaller)
    assert colours is not None
    rows = colours.weight
    for name, module in generator.named_modules():
        if isinstance(module, Gated) and f"{name}.convolution" in new:
            weight = cast(Tensor, module.convolution.weight)
            count = min(len(rows), len(weight) // 2)  # The other half are gates.
            if rows.shape[1:] != weight.shape[1:]:
                return
            weight[:count] = rows[:count]
            # The next one takes these channels over.
            rows = nn.init.dirac_(weight.new_zeros(count, len(weight) // 2, *weight.shape[2:]))


def _settle_norms(
    generator: nn.Module, new: set[str], batches: list[tuple[Tensor, Tensor]]
) -> None:
    """Make new batch norms ignore latent and classes, and measure their running statistics."""
    norms = [
        module
        for name, module in generator.named_modules()
        if isinstance(module, nn.BatchNorm2d) and name in new
    ]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        if isinstance(norm, ConditionalBatchNorm2d):
            nn.init.zeros_(norm.gain.weight)
            nn.init.zeros_(norm.shift.weight)
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
        norm.train()
    for latents, labels in batches if norms else []:
        generator(latents, labels)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()


def _fitted(
    generator: nn.Module, smaller: nn.Module, batches: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """The last layer's weights [O, I, k, k] with the least squared error to the enlarged pictures before
    the tanh."""
    last, before = _last_layer(generator), _last_layer(smaller)
    assert last is not None
    assert before is not None
    inputs = last.weight[0].numel()
    products = torch.zeros(inputs, inputs, dtype=torch.float64)
    wanted = torch.zeros(inputs, len(last.weight), dtype=torch.float64)
    # Layers with a pixel shuffle behind them make several pixels of a position.
    shuffle = round((len(last.weight) / 3) ** 0.5)
    for latents, labels in batches:
        with _recorded_calls(last) as here, _recorded_calls(before) as there:
            size = generator(latents, labels).shape[-2:]
            smaller(latents, labels)
        (maps, _), (_, colours) = here[0], there[0]
        enlarged = F.interpolate(F.pixel_shuffle(colours, shuffle), size, mode="bilinear")
        targets = F.pixel_unshuffle(enlarged, shuffle).flatten(2)
        patches = F.unfold(maps, last.kernel_size, padding=last.kernel_size[0] // 2)
        rows = patches.transpose(1, 2).flatten(0, 1)
        products += (rows.T @ rows).cpu().double()
        wanted += (rows.T @ targets.transpose(1, 2).flatten(0, 1)).cpu().double()
    products.diagonal().add_(_RIDGE * products.diagonal().mean())
    return torch.linalg.solve(products, wanted).T.reshape(last.weight.shape).to(last.weight)


@contextmanager
def _recorded_calls(layer: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """A list of (input, output), to which each call of the layer in the block is appended."""
    found: list[tuple[Tensor, Tensor]] = []
    hook = layer.register_forward_hook(
        lambda module, inputs, output: found.append((inputs[0], output))
    )
    try:
        yield found
    finally:
        hook.remove()
