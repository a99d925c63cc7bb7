"""The objective of a run: a list of weighted terms. Each term is a file, found by its name.

A term defines one or both of two pure functions. Each takes the inputs of a step and returns a
scalar to be minimised:

    def discriminator_loss(inputs: StepInputs, *, ...settings) -> Tensor
    def generator_loss(inputs: StepInputs, *, ...settings) -> Tensor

Keyword-only parameters are the term's settings. Both functions must have the same ones.

A term may define further names:
- `score(realness) -> Tensor` and `SCORE`: an adversarial term has both. `score` turns the
  discriminator's output into the value that is logged. `SCORE` says what that value is:
  `probability` (of being real) or `critic` (unbounded).
- `boundary(real, fake) -> Tensor`: the realness above which the discriminator takes an image for
  real, computed from the realness of both batches. Without it the boundary is 0.
- `NEEDS_GRADIENT_OF = "real"` or `"fake"`: the term uses the gradient of the discriminator's
  output with respect to these images. Training then enables their gradients before the forward
  pass, so that the term needs no pass of its own.
- `ABOUT_LABELS = True`: the term needs label fields and is skipped in a run without any.
- `USES_FAKES = False`: the term does not look at generated images. If no active term of a loss
  does, none are generated: `fake`, `fake_labels` and `latents` then have no rows.
- `PAIRED = True`: the term compares the two batches image by image. Training then gives each
  generated image the labels of the real image in the same position. Otherwise the labels of
  generated images are drawn independently.

A term with tensors of its own (a frozen network, features of earlier batches) has a class `Memory`,
a module made with `Memory(*, resolution, label_sizes, ...settings)`. Both functions then get it after
the inputs: `generator_loss(inputs, memory, *, ...)`. Its buffers are saved in checkpoints, unless they
are not persistent. With several portions, buffers named as in `portions.RUNNING_STATISTICS` are averaged
over them; of others those of the first portion are kept. It may have a method
`prepare(pictures)`, called when a run begins: `pictures()` iterates over the training pictures, in
batches [b, 3, H, W] in [-1, 1].

A term never steps an optimiser or logs, and changes nothing but its memory's buffers. No shape in it
may depend on a value: before training, each term runs once on torch's meta device, where tensors have
no values.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from impasto.config import TermConfig, at
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.registry import load_module, option_types, resolve_options
from impasto.resolution import Resolution


@dataclass
class StepInputs:
    """The inputs of one loss. The discriminator's outputs are computed on first use and kept."""

    real: Tensor
    """[B, 3, H, W] real images, in [-1, 1]; with an autoencoder, their latents [B, C, h, w]."""
    real_labels: Tensor
    """[B, F] int64 classes of the real images, -1 = unknown."""
    fake: Tensor
    """[B, 3, H, W] generated images. In a discriminator update they are detached from the
    generator."""
    fake_labels: Tensor
    """[B, F] int64 classes that the generated images are conditioned on, -1 = unknown."""
    latents: Tensor
    """[B, Z] latents of the generated images."""
    discriminate: Callable[[Tensor, Tensor], Judgement]
    """The discriminator, for terms that evaluate it on other images."""
    real_origin: Tensor | None = None
    """The real images before augmentation, with gradients enabled. Set where an active term has
    `NEEDS_GRADIENT_OF = "real"`."""
    fake_origin: Tensor | None = None
    """The generated images before augmentation, with gradients enabled. Set where an active term
    has `NEEDS_GRADIENT_OF = "fake"`."""
    decode: Callable[[Tensor], Tensor] | None = None
    """The generator's decoder, from the discriminator's features to images, where it has one."""
    denoise: Callable[..., Tensor] | None = None
    """The generator's denoiser, where it has one: from noisy images [B, 3, H, W], times [B] and labels
    [B, F] to clean images."""

    def changed(self, **changes: Any) -> "StepInputs":
        """A copy with other values. The discriminator's outputs are not copied."""
        return replace(self, **changes)

    @cached_property
    def real_judgement(self) -> Judgement:
        """The discriminator's output for the real images."""
        return self.discriminate(self.real, self.real_labels)

    @cached_property
    def fake_judgement(self) -> Judgement:
        """The discriminator's output for the generated images."""
        return self.discriminate(self.fake, self.fake_labels)


