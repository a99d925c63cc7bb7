"""The report of a run: one HTML page that holds everything it shows."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import yaml

from impasto import __version__
from impasto.config import FIRST_STAGE
from impasto.errors import ImpastoError
from impasto.files import write_text
from impasto.formatting import readable_time
from impasto.report.by_class import classes_section, measure
from impasto.report.charts import require_matplotlib
from impasto.report.classification import classifier_html
from impasto.report.curves import Charts, curves_section, discriminator_section
from impasto.report.data import data_section
from impasto.report.doctor import doctor_html
from impasto.report.elements import grid_figure, image, moment, percent, pixel_class, with_code
from impasto.report.evaluated import evaluation_section
from impasto.report.findings import LEAST_STEPS, Classes, Finding, find
from impasto.report.pictures import cut, data_uri, evenly, open_picture, picture_uri
from impasto.report.record import Record, read_record
from impasto.report.score_findings import score_findings
from impasto.report.scores import made_alike
from impasto.report.stages import stages_section
from impasto.report.timelapse import write_timelapse

_MOST_GRIDS = 24
# Sides in pixels up to which a grid is shown whole; of larger ones the first pictures are shown.
_GRID_SIDE, _LAST_GRID_SIDE = 768, 2048
_EMBEDDED_VIDEO_BYTES = 8_000_000

_KINDS = {
    "nan": "Not a number",
    "divergence": "Divergence",
    "spikes": "Spikes",
    "saturation": "Saturation",
    "collapse": "Collapse",
    "overfitting": "A discriminator too strong",
    "ignored": "Classes ignored",
    "learnt": "Classes learnt",
    "past best": "Past its best",
    "copied": "Pictures copied",
    "missed": "Classes not recognised",
}


@dataclass
class Report:
    """A report that was written.

    Attributes:
        record: of the run, as it was read.
        page: the HTML file.
        status: how far the run is, a line.
        findings: what went wrong, the earliest first.
        good: what went well, likewise.
        missing: what could not be shown and why, a sentence each.
        first_stage: the report of the first of two stages, if there is one.
    """

    record: Record
    page: Path
    status: str
    findings: list[Finding]
    good: list[Finding]
    missing: list[str] = field(default_factory=list)
    first_stage: "Report | None" = None


def write_report(folder: Path) -> Report:
    """Write `report.html` (and `timelapse.mp4`) into the folder of a run, finished or not.

    In a run of two stages, the first one gets a page of its own in its own folder.

    Raises:
        ImpastoError: no run, no matplotlib, or the folder cannot be written.
    """
    require_matplotlib()
    record = read_record(folder)
    measured = measure(record)
    found = run_findings(record, measured)
    report = Report(
        record,
        folder / "report.html",
        _status(record),
        [finding for finding in found if not finding.good],
        [finding for finding in found if finding.good],
    )
    if record.first_stage is not None:
        try:
            report.first_stage = write_report(record.first_stage)
        except ImpastoError as error:
            report.missing.append(f"There is no page of stage I: {error}.")
        else:
            report.status = _status(record, report.first_stage)
    charts = Charts(record, report.findings)
    first = report.first_stage.record if report.first_stage else None
    if _waits(record):
        report.missing.append("Stage II has not begun: it begins when stage I is finished.")
        sections = []
    else:
        sections = [
            _findings_section(record, report),
            _pictures_section(record, report.missing),
            stages_section(first, record) if first is not None else "",
            _time_section(record, report.missing),
            evaluation_section(record, charts),
            classes_section(record, measured, charts),
            curves_section(record, charts, report.missing),
            discriminator_section(record, charts, classifier_html(record)),
        ]
    sections += [data_section(record), _particulars_section(record)]
    missing = (
        '<div class="missing">'
        + "".join(f"<p>{escape(sentence)}</p>" for sentence in report.missing)
        + "</div>"
        if report.missing
        else ""
    )
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    heading = _heading(record)
    page = template.substitute(
        version=escape(__version__),
        what="report",
        title=escape(f"{heading} (impasto)"),
        heading=escape(heading),
        status=_about_html(record) + _status_html(record, report) + _links_html(record, report),
        body="\n".join([missing, *filter(None, sections)]),
    )
    write_text(report.page, page)
    return report


def run_findings(record: Record, classes: Sequence[Classes] = ()) -> list[Finding]:
    """Findings of a run, of what went wrong and of what went well; `classes` as measured."""
    found = find(
        record.images_seen,
        record.series,
        probability=record.probability,
        labels=_label_means(record),
        steps=record.steps,
        pretrain_images=record.pretrain_images,
        terms=record.terms,
        classes=classes,
        progress=record.images_done / (record.images_planned or max(1, record.images_done)),
    )
    if record.steps is None or record.steps >= LEAST_STEPS:
        found += score_findings(made_alike(record.evaluations), record.collection_hash)
    if stop := record.given_up:
        # The doctor went back to checkpoints already: its own advice knows what that did not mend.
        found = [replace(each, advice=stop.then) if each.kind == "nan" else each for each in found]
    return sorted(found, key=lambda finding: finding.began_at_images)


def no_findings(record: Record) -> str:
    """What to say where there are none: a good sign, or too early to tell."""
    if not len(record.images_seen):
        return "no findings: there are no statistics yet"
    if record.steps is not None and record.steps < LEAST_STEPS:
        return (
            f"nothing is broken after {record.steps:,} steps; from {LEAST_STEPS} on the curves are "
            "judged as well"
        )
    return "no findings"


def _label_means(record: Record) -> tuple[float, float]:
    """Mean label of generated and of real pictures in the term `bce`; 0 and 1 if not smoothed."""
    for term in record.get("config", "objective", default=[]):
        if isinstance(term, dict) and term.get("term") == "bce":
            try:
                fake = statistics.fmean(term.get("fake_labels") or (0.0,))
                real = statistics.fmean(term.get("real_labels") or (1.0,))
            except TypeError:
                break
            return fake, real
    return 0.0, 1.0


# Words and numbers


def _date(text: Any) -> str:
    """An ISO time as `22 November 2025, 02:35 UTC`; other text as it is."""
    try:
        moment = datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return str(text)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _heading(record: Record) -> str:
    recipe = record.get("recipe") or record.get("config", "recipe")
    collection = record.get("collection", "name")
    if not recipe:
        return record.name
    heading = f"{recipe} on {collection}" if collection else str(recipe)
    return f"{heading}, stage I" if record.whole else heading


def _waits(record: Record) -> bool:
    """Whether it is a second stage that has nothing to show while the first is trained."""
    return record.get("config", "first_stage") is not None and not (
        len(record.images_seen) or record.grids
    )


def _status(record: Record, first_stage: Report | None = None) -> str:
    if _waits(record):
        begun = f"stage I {first_stage.status}" if first_stage else "stage I has not begun"
        return f"{begun}; stage II not begun"
    done, planned = record.images_done, record.images_planned
    if planned is None:
        return f"{moment(record, done)} so far"
    if record.given_up:
        so_far = f"{done:,} of {planned:,} images ({percent(done / planned)})"
        return f"stopped by the doctor, for it had diverged: {so_far}"
    if done >= planned:
        return f"finished: {moment(record, done)}"
    if record.ended_early:
        return f"ended early, for it no longer improved: {done:,} of {planned:,} images"
    return (
        f"not finished: {done:,} of {planned:,} images ({percent(done / planned)})"
        if done
        else f"just begun: 0 of {planned:,} images"
    )


def _about_html(record: Record) -> str:
    """What was trained on what, in a line or two: the recipe's first words, pictures, size."""
    recipe = str(record.get("recipe_text") or "").strip().split("\n\n")[0].split("\n")[0]
    facts = []
    if record.pictures:
        sources = record.count("collection", "sources")
        cut = (
            f", cut from {sources:,} source pictures"
            if sources and sources < record.pictures
            else ""
        )
        facts.append(f"{record.pictures:,} training pictures{cut}")
    side = record.count("config", "resolution") or record.count("collection", "resolution")
    if side:
        facts.append(f"{side} × {side} pixels")
    labels = record.get("config", "labels", default=[])
    if labels and isinstance(labels, list):
        facts.append(f"conditioned on {' and '.join(str(label) for label in labels)}")
    seconds = _last(record, "seconds")
    if seconds is not None:
        facts.append(f"{readable_time(seconds)} of training")
    text = f"<p>{escape(recipe)}</p>" if recipe else ""
    text += f"<p class='faint'>{escape(', '.join(facts))}</p>"
    begun = _begun_with(record)
    return text + (f"<p class='faint'>{escape(begun)}</p>" if begun else "")


