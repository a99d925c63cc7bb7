from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from impasto.errors import ImpastoError
from impasto.registry import (
    load_module,
    load_recipe,
    module_names,
    recipe_modules,
    resolve_options,
)


def test_names_are_files() -> None:
    assert {"dcgan", "lean"} <= set(module_names("networks"))
    assert {"bce", "wasserstein", "gradient_penalty", "hinge"} <= set(module_names("objectives"))


def test_recipes_are_functions() -> None:
    found = recipe_modules()
    assert found["ukiyoe_dcgan_v1"] == found["ukiyoe_dcgan_v3"] == "ukiyoe_dcgan"
    assert found["wikiart_dcgan"] == "wikiart_dcgan"


def test_a_recipe_of_the_same_name_in_two_files_is_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text("def same() -> RunConfig: ...\n")
    with pytest.raises(RuntimeError, match=r"same is in one.py and two.py"):
        recipe_modules(tmp_path)


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(ImpastoError, match=r"unknown network 'dcgann'; there is .*dcgan, .*lean"):
        load_module("networks", "dcgann", "network")
    with pytest.raises(ImpastoError, match=r"unknown recipe 'x'; there is .*wikiart_dcgan"):
        load_recipe("x")


def _example(*, batch: int, width: int = 64, bounds: tuple[float, float] = (0.0, 1.0)) -> None: ...


def test_options_are_checked_and_filled() -> None:
    options = resolve_options(_example, {"width": "32"}, "generator", given=("batch",))
    assert options == {"width": 32, "bounds": (0.0, 1.0)}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"widht": 1}, "unknown setting 'generator.widht'; there is bounds, width"),
        ({"width": "wide"}, "'generator.width' cannot be 'wide'"),
        ({"bounds": [1.0]}, "'generator.bounds' cannot be"),
        ({"batch": 3}, "unknown setting 'generator.batch'"),
    ]
    for wrong, message in cases:
        with pytest.raises(ImpastoError, match=message):
            resolve_options(_example, wrong, "generator", given=("batch",))
    with pytest.raises(ImpastoError, match=r"'term.batch' is missing"):
        resolve_options(_example, {}, "term")


def test_recipes_are_listed_in_many_threads_at_once() -> None:
    """Python 3.11's parser counts its depth for all threads together, so threads take turns."""
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: recipe_modules(), range(64)))
    assert all(each == found[0] for each in found)
