"""How many images a CPU computes at a time: always the same number for a network.

How sums are rounded depends on the shapes that are multiplied, and so on the number of images: the last
bits of an image would be others in a batch of 1 than in one of 64. With the same number in each pass,
missing ones filled up, an image has the same bits whichever images are generated with it, as long as
threads and machine are the same.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_OFTEN = 200
"""Multiplications with a weight, on average, from which they take longer than reading it from memory."""
_SEVERAL = 4
"""At a time where weights are used less often: many images then take about half as long as one by one,
and a single image takes twice as long. Elsewhere one at a time takes at most 1.5 times as long, and four
would make a single image take 2.5 to 4 times as long."""
_MULTIPLYING = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d)

Generate = Callable[[Tensor, Tensor], Tensor]
"""Latents [B, ...] and labels [B, ...] to images [B, C, H, W]."""
portions_known: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
"""What `portion_of` gave for generators, so that it is asked once for each."""


def portion_of(network: nn.Module, generate: Generate, latents: Tensor, labels: Tensor) -> int:
    """The number of images that a CPU computes at a time; generates an image to find it.

    Args:
        network: the generator.
        generate: calls it.
        latents: of a single image.
        labels: of a single image.
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
    """The images of latents and labels, computed `portion` at a time. Where some are missing, the last
    one is computed again."""
    count = len(latents)
    rows = torch.arange(-(-count // portion) * portion).clamp(max=count - 1)
    # Copies, because products may also be rounded as their factors lie in memory.
    found = [generate(latents[some], labels[some]) for some in rows.split(portion)]
    return torch.cat(found)[:count]
