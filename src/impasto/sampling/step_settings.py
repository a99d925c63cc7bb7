"""Settings of a model that may be changed when sampling: those of a flow model's steps, and the size of
a model of several sizes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

from impasto.config import NetworkConfig
from impasto.errors import ImpastoError
from impasto.networks import at_sampling, resolve_network
from impasto.resolution import Resolution, nearest


@dataclass(frozen=True)
class StepSettings:
    """How a generator makes images. None stands for the setting in `model.json`.

    Attributes:
        steps: number of sampling steps of a flow model.
        sampler: ODE solver of a flow model, `heun` or `euler`.
        guidance: guidance scale of a flow model; 1 is none.
        guide: a worse model to guide away from (autoguidance), such as an earlier checkpoint of the run;
            a run, a checkpoint or a model. None: the model itself without labels (classifier-free
            guidance).
        aspect: width to height, such as `3:4`, for a model of several sizes: it makes images of the
            nearest one.
    """

    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    guide: str | PathLike[str] | None = None
    aspect: str | None = None

    def bucket(self, buckets: Sequence[Resolution]) -> Resolution | None:
        """The size nearest to `aspect` among the sizes of a model; None without an aspect.

        Raises:
            ImpastoError: the model has one size only, or `aspect` is no width to height.
        """
        if self.aspect is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,4})[:x]([1-9]\d{0,4})", self.aspect)
        if found is None:
            raise ImpastoError(f"an aspect is width to height, such as 3:4, not '{self.aspect}'")
        if not buckets:
            raise ImpastoError(
                "this model makes pictures of one size, so it has no aspects; those trained on a "
                "collection packed with --fit aspect have several"
            )
        return nearest(int(found[1]), int(found[2]), buckets)

    @property
    def changes(self) -> dict[str, Any]:
        """The options of the generator that are set: steps, sampler and guidance."""
        found = {"steps": self.steps, "sampler": self.sampler, "guidance": self.guidance}
        return {name: value for name, value in found.items() if value is not None}

    def applied(
        self, generator: NetworkConfig, *, labels: int, without_labels: bool = True
    ) -> NetworkConfig:
        """A generator's config with these settings.

        Args:
            generator: of a model.
            labels: number of its label fields.
            without_labels: whether it has learned pictures without labels, too.

        Raises:
            ImpastoError: the network has no such settings, a value is wrong, or the guide or the
                guidance would have no effect.
        """
        asked = [*self.changes, *(["guide"] if self.guide is not None else [])]
        if not asked:
            return generator
        known = at_sampling(generator.network)
        for name in asked:
            if name not in known:
                raise ImpastoError(
                    f"{name} is for generators that make a picture in steps (network flow), and this "
                    f"model's network is '{generator.network}'; leave it out"
                )
        options = resolve_network(
            generator.network, "generator", {**generator.options, **self.changes}
        )
        if self.guide is not None and options["guidance"] == 1:
            raise ImpastoError(
                "a guide has no effect at guidance 1; give a guidance such as 2, too"
            )
        if self.guide is None and self.changes.get("guidance", 1) != 1:
            away = "guidance moves pictures away from those without labels, and this model"
            guide = "give a guide, such as an earlier checkpoint of its run"
            if not labels:
                raise ImpastoError(f"{away} has no labels; {guide}")
            if not without_labels:
                raise ImpastoError(
                    f"{away} was trained with labels only (training.hide_labels=0); {guide}, or train "
                    "one with --set training.hide_labels=0.1"
                )
        return NetworkConfig.model_validate({"network": generator.network, **options})

    def text(self, guide_sha256: str | None) -> str | None:
        """The settings in words, such as `8 steps, euler, guidance 2`; None if nothing is set.

        Args:
            guide_sha256: digest of the guide's weights, where there is a guide.
        """
        parts = [] if self.steps is None else [f"{self.steps} step{'s' * (self.steps != 1)}"]
        parts += [] if self.sampler is None else [self.sampler]
        parts += [] if self.guidance is None else [f"guidance {self.guidance:g}"]
        parts += [] if guide_sha256 is None else [f"guide {guide_sha256[:12]}"]
        parts += [] if self.aspect is None else [f"aspect {self.aspect}"]
        return ", ".join(parts) or None


AS_SAVED = StepSettings()
"""All settings as the model has them."""