@dataclass(frozen=True)
class Term:
    """A term with its weight and all its settings."""

    config: TermConfig
    options: dict[str, Any]
    module: ModuleType

    @property
    def name(self) -> str:
        """The name of the term's file."""
        return self.config.term

    def has_loss_of(self, network: str) -> bool:
        """Whether the term may be part of this network's loss, `discriminator` or `generator`."""
        return self.config.only in (None, network) and hasattr(self.module, f"{network}_loss")

    def is_active(self, network: str, update: int) -> bool:
        """Whether the term is part of this network's loss in this update.

        Args:
            network: `discriminator` or `generator`.
            update: number of the network's update, from 0.
        """
        return self.has_loss_of(network) and update % self.config.every == 0

    def applies_to(self, inputs: StepInputs) -> bool:
        """Whether the term applies to these inputs: one about labels needs a label field."""
        return inputs.real_labels.shape[1] > 0 or not getattr(self.module, "ABOUT_LABELS", False)

    def loss(
        self, network: str, inputs: StepInputs, images_seen: int, memory: nn.Module | None = None
    ) -> Tensor:
        """The term's weighted part of the loss of `network`, a scalar."""
        function = getattr(self.module, f"{network}_loss")
        given = (inputs,) if memory is None else (inputs, memory)
        value: Tensor = function(*given, **self.options)
        return at(self.config.weight, images_seen) * value


