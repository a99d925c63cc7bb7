"""Directions that a generator's own layers give.

- Principal components of activations (GANSpace: Härkönen et al. 2020, arXiv:2004.02546, section 2.2,
  as for BigGAN): the latents that belong to the components are found by regression.
- SeFa (Shen and Zhou 2021, arXiv:2007.06600, equation 4): the directions of latents that change the
  output of the first layer most. That layer is linear in the latents, so they are known in closed form.

Layers are found by calling the generator, so no family is named here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError

MOST_ACTIVATIONS = 1024
"""Pictures whose activations are kept; those of a wide generator take 128 kB each."""
_SIDE = 8
"""Side of the maps whose components are taken."""
_TOLERANCE = 1e-3


def check_layers(generator: nn.Module) -> None:
    """Check that the first layers mix the latent's values.

    Raises:
        ImpastoError: the latent is the noise of a flow model.
    """
    if hasattr(generator, "denoise"):
        raise ImpastoError(
            "this generator turns noise into a picture in many steps, and no first layer mixes the "
            "noise: there are no components"
        )


@contextmanager
def _outputs(generator: nn.Module) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """The modules that are called during the block, with their outputs, in order."""
    calls: list[tuple[nn.Module, Tensor]] = []

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            calls.append((module, output.detach().clone()))  # layers after it may work in place

    hooks = [module.register_forward_hook(keep) for module in generator.modules()]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _activations_layer(generator: nn.Module, latents: Tensor, labels: Tensor) -> nn.Module:
    """The last module with maps of 8 pixels a side, or less where there are none, before larger ones."""
    found: nn.Module | None = None
    side = 0
    with torch.no_grad(), _outputs(generator) as calls:
        generator(latents, labels)
    for module, output in calls:
        if output.ndim != 4 or module is generator:
            continue
        if output.shape[-1] > _SIDE and found is not None:
            break
        if side <= output.shape[-1] <= _SIDE and output[0].numel() > output.shape[1]:
            found, side = module, output.shape[-1]
    if found is None:
        raise ImpastoError("this generator has no small maps whose components could be taken")
    return found


class Activations:
    """Collects a generator's activations as it is called.

    Args:
        generator: any with the contract of `networks/`.
        latents: [1, Z], of a trial call.
        labels: [1, F] or class weights.
    """

    def __init__(self, generator: nn.Module, latents: Tensor, labels: Tensor) -> None:
        self._layer = _activations_layer(generator, latents, labels)
        self._made: list[Tensor] = []
        self._kept: list[Tensor] = []

    @property
    def _room(self) -> int:
        return MOST_ACTIVATIONS - sum(map(len, self._kept))

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Note the activations of the pictures that are generated during the block, for `keep`."""

        def note(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            if self._room > 0:
                self._made.append(output.detach().flatten(1).float().cpu())

        hook = self._layer.register_forward_hook(note)
        try:
            yield
        finally:
            hook.remove()

    def keep(self, count: int) -> None:
        """Keep those of the first `count` pictures since the last call, as far as there is room. Others
        only filled up a portion; see `sampling/portions.py`."""
        if self._made:
            self._kept.append(torch.cat(self._made)[: min(count, self._room)])
        self._made.clear()

    def rows(self) -> Tensor:
        """What was kept, [N, A]."""
        return torch.cat(self._kept)


def components(activations: Tensor, latents: Tensor, count: int) -> Tensor:
    """Unit vectors [count, Z] of the latents that belong to the first principal components.

    Args:
        activations: [N, A], centred by class where there are classes.
        latents: [N, Z].
        count: at most Z and N.
    """
    centred = (activations - activations.mean(0)).double()
    # The components' coordinates from the N x N matrix of inner products: A may be tens of thousands.
    values, vectors = torch.linalg.eigh(centred @ centred.T)
    coordinates = vectors[:, -count:].flip(1) * values[-count:].flip(0).clamp(min=0).sqrt()
    z = latents.double() - latents.double().mean(0)
    # Least squares of latents on coordinates; these are uncorrelated.
    found = (coordinates.T @ z) / coordinates.square().sum(0).clamp(min=1e-12)[:, None]
    return _oriented(found)


def most_changing(generator: nn.Module, latent_size: int, labels: Tensor, count: int) -> Tensor:
    """Unit vectors [count, Z] of latents that change the first layer's output most, in order (SeFa).

    Args:
        generator: any with the contract of `networks/`.
        latent_size: Z.
        labels: [1, F], or class weights [1, K], on the generator's device.
        count: at most Z.

    Raises:
        ImpastoError: the first layer is not linear in the latents.
    """
    device = labels.device
    identity = torch.eye(latent_size, device=device)
    inputs = torch.cat([torch.zeros(1, latent_size, device=device), identity, 2 * identity[:1]])
    with torch.no_grad(), _outputs(generator) as calls:
        generator(inputs, labels.expand(len(inputs), -1))
    for module, output in calls:
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        if len(output) != len(inputs):
            continue
        change = (output - output[:1]).flatten(1).double().cpu()
        size = change.abs().max()
        if size == 0:
            continue  # a layer of the labels
        if (change[-1] - 2 * change[1]).abs().max() > _TOLERANCE * size:
            break
        matrix = change[1:-1]  # [Z, outputs]: what each value of the latent adds
        _, vectors = torch.linalg.eigh(matrix @ matrix.T)
        return _oriented(vectors[:, -count:].flip(1).T)
    raise ImpastoError("the first layer of this generator is not linear in the latents")


def _oriented(vectors: Tensor) -> Tensor:
    """Vectors [D, Z] of length 1, with their largest value above 0."""
    unit = vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12)
    largest = unit.gather(1, unit.abs().argmax(1, keepdim=True))
    return (unit * largest.sign()).float()
