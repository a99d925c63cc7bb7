"""From seeds to images: for training's grids, the command line, evaluation and everything else.

The names are imported when they are used, since sampling an ONNX model does without torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.sampling.grid import grid_picture
    from impasto.sampling.model import Model, find_model
    from impasto.sampling.sampler import Sampler
    from impasto.sampling.seeds import latents_of_seeds, parse_seeds

_HOMES = {
    "Model": "model",
    "Sampler": "sampler",
    "find_model": "model",
    "grid_picture": "grid",
    "latents_of_seeds": "seeds",
    "parse_seeds": "seeds",
}

__all__ = ["Model", "Sampler", "find_model", "grid_picture", "latents_of_seeds", "parse_seeds"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto.sampling' has no attribute '{name}'")
    return getattr(importlib.import_module(f"impasto.sampling.{_HOMES[name]}"), name)
