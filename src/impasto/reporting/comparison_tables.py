"""Tables that compare runs; a table has only scores with equal conditions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from impasto.evaluation.record import EvaluationRow, ScoreRow
from impasto.evaluation.score_kinds import (
    interval_text,
    kind_in,
    place_of,
    title_of,
    value_text,
)
from impasto.reporting.compared import Compared, at_own_resolutions, listed, scored_alike, size_of
from impasto.reporting.elements import PageTable, words
from impasto.reporting.scores import (
    Conditions,
    TableNotes,
    about_heldout,
    best_of,
    cell,
    commonest_row,
    heldout_score,
    judged,
    made_alike,
)
from impasto.reporting.scores_by_class import by_size, is_chief, names_by_class


@dataclass(frozen=True)
class NetworkScores:
    """Overall scores by one feature network.

    Attributes:
        network: its name.
        conditions: how they were measured.
        about_heldout: an explanation of the column of held-out pictures; may be empty.
        table: the scores.
        nothing_certain: whether no run is certainly better in any score.
    """

    network: str
    conditions: str
    about_heldout: str
    table: PageTable
    nothing_certain: bool


@dataclass(frozen=True)
class TitledTable:
    """A table under its title."""

    title: str
    table: PageTable


@dataclass(frozen=True)
class FieldScores:
    """Scores by class of a label field by one network; `more` of them unfold."""

    field: str
    network: str
    shown: list[TitledTable]
    more: list[TitledTable]


class Tables:
    """The checkpoints' scores, in a table for each set of equal conditions.

    `says`: sentences on what was not compared and why.
    """

    def __init__(self, runs: Sequence[Compared], collection_hash: str) -> None:
        self.runs = runs
        self.says: list[str] = []
        scored = scored_alike(runs, collection_hash)
        self._groups = self._grouped(at_own_resolutions(scored))

    def _grouped(
        self, scored: Sequence[Mapping[Conditions, EvaluationRow]]
    ) -> list[tuple[Conditions, dict[int, EvaluationRow]]]:
        """For each network, the runs with equal conditions (most runs first, then most pictures),
        and the runs without any other."""
        chosen: list[tuple[Conditions, dict[int, EvaluationRow]]] = []
        apart = []
        conditions = list(dict.fromkeys(key for found in scored for key in found))
        for place, found in enumerate(scored):
            if not found:
                self.says.append(
                    f"{self.runs[place].name} has no scores on this collection: it is in no table."
                )
        # Networks of one name with different weights are different.
        networks = list(dict.fromkeys((key.network, key.weights_sha256) for key in conditions))
        for network in networks:
            left = [key for key in conditions if (key.network, key.weights_sha256) == network]
            waiting = {n for n, found in enumerate(scored) if any(key in found for key in left)}
            first: Conditions | None = None
            while waiting:
                groups = [
                    (key, {n: scored[n][key] for n in sorted(waiting) if key in scored[n]})
                    for key in left
                ]
                # Of several sizes the mean of all says more than one.
                key, rows = max(
                    groups,
                    key=lambda group: (len(group[1]), len(group[0].sizes), group[0].pictures),
                )
                if not rows:
                    break
                chosen.append((key, rows))
                waiting -= set(rows)
                if first is not None:
                    apart.append(self._apart(key, rows, first))
                first = first or key
        measured = {n for _, rows in chosen for n in rows}
        if any(len(_sides(rows)) > 1 for _, rows in chosen):
            apart.append(
                "The runs paint at different resolutions, and scores depend on it: each is compared "
                "with the collection's pictures at its own, and no score is marked as the best."
            )
        elif measured and not any(len(rows) > 1 for _, rows in chosen):
            apart.append(
                "No two runs were measured alike, so no scores are compared: evaluate them with the "
                "same pictures and reference."
            )
        # Two networks may give the same sentence.
        self.says += dict.fromkeys(apart)
        return chosen

    def _apart(self, key: Conditions, rows: Mapping[int, EvaluationRow], others: Conditions) -> str:
        """Why scores have a table of their own."""
        names = listed(self._names(rows))
        own = "stand in a table of their own and are not compared with the others'."
        if bool(key.sizes) != bool(others.sizes):
            verb = "has" if len(rows) == 1 else "have"
            what = "means of several sizes" if key.sizes else "scores of one size only"
            return f"{names} {verb} {what}; these {own}"
        if key.resolution != others.resolution:
            verb = "paints" if len(rows) == 1 else "paint"
            return (
                f"{names} {verb} at {key.resolution} pixels, not at {others.resolution}, and scores "
                f"depend on it; so these {own}"
            )
        verb = "was" if len(rows) == 1 else "were"
        return f"{names} {verb} measured otherwise ({key}), so the scores {own}"

    def overall(self) -> list[NetworkScores]:
        """Overall scores, a table for each group of runs with equal conditions."""
        return [self._overall(key, rows) for key, rows in self._groups]

    def _names(self, rows: Mapping[int, EvaluationRow]) -> list[str]:
        """The heads of the runs' columns; with the resolution, if there are several."""
        if len(_sides(rows)) < 2:
            return [self.runs[n].name for n in rows]
        return [f"{self.runs[n].name} ({size_of(row)} pixels)" for n, row in rows.items()]

    def _overall(self, key: Conditions, rows: Mapping[int, EvaluationRow]) -> NetworkScores:
        pairs = {
            pair for row in rows.values() for group in made_alike([row]) for pair in group.overall
        }
        pairs_in_order = sorted(pairs, key=lambda pair: (place_of(pair[0]), pair[1] or "", pair[0]))
        real = _shared([_heldout(row, pairs_in_order) for row in rows.values()])
        notes, body, marked, alike = TableNotes(), [], 0, len(_sides(rows)) == 1
        for place, (name, of) in enumerate(pairs_in_order):
            scores = [row.score(name, of) for row in rows.values()]
            best = best_of(name, scores) if alike else None
            marked += best is not None
            cells = [
                cell(judged(row, name, of), notes, best=number == best)
                for number, row in enumerate(rows.values())
            ]
            if real:
                cells.append(cell(real[place], notes))
            body.append((title_of(name, of), [*cells, words(kind_in(name, rows.values()).better)]))
            beneath = commonest_row(list(rows.values()), name, of, heldout=bool(real))
            if beneath is not None:
                body.append((beneath[0], [*beneath[1], words("")]))
        real_names = ["held-out real"] if real else []
        head = ["", *self._names(rows), *real_names, "better is"]
        return NetworkScores(
            key.network,
            f"{key}.",
            about_heldout(list(rows.values())) if real else "",
            PageTable(head, body, notes.texts),
            nothing_certain=len(rows) > 1 and alike and not marked,
        )

    def by_class(self) -> list[FieldScores]:
        """For every shared field, a table for each score with a row for each class and a column for
        each run."""
        return [each for key, rows in self._groups for each in self._by_class(key, rows)]

    def _by_class(self, key: Conditions, rows: Mapping[int, EvaluationRow]) -> list[FieldScores]:
        portions = {row.pictures.per_class for row in rows.values()}
        if len(rows) > 1 and len(portions) > 1:
            self.says.append(
                f"Scores by class, as {key.network} sees them, are of different numbers of pictures "
                "of each class: they are not compared."
            )
            return []
        fields = dict.fromkeys(
            score.field
            for row in rows.values()
            for score in row.scores
            if score.cls and score.field
        )
        found = []
        for field in fields:
            mine = {n: row for n, row in rows.items() if names_by_class([row], field)}
            if len(rows) > 1 and len(mine) == 1:
                self.says.append(
                    f"Only {self._names(mine)[0]} paints by {field}: there is nothing to compare by "
                    "it, and its own report has the scores."
                )
            if not mine or len(mine) < min(2, len(rows)):
                continue
            names = names_by_class(list(mine.values()), field)
            shown = [name for name in names if is_chief(name)]
            first = [self._class_table(name, field, mine) for name in shown]
            rest = [self._class_table(name, field, mine) for name in names if name not in shown]
            found.append(FieldScores(field, key.network, first, rest))
        return found

    def _class_table(self, name: str, field: str, rows: Mapping[int, EvaluationRow]) -> TitledTable:
        found = dict.fromkeys(
            score.cls
            for row in rows.values()
            for score in row.scores
            if score.name == name and score.field == field and score.cls
        )
        classes = by_size(self.runs[0].record, field, [cls for cls in found if cls])
        real = _shared(
            [[heldout_score(row, name, field, cls) for cls in classes] for row in rows.values()]
        )
        notes, body = TableNotes(), []
        for place, cls in enumerate(classes):
            scores = [row.score(name, field, cls) for row in rows.values()]
            best = best_of(name, scores) if len(_sides(rows)) == 1 else None
            cells = [cell(score, notes, best=number == best) for number, score in enumerate(scores)]
            body.append((cls, [*cells, *([cell(real[place], notes)] if real else [])]))
        sentence = kind_in(name, rows.values()).sentence.rstrip(".")
        says = sentence[0].lower() + sentence[1:]
        head = [field, *self._names(rows), *(["held-out real"] if real else [])]
        return TitledTable(f"{title_of(name)}, {says}", PageTable(head, body, notes.texts))


def _sides(rows: Mapping[int, EvaluationRow]) -> set[str]:
    """The sizes of evaluations."""
    return {size_of(row) for row in rows.values()}


def _heldout(row: EvaluationRow, pairs: Sequence[tuple[str, str | None]]) -> list[ScoreRow | None]:
    return [heldout_score(row, name, of) for name, of in pairs]


def _shared(columns: Sequence[Sequence[ScoreRow | None]]) -> list[ScoreRow | None]:
    """The score of held-out real pictures, if it is the same for all runs; else empty."""

    def text(score: ScoreRow | None) -> tuple[str, str] | None:
        return None if score is None else (value_text(score), interval_text(score))

    first = list(columns[0])
    alike = all([text(score) for score in column] == list(map(text, first)) for column in columns)
    return first if alike and any(first) else []
