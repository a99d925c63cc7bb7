"""The models inside the package, by name."""

from pathlib import Path

from impasto.errors import ImpastoError

_PACKAGE = Path(__file__).parent.parent

SHIPPED = {
    "masters": _PACKAGE / "masters" / "model",
    "paintings": _PACKAGE / "paintings" / "model",
    "paintings-128": _PACKAGE / "paintings" / "model-128",
}
"""The folder of each. `masters` learned from the 21 paintings in this package
(benchmarks/masters_model.py), `paintings` and then `paintings-128`, which has twice its side, from a
collection of paintings by style (benchmarks/paintings_model.py)."""

LARGER = {"paintings": ("paintings-128",)}
"""The models that learned the pictures of another one at larger sizes, the smallest first."""


def packaged_models() -> list[str]:
    """Names of the packaged models that are in this installation."""
    return [name for name, folder in SHIPPED.items() if (folder / "model.json").is_file()]


def shipped_model(name: str) -> Path:
    """The folder of a model inside the package.

    Raises:
        ImpastoError: it is not in this installation.
    """
    present = packaged_models()
    if name not in present:
        raise ImpastoError(
            f"no model {name} is in this installation of impasto; "
            + (f"there is {', '.join(present)}" if present else "install it anew")
        )
    return SHIPPED[name]


def shipped_name(folder: Path) -> str | None:
    """The name of the packaged model in this folder; None if it is another folder."""
    whole = folder.resolve()
    return next((name for name, place in SHIPPED.items() if place.resolve() == whole), None)
