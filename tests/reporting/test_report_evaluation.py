"""The report of how good the pictures are: scores over time, tables, findings, what may be joined."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from impasto.evaluation.record import EvaluationRow, ScoreRow
from impasto.evaluation.score_kinds import interval_text, title_of, value_text
from impasto.reporting.axes import Axis
from impasto.reporting.charts import Line, chart
from impasto.reporting.findings import evaluation_findings, run_findings
from impasto.reporting.page import write_report
from impasto.reporting.record import read_record
from impasto.reporting.scores import TableNotes, best_founded, best_of, made_alike
from tests.helpers.pages import Page
from tests.helpers.report_runs import (
    CLASSES,
    add_class_grids,
    evaluated_moments,
    evaluation,
    healthy,
    judge,
    score_row,
    scored,
    write_evaluations,
    write_run,
)

END = 204_800


def score(name: str, value: float | None, half: float = 0.0, **more: Any) -> ScoreRow:
    return ScoreRow.model_validate(score_row(name, value, half, **more))


def rows(told: list[dict[str, Any]]) -> list[EvaluationRow]:
    return [EvaluationRow.model_validate(row) for row in told]


# Words and numbers


def test_scores_are_written_with_the_digits_their_interval_allows() -> None:
    assert value_text(score("fd-lite0", 501.234, 11.3)) == "501"
    assert interval_text(score("fd-lite0", 501.234, 11.3)) == "490 to 513"
    # A width that is a rounding error is none.
    assert interval_text(score("fd-lite0", 283.7497301, 1e-8)) == "283.7 to 283.7"
    assert value_text(score("kid-lite0", 0.012345, 0.00042)) == "0.01235"
    assert interval_text(score("kid", -0.0004, 0.0011)) == "−0.0015 to 0.0007"
    assert value_text(score("top1-judge", 0.9123, 0.021)) == "91.2%"
    assert interval_text(score("top1-judge", 0.9123, 0.021)) == "89.1 to 93.3%"
    assert value_text(score("fid", None)) == "–"
    assert interval_text(score("fid", None)) == ""
    # No interval, or one without a width.
    assert value_text(score("is", 3.14159)) == "3.142"
    assert value_text(score("kid", -0.00001, 0.001)) == "0.0000"


@pytest.mark.parametrize(
    ("name", "field", "expected"),
    [
        ("fid", None, "FID"),
        ("fid-infinity", None, "FID of infinitely many pictures"),
        ("fd-lite0", None, "FD (lite0)"),
        ("fd-lite0-infinity", None, "FD of infinitely many pictures (lite0)"),
        ("is-judge", "genre", "Inception Score of genre (judge)"),
        ("novelty-lite0", None, "novelty-lite0 (lite0)"),
    ],
)
def test_what_scores_are_called(name: str, field: str | None, expected: str) -> None:
    assert title_of(name, field) == expected


@pytest.mark.parametrize(
    ("name", "intervals", "best"),
    [
        ("kid", [(0.10, 0.01), (0.05, 0.01)], 1),
        ("kid", [(0.10, 0.03), (0.05, 0.03)], None),
        ("kid", [(0.10, 0.01), (0.05, 0.01), (0.09, 0.06)], None),  # a wide third one
        ("kid", [(0.10, 0.01), None], None),
        ("kid", [(0.10, 0.01), None, (0.05, 0.01)], 2),
        ("precision", [(0.7, 0.01), (0.6, 0.01)], 0),
        ("diversity", [(0.90, 0.02), (1.08, 0.02)], None),  # equally far from 1
        ("diversity", [(0.90, 0.02), (1.02, 0.03)], 1),
        ("diversity", [(1.5, 0.02), (0.8, 0.02)], 1),
    ],
)
def test_the_best_is_marked_only_where_no_interval_overlaps(
    name: str, intervals: list[tuple[float, float] | None], best: int | None
) -> None:
    scores = [pair and score(f"{name}-lite0", *pair) for pair in intervals]
    assert best_of(f"{name}-lite0", scores) == best


def test_no_best_among_other_counts_or_without_an_interval() -> None:
    good, bad = score("kid", 0.1, 0.01), score("kid", 0.5, 0.01)
    assert best_of("kid", [good, bad]) == 0
    assert best_of("kid", [good, bad.model_copy(update={"pictures": 1000})]) is None
    assert best_of("kid", [good, bad.model_copy(update={"low": None})]) is None
    assert best_of("kid", [good, bad.model_copy(update={"value": None})]) is None


def test_warnings_that_differ_in_numbers_are_one_note() -> None:
    notes = TableNotes()
    few = "{} pictures are no more than the 1,280 dimensions"
    marks = [
        notes.mark(text) for text in (few.format(62), few.format("1,020"), "odd", few.format(7))
    ]
    assert marks == [1, 1, 2, 1]
    assert notes.mark(None) == 0
    assert notes.texts == ["7 to 1,020 pictures are no more than the 1,280 dimensions", "odd"]
    assert TableNotes().texts == []


# What may be joined by a line


def test_only_what_was_measured_alike_is_joined() -> None:
    base: dict[str, Any] = {"scores": scored(0.5)}
    told = [
        evaluation(1000, **base),
        evaluation(2000, **base),
        evaluation(3000, **base),
        evaluation(3000, **base, pictures=10_000),
        evaluation(3000, **base, network_sha256="b" * 64),
        evaluation(3000, **base, collection_hash="1" * 64),
        evaluation(3000, **base, reference=100),
        evaluation(3000, **base, during_training=True),
    ]
    groups = made_alike(rows(told))
    assert [len(group.rows) for group in groups] == [3, 1, 1, 1, 1]
    # Of equally many moments, those of most pictures come first.
    assert groups[1].conditions.pictures == 10_000
    # The same checkpoint, measured alike: one that training made stands for no other.
    assert groups[0].images_seen.tolist() == [1000, 2000, 3000]
    assert not groups[0].newest.during_training


@pytest.mark.parametrize(
    ("first", "then", "stands"),
    [
        ({}, {}, 1),
        ({"during_training": True}, {}, 1),
        ({}, {"during_training": True}, 0),
        ({"per_class": 100}, {"per_class": 0}, 0),
        ({"per_class": 0}, {"per_class": 100}, 1),
    ],
)
def test_what_stands_for_a_checkpoint_that_was_evaluated_twice_alike(
    first: dict[str, Any], then: dict[str, Any], stands: int
) -> None:
    told = rows([evaluation(1000, scored(0.5), **options) for options in (first, then)])
    (group,) = made_alike(told)
    assert group.newest is told[stands]


def test_the_best_founded_evaluation_of_the_newest_checkpoint() -> None:
    own = "0" * 64
    worst_to_best = [
        evaluation(1000, scored(0.5), pictures=90_000),
        evaluation(2000, scored(0.5), pictures=80_000, collection_hash="1" * 64),
        evaluation(2000, scored(0.5), pictures=70_000, during_training=True),
        evaluation(2000, scored(0.5), pictures=200),
        evaluation(2000, scored(0.5), pictures=2000),
    ]
    for count in range(1, len(worst_to_best) + 1):
        told = worst_to_best[:count]
        for order in (told, told[::-1]):
            (best,) = best_founded(made_alike(rows(order)), own)
            assert best.newest == rows(told)[-1]
    inception = evaluation(2000, scored(0.5), network="inception", pictures=100)
    both = best_founded(made_alike(rows([inception, *worst_to_best])), own)
    assert [group.conditions.network for group in both] == ["lite0", "inception"]


def test_pictures_of_a_folder_have_no_moment() -> None:
    told = evaluation(1000, scored(0.5))
    told["subject"] = {"kind": "pictures", "name": "holiday"}
    assert made_alike(rows([told])) == []


def test_lines_by_class_need_as_many_pictures_of_each_class() -> None:
    told = evaluated_moments(3000, 3)
    told[0]["pictures"]["per_class"] = 10
    (group,) = made_alike(rows(told))
    line = group.line("kid-lite0", "genre", "landscape")
    assert line is not None
    assert np.isfinite(line.values).tolist() == [False, True, True]
    assert group.line("kid-lite0", "genre", "no such class") is None


def test_a_chart_draws_bands_and_keeps_measured_values_as_they_are() -> None:
    images = np.array([10, 20, 30, 40])
    values = np.array([4.0, 3.0, np.nan, 2.0])
    line = Line("KID", values, values - 1, values + 1, smooth=False)
    with_band = chart(images, [line], identity="a", label="a", axes=(Axis("", "minutes"),))
    bare = chart(images, [Line("KID", values, smooth=False)], identity="a", label="a")
    assert "FillBetweenPolyCollection" in with_band
    assert "FillBetweenPolyCollection" not in bare
    assert ">minutes<" in with_band
    assert ">images seen<" in bare


# Findings


def moments(name: str, values: list[tuple[float, float]], **of: Any) -> list[dict[str, Any]]:
    return [
        evaluation(1000 * number, [score_row(name, value, half, **of)], judges=[judge()])
        for number, (value, half) in enumerate(values, 1)
    ]


def kinds(told: list[dict[str, Any]]) -> dict[str, int]:
    return {each.kind: each.began_at_images for each in evaluation_findings(rows(told))}


def test_a_run_past_its_best_is_told_where_the_best_was() -> None:
    told = moments("kid-lite0", [(v, 0.01) for v in (0.3, 0.1, 0.11, 0.2, 0.2, 0.21)])
    (finding,) = evaluation_findings(rows(told))
    assert (finding.kind, finding.began_at_images) == ("past best", 4000)
    assert "KID (lite0) was best after 2,000 images, at 0.100 (0.090 to 0.110);" in finding.sentence
    assert "by now it is 0.210 (0.200 to 0.220)" in finding.sentence
    # Two moments are too few, intervals that overlap say nothing, and it may come back.
    assert kinds(moments("kid-lite0", [(v, 0.01) for v in (0.3, 0.1, 0.11, 0.2, 0.2)])) == {}
    assert kinds(moments("kid-lite0", [(v, 0.06) for v in (0.3, 0.1, 0.2, 0.2, 0.2)])) == {}
    assert kinds(moments("kid-lite0", [(v, 0.01) for v in (0.3, 0.1, 0.2, 0.2, 0.2, 0.11)])) == {}
    # Noise around a level is no finding either.
    noise = np.random.default_rng(0).normal(0.1, 0.005, 40)
    assert kinds(moments("kid-lite0", [(float(v), 0.01) for v in noise])) == {}


def test_the_frechet_distance_stands_in_for_kid() -> None:
    told = moments("fid", [(v, 1) for v in (90, 50, 60, 70, 80)])
    assert kinds(told) == {"past best": 3000}


def test_copies_are_found_where_the_low_end_is_above_one_percent() -> None:
    assert kinds(moments("copied-lite0", [(0.01, 0.004), (0.04, 0.01), (0.05, 0.01)])) == {
        "copying": 2000
    }
    assert kinds(moments("copied-lite0", [(0.05, 0.01), (0.02, 0.011)])) == {}
    # Where the limit rests on few pictures, chance gives more.
    rough = moments("copied-lite0", [(0.05, 0.01)])
    rough[0]["memorisation"] = {"expected": 0.045}
    assert kinds(rough) == {}
    rough[0]["memorisation"] = {"expected": 0.01, "expected_at_most": 0.045}
    assert kinds(rough) == {}
    rough[0]["memorisation"] = {"expected": 0.01, "expected_at_most": 0.035}
    assert kinds(rough) == {"copying": 1000}


def test_collapse_is_found_where_the_high_end_is_below_a_half() -> None:
    assert kinds(moments("diversity-lite0", [(0.8, 0.1), (0.4, 0.05)])) == {"collapse": 2000}
    assert kinds(moments("diversity-lite0", [(0.45, 0.06)])) == {}
    of = {"field": "genre", "cls": "landscape"}
    (finding,) = evaluation_findings(rows(moments("diversity-lite0", [(0.2, 0.05)], **of)))
    assert "Within a class, pictures are alike" in finding.sentence
    assert "landscape 0.200 (0.150 to 0.250)" in finding.sentence


def test_a_class_among_many_needs_more_than_its_own_interval() -> None:
    """An upper end of 0.48 is below a half; among eight classes, one such end is chance."""
    names = [f"class {number}" for number in range(8)]

    def told(count: int, half: float) -> list[dict[str, Any]]:
        scores = [
            score_row(
                "diversity-lite0", 0.4 if name == names[0] else 0.9, half, field="f", cls=name
            )
            for name in names[:count]
        ]
        return [evaluation(1000, scores)]

    assert kinds(told(1, 0.08)) == {"collapse": 1000}
    assert kinds(told(8, 0.08)) == {}
    assert kinds(told(8, 0.06)) == {"collapse": 1000}


def judged_moments(
    *values: float, pictures: int = 400, known: float = 0.9, cls: str = "landscape"
) -> list[dict[str, Any]]:
    """Moments with the Top-1 of a class, which the judge itself names so well."""
    of: dict[str, Any] = {"field": "genre", "cls": cls}
    real = [
        {**score_row("kid-lite0", 0.1, 0.01, field="genre", cls=name), "reference": count}
        for name, count in zip(CLASSES, (1400, 600, 120), strict=True)
    ]
    return [
        evaluation(
            1000 * number,
            [
                {**score_row("top1-judge", value, 0.05, pictures=pictures, **of), "reference": 0},
                {**score_row("accuracy-judge", known, 0.05, **of), "reference": 0},
                *real,
            ],
            judges=[judge()],
        )
        for number, value in enumerate(values, 1)
    ]


def test_classes_below_chance_are_found() -> None:
    assert kinds(judged_moments(0.5, 0.2)) == {"missed": 2000}
    assert kinds(judged_moments(0.3)) == {}
    assert kinds(judged_moments(0.2, pictures=20)) == {}
    # A judge has no say on a class that it names no better than by chance, or was never tried on.
    assert kinds(judged_moments(0.2, known=0.35)) == {}
    told = judged_moments(0.2)
    told[0]["scores"].pop(1)
    assert kinds(told) == {}


def test_only_rare_classes_are_called_rare() -> None:
    def advice(cls: str) -> str:
        (finding,) = evaluation_findings(rows(judged_moments(0.1, cls=cls)))
        return finding.advice

    assert "it is rare, and rare classes are learnt badly" in advice("birds & flowers")
    assert "rare" not in advice("landscape")
    assert "does the class change the pictures?" in advice("landscape")
    told = judged_moments(0.1)
    told[0]["scores"] += judged_moments(0.1, cls="birds & flowers")[0]["scores"][:2]
    (finding,) = evaluation_findings(rows(told))
    assert "birds & flowers is rare, and rare" in finding.advice


def test_findings_are_of_the_evaluation_that_the_newest_scores_are_of() -> None:
    """A few pictures scored later, by compare say, displace nothing."""
    told = moments("copied-lite0", [(0.05, 0.01)])
    told.append(evaluation(1000, [score_row("copied-lite0", 0.0, 0.001)], pictures=200))
    assert kinds(told) == {"copying": 1000}
    told[1]["pictures"]["count"] = 5000
    assert kinds(told) == {}


def test_findings_of_a_run_hold_those_of_its_scores_in_order(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(), grids=0)
    write_evaluations(run, moments("copied-lite0", [(0.05, 0.01)]))
    assert [finding.kind for finding in run_findings(read_record(run))] == ["copying"]
    page = Page(write_report(run).page)
    assert "Pictures copied, from 1,000 images" in page.text
    # Before the first 200 steps nothing is judged.
    short = write_run(tmp_path / "short", *healthy(5), grids=0)
    write_evaluations(short, moments("copied-lite0", [(0.05, 0.01)]))
    assert run_findings(read_record(short)) == []


# The page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A run with classes: ten moments by training, the last one again with more pictures, a few by
    another network, and a sheet of the closest pairs."""
    run = write_run(tmp_path_factory.mktemp("runs") / "run", *healthy(), grids=0)
    add_class_grids(run, {END: (40.0, 40.0)})
    told = evaluated_moments(END, 10, during_training=True)
    told += evaluated_moments(END, 3, network="inception", only=("fd", "kid"))
    told += evaluated_moments(END, 1, pictures=10_000)
    told[-1]["memorisation"] = {"expected": 0.013, "sentences": ["1.0% are nearer", "it is rough."]}
    write_evaluations(run, told)
    for seen in (1000, END):
        folder = run / "evaluation" / f"{seen:012d}"
        folder.mkdir(parents=True)
        Image.new("RGB", (64, 32), (seen % 251, 0, 0)).save(folder / "nearest-lite0.png")
    return Page(write_report(run).page)


