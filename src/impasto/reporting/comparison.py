"""Compare runs: the same latents, scores over time, tables that mark certain differences.

Scores are compared only under equal conditions (`scores.Conditions`), and a value is marked as the
best only if its interval overlaps no other's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from impasto.reporting.compared import Compared
from impasto.reporting.comparison_curves import axis_choice, curves
from impasto.reporting.comparison_tables import Tables
from impasto.reporting.elements import Figure, PageImage, moment, pixel_kind
from impasto.reporting.pictures import joined, picture_uri
from impasto.reporting.rendering import write_page
from impasto.reporting.settings import facts, settings

_MOST_SETTINGS = 12
"""Most differing settings shown at once; more unfold."""


@dataclass(frozen=True)
class Pictures:
    """Several models' pictures of the same seeds.

    Attributes:
        drawn: for each model, uint8 [16, H, W, 3]; of several sizes cells, see `in_rows`.
        by_class: (label field, class) -> for each model that has it, the model's index and [8, H,
            W, 3].
        notes: differences between the models, a sentence each.
    """

    drawn: Sequence[np.ndarray]
    by_class: Mapping[tuple[str, str], Sequence[tuple[int, np.ndarray]]]
    notes: Sequence[str]


def write_comparison(
    runs: Sequence[Compared], pictures: Pictures, collection: str, collection_hash: str, out: Path
) -> list[str]:
    """Write one page that compares runs on a collection.

    Args:
        runs: two to six, in the requested order.
        pictures: their pictures.
        collection: its name.
        collection_hash: its content hash.
        out: the HTML file.

    Returns:
        What was compared, and what could not be, a sentence each.

    Raises:
        ImpastoError: the page cannot be written.
    """
    tables = Tables(runs, collection_hash)
    overall, by_class = tables.overall(), tables.by_class()
    differing, choice = settings(runs), axis_choice(runs)
    write_page(
        out,
        "compare",
        heading=" and ".join(run.name for run in runs) if len(runs) == 2 else f"{len(runs)} runs",
        collection=collection,
        missing=tables.says,
        facts=facts(runs),
        settings=differing,
        fold_settings=len(differing.rows) > _MOST_SETTINGS,
        layout="two" if len(runs) == 2 else "two three",
        figures=_figures(runs, pictures),
        notes=pictures.notes,
        fields=_by_field(runs, pictures),
        overall=overall,
        axis=choice.opens,
        choice=choice,
        curves=curves(runs, collection_hash, choice),
        by_class=by_class,
    )
    return tables.says


def _figures(runs: Sequence[Compared], pictures: Pictures) -> list[Figure]:
    """Each run's pictures of the same seeds."""
    found = []
    for run, drawn in zip(runs, pictures.drawn, strict=True):
        several = run.record.get("config", "buckets", default=[])
        seeds = "rows of each size" if several else f"seeds 0 to {len(drawn) - 1}"
        caption = f"{run.name}, after {moment(run.record, run.images_seen)}."
        found.append(Figure(_grid(drawn, 4, f"{seeds} of {run.name}"), caption))
    return found


def _by_field(
    runs: Sequence[Compared], pictures: Pictures
) -> dict[str, list[tuple[str, list[Figure]]]]:
    """For each label field its classes, with the pictures of each run that has the class."""
    found: dict[str, list[tuple[str, list[Figure]]]] = {}
    for (field, cls), painted in pictures.by_class.items():
        strips = [
            Figure(_grid(drawn, len(drawn), f"{cls} by {runs[place].name}"), runs[place].name)
            for place, drawn in painted
        ]
        found.setdefault(field, []).append((cls, strips))
    return found


def _grid(pictures: np.ndarray, columns: int, description: str) -> PageImage:
    """Pictures [N, H, W, 3] without gaps, `columns` in a row; N is a multiple of it."""
    grid = joined(pictures.reshape(-1, columns, *pictures.shape[1:]))
    return PageImage(picture_uri(grid), description, pixel_kind(pictures.shape[2]))