def _begun_with(record: Record) -> str:
    """The model that the run started from, and how much of it was kept; nothing if from none."""
    model, seen = record.get("started_from", "model"), record.get("started_from", "images_seen")
    kept, partly, new = (
        len(record.get("started_from", "generator", fate, default=[]))
        for fate in ("kept", "partly", "new")
    )
    if model is None or not isinstance(seen, int):
        return ""
    return (
        f"Started from {model} ({record.get('started_from', 'recipe')}, {seen:,} images seen): "
        f"{kept} of {kept + partly + new} layers of its generator kept."
    )


def _last(record: Record, name: str) -> float | None:
    """The last number recorded in a series."""
    values = record.series.get(name)
    if values is None or not np.isfinite(values).any():
        return None
    return float(values[np.isfinite(values)][-1])


def _status_html(record: Record, report: Report) -> str:
    done, planned = record.images_done, record.images_planned
    status = report.status
    text = f"<p>{escape(status[0].upper() + status[1:])}.</p>"
    if planned is None or done >= planned:
        return text
    text += f'<div class="progress"><div style="width: {100 * done / planned:.1f}%"></div></div>'
    if record.given_up or (report.first_stage and report.first_stage.record.given_up):
        note = "Resumed, it would diverge again: start again with other settings."
    elif record.ended_early:
        return text
    else:
        note = "The training goes on or was stopped; make the report again for a newer one."
    return f"{text}<p class='faint'>{note}</p>"


