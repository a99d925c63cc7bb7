"""Pictures of a model: `sample`."""

from collections.abc import Iterable, Mapping
from os import PathLike

import numpy as np

from impasto.device import choose_device
from impasto.errors import ImpastoError
from impasto.sampling import Model
from impasto.sampling.step_settings import AS_SAVED, StepSettings


def sample(
    model: str | PathLike[str] | Model,
    seeds: Iterable[int] = range(16),
    classes: Mapping[str, str] | None = None,
    *,
    truncation: float | None = None,
    device: str = "auto",
    batch: int = 64,
    precision: str = "float32",
    steps: int | None = None,
    sampler: str | None = None,
    guidance: float | None = None,
    guide: str | PathLike[str] | None = None,
    aspect: str | None = None,
) -> np.ndarray:
    """Pictures, uint8 [B, H, W, 3], from a model, one for each seed.

    Args:
        model: a loaded model, which keeps its device; or a run, a checkpoint, a model folder, a
            model of the hub as `hf:OWNER/NAME`, or the word `masters`.
        seeds: 0 to 4294967295 each; one picture for each.
        classes: label field to class, such as `{"style": "Ukiyo-e"}`.
        truncation: above 0; 0.7 gives more typical, less varied pictures. None: no truncation.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        batch: pictures at a time.
        precision: `float32`; `bfloat16`, which is quicker on a GPU and changes the pixels a little; or
            `auto`, bfloat16 where the device multiplies it.
        steps: number of sampling steps of a flow model. This and the settings below: see
            `StepSettings`. None: as saved in the model.
        sampler: ODE solver of a flow model, `heun` or `euler`.
        guidance: guidance scale of a flow model; 1 is none.
        guide: another model for autoguidance, such as an earlier checkpoint of the run.
        aspect: width to height, such as `3:4`, for a model of several sizes.

    Raises:
        ImpastoError: no model, an unknown class or precision, a seed out of range, or a setting that
            does not fit the model.
    """
    how = StepSettings(steps, sampler, guidance, guide, aspect)
    if not isinstance(model, Model):
        model = Model.load(model, choose_device(device), **vars(how))
    elif how != AS_SAVED:
        raise ImpastoError(
            "a loaded model keeps its settings; give steps, sampler, guidance, guide and aspect to "
            "Model.load"
        )
    return model.sample(seeds, classes, truncation=truncation, batch=batch, precision=precision)