class Objective:
    """Weighted terms, summed separately for the discriminator and for the generator.

    Args:
        configs: the terms.
        discriminator: whether there is a discriminator.

    Raises:
        ImpastoError: an unknown term or setting; no adversarial term, with a discriminator; or a term
            of the discriminator's loss, without one.
    """

    def __init__(self, configs: Sequence[TermConfig], *, discriminator: bool = True) -> None:
        self.terms = [_resolve(config) for config in configs]
        # A term may occur more than once. Its second occurrence is called `name.1`.
        names = [term.name for term in self.terms]
        before = [names[:place].count(name) for place, name in enumerate(names)]
        self.labels = [f"{n}.{k}" if k else n for n, k in zip(names, before, strict=True)]
        adversarial = [term for term in self.terms if hasattr(term.module, "SCORE")]
        if not discriminator:
            for term in self.terms:
                if term in adversarial or not term.has_loss_of("generator"):
                    raise ImpastoError(
                        f"term '{term.name}' needs a discriminator, and discriminator is null; leave it "
                        "out of the objective"
                    )
        elif not adversarial:
            raise ImpastoError(
                "the objective has no adversarial term: nothing would tell real from generated; "
                "add one of bce, hinge, wasserstein, relativistic or categorical (a term of your own "
                "counts if its file has `score` and `SCORE`)"
            )
        self.memory = nn.ModuleDict()
        """The memories of the terms that have one, by place in the objective; see `build_memory`."""
        self._adversarial = adversarial[0].module if adversarial else None
        self.adversarial = self.labels[self.terms.index(adversarial[0])] if adversarial else None
        """The label of the adversarial term, the first of them; None without a discriminator."""
        self.score_meaning: str | None = getattr(self._adversarial, "SCORE", None)
        """What `score` gives, `probability` or `critic`; None without a discriminator."""
        self.paired = any(getattr(term.module, "PAIRED", False) for term in self.terms)
        """Whether each generated image gets the labels of the real image in the same position."""

    def build_memory(self, resolution: Resolution, label_sizes: tuple[int, ...]) -> None:
        """Make new memories for the terms that have one, on torch's default device.

        Args:
            resolution: of the pictures.
            label_sizes: classes of each label field.
        """
        self.memory = nn.ModuleDict(
            {
                str(place): term.module.Memory(
                    resolution=resolution, label_sizes=label_sizes, **term.options
                )
                for place, term in enumerate(self.terms)
                if hasattr(term.module, "Memory")
            }
        )

    def prepare_memory(self, pictures: Callable[[], Iterator[Tensor]]) -> None:
        """Call `prepare` of the memories that have it; see the module's docstring.

        Args:
            pictures: gives an iterator over the training pictures, in batches [b, 3, H, W] in [-1, 1].
        """
        for memory in self.memory.children():
            prepare = getattr(memory, "prepare", None)
            if prepare is not None:
                prepare(pictures)

    def score(self, realness: Tensor) -> Tensor:
        """The adversarial term's score of realness [B, N], as it is logged; the same shape."""
        assert self._adversarial is not None
        value: Tensor = self._adversarial.score(realness)
        return value

    def uses_fakes(self, network: str, update: int) -> bool:
        """Whether an active term of this network's loss looks at generated images."""
        return any(
            getattr(term.module, "USES_FAKES", True)
            for term in self.terms
            if term.is_active(network, update)
        )

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        """The realness above which the discriminator takes an image for real, a scalar.

        Args:
            real: realness of the real images.
            fake: realness of the generated images.
        """
        own = getattr(self._adversarial, "boundary", None)
        if own is not None:
            threshold: Tensor = own(real, fake)
            return threshold
        return real.new_zeros(())

    def needs_gradient_of(self, images: str, network: str, update: int) -> bool:
        """Whether an active term needs the gradient with respect to these images, `real` or `fake`."""
        return any(
            getattr(term.module, "NEEDS_GRADIENT_OF", None) == images
            for term in self.terms
            if term.is_active(network, update)
        )

    def loss(
        self, network: str, inputs: StepInputs, *, images_seen: int = 0, update: int = 0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one network, and each term's part of it by label.

        Args:
            network: `discriminator` or `generator`.
            inputs: the step's inputs.
            images_seen: real images used so far, for weights that change over the run.
            update: number of this network's update, from 0, for terms with `every` above 1. Such
                a term is active in every n-th update with n times its weight. Its part is
                reported without that factor, as its average over the updates.

        Raises:
            ImpastoError: no term is active for this network in this update.
        """
        shares: dict[str, Tensor] = {}
        total: list[Tensor] = []
        memories = dict(self.memory.items())
        for place, (label, term) in enumerate(zip(self.labels, self.terms, strict=True)):
            if term.is_active(network, update) and term.applies_to(inputs):
                share = term.loss(network, inputs, images_seen, memories.get(str(place)))
                shares[label] = share.detach()
                total.append(share * term.config.every)
        if not total:
            raise ImpastoError(
                f"no term of the objective gives the {network} a loss"
                + ("" if update == 0 else " in every update; set one's `every` to 1")
            )
        return torch.stack(total).sum(), shares

    def configs(self) -> tuple[TermConfig, ...]:
        """The terms with all their settings, as they are saved in run.json."""
        return tuple(
            TermConfig.model_validate(
                {**t.config.model_dump(exclude=set(t.config.options)), **t.options}
            )
            for t in self.terms
        )


def _resolve(config: TermConfig) -> Term:
    module = load_module("objectives", config.term, "term")
    functions = [
        getattr(module, name)
        for name in ("discriminator_loss", "generator_loss")
        if hasattr(module, name)
    ]
    if not functions:
        raise ImpastoError(
            f"term '{config.term}' has neither discriminator_loss nor generator_loss"
        )
    if len(functions) == 2 and option_types(functions[0]) != option_types(functions[1]):
        raise RuntimeError(f"the two functions of term {config.term} differ in their settings")
    options = resolve_options(functions[0], config.options, f"objective.{config.term}")
    return Term(config, options, module)


__all__ = ["Objective", "StepInputs", "Term"]