def test_scores_over_time_are_charts_with_bands(page: Page) -> None:
    labels = [svg["aria-label"] or "" for svg in page.tags["svg"]]
    for title in (
        "FD (lite0)",
        "KID (lite0)",
        "Inception Score (lite0)",
        "Inception Score of genre (judge)",
        "Top-1 of genre (judge)",
        "Precision and Recall",
        "Coverage (lite0)",
        "Diversity (lite0)",
        "Copied (lite0)",
        "FD (inception)",
        "FD (lite0) by genre",
        "Top-1 (judge) by genre",
    ):
        assert f"{title} over training" in labels
    assert "FillBetweenPolyCollection" in page.source
    assert re.search(r">[\d,]+ held-out real pictures<", page.source)
    assert "10 checkpoints: 2,000 generated pictures against 2,235 training pictures" in page.text
    assert "Scores over time, as inception sees it" in page.text
    assert len(page.identities) == len(set(page.identities))


def test_what_was_measured_otherwise_is_said_and_stands_in_the_table(page: Page) -> None:
    assert (
        "Under other conditions, and not comparable with the curves (all numbers are in metrics.jsonl): "
        "after 204,800 images (epoch 91.6): 10,000 generated pictures against 2,235 training pictures "
        "of ukiyoe-64 at 16 pixels, as lite0 sees them; in the table below" in page.text
    )
    _, _, newest = page.text.partition("The newest scores")
    assert newest.startswith(
        " As lite0 sees them After 204,800 images (epoch 91.6): 10,000 generated pictures"
    )
    far = scored(1.0)[0]
    assert f"FD (lite0) {far['value']:.0f} {far['low']:.0f} to {far['high']:.0f} 61.0" in newest
    assert "As inception sees them" in newest
    assert "KID (inception)" in newest


