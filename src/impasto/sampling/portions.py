"""How many images a CPU computes at a time: always the same number for a network.

The rounding of sums depends on the shapes of the tensors, and so on the number of images: an image would
differ in its last bits between a batch of 1 and one of 64. With the same number of images in each pass
(the last pass is filled up), an image has the same bits whichever images are generated with it, as long
as the number of threads and the machine stay the same.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_OFTEN = 200
"""Average number of multiplications with a weight from which they take longer than reading the weight
from memory."""
_SEVERAL = 4
"""Images at a time for networks below that number: many images then take about half as long as one by
one, and a single image takes twice as long. Other networks compute one image at a time, which takes at
most 1.5 times as long as four at a time; with four, a single image would take 2.5 to 4 times as long."""
_MULTIPLYING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)

Generate = Callable[[Tensor, Tensor], Tensor]
"""Latents [B, ...] and labels [B, ...] to images [B, C, H, W]."""
portions_known: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
"""Results of `portion_of` by generator, so that it runs once for each."""


def portion_of(network: nn.Module, generate: Generate, latents: Tensor, labels: Tensor) -> int:
    """The number of images that a CPU computes at a time; generates an image to find it.

    Args:
        network: the generator, whose layers are counted.
        generate: calls the generator.
        latents: of a single image, [1, ...].
        labels: of a single image, [1, ...].
    """
    weights = multiplied = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal weights, multiplied
        maps = inputs[0] if isinstance(layer, nn.ConvTranspose2d) else output
        channels = maps.shape[-1 if isinstance(layer, nn.Linear) else 1]
        size: int = layer.weight.numel()  # type: ignore[operator]
        weights += size
        multiplied += size * maps.numel() // channels

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if isinstance(layer, _MULTIPLYING)
    ]
    try:
        generate(latents, labels)
    finally:
        for hook in hooks:
            hook.remove()
    return _SEVERAL if multiplied < _OFTEN * weights else 1


def in_portions(generate: Generate, latents: Tensor, labels: Tensor, portion: int) -> Tensor:
    """The images of latents and labels, computed `portion` at a time. The last portion is filled up by
    repeating the last image."""
    count = len(latents)
    rows = torch.arange(-(-count // portion) * portion).clamp(max=count - 1)
    # Copies, because products may also be rounded as their factors lie in memory.
    found = [generate(latents[some], labels[some]) for some in rows.split(portion)]
    return torch.cat(found)[:count]
