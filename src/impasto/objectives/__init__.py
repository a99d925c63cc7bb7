"""The objective: a list of weighted terms, each in a file of its own and found by its name.

A term is one or both of two pure functions of a `StepInputs`, giving a scalar to be minimised:

    def discriminator_loss(round: Round, *, ...options) -> Tensor
    def generator_loss(round: Round, *, ...options) -> Tensor

Keyword-only parameters are the term's options, the same for both functions. An adversarial term
also has `score(realness) -> Tensor`, what its discriminator's output means when logged, and
`SCORE`, the name of that meaning: `probability` (of being real) or `critic` (unbounded). Pictures of
a realness above 0 count as taken for real, unless it has `boundary(real, fake) -> Tensor`, which
finds that threshold from the realness of both batches.

A term that looks at the discriminator's gradient with respect to a batch's pictures says so,
`NEEDS_GRADIENT_OF = "real"` or `"fake"`: these then gather gradients before anything is judged, so
that it needs no pass of its own.

A term that is nothing where there are no label fields says so, `ABOUT_LABELS = True`, and is left out
there.

A term that compares the pictures of the two batches one by one says so, `PAIRED = True`: those
generated are then of the classes of the real ones, where otherwise both are drawn for themselves.

A term never steps an optimiser, logs, or keeps state, and no shape in it depends on a value: a
rehearsal on torch's meta device, which has none, runs each once before training begins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from impasto.config import TermConfig, at
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.registry import load_module, option_types, resolve_options


@dataclass
class StepInputs:
    """All that one loss is computed from. What the discriminator says is asked for at most once."""

    real: Tensor
    """[B, 3, H, W] pictures of the collection, in [-1, 1]."""
    real_labels: Tensor
    """[B, F] int64, -1 = unknown."""
    fake: Tensor
    """[B, 3, H, W] generated pictures; in the discriminator's turn they carry no gradient."""
    fake_labels: Tensor
    latents: Tensor
    """[B, Z] that the fakes were made from."""
    discriminate: Callable[[Tensor, Tensor], Judgement]
    """The discriminator, for terms that look at other pictures than these two batches."""
    generate: Callable[[Tensor, Tensor], Tensor]
    """The generator, for terms that need other pictures of it than these."""
    real_origin: Tensor | None = None
    """The real pictures before they were augmented, of which `real` is made, gathering gradients: where
    a term asks for these (`NEEDS_GRADIENT_OF`)."""
    fake_origin: Tensor | None = None
    """The same of the generated ones."""
    decode: Callable[[Tensor], Tensor] | None = None
    """The generator's later part, from the discriminator's features to pictures, where it has one."""

    def changed(self, **changes: Any) -> "StepInputs":
        """The same round with other pictures, and nothing judged yet."""
        return replace(self, **changes)

    @cached_property
    def real_judgement(self) -> Judgement:
        return self.discriminate(self.real, self.real_labels)

    @cached_property
    def fake_judgement(self) -> Judgement:
        return self.discriminate(self.fake, self.fake_labels)


@dataclass(frozen=True)
class Term:
    """A term with its weight and its options, all of them resolved."""

    config: TermConfig
    options: dict[str, Any]
    module: ModuleType

    @property
    def name(self) -> str:
        return self.config.term

    def plays(self, player: str, turn: int) -> bool:
        """Whether it has a say in this turn, counted from 0, of the player."""
        return (
            self.config.only in (None, player)
            and hasattr(self.module, f"{player}_loss")
            and turn % self.config.every == 0
        )

    def concerns(self, inputs: StepInputs) -> bool:
        """Whether it has anything to say of these pictures."""
        return inputs.real_labels.shape[1] > 0 or not getattr(self.module, "ABOUT_LABELS", False)

    def loss(self, player: str, inputs: StepInputs, images_seen: int) -> Tensor:
        """This term's weighted share of the player's loss."""
        function = getattr(self.module, f"{player}_loss")
        value: Tensor = function(inputs, **self.options)
        return at(self.config.weight, images_seen) * value


class Objective:
    """Weighted terms, summed for each player.

    Raises:
        ImpastoError: an unknown term or option, or no adversarial term among them.
    """

    def __init__(self, configs: Sequence[TermConfig]) -> None:
        self.terms = [_resolve(config) for config in configs]
        # A term may stand in the list more than once; its second place is called `name.1`.
        names = [term.name for term in self.terms]
        before = [names[:place].count(name) for place, name in enumerate(names)]
        self.labels = [f"{n}.{k}" if k else n for n, k in zip(names, before, strict=True)]
        adversarial = [term for term in self.terms if hasattr(term.module, "SCORE")]
        if not adversarial:
            raise ImpastoError(
                "the objective has no adversarial term: nothing would tell real from generated; "
                "add one of bce, hinge, wasserstein, relativistic or categorical"
            )
        self._adversarial = adversarial[0].module
        self.adversarial = self.labels[self.terms.index(adversarial[0])]
        """The label of the term that tells real from generated, the first of them."""
        self.score: Callable[[Tensor], Tensor] = self._adversarial.score
        self.score_meaning: str = self._adversarial.SCORE
        self.paired = any(getattr(term.module, "PAIRED", False) for term in self.terms)
        """Whether each generated picture is to be of the classes of the real one in its place."""

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        """The realness above which a picture counts as taken for real, from that of both batches."""
        if hasattr(self._adversarial, "boundary"):
            threshold: Tensor = self._adversarial.boundary(real, fake)
            return threshold
        return real.new_zeros(())

    def needs_gradient_of(self, pictures: str, player: str, turn: int) -> bool:
        """Whether a term of this turn asks for gradients with respect to these pictures, `real` or
        `fake`."""
        return any(
            getattr(term.module, "NEEDS_GRADIENT_OF", None) == pictures
            for term in self.terms
            if term.plays(player, turn)
        )

    def loss(
        self, player: str, inputs: StepInputs, *, images_seen: int = 0, turn: int = 0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The player's loss (`discriminator` or `generator`), and each term's share of it.

        Args:
            player: whose.
            round: what it is computed from.
            images_seen: the clock, for weights that change.
            turn: of this player, from 0, for terms that are not in every one. Such a term counts
                n times as much in every n-th turn; its share is told as what it is on average.
        """
        shares: dict[str, Tensor] = {}
        total: list[Tensor] = []
        for label, term in zip(self.labels, self.terms, strict=True):
            if term.plays(player, turn) and term.concerns(inputs):
                share = term.loss(player, inputs, images_seen)
                shares[label] = share.detach()
                total.append(share * term.config.every)
        if not total:
            raise ImpastoError(
                f"no term of the objective gives the {player} a loss"
                + ("" if turn == 0 else " in every turn; put one's `every` back to 1")
            )
        return torch.stack(total).sum(), shares

    def configs(self) -> tuple[TermConfig, ...]:
        """The terms with all their options, for the record."""
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
        raise ImpastoError(f"term '{config.term}' gives neither player a loss")
    if len(functions) == 2 and option_types(functions[0]) != option_types(functions[1]):
        raise RuntimeError(f"the two functions of term {config.term} differ in their options")
    options = resolve_options(functions[0], config.options, f"objective.{config.term}")
    return Term(config, options, module)


__all__ = ["Objective", "Round", "Term"]
