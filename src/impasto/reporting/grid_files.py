"""Find the grids of a run's pictures among its files."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from impasto.resolution import parse_resolution, width_and_height


@dataclass(frozen=True)
class ClassGrids:
    """The class grids of a label field: a row for each latent, a column for each class.

    Attributes:
        field: its name.
        classes: of the columns.
        rows: number of latents; with several sizes each is in some of the rows.
        grids: (images seen, file) of each, the earliest first.
        tall: the height of a place divided by its width.
        sizes: of several sizes their widths and heights; rows take turns, in places that hold any.
    """

    field: str
    classes: tuple[str, ...]
    rows: int
    grids: list[tuple[int, Path]]
    tall: float = 1.0
    sizes: tuple[tuple[int, int], ...] = ()


def grids_in(folder: Path, name: str = "fakes") -> list[tuple[int, Path]]:
    """(images seen, file) of each grid of this name, the earliest first."""
    found = []
    for path in folder.glob("*.png"):
        match = re.fullmatch(rf"{re.escape(name)}-(\d+)\.png", path.name)
        if match:
            found.append((int(match[1]), path))
    return sorted(found)


def tall_of(run: dict[str, Any]) -> float:
    """The height of a run's pictures divided by their width; 1 where it is not recorded."""
    config = run.get("config")
    try:
        size = parse_resolution(config["resolution"]) if isinstance(config, dict) else 1
    except (KeyError, ValueError):
        return 1.0
    width, height = width_and_height(size)
    return height / width if width and height else 1.0


def class_grids_of(run: dict[str, Any], folder: Path) -> list[ClassGrids]:
    """The class grids of each label field that `run.json` lists."""
    grids = run.get("class_grids")
    found = []
    for name, grid in grids.items() if isinstance(grids, dict) else ():
        classes, rows = (
            (grid.get("classes"), grid.get("rows")) if isinstance(grid, dict) else (0, 0)
        )
        if isinstance(classes, list) and classes and isinstance(rows, int) and rows > 0:
            known = grids_in(folder, f"classes-{name}")
            sizes, tall = _sizes_of(grid), tall_of(run)
            if sizes:
                widths, heights = zip(*sizes, strict=True)
                tall = max(heights) / max(widths)
            found.append(ClassGrids(str(name), tuple(map(str, classes)), rows, known, tall, sizes))
    return found


def _sizes_of(grid: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """The sizes of the rows of a class grid; () if it is of one size, as those of earlier versions."""
    found = []
    for size in grid.get("sizes") or ():
        match size:
            case [int(width), int(height)] if width > 0 and height > 0:
                found.append((width, height))
            case _:
                return ()
    return tuple(found)