def test_gangoghs_table_has_the_discriminator_beside_the_judge(page: Page) -> None:
    _, _, table = page.text.partition("Accuracy on classes")
    assert "432 held-out pictures of 432 source pictures." in table
    assert "Always naming the commonest class gets 66%." in table
    assert "genre pictures judge discriminator all classes 432 83.0% 80.0 to 86.0%" in table
    places = [table.index(name) for name in CLASSES]
    assert places == sorted(places)
    assert "landscape 1,400 90.0% 85.0 to 95.0%" in table


def test_classes_without_held_out_pictures_are_named_in_one_sentence(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    of: dict[str, Any] = {"field": "genre", "cls": "landscape"}
    told = [
        score_row("accuracy-judge", 0.5, 0.1, field="genre", warning="few sources"),
        score_row("accuracy-judge", None, pictures=0, warning="no picture", **of),
    ]
    rated = {**judge(), "warning": "few sources"}
    write_evaluations(run, [evaluation(1000, told, judges=[rated])])
    page = Page(write_report(run).page)
    assert "None of landscape, actor <print>, birds & flowers." in page.text
    assert "no picture" not in page.text
    assert page.text.count("few sources") == 1


def test_the_closest_pairs_of_the_last_moment_are_shown(page: Page) -> None:
    sheets = [i for i in page.tags["img"] if (i["alt"] or "").startswith("closest pairs")]
    assert len(sheets) == 1
    assert "(epoch 91.6), as lite0 sees them. 1.0% are nearer. It is rough." in page.text


def test_top1_stands_beside_what_naming_all_alike_would_get(page: Page) -> None:
    assert "always the commonest genre 61.0% 66.0% " in page.text
    assert page.source.count(">always the commonest genre<") == 2  # in the chart, too


def test_what_a_judge_was_not_tested_on_is_said_of_its_top1(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    untested = {**judge(), "warning": "held-out pictures are of 1 of 3 classes"}
    told = [score_row("top1-judge", 0.6, 0.1, field="genre")]
    write_evaluations(run, [evaluation(1000, told, judges=[untested])])
    page = Page(write_report(run).page)
    assert "of the judge's accuracy: held-out pictures are of 1 of 3 classes" in page.text


def test_a_rows_own_sheet_is_shown(tmp_path: Path) -> None:
    """Of the best founded evaluation, not of the last one."""
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    told = []
    for number, pictures in enumerate((200, 2000, 300)):
        row = evaluation(1000, scored(0.5), pictures=pictures, folder=f"evaluation/{pictures}")
        row["memorisation"] = {"sentences": [f"of {pictures} pictures"]}
        told.append(row)
        beside = run / row["folder"]
        beside.mkdir(parents=True)
        Image.new("RGB", (64, 32), (100 * number, 0, 0)).save(beside / "nearest.png")

    def shown() -> list[str]:
        write_evaluations(run, told)
        return re.findall(
            r"as lite0 sees them\. (Of \d+ pictures)", Page(write_report(run).page).text
        )

    assert shown() == ["Of 2000 pictures"]
    # Its small print is readable on a phone: it keeps its width there, and scrolls.
    page = (run / "report.html").read_text(encoding="utf-8")
    assert re.search(r'<div class="scroll sheet"><img [^>]*></div><figcaption>', page)
    assert re.search(r"@media \(max-width[^@]*\.sheet img \{ max-width: none", page)
    # Rows of before say not where it lies: the last one's is there.
    old = run / "evaluation" / f"{1000:012d}" / "nearest-lite0.png"
    old.parent.mkdir()
    Image.new("RGB", (64, 32)).save(old)
    for row in told:
        row["folder"] = None
    assert shown() == ["Of 300 pictures"]


def test_a_single_moment_is_in_the_table_and_in_no_chart(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    add_class_grids(run, {1000: (20.0, 20.0)})
    told = evaluated_moments(30_000, 3, only=("kid", "top1"))
    told[0]["pictures"]["per_class"] = told[1]["pictures"]["per_class"] = 0
    told[2]["scores"].append(score_row("is-judge", 1.5, 0.1, field="genre"))
    write_evaluations(run, told)
    page = Page(write_report(run).page)
    labels = [svg["aria-label"] or "" for svg in page.tags["svg"]]
    assert "KID (lite0) over training" in labels
    assert not any("by genre" in label or "Inception" in label for label in labels)
    assert "genre pictures KID Top-1 landscape" in page.text


def test_scores_of_each_class_with_their_warnings(page: Page) -> None:
    _, _, table = page.text.partition("Scores of each class")
    assert "genre pictures FD KID Top-1 Diversity landscape" in table
    assert "birds & flowers: 466 pictures are too few" in table
    assert "<sup>1</sup>" in page.source


def test_a_run_without_evaluations_says_how_to_get_them(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    page = Page(write_report(run).page)
    assert "Not evaluated yet: impasto evaluate run measures" in page.text


def test_one_evaluation_is_a_table_and_no_curve(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    told = scored(0.5, field=None)
    told[0] = score_row("fd-lite0", None, warning="1 picture has no covariance")
    write_evaluations(run, [evaluation(1000, told)])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"format": 1, "created": "2026')
    page = Page(write_report(run).page)
    assert "FD (lite0) – 1 lower" in page.text
    assert "1 picture has no covariance" in page.text
    assert "Scores over time" not in page.text
    assert "Who can name" not in page.text
    assert "nan" not in page.text.lower().split()


def test_many_classes_are_folded_in_charts_and_tables(tmp_path: Path) -> None:
    names = tuple(f"artist {number:02d}" for number in range(13))
    field = {"name": "artist", "classes": list(names), "counts": list(range(13, 0, -1))}
    collection = {"name": "big", "count": 300, "fields": [field]}
    run = write_run(tmp_path / "run", *healthy(30), grids=0, collection=collection)
    add_class_grids(run, {1000: (20.0, 20.0)}, field="artist", classes=names, rows=2)
    write_evaluations(
        run, evaluated_moments(30_000, 2, field="artist", classes=names, only=("kid",))
    )
    page = Page(write_report(run).page)
    _, _, told = page.text.partition("Scores of each class")
    assert "The other 7 classes" in told
    assert "The other 3 classes" in told
    charts = [s["aria-label"] for s in page.tags["svg"] if "by artist" in (s["aria-label"] or "")]
    assert charts.count("KID (lite0) by artist over training") == 3


def test_unknown_words_in_a_row_are_left_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(30), grids=0)
    told = evaluation(1000, [score_row("novelty <b>", 3.0, 0.1)])
    told["subject"]["name"] = "<script>"
    write_evaluations(run, [told])
    page = Page(write_report(run).page)
    assert "novelty <b>" in page.text
    assert json.loads((run / "metrics.jsonl").read_text())["scores"][0]["name"] == "novelty <b>"


@pytest.mark.parametrize(("patience", "early"), [(20_000, True), (60_000, False), (None, False)])
def test_a_run_that_ended_early_is_not_called_unfinished(
    tmp_path: Path, patience: int | None, early: bool
) -> None:
    images, series = healthy(60)
    smoothed = np.full(60, np.nan)
    smoothed[[9, 19, 39, 59]] = 0.3, 0.1, 0.2, 0.15  # the best after 20,480 images, of 61,440
    series["evaluation/kid-smoothed"] = smoothed
    run = write_run(tmp_path / "run", images, series, planned=200_000)
    told = json.loads((run / "run.json").read_text())
    told["config"]["evaluation"] = {"patience": patience}
    (run / "run.json").write_text(json.dumps(told))
    report = write_report(run)
    assert report.status.startswith("ended early" if early else "not finished"), report.status
    assert ("The training goes on or was stopped" in report.page.read_text()) == (not early)
