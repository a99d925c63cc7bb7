"""Save chosen pictures in a run's folder, where its report shows them."""

from pathlib import Path

import numpy as np

from impasto.curation.choosing import Choice, Scores
from impasto.errors import ImpastoError
from impasto.files import sha256_of_file, write_json
from impasto.sampling.curated import CuratedGroup, CuratedRecord, curated_grid, curated_record
from impasto.sampling.model import run_of


def run_with_report(model: Path) -> Path:
    """The run that `model` belongs to, whose report can show the model's pictures.

    Args:
        model: a run or one of its checkpoints.

    Raises:
        ImpastoError: it is neither.
    """
    run = run_of(model)
    if run is None:
        raise ImpastoError(
            f"only a run has a report, and {model} is not one: give a run or one of its checkpoints, or "
            "--grid in place of --to-report"
        )
    return run


def save_for_report(choice: Choice, run: Path) -> tuple[Path, Path]:
    """Write the grid of a choice, its table and its record. Those of an earlier choice are replaced.

    Returns:
        The paths of the grid and of the table.

    Raises:
        ImpastoError: a file cannot be written, or there are too many images for a grid.
    """
    grid = curated_grid(run, worst=choice.worst)
    table = choice.save_grid(grid)
    # The record has the grid's hash, so that a grid is never shown with the record of another.
    record = _record(choice, sha256_of_file(grid))
    write_json(curated_record(grid), record.model_dump(mode="json"))
    return grid, table


def _record(choice: Choice, grid_sha256: str) -> CuratedRecord:
    painter, judges = choice.scorer.painter, choice.scorer.judges
    return CuratedRecord(
        grid_sha256=grid_sha256,
        images_seen=painter.record.images_seen,
        candidates=len(choice.scores[0].seeds),
        worst=choice.worst,
        truncation=painter.truncation,
        judge=judges.collection if judges is not None else None,
        groups=tuple(_group(scores, choice) for scores in choice.scores),
    )


def _group(scores: Scores, choice: Choice) -> CuratedGroup:
    rows = scores.kept(choice.count, worst=choice.worst)

    def medians(values: np.ndarray) -> tuple[float, float]:
        return float(np.median(values[rows])), float(np.median(values))

    return CuratedGroup(
        title=scores.group.title,
        kept=len(rows),
        realness=None if scores.realness is None else medians(scores.realness),
        confidence=medians(scores.confidence) if scores.group.chosen else None,
    )
