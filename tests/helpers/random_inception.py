"""Random weights for Inception-v3, which stand in for the published ones where those are not at hand:
in tests, in tests_peers and in benchmarks."""

import torch
from torch import Tensor

from impasto.features._inception_v3 import InceptionV3


def random_tensors(seed: int = 0) -> dict[str, Tensor]:
    """Weights that keep activations alive and bounded through all blocks.

    Convolutions on the scale of He et al. 2015, norms near the identity but none of them at it.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = InceptionV3().state_dict()
    tensors: dict[str, Tensor] = {}
    for name, tensor in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            tensors[name] = noise * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("bn.weight", "running_var")):
            tensors[name] = 1 + 0.2 * noise.clamp(-3, 3)
        else:
            tensors[name] = 0.1 * noise
    return tensors
