"""The report of a run: one HTML page that holds everything it shows."""

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import yaml
from PIL.Image import Image

from impasto import __version__
from impasto.errors import ImpastoError
from impasto.files import write_text
from impasto.report.charts import Line, Mark, chart, require_matplotlib
from impasto.report.findings import LEAST_STEPS, Finding, find
from impasto.report.pictures import (
    cut,
    data_uri,
    evenly,
    open_picture,
    photo_uri,
    picture_uri,
    tile_size,
)
from impasto.report.preprocessing import before_and_after
from impasto.report.record import Record, read_record
from impasto.report.timelapse import write_timelapse
from impasto.words import readable_time

_MOST_GRIDS = 24
# Sides in pixels up to which a grid is shown whole; of larger ones the first pictures are shown.
_GRID_SIDE, _LAST_GRID_SIDE = 768, 2048
# Below this, browsers would blur what are pixels to be seen.
_PIXEL_ART = 128
_MOST_CLASSES = 30
_EMBEDDED_VIDEO_BYTES = 8_000_000

_KINDS = {
    "nan": "Not a number",
    "divergence": "Divergence",
    "spikes": "Spikes",
    "saturation": "Saturation",
    "collapse": "Collapse",
}


@dataclass
class Report:
    """A report that was written.

    Attributes:
        record: of the run, as it was read.
        page: the HTML file.
        status: how far the run is, a line.
        findings: what went wrong, the earliest first.
        missing: what could not be shown and why, a sentence each.
    """

    record: Record
    page: Path
    status: str
    findings: list[Finding]
    missing: list[str] = field(default_factory=list)


def write_report(folder: Path) -> Report:
    """Write `report.html` (and `timelapse.mp4`) into the folder of a run, finished or not.

    Raises:
        ImpastoError: no run, no matplotlib, or the folder cannot be written.
    """
    require_matplotlib()
    record = read_record(folder)
    report = Report(record, folder / "report.html", _status(record), run_findings(record))
    sections = [
        _findings_section(record, report.findings),
        _pictures_section(record, report.missing),
        _time_section(record, report.missing),
        _curves_section(record, report),
        _data_section(record, report.missing),
        _particulars_section(record),
    ]
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
        title=escape(f"{heading} (impasto)"),
        heading=escape(heading),
        status=_about_html(record) + _status_html(record),
        body="\n".join([missing, *sections]),
    )
    write_text(report.page, page)
    return report


def run_findings(record: Record) -> list[Finding]:
    """Findings of a run."""
    return find(
        record.images_seen,
        record.series,
        probability=record.probability,
        labels=_label_means(record),
        steps=record.steps,
    )


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


def moment(record: Record, images: int) -> str:
    """A moment of the run: `12,288 images (epoch 585)`."""
    epochs = record.epochs(images)
    if epochs is None:
        return f"{images:,} images"
    return (
        f"{images:,} images (epoch {epochs:,.0f})"
        if epochs >= 100
        else (f"{images:,} images (epoch {epochs:.1f})")
    )


def _heading(record: Record) -> str:
    recipe = record.get("recipe") or record.get("config", "recipe")
    collection = record.get("collection", "name")
    if not recipe:
        return record.name
    return f"{recipe} on {collection}" if collection else str(recipe)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%" if share < 0.1 else f"{100 * share:.0f}%"


