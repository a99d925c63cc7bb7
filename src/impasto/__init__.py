"""impasto: a collection of pictures becomes a generator of new ones.

The names below are the public surface. Each is imported when it is first asked for, so that
`import impasto` never waits for torch:

    import impasto
    collection = impasto.open_or_pack("masters", resolution=64)
    config = impasto.change(impasto.load_recipe("first_look")(), {"training.images": 20_000})
    run = impasto.train(config, collection)
    model = impasto.Model.load(impasto.find_model(run))
    pictures = next(impasto.Sampler(model.generator, model.latent).batches([1, 2, 3]))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.collection import Collection, PackOptions, open_or_pack, pack
    from impasto.config import RunConfig, change
    from impasto.errors import ImpastoError
    from impasto.plugins import use_plugin
    from impasto.registry import load_recipe
    from impasto.sampling import Model, Sampler, find_model
    from impasto.training import load_config, resume, train

__version__ = "0.1.0"

_HOMES = {
    "Collection": "collection",
    "ImpastoError": "errors",
    "Model": "sampling",
    "PackOptions": "collection",
    "RunConfig": "config",
    "Sampler": "sampling",
    "change": "config",
    "find_model": "sampling",
    "load_config": "training",
    "load_recipe": "registry",
    "open_or_pack": "collection",
    "pack": "collection",
    "resume": "training",
    "train": "training",
    "use_plugin": "plugins",
}

__all__ = [
    "Collection",
    "ImpastoError",
    "Model",
    "PackOptions",
    "RunConfig",
    "Sampler",
    "change",
    "find_model",
    "load_config",
    "load_recipe",
    "open_or_pack",
    "pack",
    "resume",
    "train",
    "use_plugin",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute '{name}'")
    return getattr(importlib.import_module(f"impasto.{_HOMES[name]}"), name)
