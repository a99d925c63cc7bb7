"""The model that a training starts from, with its weights."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto.errors import ImpastoError
from impasto.plugin_records import networks_of, require
from impasto.sampling.model import (
    DISCRIMINATOR_FILE,
    HUB,
    WEIGHTS_FILE,
    ModelRecord,
    find_model,
)
from impasto.sampling.shipped import shipped_name
from impasto.sampling.tensors import read_tensors


@dataclass(frozen=True)
class PretrainedModel:
    """The model that a training starts from.

    Attributes:
        name: for messages: the run's name for a checkpoint, the word of a packaged model such as
            `masters`, the name on the hub, or the folder's name.
        record: its record.
        generator: its averaged generator's tensors.
        discriminator: its discriminator's tensors, if present.
    """

    name: str
    record: ModelRecord
    generator: dict[str, Tensor]
    discriminator: dict[str, Tensor] | None

    @classmethod
    def load(cls, path: Path) -> "PretrainedModel":
        """Load a model: a run, `RUN/best`, a checkpoint, a model folder, `masters`, or one of the hub.

        Raises:
            ImpastoError: it is none of these, damaged, or has non-finite weights.
        """
        folder = find_model(path)
        record = ModelRecord.of(folder)
        networks = [*networks_of(record.generator), *networks_of(record.discriminator)]
        require(record.plugins, networks, folder)
        generator = read_tensors(folder / WEIGHTS_FILE, record.weights_sha256)
        discriminator = None
        if record.discriminator_sha256 is not None:
            discriminator = read_tensors(folder / DISCRIMINATOR_FILE, record.discriminator_sha256)
        every = [*generator.values(), *(discriminator or {}).values()]
        if not all(bool(value.isfinite().all()) for value in every if value.is_floating_point()):
            raise ImpastoError(
                f"{folder} holds weights that are not finite: its training has diverged; start from "
                "an earlier checkpoint of the run"
            )
        # The model of this package has its weights in half precision.
        generator, discriminator = _single(generator), discriminator and _single(discriminator)
        whole = folder.resolve()
        name = whole.parent.parent.name if whole.parent.name == "checkpoints" else whole.name
        if str(path).startswith(HUB):
            name = str(path)
        return cls(shipped_name(folder) or name, record, generator, discriminator)


def _single(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, floating-point ones in float32."""
    return {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
