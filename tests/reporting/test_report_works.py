"""Figures of published works are named under the headings of the report that show the same."""

import html
import json
import re
from pathlib import Path

import pytest

from impasto.recipes import artgan, gangogh, gantor, ukiyoe_dcgan, wikiart_dcgan
from impasto.reporting.figures_of_works import FIGURES, figures_of
from impasto.reporting.page import write_report
from impasto.reporting.record import read_record
from tests.helpers.pages import Page
from tests.helpers.report_runs import (
    add_class_grids,
    evaluated_moments,
    healthy,
    with_classes,
    write_evaluations,
    write_run,
)

END = 40 * 1024


def full_run(folder: Path, recipe: str) -> Path:
    """A run whose report has all sections."""
    images, series = healthy(40)
    series = with_classes(series, real=0.8, fake=0.7)
    run = write_run(folder, images, series, grids=3, recipe=recipe)
    told = json.loads((run / "run.json").read_text())
    told["config"]["labels"] = ["genre"]
    (run / "run.json").write_text(json.dumps(told))
    add_class_grids(run, dict.fromkeys((END // 4, END // 2, END), (20, 20)))
    write_evaluations(run, evaluated_moments(END, 3, only=("fd", "is", "top1")))
    return run


def lines_of(page: Page) -> list[tuple[str, str]]:
    """(heading, line) of each figure named on a page."""
    found = re.findall(r'<h[2-4]>([^<]+)</h[2-4]><p class="work">Compare ([^<]+)</p>', page.source)
    return [(heading, html.unescape(line)) for heading, line in found]


@pytest.mark.parametrize("recipe", ["wikiart_dcgan", "gantor_v2", "gangogh", "ukiyoe_dcgan_v3"])
def test_each_figure_stands_under_its_heading(recipe: str, tmp_path: Path) -> None:
    page = Page(write_report(full_run(tmp_path / "run", recipe)).page)
    found = lines_of(page)
    assert dict(found) == dict(FIGURES[recipe])
    assert len(found) == page.source.count('class="work"')


def test_figures_have_the_names_of_the_works(tmp_path: Path) -> None:
    def figure(recipe: str, heading: str) -> str:
        return FIGURES[recipe][heading]

    assert figure("wikiart_dcgan", "Scores") == "Figure 4, right, in Frausto's report."
    assert figure("gantor_v2", "Scores of each class").startswith(
        "Figure 8 on the poster of GANtor: FID by genre"
    )
    assert figure("artgan", "Losses").startswith("Figures 13 (discriminator) and 14 (generator) ")
    assert "title figure" in figure("gangogh", "Chosen by the discriminator")
    assert figure("ukiyoe_dcgan_v2", "Losses").startswith("“Version 2 Discriminator and Generator")
    # What the poster shows of the second version only is not named for the first.
    assert "Scores of each class" not in FIGURES["gantor_v1"]


def test_other_recipes_have_none(tmp_path: Path) -> None:
    run = full_run(tmp_path / "run", "flagship_64")
    assert 'class="work"' not in Page(write_report(run).page).source
    (run / "run.json").write_text('{"recipe": ["odd"]}')
    assert figures_of(read_record(run)) == {}


def test_the_recipes_are_there() -> None:
    recipes = {
        config.recipe
        for make in (
            artgan.artgan,
            artgan.artgan_tricks,
            gangogh.gangogh,
            gantor.gantor_v1,
            gantor.gantor_v2,
            ukiyoe_dcgan.ukiyoe_dcgan_v1,
            ukiyoe_dcgan.ukiyoe_dcgan_v2,
            ukiyoe_dcgan.ukiyoe_dcgan_v3,
            wikiart_dcgan.wikiart_dcgan,
        )
        for config in (make(), make().first_stage)
        if config is not None
    }
    assert recipes == set(FIGURES)