def _links_html(record: Record, report: Report) -> str:
    """From the page of a run to that of its first stage, and back."""
    if record.whole is not None:
        return '<p>The first of two stages: <a href="../report.html">the whole run</a>.</p>'
    if report.first_stage is None:
        return ""
    page = report.first_stage.page.name
    return (
        "<p>This page shows stage II, which goes on from the pictures of stage I. "
        f'<a href="{FIRST_STAGE}/{page}">Stage I has a page of its own</a> '
        f"({report.first_stage.status}).</p>"
    )


# Sections


def _findings_section(record: Record, report: Report) -> str:
    rows, findings = len(record.images_seen), report.findings
    if not rows:
        text = "<p>There are no statistics to judge yet.</p>"
    elif not findings and record.steps is not None and record.steps < LEAST_STEPS:
        text = f"<p>{escape(no_findings(record).capitalize())}.</p>"
    elif findings:
        items = [
            f'<li><h3><span class="number">{number}</span>{_finding_heading(record, finding)}</h3>'
            f"<p>{escape(finding.sentence)}</p>"
            f"<p><strong>What to try:</strong> {with_code(finding.advice)}</p></li>"
            for number, finding in enumerate(findings, 1)
        ]
        text = f'<ol class="findings">{"".join(items)}</ol>'
    else:
        text = (
            '<div class="healthy"><p>Nothing found: no divergence of the losses, no spikes, no '
            "saturated discriminator, no collapse of diversity, no broken numbers.</p></div>"
        )
    text += "".join(
        f'<div class="healthy"><h3>{_finding_heading(record, finding)}</h3>'
        f"<p>{escape(finding.sentence)}</p></div>"
        for finding in report.good
    )
    if 0 < rows < 24 and (record.steps is None or record.steps >= LEAST_STEPS):
        text += (
            f'<p class="faint">With {rows} row{"s" if rows > 1 else ""} of statistics so far, slow '
            "changes cannot be told from noise; from 24 on they can.</p>"
        )
    return f"<section><h2>Findings</h2>{text}{doctor_html(record)}</section>"


def _finding_heading(record: Record, finding: Finding) -> str:
    return escape(f"{_KINDS[finding.kind]}, from {moment(record, finding.began_at_images)}")


def _pictures_section(record: Record, missing: list[str]) -> str:
    figures = []
    newest = next(
        (
            (seen, grid)
            for seen, path in reversed(record.grids)
            if (grid := open_picture(path)) is not None
        ),
        None,
    )
    if newest is None:
        missing.append("There are no sample grids in this run's folder (samples/fakes-*.png).")
    else:
        seen, grid = newest
        figures.append(
            grid_figure(
                record,
                grid,
                f"Generated, after {moment(record, seen)}.",
                "grid of generated pictures",
                _LAST_GRID_SIDE,
                exact=True,
            )
        )
    reals = open_picture(record.reals) if record.reals else None
    if reals is None:
        missing.append("There is no grid of real pictures (samples/reals.png).")
    else:
        figures.append(
            grid_figure(
                record,
                reals,
                "Real pictures, as the network sees them.",
                "grid of real pictures",
                _LAST_GRID_SIDE,
                exact=True,
            )
        )
    if not figures:
        return ""
    return f'<section><h2>Pictures</h2><div class="two">{"".join(figures)}</div></section>'


