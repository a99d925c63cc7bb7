"""The findings of a run, by `impasto.diagnosis` from its rows, classes and evaluations."""

from collections.abc import Sequence
from dataclasses import replace

from impasto.diagnosis import LEAST_STEPS, Finding, Setup, diagnose
from impasto.diagnosis.classes import Classes, class_findings
from impasto.diagnosis.evaluated import score_findings
from impasto.diagnosis.signs import EXPLOSION, NOT_FINITE
from impasto.evaluation.by_size import with_all_sizes
from impasto.evaluation.record import EvaluationRow
from impasto.reporting.record import RunRecord
from impasto.reporting.scores import best_founded, made_alike


def run_findings(record: RunRecord, classes: Sequence[Classes] = ()) -> list[Finding]:
    """The findings of a run, bad and good; `classes` as measured."""
    setup = Setup.of(record.run)
    found = diagnose(record.rows, setup)
    if record.steps is None or record.steps >= LEAST_STEPS:
        found += class_findings(
            record.images_seen,
            record.series,
            classes,
            terms=setup.terms,
            pretrain_images=setup.pretrain_images,
            progress=record.images_done / (record.images_planned or max(1, record.images_done)),
        )
        found = _together(found, evaluation_findings(record.evaluations, record.collection_hash))
    if stop := record.given_up:
        # After the doctor's interventions, its own advice applies.
        found = [
            replace(each, advice=stop.then) if each.kind in (NOT_FINITE, EXPLOSION) else each
            for each in found
        ]
    return sorted(found, key=lambda finding: finding.began_at_images)


def evaluation_findings(
    evaluations: Sequence[EvaluationRow], own: str | None = None
) -> list[Finding]:
    """Findings of a run's evaluations; `own` is the content hash of its collection."""
    groups = made_alike(with_all_sizes(evaluations))
    newest = best_founded(groups, own)
    if len(with_all_sizes(evaluations)) < len(evaluations):
        # Means have no scores by class; those of the main size have.
        newest += best_founded(made_alike(evaluations), own)
    return score_findings([group.rows for group in groups], [group.rows for group in newest])


def _together(found: Sequence[Finding], scored: Sequence[Finding]) -> list[Finding]:
    """Findings of rows and evaluations, merged if both show a symptom."""
    of_scores = {finding.kind: finding for finding in scored}
    joined = []
    for finding in found:
        other = of_scores.pop(finding.kind, None)
        if other is not None:
            finding = replace(
                finding,
                began_at_images=min(finding.began_at_images, other.began_at_images),
                sentence=f"{finding.sentence} By evaluation: {other.sentence}",
            )
        joined.append(finding)
    return [*joined, *of_scores.values()]


def no_findings(record: RunRecord) -> str:
    """The text without findings: a good sign, or too early."""
    if not len(record.images_seen):
        return "no findings: there are no statistics yet"
    if record.steps is not None and record.steps < LEAST_STEPS:
        return (
            f"nothing is broken after {record.steps:,} steps; from {LEAST_STEPS} on the curves are "
            "judged as well"
        )
    return "no findings"
