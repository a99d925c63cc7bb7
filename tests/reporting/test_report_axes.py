"""The horizontal axis of the charts in images, epochs and iterations, and the switch between them."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import impasto
from impasto.cli import app
from impasto.errors import ImpastoError
from impasto.reporting.axes import Axis, axes_of
from impasto.reporting.charts import Line, chart
from impasto.reporting.compared import Compared
from impasto.reporting.comparison_curves import axis_choice, curves
from impasto.reporting.page import write_report
from impasto.reporting.record import read_record
from tests.helpers.pages import Page
from tests.helpers.report_runs import (
    add_class_grids,
    evaluated_moments,
    healthy,
    write_evaluations,
    write_run,
)


def ticks(svg: str, unit: str = "") -> list[tuple[float, float]]:
    """(place on the page, number) of the horizontal labels of a chart; with a unit, of that one of
    several."""
    wanted = f"in-{unit}" if unit else "chart-matplotlib.axis_1"
    (group,) = (
        group
        for group in ElementTree.fromstring(svg).iter("g")
        if wanted in (group.get("class"), re.sub(r"chart\d+", "chart", group.get("id", "")))
    )
    found = []
    for text in group.iter("text"):
        number = re.fullmatch(r"([\d.]+)(k?)", text.text or "")
        if number:
            found.append((float(text.get("x", "")), float(number[1]) * (1000 if number[2] else 1)))
    return found


def test_a_place_is_the_same_moment_in_every_unit() -> None:
    images = np.arange(1, 41) * 1000
    units = [
        Axis("images", "images seen"),
        Axis("epochs", "epochs", 700.0),
        Axis("iterations", "iterations", 320.0),
    ]
    svg = chart(images, [Line("loss", images / 1e4)], identity="x", label="x", axes=units)
    scale = ticks(svg, "images")
    per_image = (scale[-1][0] - scale[0][0]) / (scale[-1][1] - scale[0][1])
    for unit in units:
        found = ticks(svg, unit.name)
        assert len(found) >= 4
        for place, number in found:
            assert place == pytest.approx(scale[0][0] + per_image * number * unit.images, abs=0.1)
    assert [number for _, number in ticks(svg, "iterations")] == [0, 25, 50, 75, 100, 125]
    assert ">epochs<" in svg
    assert ">iterations<" in svg


def test_a_short_run_has_parts_of_epochs_below_its_charts() -> None:
    images = np.arange(1, 11) * 100
    units = [Axis("images", "images seen"), Axis("epochs", "epochs", 1000.0)]
    svg = chart(images, [Line("loss", images / 1.0)], identity="x", label="x", axes=units)
    assert [number for _, number in ticks(svg, "epochs")] == [0, 0.2, 0.4, 0.6, 0.8, 1]


def run_with(folder: Path, **training: int) -> Path:
    """A run of 200 rows, each of 1,024 images and 16 steps, on 2,235 pictures."""
    config = {"training": {"images": 204_800, **training}}
    run = write_run(folder, *healthy(), grids=2, config=config)
    add_class_grids(run, dict.fromkeys((51200, 102400, 204800), (20, 20)))
    return run


@pytest.mark.parametrize("axis", ["images", "epochs", "iterations"])
def test_the_page_opens_with_the_axis_asked_for(axis: str, tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    result = CliRunner().invoke(app, ["report", str(run), "--axis", axis])
    assert result.exit_code == 0, result.output
    page = Page(run / "report.html")
    assert page.tags["html"][0]["data-axis"] == axis
    choices = [button["data-chooses"] for button in page.tags["button"]]
    assert choices[:3] == ["images", "epochs", "iterations"]
    # Classes, the curves, and no chart of the discriminator.
    assert len(choices) == 6
    for svg in re.findall(r"<svg.*?</svg>", page.source, re.DOTALL):
        for unit in ("images", "epochs", "iterations"):
            assert len(ticks(svg, unit)) > 1
    # Each class over time has its moments in the same unit.
    heads = re.findall(r'<span class="in-(\w+)">([\d,.]+)</span>', page.source)
    assert heads[:3] == [("images", "51,200"), ("epochs", "22.9"), ("iterations", "800")]
    assert len(page.identities) == len(set(page.identities))


def test_without_a_choice_the_page_opens_with_images(tmp_path: Path) -> None:
    page = Page(impasto.report(run_with(tmp_path / "run")))
    assert page.tags["html"][0]["data-axis"] == "images"
    # Without scripts there are no buttons, and the rules of the page hide the other units.
    assert all("hidden" in tag for tag in page.tags["div"] if tag.get("class") == "axis")
    assert ':root:not([data-axis="epochs"]) .in-epochs' in page.source
    assert impasto.report(tmp_path / "run", axis="epochs")
    assert 'data-axis="epochs"' in (tmp_path / "run" / "report.html").read_text()


def test_an_axis_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    with pytest.raises(ImpastoError, match="images, epochs or iterations, not 'steps'"):
        write_report(run, "steps")
    assert not (run / "report.html").exists()


def test_an_iteration_is_a_step_of_training(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", discriminator_steps=5, pretrain_images=2048)
    axes = {axis.name: axis for axis in axes_of(read_record(run))}
    assert axes["epochs"].images == 2235
    assert axes["epochs"].explanation == (
        "One epoch: 2,235 images, the number of training pictures."
    )
    assert axes["iterations"].images == 64
    assert axes["iterations"].explanation == (
        "One iteration: 5 updates of the discriminator, then 1 update of the generator (none while "
        "the discriminator trains alone); 64 images."
    )
    page = Page(write_report(run).page)
    titles = [button["title"] for button in page.tags["button"]]
    assert axes["iterations"].explanation in titles


def test_a_unit_that_the_files_do_not_tell_is_not_offered(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    for row in rows:
        del row["step"]
    (run / "stats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = write_report(run, "iterations")
    page = Page(report.page)
    assert report.missing == [
        "The charts are over images: there is no number of steps in the run's files."
    ]
    assert page.tags["html"][0]["data-axis"] == "images"
    assert {button["data-chooses"] for button in page.tags["button"]} == {"images", "epochs"}
    told = json.loads((run / "run.json").read_text())
    del told["collection"]["count"]
    (run / "run.json").write_text(json.dumps(told))
    report = write_report(run, "epochs")
    assert "no number of training pictures" in report.missing[0]
    assert "button" not in Page(report.page).tags


def test_steps_that_are_not_alike_are_no_axis(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    for row in rows[100:]:
        row["step"] += 700
    (run / "stats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_record(run).images_per_step is None
    assert [axis.name for axis in axes_of(read_record(run))] == ["images", "epochs"]


def test_each_of_two_stages_has_its_own_epochs_and_iterations(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    images, series = healthy(100)
    write_run(run / "stage-1", images, series, grids=0, collection={"name": "half", "count": 1000})
    write_report(run, "epochs")
    whole, stage = Page(run / "report.html"), Page(run / "stage-1" / "report.html")
    for page, count in ((whole, "2,235"), (stage, "1,000")):
        assert page.tags["html"][0]["data-axis"] == "epochs"
        assert f"One epoch: {count} images" in page.text
    losses = re.search(r"<svg.*?</svg>", stage.source, re.DOTALL)
    assert losses is not None
    assert max(number for _, number in ticks(losses[0], "epochs")) == 100


# Comparison


def test_runs_are_compared_over_their_own_epochs_and_iterations(tmp_path: Path) -> None:
    runs = []
    for name, count, batch in (("a", 1000, 64), ("b", 500, 128)):
        run = write_run(
            tmp_path / name, *healthy(40), grids=0, collection={"name": "x", "count": count}
        )
        rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
        for row in rows:
            row["step"] = row["images_seen"] // batch
        (run / "stats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        write_evaluations(run, evaluated_moments(40_960, 4, field=None, only=("kid",)))
        runs.append(Compared(read_record(run), name, 40_960, "0" * 64))
    choice = axis_choice(runs)
    assert [axis.name for axis in choice.axes] == ["images", "epochs", "iterations"]
    assert [axis.explanation for axis in choice.axes[1:]] == [
        "One epoch: 1,000 images in a and 500 images in b.",
        "One iteration: 64 images in a and 128 images in b.",
    ]
    ((card, timed),) = [each.cards for each in curves(runs, "0" * 64, choice)]
    drawings = re.findall(r"<svg.*?</svg>", card.drawing, re.DOTALL)
    assert re.findall(r'class="in-(\w+)"', card.drawing) == ["images", "epochs", "iterations"]
    # The last moments: 41 and 82 epochs, 640 and 320 iterations.
    for drawing, unit, ends in zip(
        drawings,
        ("images", "epochs", "iterations"),
        ((40_960, 40_960), (40.96, 81.92), (640, 320)),
        strict=True,
    ):
        scale = ticks(drawing)
        per_unit = (scale[-1][0] - scale[0][0]) / (scale[-1][1] - scale[0][1])
        places = [
            max(map(float, re.findall(r"(?:M|L) ([\d.]+) [\d.]+", line)))
            for line in re.findall(
                r'<path d="([^"]+)"[^>]*stroke: var\(--line-[12]\); stroke-width: 1.7', drawing
            )
        ]
        for place, end in zip(places[:2], ends, strict=True):
            assert place == pytest.approx(scale[0][0] + per_unit * end, abs=0.3), unit
    assert "class=" not in timed.drawing
