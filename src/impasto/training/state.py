"""The state of training: networks, optimisers, the averaged generator and the clock."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config import AdamConfig, OptimiserConfig, RunConfig, at
from impasto.device import memory_format
from impasto.networks import discriminator_of, generator_of
from impasto.training.adaptive import AdaptiveProbability
from impasto.training.doctor import Intervention, learning_rate_factor
from impasto.training.portions import RUNNING_STATISTICS


def build_optimiser(config: OptimiserConfig, network: nn.Module) -> torch.optim.Optimizer:
    """The optimiser of one network, in torch's fastest form for it."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    rate = at(config.learning_rate, 0)
    if isinstance(config, AdamConfig):
        betas = (config.betas[0], at(config.betas[1], 0))
        return torch.optim.Adam(parameters, rate, betas=betas, eps=config.eps, fused=True)
    return torch.optim.RMSprop(parameters, rate, alpha=config.decay, eps=config.eps)


def _adaptive(config: RunConfig, device: torch.device) -> AdaptiveProbability | None:
    augment = config.training.augment
    if augment is None or augment.target is None:
        return None
    return AdaptiveProbability(
        target=augment.target,
        adjust_images=augment.images,
        start=at(augment.probability or 0.0, 0),
        device=device,
    )


@dataclass
class TrainState:
    """Everything that training changes."""

    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module
    """The generator with exponentially averaged weights: what is sampled and exported."""
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer | None
    images_seen: int = 0
    """Real pictures shown to the discriminator, or, without one, to the generator's loss: the clock of
    training."""
    steps: int = 0
    seconds: float = 0.0
    """Training time so far, over all sessions of the run."""
    memory: nn.Module = field(default_factory=nn.ModuleDict)
    """The objective's memory: the tensors of its terms."""
    adaptive: AdaptiveProbability | None = None
    """The state of adaptive augmentation; None if the probability is not adaptive."""
    interventions: tuple[Intervention, ...] = ()
    """The doctor's interventions so far; each has halved the learning rates."""
    _known: Any = field(default=None, init=False, repr=False)
    """Cache of `_pairs`: the networks, and its result for them."""

    @classmethod
    def build(
        cls,
        config: RunConfig,
        label_sizes: tuple[int, ...],
        device: torch.device,
        memory: nn.Module | None = None,
    ) -> "TrainState":
        """New networks and optimisers. The initial weights are a function of `training.seed` alone.

        Args:
            config: of the run.
            label_sizes: classes of each label field.
            device: of the networks.
            memory: the objective's, which is moved there.
        """
        torch.manual_seed(config.training.seed)
        form = memory_format(device, config.training.channels_last)
        generator = generator_of(config, label_sizes).to(device, memory_format=form)  # type: ignore[call-overload]
        discriminator = discriminator_of(config, label_sizes).to(device, memory_format=form)  # type: ignore[call-overload]
        discriminator_optimiser = None
        if config.discriminator_optimiser is not None:
            discriminator_optimiser = build_optimiser(config.discriminator_optimiser, discriminator)
        return cls(
            generator,
            discriminator,
            copy.deepcopy(generator).eval().requires_grad_(False),
            build_optimiser(config.generator_optimiser, generator),
            discriminator_optimiser,
            memory=nn.ModuleDict() if memory is None else memory.to(device),
            adaptive=_adaptive(config, device),
        )

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers by their names in a config and in a checkpoint."""
        found = {"generator_optimiser": self.generator_optimiser}
        if self.discriminator_optimiser is not None:
            found["discriminator_optimiser"] = self.discriminator_optimiser
        return found

    def begin_with(self, first_stage: Mapping[str, Tensor]) -> None:
        """Load the weights of a trained first stage into the generator that is stacked on it."""
        for network in (self.generator, self.average):
            stage: nn.Module = network.base  # type: ignore[assignment]
            stage.load_state_dict(first_stage)

    def schedule(self, config: RunConfig) -> None:
        """Set the current learning rates and betas.

        They are functions of the clock and of the doctor's interventions, so they need no state.
        """
        for name, optimiser in self.optimisers.items():
            settings: OptimiserConfig = getattr(config, name)
            rate, decay = at(settings.learning_rate, self.images_seen), settings.learning_rate_decay
            if decay is not None:
                rate *= decay.share(self.images_seen)
            rate *= learning_rate_factor(self.interventions)
            for group in optimiser.param_groups:
                group["lr"] = rate
                if isinstance(settings, AdamConfig):
                    group["betas"] = (settings.betas[0], at(settings.betas[1], self.images_seen))

    @torch.no_grad()
    def update_average(self, images: int, half_life: float) -> None:
        """Update the averaged generator (EMA), `images` real images after the last update.

        Running statistics of batch norm are averaged like weights. Other buffers are copied: an average
        of spectral norm's unit vectors, for example, would not be a unit vector.
        """
        share = 1.0 if half_life == 0 else 1 - 0.5 ** (images / half_life)
        weights, buffers = self._pairs()
        averaged = list(weights)
        copied: list[tuple[Tensor, Tensor]] = []
        for old, new, name in buffers:
            pair = (getattr(old, name), getattr(new, name))
            (averaged if name in RUNNING_STATISTICS else copied).append(pair)
        torch._foreach_lerp_([old for old, _ in averaged], [new for _, new in averaged], share)
        for before, now in copied:
            before.copy_(now)

    def _pairs(self) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[nn.Module, nn.Module, str]]]:
        """The averaged generator's weights with the generator's; and for each buffer both modules and
        its name, since a network may put a new tensor in its place.

        They are looked up once, since a state dict takes long beside a step on a GPU.
        """
        if self._known is None or self._known[:2] != (self.generator, self.average):
            new, old = self.generator.state_dict(), self.average.state_dict()
            weights = [(old[name], new[name]) for name, _ in self.generator.named_parameters()]
            buffers = [
                (mine, module, name)
                for (path, module), mine in zip(
                    self.generator.named_modules(), self.average.modules(), strict=True
                )
                for name, _ in module.named_buffers(recurse=False)
                if (f"{path}.{name}" if path else name) in new
            ]
            self._known = (self.generator, self.average, weights, buffers)
        return self._known[2], self._known[3]