def _time_section(record: Record, missing: list[str]) -> str:
    """Grids over time, with a slider and as a strip, and the time-lapse."""
    chosen = [record.grids[place] for place in evenly(len(record.grids), _MOST_GRIDS)]
    figures, address, pixel = [], "", "fill"
    for seen, path in chosen:
        grid = open_picture(path)
        if grid is None:
            continue
        kept, shown, of = cut(grid, record.columns, _GRID_SIDE)
        address, pixel = picture_uri(kept), pixel_class(grid, record)
        note = "" if shown == of else f", first {shown} of {of}"
        figures.append(
            f"<figure>{image(address, f'grid after {seen:,} images', pixel)}"
            f"<figcaption>{escape(moment(record, seen) + note)}</figcaption></figure>"
        )
    if len(figures) < 2:
        return ""
    viewer = (
        f'<figure class="viewer" hidden>{image("", "the chosen grid", pixel)}'
        '<input type="range" min="0" value="0" aria-label="moment of the training">'
        "<figcaption></figcaption></figure>"
    )
    # The newest grid stands there until the video plays; its first frame would be plain grey.
    video = _video_html(record, f'class="{pixel}" poster="{address}"', missing)
    left_out = len(record.grids) - len(chosen)
    says = f" {left_out} more lie in the run's folder, under samples." if left_out else ""
    return (
        "<section><h2>Over time</h2>"
        f"<p>Each place in a grid belongs to one latent, so one place shows one picture grow.{says}"
        f'</p><div class="two">{viewer}{video}</div><div class="strip">{"".join(figures)}</div>'
        "</section>"
    )


def _video_html(record: Record, looks: str, missing: list[str]) -> str:
    """The time-lapse, written and shown; `looks` are attributes of the video element."""
    path = record.folder / "timelapse.mp4"
    try:
        frames = write_timelapse(
            record.grids, record.columns, path, lambda seen: moment(record, seen)
        )
    except ImpastoError as error:
        # The page is worth having without it.
        missing.append(f"There is no time-lapse: {error}.")
        return ""
    if not frames:
        missing.append("There is no time-lapse: fewer than two grids can be read.")
        return ""
    content = path.read_bytes()
    link = '<a href="timelapse.mp4">timelapse.mp4</a>'
    if len(content) <= _EMBEDDED_VIDEO_BYTES:
        source = data_uri(content, "video/mp4")
        says = f"Time-lapse of all grids (also {link} in the run's folder)."
    else:
        source = "timelapse.mp4"
        size = f"{len(content) / 1e6:.0f} MB"
        says = f"Time-lapse of all grids: {link} ({size}), which lies beside this page."
    return (
        f'<figure><video {looks} controls muted loop playsinline preload="metadata" '
        f'src="{source}"></video>'
        f"<figcaption>{says}</figcaption></figure>"
    )


def _particulars_section(record: Record) -> str:
    rows: list[tuple[str, str]] = []

    def add(name: str, value: Any) -> None:
        if value not in (None, "", {}, []):
            rows.append((name, str(value)))

    # Names, not paths: the page is made to be shared.
    add("Run", f"{record.whole.name}/{record.name}" if record.whole else record.name)
    add("Command", record.get("command"))
    created = record.get("created")
    add("Begun", _date(created) if created else None)
    seconds = _last(record, "seconds")
    add("Training time", readable_time(seconds) if seconds is not None else None)
    speed = record.series.get("images_per_second")
    if speed is not None and np.isfinite(speed).any():
        add("Speed", f"{float(np.median(speed[np.isfinite(speed)])):,.0f} images a second (median)")
    for player in ("generator", "discriminator"):
        count = record.count("parameters", player)
        add(f"{player.capitalize()}", f"{count:,} parameters" if count else None)
    collection = record.get("collection", default={})
    if isinstance(collection, dict):
        add("Collection", collection.get("name"))
        add("Content hash", collection.get("hash"))
        add("Resolution", collection.get("resolution"))
        add("Fitted by", collection.get("fit"))
    for name in ("machine", "versions"):
        value = record.get(name, default={})
        if isinstance(value, dict):
            add(
                name.capitalize(),
                ", ".join(f"{key} {text}" for key, text in value.items() if text is not None),
            )
    table = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows
    )
    recipe = record.get("recipe_text")
    about = f"<details open><summary>The recipe</summary><pre>{escape(str(recipe))}</pre></details>"
    config = record.get("config")
    text = (
        yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True)
        if config
        else ""
    )
    settings = f"<details><summary>All settings</summary><pre>{escape(text)}</pre></details>"
    return (
        f"<section><h2>Particulars</h2><table>{table}</table>{about if recipe else ''}"
        f"{settings if text else ''}</section>"
    )
