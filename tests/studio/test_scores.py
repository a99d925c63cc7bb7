"""The table of scores that the page shows."""

from pathlib import Path
from typing import Any

from impasto.evaluation.record import METRICS_FILE, EvaluationRow, ScoreRow
from impasto.evaluation.score_kinds import KINDS
from impasto.studio.scores import score_table


def _row(seen: int, *scores: ScoreRow) -> str:
    made: dict[str, Any] = {
        "created": "2026-01-01",
        "impasto": "0",
        "subject": {"kind": "run", "name": "r", "images_seen": seen},
        "network": {"name": "lite0", "weights_sha256": "0", "resize": "none", "width": 6},
        "collection": {"name": "c", "hash": "0", "resolution": 32},
        "reference": {"split": "train", "pictures": 9, "sources": 9, "available": 9},
        "pictures": {"count": 48},
        "scores": scores,
        "seconds": {"pictures": 1, "features": 1, "scores": 1},
    }
    return EvaluationRow(**made).model_dump_json() + "\n"


def _score(name: str, value: float | None, **more: Any) -> ScoreRow:
    return ScoreRow(name=name, value=value, pictures=48, reference=9, **more)


def test_every_kind_of_score_says_what_it_is_and_what_it_cannot_see() -> None:
    for name, kind in KINDS.items():
        assert kind.explanation.endswith("."), name
        assert kind.unseen.endswith(".") or name == "accuracy", name


def test_scores_of_several_fields_have_columns_of_their_own(tmp_path: Path) -> None:
    """Newest first; scores of a class are left out, and what was not measured is empty."""
    (tmp_path / METRICS_FILE).write_text(
        _row(
            64,
            _score("top1-judge", 0.25, field="style", low=0.2, high=0.3),
            _score("top1-judge", 0.75, field="genre"),
            _score("top1-judge", 0.5, field="genre", cls="portrait"),
        )
        + _row(
            128,
            _score("kid-lite0", 0.123),
            _score("mine-lite0", None, better="higher"),
            _score("fd-lite0-infinity", 7.0),
        )
    )
    table = score_table(tmp_path)
    infinity, *_ = table.columns
    assert infinity.explanation.endswith("the number of real ones still matters.")
    assert [column.title for column in table.columns] == [
        "FD of infinitely many pictures (lite0)",
        "KID (lite0)",
        "Top-1 of genre (judge)",
        "Top-1 of style (judge)",
        "mine-lite0 (lite0)",
    ]
    newest, first = table.rows
    assert (newest.images_seen, first.images_seen, first.pictures) == (128, 64, 48)
    assert newest.conditions == (
        "48 generated pictures against 9 training pictures of c at 32 pixels, as lite0 sees them"
    )
    values = [[cell and (cell.value, cell.interval) for cell in row.cells] for row in table.rows]
    assert values == [
        [("7", ""), ("0.123", ""), None, None, ("–", "")],
        [None, None, ("75%", ""), ("25.0%", "20.0 to 30.0%"), None],
    ]
    assert table.columns[1].better == "Lower is better."
    assert (table.columns[4].better, table.columns[4].explanation) == ("Higher is better.", "")
    assert score_table(tmp_path / "nothing").rows == []
