"""The objective: a list of weighted terms, each in a file of its own and found by its name.

A term is one or both of two pure functions of a `Round`, giving a scalar to be minimised:

    def discriminator_loss(round: Round, *, ...options) -> Tensor
    def generator_loss(round: Round, *, ...options) -> Tensor

Keyword-only parameters are the term's options, the same for both functions. An adversarial term
also has `score(realness) -> Tensor`, what its discriminator's output means when logged, and
`SCORE`, the name of that meaning: `probability` (of being real) or `critic` (unbounded). Pictures of
a realness above 0 count as taken for real, unless it has `boundary(real, fake) -> Tensor`, which
finds that threshold from the realness of both batches.
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

from impasto.config import TermConfig
from impasto.errors import ImpastoError
from impasto.networks import Judgement
from impasto.registry import load_module, option_types, resolve_options


@dataclass
class Round:
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
    decode: Callable[[Tensor], Tensor] | None = None
    """The generator's later part, from the discriminator's features to pictures, where it has one."""

    def changed(self, **changes: Any) -> "Round":
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

    def loss(self, player: str, round: Round) -> Tensor | None:
        """This term's weighted share of the player's loss; None where it has no say."""
        if self.config.only not in (None, player):
            return None
        function = getattr(self.module, f"{player}_loss", None)
        return None if function is None else self.config.weight * function(round, **self.options)


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
        self.score: Callable[[Tensor], Tensor] = self._adversarial.score
        self.score_meaning: str = self._adversarial.SCORE

    def boundary(self, real: Tensor, fake: Tensor) -> Tensor:
        """The realness above which a picture counts as taken for real, from that of both batches."""
        if hasattr(self._adversarial, "boundary"):
            threshold: Tensor = self._adversarial.boundary(real, fake)
            return threshold
        return real.new_zeros(())

    def loss(self, player: str, round: Round) -> tuple[Tensor, dict[str, Tensor]]:
        """The player's loss (`discriminator` or `generator`), and each term's share of it."""
        shares: dict[str, Tensor] = {}
        for label, term in zip(self.labels, self.terms, strict=True):
            share = term.loss(player, round)
            if share is not None:
                shares[label] = share
        if not shares:
            raise ImpastoError(f"no term of the objective gives the {player} a loss")
        total = torch.stack(list(shares.values())).sum()
        return total, {label: share.detach() for label, share in shares.items()}

    def configs(self) -> tuple[TermConfig, ...]:
        """The terms with all their options, for the record."""
        return tuple(
            TermConfig.model_validate(
                {"term": t.name, "weight": t.config.weight, "only": t.config.only, **t.options}
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
