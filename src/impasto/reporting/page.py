"""The report of a run: one self-contained HTML page."""

from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from impasto.diagnosis import LEAST_STEPS, TITLES, Finding
from impasto.diagnosis.classes import Classes
from impasto.errors import ImpastoError
from impasto.reporting.axes import AxisChoice, check_axis
from impasto.reporting.by_class import classes_section, measure
from impasto.reporting.charts import require_matplotlib
from impasto.reporting.classification import classifier
from impasto.reporting.curated import curated_section
from impasto.reporting.curves import Charts, curves_section, discriminator_section
from impasto.reporting.data import data_section
from impasto.reporting.doctor import doctor_table
from impasto.reporting.elements import moment, with_code
from impasto.reporting.evaluated import evaluation_section
from impasto.reporting.findings import no_findings, run_findings
from impasto.reporting.over_time import over_time_section, pictures_section
from impasto.reporting.particulars import particulars_section
from impasto.reporting.record import RunRecord, read_record
from impasto.reporting.rendering import render, write_page
from impasto.reporting.stages import stages_section
from impasto.reporting.status import (
    about,
    first_stage_page,
    heading,
    stage_number,
    status,
    status_line,
    waits,
)

# Number of rows from which trends can be distinguished from noise.
_JUDGED_ROWS = 24


@dataclass
class Report:
    """A written report.

    Attributes:
        record: of the run, as it was read.
        page: the HTML file.
        status: the run's progress, a line.
        findings: what went wrong, the earliest first.
        good: what went well, the earliest first.
        missing: what could not be shown and why, a sentence each.
        first_stage: the report of the first of two stages, if there is one.
    """

    record: RunRecord
    page: Path
    status: str
    findings: list[Finding]
    good: list[Finding]
    missing: list[str] = field(default_factory=list)
    first_stage: "Report | None" = None


def write_report(folder: Path, axis: str = "images") -> Report:
    """Write `report.html` (and `timelapse.mp4`) into the folder of a run, finished or not.

    The first stage of a two-stage run gets a page of its own in its folder.

    Args:
        folder: of the run.
        axis: `images`, `epochs` or `iterations`: what the charts are over when the page is opened.

    Raises:
        ImpastoError: no run, no such axis, no matplotlib, or the folder cannot be written.
    """
    check_axis(axis)
    require_matplotlib()
    record = read_record(folder)
    measured = measure(record)
    found = run_findings(record, measured)
    report = Report(
        record,
        folder / "report.html",
        status_line(record),
        [finding for finding in found if not finding.good],
        [finding for finding in found if finding.good],
    )
    if record.first_stage is not None:
        try:
            report.first_stage = write_report(record.first_stage, axis)
        except ImpastoError as error:
            report.missing.append(f"There is no page of stage {stage_number(record, 1)}: {error}.")
        else:
            report.status = status_line(record, report.first_stage.status)
    choice = AxisChoice.of(record, axis, report.missing)
    sections = _sections(report, measured, choice)
    first = report.first_stage
    recipe, facts = about(record)
    write_page(
        report.page,
        "report",
        axis=choice.opens,
        heading=heading(record),
        recipe=recipe,
        facts=facts,
        status=status(record, report.status, first.record if first else None),
        is_first_stage=record.whole is not None,
        stage=stage_number(record),
        before=stage_number(record, 1),
        grows=record.get("config", "generator", "network") != "stacked",
        first_stage=(first_stage_page(first.page.name), first.status) if first else None,
        missing=report.missing,
        sections=sections,
    )
    return report


def _sections(report: Report, measured: list[Classes], choice: AxisChoice) -> list[Markup]:
    """The sections of a run's page; for a second stage that has not begun, only what is known."""
    record, missing = report.record, report.missing
    about_run = [data_section(record), particulars_section(record)]
    if waits(record):
        own, before = stage_number(record), stage_number(record, 1)
        missing.append(f"Stage {own} has not begun: it begins when stage {before} is finished.")
        return about_run
    charts = Charts(record, report.findings, choice)
    first = report.first_stage.record if report.first_stage else None
    return [
        _findings_section(record, report),
        pictures_section(record, missing),
        stages_section(first, record) if first is not None else Markup(),
        over_time_section(record, missing),
        curated_section(record),
        evaluation_section(record, charts),
        classes_section(record, measured, charts),
        curves_section(record, charts, missing),
        discriminator_section(record, charts, classifier(record)),
        *about_run,
    ]


def _findings_section(record: RunRecord, report: Report) -> Markup:
    """The findings, bad and good, and the doctor's events."""
    rows = len(record.images_seen)
    judged = record.steps is None or record.steps >= LEAST_STEPS
    verdict = ""
    if not rows:
        verdict = "There are no statistics to judge yet."
    elif not report.findings and not judged:
        verdict = f"{no_findings(record).capitalize()}."
    return render(
        "findings",
        verdict=verdict,
        findings=[
            (_finding_heading(record, finding), finding.sentence, with_code(finding.advice))
            for finding in report.findings
        ],
        good=[(_finding_heading(record, finding), finding.sentence) for finding in report.good],
        few_rows=rows if 0 < rows < _JUDGED_ROWS and judged else 0,
        judged_rows=_JUDGED_ROWS,
        doctor=doctor_table(record),
    )


def _finding_heading(record: RunRecord, finding: Finding) -> str:
    return f"{TITLES[finding.kind]}, from {moment(record, finding.began_at_images, iteration=True)}"