def _status(record: Record) -> str:
    done, planned = record.images_done, record.images_planned
    if planned is None:
        return f"{moment(record, done)} so far"
    if done >= planned:
        return f"finished: {moment(record, done)}"
    return (
        f"not finished: {done:,} of {planned:,} images ({_percent(done / planned)})"
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
    if labels:
        facts.append(f"conditioned on {' and '.join(str(label) for label in labels)}")
    seconds = _last(record, "seconds")
    if seconds is not None:
        facts.append(f"{readable_time(seconds)} of training")
    text = f"<p>{escape(recipe)}</p>" if recipe else ""
    return text + f"<p class='faint'>{escape(', '.join(facts))}</p>"


def _last(record: Record, name: str) -> float | None:
    """The last number recorded in a series."""
    values = record.series.get(name)
    if values is None or not np.isfinite(values).any():
        return None
    return float(values[np.isfinite(values)][-1])


def _status_html(record: Record) -> str:
    done, planned = record.images_done, record.images_planned
    status = _status(record)
    text = f"<p>{escape(status[0].upper() + status[1:])}.</p>"
    if planned is None or done >= planned:
        return text
    width = 100 * done / planned
    return (
        text + f'<div class="progress"><div style="width: {width:.1f}%"></div></div>'
        "<p class='faint'>The training goes on or was stopped; make the report again for a newer "
        "one.</p>"
    )


def _with_code(text: str) -> str:
    """A sentence for the page, its commands and settings as code."""
    return re.sub(
        r"--set [\w.]+=(?:\.\.\.|\[[^\]]*\]|\w+)|impasto pack --fit tiles",
        r"<code>\g<0></code>",
        escape(text),
    )


def _image(address: str, description: str, kind: str = "") -> str:
    return f'<img class="{kind}" src="{address}" alt="{escape(description, quote=True)}">'


# Sections


def _findings_section(record: Record, findings: Sequence[Finding]) -> str:
    rows = len(record.images_seen)
    if not rows:
        text = "<p>There are no statistics to judge yet.</p>"
    elif not findings and record.steps is not None and record.steps < LEAST_STEPS:
        text = f"<p>{escape(no_findings(record).capitalize())}.</p>"
    elif findings:
        items = [
            f'<li><h3><span class="number">{number}</span>{escape(_KINDS[finding.kind])}, from '
            f"{escape(moment(record, finding.began_at_images))}</h3>"
            f"<p>{escape(finding.sentence)}</p>"
            f"<p><strong>What to try:</strong> {_with_code(finding.advice)}</p></li>"
            for number, finding in enumerate(findings, 1)
        ]
        text = f'<ol class="findings">{"".join(items)}</ol>'
    else:
        text = (
            '<div class="healthy"><p>Nothing found: no divergence of the losses, no spikes, no '
            "saturated discriminator, no collapse of diversity, no broken numbers.</p></div>"
        )
    if 0 < rows < 24 and (record.steps is None or record.steps >= LEAST_STEPS):
        text += (
            f'<p class="faint">With {rows} row{"s" if rows > 1 else ""} of statistics so far, slow '
            "changes cannot be told from noise; from 24 on they can.</p>"
        )
    return f"<section><h2>Findings</h2>{text}</section>"


def _pixel_class(grid: Image, record: Record) -> str:
    """CSS classes for a grid: small pictures are enlarged by whole pixels."""
    return "pixel fill" if tile_size(grid, record.columns) < _PIXEL_ART else "fill"


def _grid_figure(
    record: Record, grid: Image, caption: str, description: str, side: int, exact: bool = False
) -> str:
    """A grid as a figure; where only its first pictures are shown, the caption says so."""
    kept, shown, of = cut(grid, record.columns, side)
    if shown < of:
        caption += f" The first {shown} of {of}."
    pixel = _pixel_class(grid, record)
    exact = exact and kept.width * kept.height <= 1024 * 1024
    return (
        f"<figure>{_image(picture_uri(kept, exact), description, pixel)}"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


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
            _grid_figure(
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
            _grid_figure(
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
        address, pixel = picture_uri(kept), _pixel_class(grid, record)
        note = "" if shown == of else f", first {shown} of {of}"
        figures.append(
            f"<figure>{_image(address, f'grid after {seen:,} images', pixel)}"
            f"<figcaption>{escape(moment(record, seen) + note)}</figcaption></figure>"
        )
    if len(figures) < 2:
        return ""
    viewer = (
        f'<figure class="viewer" hidden>{_image("", "the chosen grid", pixel)}'
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


def _marks(record: Record, findings: Sequence[Finding]) -> list[Mark]:
    """The findings' numbers at their moments; those too close to be told apart share one mark."""
    if not len(record.images_seen):
        return []
    apart = 0.03 * float(record.images_seen[-1])
    marks: list[Mark] = []
    for number, finding in enumerate(findings, 1):
        at = finding.began_at_images
        if marks and at - marks[-1].images < apart:
            marks[-1] = Mark(marks[-1].images, f"{marks[-1].text}, {number}")
        else:
            marks.append(Mark(at, str(number)))
    return marks


def _curves_section(record: Record, report: Report) -> str:
    if not len(record.images_seen):
        report.missing.append("There are no statistics yet (stats.jsonl has no whole row).")
        return ""
    marks = _marks(record, report.findings)
    series = record.series
    cards: list[str] = []

    def add(
        title: str,
        names: dict[str, str],
        explanation: str,
        bounds: tuple[float, float] | None = None,
        from_zero: bool = False,
    ) -> None:
        lines = [
            Line(text, series[name])
            for name, text in names.items()
            if name in series and np.isfinite(series[name]).any()
        ]
        if not lines:
            return
        drawing = chart(
            record.images_seen,
            lines,
            marks,
            identity=f"chart{len(cards)}",
            label=escape(f"{title} over images seen", quote=True),
            bounds=bounds,
            from_zero=from_zero,
        )
        cards.append(
            f'<figure class="card"><h3>{escape(title)}</h3>{drawing}'
            f"<figcaption>{escape(explanation)}</figcaption></figure>"
        )

    add(
        "Losses",
        {"loss/discriminator": "discriminator", "loss/generator": "generator"},
        "What each player tries to make small. Two losses that keep their distance mean an even "
        "game; neither says how good the pictures are.",
    )
    if record.probability:
        add(
            "Scores",
            {"score/real": "D(x), real", "score/fake": "D(G(z)), generated"},
            "How real the discriminator takes pictures to be, from 0 to 1. The closer the two "
            "lines, the harder it finds them to tell apart.",
            bounds=(0.0, 1.0),
        )
    else:
        add(
            "Scores",
            {"score/real": "real", "score/fake": "generated"},
            "The critic's opinion of real and of generated pictures. Only their distance means "
            "something; a small one is good.",
        )
    add(
        "Diversity",
        {"diversity/fake": "generated", "diversity/real": "real"},
        "Mean distance between two pictures of a grid. Where generated ones fall far below real "
        "ones, they look alike.",
        from_zero=True,
    )
    for player in ("discriminator", "generator"):
        terms = {
            name: name.split("/")[1]
            for name in series
            if name.startswith("term/") and name.endswith(f"/{player}")
        }
        if len(terms) > 1:
            add(f"Terms of the {player}'s loss", terms, "Each term's weighted share of the loss.")
    add(
        "Speed",
        {"images_per_second": "images a second"},
        "Training images a second.",
        from_zero=True,
    )
    legend = (
        "<p class='faint'>Faint: as recorded. Strong: smoothed. Dashed lines with a number: where "
        "a finding began.</p>"
        if marks
        else "<p class='faint'>Faint: as recorded. Strong: smoothed.</p>"
    )
    return f'<section><h2>Curves</h2>{legend}<div class="two">{"".join(cards)}</div></section>'


def _data_section(record: Record, missing: list[str]) -> str:
    bars = "".join(_classes_html(record, field) for field in _fields(record))
    parts = [
        _preprocessing_html(record),
        f'<div class="two">{bars}</div>'
        if bars
        else '<p class="faint">The collection has no labels.</p>',
    ]
    pictures = record.pictures
    says = f" of {pictures:,} pictures" if pictures else ""
    name = record.get("collection", "name", default="not named in run.json")
    return (
        f"<section><h2>Data</h2><p>Collection <strong>{escape(str(name))}</strong>{says}.</p>"
        f"{''.join(parts)}</section>"
    )


def _fields(record: Record) -> list[dict[str, Any]]:
    fields = record.get("collection", "fields", default=[])
    return [item for item in fields if isinstance(item, dict) and item.get("classes")]


def _preprocessing_html(record: Record) -> str:
    pair, reason = before_and_after(record)
    if pair is None:
        return (
            "<h3>From the painting to what the network sees</h3>"
            f'<p class="faint">Not shown: {escape(reason)}.</p>'
        )
    width, height = pair.size
    side = pair.after.width
    before = _image(photo_uri(pair.before, 640), f"the source picture {pair.title}")
    after = picture_uri(pair.after, exact=True)
    return (
        "<h3>From the painting to what the network sees</h3>"
        '<div class="around">'
        f'<figure style="max-width: min(100%, 34rem)">{before}<figcaption>{escape(pair.title)}, '
        f"{width:,} × {height:,} pixels. {escape(pair.says)}</figcaption></figure>"
        f'<figure style="width: min(100%, 20rem)">'
        f"{_image(after, 'the same picture as the network sees it', 'pixel fill')}"
        f"<figcaption>What the network sees: {side} × {side} pixels, each value from 0 to 255 as one "
        "from -1 to 1.</figcaption></figure></div>"
    )


def _classes_html(record: Record, field: dict[str, Any]) -> str:
    """Bars of how many pictures each class has, the largest first."""
    counts = field.get("counts") or []
    pairs = sorted(
        zip(field["classes"], counts, strict=False), key=lambda pair: (-pair[1], str(pair[0]))
    )
    if not pairs:
        return ""
    shown, rest = pairs[:_MOST_CLASSES], pairs[_MOST_CLASSES:]
    bars = [(str(name), count, "bar") for name, count in shown]
    if rest:
        bars.append((f"{len(rest)} more", sum(count for _, count in rest), "bar rest"))
    unknown = (record.pictures or 0) - sum(count for _, count in pairs)
    if unknown > 0:
        bars.append(("not known", unknown, "bar rest"))
    most = max(count for _, count, _ in bars) or 1
    rows = "".join(
        f'<span>{escape(name)}</span><div><div class="{kind}" style="width: '
        f'{100 * count / most:.1f}%"></div></div><span class="n">{count:,}</span>'
        for name, count, kind in bars
    )
    largest, smallest = pairs[0], pairs[-1]
    says = f"{len(pairs)} class{'es' if len(pairs) > 1 else ''}."
    if len(pairs) > 1 and smallest[1] > 0 and largest[1] >= 3 * smallest[1]:
        says += (
            f" {largest[0]} has {largest[1] / smallest[1]:.0f} times as many pictures as "
            f"{smallest[0]}; what is rare is learnt badly."
        )
    return (
        f'<div class="card"><h3>By '
        f'{escape(str(field.get("name", "label")))}</h3><p class="faint">{escape(says)}</p>'
        f'<div class="classes">{rows}</div></div>'
    )


def _particulars_section(record: Record) -> str:
    rows: list[tuple[str, str]] = []

    def add(name: str, value: Any) -> None:
        if value not in (None, "", {}, []):
            rows.append((name, str(value)))

    # Names, not paths: the page is made to be shared.
    add("Run", record.name)
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
