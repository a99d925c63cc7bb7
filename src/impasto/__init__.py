"""impasto: a collection of pictures becomes a generator of new ones.

The names below are the public surface; all that the command line does can be called:

    import impasto
    run = impasto.train("masters", "first_look", images=20_000)
    model = run.model()
    pictures = model.sample(seeds=[1, 2, 3])
    model.grid(seeds=range(16)).save("grid.png")

Paths are `str` or `Path`. Errors that a user can put right are an `ImpastoError` of one line. Messages
go to the logger `impasto`, which is quiet until `logging.basicConfig(level="INFO")`. Each name is
imported when it is first asked for, so that `import impasto` never waits for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.api.choosing import favourites, keep, more_like
    from impasto.api.collections import forget, open, pack, pack_on
    from impasto.api.comparing import Comparison, compare
    from impasto.api.directions import directions
    from impasto.api.enlarging import enlarge, enlarge_files
    from impasto.api.exploring import canvas, mix, walk
    from impasto.api.fetching import fetch
    from impasto.api.inverting import invert
    from impasto.api.judging import Evaluations, evaluate, report
    from impasto.api.pictures import sample
    from impasto.api.sharing import export, push
    from impasto.api.training import Run, list_recipes, resume, train
    from impasto.collection import Collection, PackOptions, open_or_pack
    from impasto.config import RunConfig
    from impasto.errors import ImpastoError, StoppedError
    from impasto.plugins import use_plugin
    from impasto.registry import load_recipe
    from impasto.sampling import Model, Sampler, find_model
    from impasto.sampling.step_settings import StepSettings
    from impasto.settings import change
    from impasto.training import load_config

__version__ = "0.2.0"

_HOMES = {
    "Collection": "collection",
    "Comparison": "api.comparing",
    "Evaluations": "api.judging",
    "ImpastoError": "errors",
    "Model": "sampling",
    "PackOptions": "collection",
    "Run": "api.training",
    "RunConfig": "config",
    "Sampler": "sampling",
    "StepSettings": "sampling.step_settings",
    "StoppedError": "errors",
    "canvas": "api.exploring",
    "change": "settings",
    "compare": "api.comparing",
    "directions": "api.directions",
    "enlarge": "api.enlarging",
    "enlarge_files": "api.enlarging",
    "evaluate": "api.judging",
    "export": "api.sharing",
    "favourites": "api.choosing",
    "fetch": "api.fetching",
    "find_model": "sampling",
    "forget": "api.collections",
    "invert": "api.inverting",
    "keep": "api.choosing",
    "list_recipes": "api.training",
    "load_config": "training",
    "load_recipe": "registry",
    "mix": "api.exploring",
    "more_like": "api.choosing",
    "open": "api.collections",
    "open_or_pack": "collection",
    "pack": "api.collections",
    "pack_on": "api.collections",
    "push": "api.sharing",
    "report": "api.judging",
    "resume": "api.training",
    "sample": "api.pictures",
    "train": "api.training",
    "use_plugin": "plugins",
    "walk": "api.exploring",
}

__all__ = [
    "Collection",
    "Comparison",
    "Evaluations",
    "ImpastoError",
    "Model",
    "PackOptions",
    "Run",
    "RunConfig",
    "Sampler",
    "StepSettings",
    "StoppedError",
    "canvas",
    "change",
    "compare",
    "directions",
    "enlarge",
    "enlarge_files",
    "evaluate",
    "export",
    "favourites",
    "fetch",
    "find_model",
    "forget",
    "invert",
    "keep",
    "list_recipes",
    "load_config",
    "load_recipe",
    "mix",
    "more_like",
    "open",
    "open_or_pack",
    "pack",
    "pack_on",
    "push",
    "report",
    "resume",
    "sample",
    "train",
    "use_plugin",
    "walk",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto' has no attribute '{name}'")
    try:
        return getattr(importlib.import_module(f"impasto.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        from impasto.errors import missing_package

        if (missing := missing_package(f"impasto.{name}", error)) is None:
            raise
        raise missing from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
