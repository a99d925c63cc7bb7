"""`impasto report`: one HTML page of a run."""

from pathlib import Path
from typing import Annotated

import typer

from impasto.errors import ImpastoError
from impasto.formatting import quoted


def command(
    run: Annotated[
        Path | None, typer.Argument(help="The run's folder.", show_default=False, metavar="RUN")
    ] = None,
    latest: Annotated[
        Path | None,
        typer.Option(
            help="Report the newest run in this folder.", show_default=False, metavar="FOLDER"
        ),
    ] = None,
    axis: Annotated[
        str,
        typer.Option(
            help="What the charts are over when the page is opened. The page switches between them.",
            metavar="images|epochs|iterations",
        ),
    ] = "images",
) -> None:
    """Write an HTML page of a run: curves, grids, findings.

    It works during training, too. The page is report.html in the run's folder; its path is the last
    line printed.
    """
    if (run is None) == (latest is None):
        raise ImpastoError("give the folder of a run, or --latest with a folder of runs")

    from impasto.reporting.data import taken_out_since_trained
    from impasto.reporting.doctor import doctor_lines
    from impasto.reporting.elements import moment
    from impasto.reporting.findings import no_findings
    from impasto.reporting.page import Report, write_report
    from impasto.reporting.record import newest_run
    from impasto.reporting.status import stage_number

    folder = newest_run(latest) if latest is not None else run
    assert folder is not None  # one of the two is given

    def lines(report: Report) -> list[str]:
        """A report in a few lines: progress, what is not shown, findings."""
        wrong, well = (
            [
                f"{finding.kind}, from "
                f"{moment(report.record, finding.began_at_images, iteration=True)}: "
                f"{finding.sentence}"
                for finding in findings
            ]
            for findings in (report.findings, report.good)
        )
        return [
            report.status,
            *report.missing,
            *(wrong or [no_findings(report.record)]),
            *well,
            *doctor_lines(report.record),
        ]

    report = write_report(folder, axis)
    if since := taken_out_since_trained(report.record):
        typer.echo(since)
    stages: list[Report] = []
    earlier = report.first_stage
    while earlier is not None:
        stages.insert(0, earlier)
        earlier = earlier.first_stage
    for stage in stages:
        for line in lines(stage):
            typer.echo(f"stage {stage_number(stage.record)}: {line}")
    for line in lines(report):
        typer.echo(line)
    typer.echo(quoted(report.page))
