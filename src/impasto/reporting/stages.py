"""Two-stage runs: pictures of the same latents by both stages."""

import numpy as np
from markupsafe import Markup
from PIL import Image

from impasto.reporting.elements import PageImage, moment, pixel_kind
from impasto.reporting.pictures import open_picture, picture_uri, tile_size
from impasto.reporting.record import RunRecord
from impasto.reporting.rendering import render
from impasto.reporting.status import stage_number

# Number of latents, in groups with a row for each stage.
_ACROSS, _GROUPS = 8, 2
_MOST_SIDE = 256


def same_latents(first: RunRecord, second: RunRecord) -> bool:
    """Whether both stages' grids have the same latents and, for the first stage's fields, the same
    labels."""
    of_first, of_second = (each.get("config", "labels", default=[]) for each in (first, second))
    if (
        not isinstance(of_first, list)
        or not isinstance(of_second, list)
        or not set(of_first) <= set(of_second)
    ):
        return False
    return all(
        first.get("config", *names) == second.get("config", *names)
        for names in (("latent",), ("training", "seed"), ("training", "grid"))
    ) and first.get("collection", "hash") == second.get("collection", "hash")


def stages_section(first: RunRecord, second: RunRecord) -> Markup:
    """The newest grids of both stages, with rows alternating; '' if there is none."""
    if not same_latents(first, second):
        return Markup()
    newest = [_newest(record) for record in (first, second)]
    if newest[0] is None or newest[1] is None:
        return Markup()
    (seen_first, small), (seen_second, large) = newest[0], newest[1]
    count = min(len(small), len(large), _ACROSS * _GROUPS)
    groups, numbers = [], [stage_number(record) for record in (first, second)]
    for start in range(0, count, _ACROSS):
        stop = min(start + _ACROSS, count)
        rows = [
            PageImage(
                picture_uri(_row(pictures[start:stop])),
                f"latents {start + 1} and on in stage {number}",
                pixel_kind(pictures.shape[2]),
            )
            for number, pictures in zip(numbers, (small, large), strict=True)
        ]
        groups.append((f"{100 * (stop - start) / _ACROSS:g}", rows))
    says = (
        f"Stage {numbers[0]} (above, {small.shape[2]} pixels) after {moment(first, seen_first)}, "
        f"stage {numbers[1]} (beneath, {large.shape[2]} pixels) after {moment(second, seen_second)}."
    )
    return render("stages", says=says, groups=groups)


def _newest(record: RunRecord) -> tuple[int, np.ndarray] | None:
    """Images seen, and the pictures [N, H, W, 3] of the last grid that can be read."""
    for seen, path in reversed(record.grids):
        grid = open_picture(path)
        if grid is None or grid.width % record.columns:
            continue
        width, height = tile_size(grid, record.columns, record.tall)
        rows = grid.height // height
        if not rows:
            continue
        pixels = np.asarray(grid)[: rows * height].reshape(rows, height, record.columns, width, 3)
        pictures = pixels.swapaxes(1, 2).reshape(-1, height, width, 3)
        # The unused rest of the last row is black.
        asked = record.count("config", "training", "grid")
        return seen, pictures[:asked]
    return None


def _row(pictures: np.ndarray) -> Image.Image:
    """Pictures in a row, at most 256 pixels each."""
    row = Image.fromarray(np.concatenate(list(pictures), axis=1))
    if row.height > _MOST_SIDE:
        width = round(pictures.shape[2] * _MOST_SIDE / row.height)
        row = row.resize((width * len(pictures), _MOST_SIDE), Image.Resampling.LANCZOS)
    return row
