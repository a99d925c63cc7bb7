"""What the report shows of classes, of the discriminator, and of runs of two stages."""

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import app
from impasto.config import RunConfig
from impasto.reporting.by_class import class_effect_in_words, distances, measure
from impasto.reporting.data import uneven
from impasto.reporting.grid_files import ClassGrids
from impasto.reporting.page import write_report
from impasto.reporting.record import RunLabels, newest_run, read_record
from impasto.reporting.stages import same_latents
from impasto.training.records import diversity
from tests.helpers.pages import Page
from tests.helpers.report_runs import (
    INTERVAL,
    add_class_grids,
    class_grid,
    grid,
    healthy,
    record,
    with_classes,
    write_run,
)

MOMENTS = {round(share * 200 * INTERVAL): (30.0 * share, 40.0 * share) for share in (0, 0.5, 1)}


def conditional(folder: Path, *, grids: int = 3) -> Path:
    """A healthy run whose classes are learnt, with three grids of classes."""
    images, series = healthy()
    series["accuracy/real"] = np.full(200, 0.8)
    series["accuracy/fake"] = np.full(200, 0.7)
    run = write_run(folder, images, with_classes(series, real=0.95, fake=0.9), grids=grids)
    add_class_grids(run, MOMENTS)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = conditional(tmp_path_factory.mktemp("runs") / "conditional")
    write_report(run)
    return run


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    return Page(run / "report.html")


# Measured


def told(folder: Path, picture: Image.Image, classes: int, rows: int) -> tuple[float, float] | None:
    path = folder / "grid.png"
    picture.save(path)
    return distances(path, ClassGrids("genre", tuple("abcdefghij"[:classes]), rows, []))


def test_distances_of_plain_colours_by_hand(tmp_path: Path) -> None:
    # Class a is black and b is white, whatever the latent; then the other way about.
    black_white = Image.new("RGB", (32, 32))
    black_white.paste((255, 255, 255), (16, 0, 32, 32))
    assert told(tmp_path, black_white, 2, 2) == (1.0, 0.0)
    assert told(tmp_path, black_white.rotate(90), 2, 2) == (0.0, 1.0)
    # A third of the values differ by 51 of 255: the root of a third, times a fifth.
    black_white.paste((0, 0, 0), (0, 0, 32, 32))
    black_white.paste((51, 0, 0), (16, 0, 32, 32))
    both = told(tmp_path, black_white, 2, 2)
    assert both is not None
    assert both[0] == pytest.approx(0.2 / 3**0.5)


@pytest.mark.parametrize("tile", [16, 64, 28, 8])
def test_distances_are_those_of_diversity(tile: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, tile, tile, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels.swapaxes(1, 2).reshape(3 * tile, 4 * tile, 3))
    both = told(tmp_path, picture, 4, 3)
    assert both is not None
    scaled = torch.from_numpy(pixels).permute(0, 1, 4, 2, 3) / 127.5 - 1
    by_class = np.mean([diversity(scaled[row]) for row in range(3)])
    by_latent = np.mean([diversity(scaled[:, column]) for column in range(4)])
    # Where 16 does not divide the side, Pillow and torch share pixels out differently.
    tolerance = {28: 0.1}.get(tile, 0.002)
    assert both[0] == pytest.approx(by_class, abs=tolerance)
    assert both[1] == pytest.approx(by_latent, abs=tolerance)


def test_what_is_no_such_grid_is_not_measured(tmp_path: Path) -> None:
    assert told(tmp_path, Image.new("RGB", (48, 32)), 2, 2) is None  # pictures would not be square
    assert told(tmp_path, Image.new("RGB", (33, 32)), 2, 2) is None
    assert told(tmp_path, Image.new("RGB", (32, 16)), 2, 1) is None  # one latent
    assert told(tmp_path, Image.new("RGB", (16, 32)), 1, 2) is None  # one class
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert distances(tmp_path / "cut.png", ClassGrids("genre", ("a", "b"), 2, [])) is None


@pytest.mark.parametrize(
    ("by_class", "by_latent", "verdict"),
    [
        (2, 40, "the class hardly changes the picture"),
        (18, 40, "the class matters, but less than the latent"),
        (40, 40, "the classes differ to the eye"),
        (40, 0, "a class is always the same picture"),
        (1, 1, "all pictures look alike so far"),
    ],
)
def test_the_verdict_follows_what_was_painted(
    by_class: float, by_latent: float, verdict: str, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", *healthy(2), grids=0)
    add_class_grids(run, {1000: (by_class, by_latent)}, rows=8)
    (measured,) = measure(read_record(run))
    assert verdict in class_effect_in_words(measured)
    assert measured.chance == pytest.approx(1400 / 2120)


def test_chance_is_the_commonest_class_unless_all_are_shown_alike(tmp_path: Path) -> None:
    config = {**record(1)["config"], "training": {"images": 2048, "balance": "genre"}}
    run = write_run(tmp_path / "run", *healthy(2), grids=0, config=config)
    add_class_grids(run, {}, rows=4)
    (measured,) = measure(read_record(run))
    assert measured.balanced
    assert measured.chance == pytest.approx(1 / 3)
    assert class_effect_in_words(measured) == ""
    assert "This run shows all classes equally often." in Page(write_report(run).page).text


# Shown


def test_one_noise_over_all_classes_the_most_frequent_first(page: Page) -> None:
    _, _, part = page.text.partition("The same latents in every class")
    heads, _, rest = part.partition("Each class over time")
    places = [heads.index(name) for name in ("landscape", "actor <print>", "birds & flowers")]
    assert places == sorted(places)
    assert "After 204,800 images" in heads
    assert "Under the same latent, another class changes the picture by 0." in heads
    assert "the classes differ to the eye" in heads
    assert "Each class at two moments" in rest
    assert "<print>" not in page.source


def test_columns_change_places_with_their_names(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(2), grids=0)
    names = ("birds & flowers", "landscape", "actor <print>")
    add_class_grids(run, {1000: (40, 20)}, classes=names, rows=4)
    page = Page(write_report(run).page)
    (shown,) = [i for i in page.tags["img"] if (i["alt"] or "").startswith("the same latents in")]
    assert (
        shown["alt"] == "the same latents in the classes landscape, actor <print>, birds & flowers"
    )
    painted = np.asarray(class_grid(3, 4, by_class=40, by_latent=20, seed=1000))
    expected = np.concatenate([painted[:, 16:], painted[:, :16]], axis=1)
    np.testing.assert_array_equal(_pixels(shown["src"]), expected)


def _pixels(address: str | None) -> np.ndarray:
    assert address is not None
    content = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_each_class_over_time_and_at_two_moments(page: Page) -> None:
    over_time = [i for i in page.tags["img"] if (i["alt"] or "").endswith(" over time")]
    assert [image["alt"] for image in over_time] == [
        "landscape over time",
        "actor <print> over time",
        "birds & flowers over time",
    ]
    assert _pixels(over_time[0]["src"]).shape == (16, 3 * 16, 3)
    two = [i["alt"] for i in page.tags["img"] if (i["alt"] or "").startswith("landscape after")]
    assert two == ["landscape after 102,400 images", "landscape after 204,800 images"]


def test_many_classes_are_folded_and_many_moments_thinned(tmp_path: Path) -> None:
    names = tuple(f"artist {number:02d}" for number in range(23))
    field = {"name": "artist", "classes": list(names), "counts": list(range(1, 24))}
    collection = {"name": "big", "count": 300, "fields": [field]}
    training = {"images": 204_800, "pretrain_images": 60_000}
    config = {**record(1)["config"], "training": training}
    run = write_run(tmp_path / "run", *healthy(), grids=0, collection=collection, config=config)
    moments = dict.fromkeys(range(0, 204801, 10240), (20.0, 20.0))
    add_class_grids(run, moments, field="artist", classes=names, rows=2)
    page = Page(write_report(run).page)
    assert page.text.count("The other 13 classes") == 3
    # The first of the moments is the last one before the generator began.
    _, _, times = page.source.partition("The same latent throughout.")
    shown = re.findall(r'<span class="in-images">([\d,]+)</span>', times.split("artist")[0])
    assert len(shown) == 8
    assert shown[0] == "51,200"
    assert shown[-1] == "204,800"
    over_time = [i["alt"] for i in page.tags["img"] if (i["alt"] or "").endswith("over time")]
    assert over_time[0] == "artist 22 over time"
    assert len(over_time) == 23
    two = [i["alt"] for i in page.tags["img"] if (i["alt"] or "").startswith("artist 22 after")]
    assert two == ["artist 22 after 102,400 images", "artist 22 after 204,800 images"]
    assert "Shaded: the discriminator trains alone, for 60,000 images." in page.text


def test_a_damaged_or_missing_class_grid_costs_no_page(tmp_path: Path) -> None:
    run = conditional(tmp_path / "run")
    newest = run / "samples" / f"classes-genre-{200 * INTERVAL:012d}.png"
    newest.write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "After 102,400 images" in Page(write_report(run).page).text
    for path in (run / "samples").glob("classes-*.png"):
        path.unlink()
    page = Page(write_report(run).page)
    assert "One noise" not in page.text
    assert "Classes of genre" in page.text
    oddities: tuple[Any, ...] = (
        {"genre": None},
        {"genre": {"classes": 3, "rows": 2}},
        [],
        {"genre": {"rows": 1}},
    )
    for odd in oddities:
        told = json.loads((run / "run.json").read_text())
        told["class_grids"] = odd
        (run / "run.json").write_text(json.dumps(told))
        assert read_record(run).class_grids == []
    write_report(run)


def test_a_field_is_not_taken_for_another_whose_name_it_begins(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(2), grids=0)
    add_class_grids(run, {1000: (20, 20)}, field="style")
    add_class_grids(run, {2000: (20, 20)}, field="style-7")
    found = {
        grids.field: [seen for seen, _ in grids.grids] for grids in read_record(run).class_grids
    }
    assert found == {"style": [1000], "style-7": [2000]}


# The discriminator


def test_the_discriminator_over_time(page: Page) -> None:
    assert "The discriminator over time" in page.text
    labels = [svg["aria-label"] for svg in page.tags["svg"]]
    assert "Real or generated over training" in labels
    assert "Classes of genre over training" in labels
    assert "cannot tell" in page.source
    assert ">commonest<" in page.source
    assert "A critic's values" not in page.text
    assert "as a classifier" not in page.text
    assert len(page.identities) == len(set(page.identities))


def test_a_critic_that_tells_pictures_apart_is_no_finding(tmp_path: Path) -> None:
    images, series = healthy(seed=3)
    series |= {"accuracy/real": np.ones(200), "accuracy/fake": np.ones(200)}
    run = write_run(tmp_path / "run", images, series, grids=0, score="critic")
    report = write_report(run)
    assert report.findings == []
    assert "A critic's values have no zero" in Page(report.page).text


def test_what_went_well_is_told_apart_from_what_went_wrong(run: Path, page: Page) -> None:
    assert "Nothing found" in page.text
    assert "Classes learnt, from" in page.text
    lines = CliRunner().invoke(app, ["report", str(run)]).output.splitlines()
    assert lines[1] == "no findings"
    assert lines[2].startswith("learnt, from ")
    assert lines[3] == str(run / "report.html")


def test_ignored_classes_are_marked_and_advised(tmp_path: Path) -> None:
    images, series = healthy()
    series = with_classes(series, real=0.95, fake=0.66, start=0.66)
    run = write_run(tmp_path / "run", images, series, grids=0)
    add_class_grids(run, {1000: (1, 40), 204_800: (1, 40)})
    report = write_report(run)
    assert [finding.kind for finding in report.findings] == ["ignored"]
    page = Page(report.page)
    assert "Classes ignored, from" in page.text
    assert "<code>--set training.balance=genre</code>" in page.source


def test_the_discriminator_as_a_classifier(tmp_path: Path) -> None:
    folder = conditional(tmp_path / "run", grids=0)
    (folder / "classify-style.json").write_text('{"accuracy": "high"}')
    (folder / "classify-broken.json").write_text("{")
    (folder / "classify-genre.json").write_text('{"accuracy": 0.914}')
    page = Page(write_report(folder).page)
    assert "The discriminator as a classifier genre: 91% named right" in page.text
    assert page.text.count("% named right") == 1
    measured = {
        "field": "genre <main>",
        "accuracy": 0.5,
        "pictures": 432,
        "sources": 2,
        "split": "heldout",
        "baseline": 1.0,
        "images_seen": 24_024,
    }
    (folder / "classify-genre.json").write_text(json.dumps(measured))
    Image.new("RGB", (40, 30), (1, 2, 3)).save(folder / "confusion-genre.png")
    page = Page(write_report(folder).page)
    assert "genre <main>: 50% named right" in page.text
    assert "432 held-out pictures of 2 source pictures, named after 24,024 images" in page.text
    assert "always naming the commonest class gets 100%." in page.text
    (picture,) = [i for i in page.tags["img"] if (i["alt"] or "").startswith("confusion of")]
    assert (_pixels(picture["src"]) == (1, 2, 3)).all()


# The data


def field(*counts: int) -> RunLabels:
    return RunLabels("genre", tuple((f"g{n}", count) for n, count in enumerate(counts)))


def test_uneven_classes_are_told() -> None:
    assert uneven(field(100, 90, 40)) == ""
    assert uneven(field(100)) == ""
    assert uneven(field()) == ""
    assert uneven(field(0, 0)) == ""
    assert uneven(field(5, 300, 0, 100)) == (
        "Very uneven: g1 has 60 times as many pictures as g0, and it holds 74% of all; what is rare "
        "is learnt badly."
    )
    assert uneven(field(40, 40, 40, 10)).startswith("g2 has 4 times as many pictures as g3, and 2 ")


def test_classes_without_a_picture_are_counted(tmp_path: Path) -> None:
    fields = [{"name": "genre", "classes": ["a", "b", "c"], "counts": [10, 0, 8]}]
    collection = {"name": "x", "count": 18, "fields": fields}
    run = write_run(tmp_path / "run", *healthy(2), grids=0, collection=collection)
    assert "3 classes. 1 without a picture for training." in Page(write_report(run).page).text


# Two stages


def two_stages(folder: Path, *, second: bool = True, seed: int = 0) -> Path:
    """A run of two stages, the first of them half done unless there is a second."""
    images, series = healthy(40)
    config = record(40 * INTERVAL)["config"]
    config = {**config, "latent": {"dim": 8, "distribution": "normal"}}
    config["training"] = {**config["training"], "seed": seed, "grid": 16}
    changes: dict[str, Any] = {
        "recipe": "gangogh_128",
        "config": {**config, "resolution": 32, "first_stage": config},
        "grid": {"columns": 4},
    }
    shown = slice(None) if second else slice(0)
    part = {name: values[shown] for name, values in series.items()}
    run = write_run(
        folder, images[shown], part, grids=3 if second else 0, planned=99_999, **changes
    )
    rows = slice(0, 40 if second else 20)
    write_run(
        run / "stage-1",
        images[rows],
        {name: values[rows] for name, values in series.items()},
        recipe="gangogh",
        config={**config, "training": {**config["training"], "seed": 0}},
        grid={"columns": 4},
    )
    if second:
        newest = sorted((run / "samples").glob("fakes-*.png"))[-1]
        grid(3, 1.0, tile=32).save(newest)
    return run


def test_each_stage_has_a_page_and_they_are_linked(tmp_path: Path) -> None:
    run = two_stages(tmp_path / "run")
    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("stage I: finished: 40,960 images")
    assert lines[-1] == str(run / "report.html")
    whole, stage = Page(run / "report.html"), Page(run / "stage-1" / "report.html")
    assert {"href": "stage-1/report.html"} in whole.tags["a"]
    assert {"href": "../report.html"} in stage.tags["a"]
    assert "gangogh on ukiyoe-64, stage I" in stage.text
    assert "run/stage-1" in stage.text
    assert "impasto evaluate run/stage-1 measures" in stage.text
    assert "impasto evaluate run measures" in whole.text
    assert (run / "stage-1" / "timelapse.mp4").exists() == (run / "timelapse.mp4").exists()


def test_three_stages_are_numbered_and_linked(tmp_path: Path) -> None:
    run = two_stages(tmp_path / "run")
    shutil.copytree(run, tmp_path / "inner")
    shutil.rmtree(run / "stage-1")
    shutil.copytree(tmp_path / "inner", run / "stage-1")
    told = json.loads((run / "run.json").read_text())
    told["config"] = {**told["config"], "first_stage": told["config"]}
    (run / "run.json").write_text(json.dumps(told))
    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("stage I: finished: 40,960 images")
    assert any(line.startswith("stage II: ") for line in lines)
    whole, middle = Page(run / "report.html"), Page(run / "stage-1" / "report.html")
    assert "This page shows stage III, which started from the weights of stage II." in whole.text
    assert "latents 1 and on in stage III" in {i["alt"] for i in whole.tags["img"]}
    assert "stage II" in middle.text
    assert {"href": "stage-1/report.html"} in middle.tags["a"]
    assert {"href": "../report.html"} in middle.tags["a"]
    assert "stage I" in Page(run / "stage-1" / "stage-1" / "report.html").text


def test_the_same_latents_in_both_stages(tmp_path: Path) -> None:
    page = Page(write_report(two_stages(tmp_path / "run")).page)
    assert "The same latents in both stages" in page.text
    assert "Stage I (above, 16 pixels) after 40,960 images" in page.text
    rows = [i for i in page.tags["img"] if (i["alt"] or "").startswith("latents ")]
    assert [row["alt"] for row in rows] == [
        "latents 1 and on in stage I",
        "latents 1 and on in stage II",
        "latents 9 and on in stage I",
        "latents 9 and on in stage II",
    ]
    newest = np.asarray(grid(3, 1.0))
    expected = np.concatenate([newest[:16, :64], newest[16:32, :64]], axis=1)
    np.testing.assert_array_equal(_pixels(rows[0]["src"]), expected)
    assert _pixels(rows[1]["src"]).shape == (32, 8 * 32, 3)

    other = two_stages(tmp_path / "other", seed=1)
    assert not same_latents(read_record(other / "stage-1"), read_record(other))
    assert "The same latents" not in Page(write_report(other).page).text


def test_a_run_whose_second_stage_has_not_begun(tmp_path: Path) -> None:
    run = two_stages(tmp_path / "run", second=False)
    for leftover in ("stats.jsonl", "samples/reals.png"):
        (run / leftover).unlink(missing_ok=True)
    (run / "samples").rmdir()
    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 0, result.output
    assert (
        "stage I not finished: 20,480 of 40,960 images (50%); stage II not begun" in result.output
    )
    page = Page(run / "report.html")
    assert "Stage II has not begun: it begins when stage I is finished." in page.text
    assert "no sample grids" not in page.text
    assert "By genre" in page.text
    assert "Generated, after 20,480 images" in Page(run / "stage-1" / "report.html").text


def test_a_run_whose_first_stage_has_not_begun_or_is_damaged(tmp_path: Path) -> None:
    run = two_stages(tmp_path / "run", second=False)
    (run / "stage-1" / "run.json").write_text("{")
    report = write_report(run)
    assert report.first_stage is None
    assert any("no page of stage I" in sentence for sentence in report.missing)
    (run / "stage-1" / "run.json").unlink()
    report = write_report(run)
    assert report.status == "stage I has not begun; stage II not begun"
    assert "stage-1/report.html" not in report.page.read_text()


def test_latest_takes_the_run_not_its_first_stage(tmp_path: Path) -> None:
    run = two_stages(tmp_path / "run", second=False)
    told = json.loads((run / "stage-1" / "run.json").read_text())
    told["created"] = "2027-01-01T00:00:00+00:00"
    (run / "stage-1" / "run.json").write_text(json.dumps(told))
    assert newest_run(tmp_path) == run
    assert newest_run(run) == run


def test_a_stage_reported_by_itself_knows_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = two_stages(tmp_path / "run")
    monkeypatch.chdir(run / "stage-1")
    page = Page(write_report(Path()).page)
    assert "Stage I: the run that goes on from it" in page.text


def test_steps_of_pretraining_are_none_of_the_game(tmp_path: Path) -> None:
    config = {
        **record(1)["config"],
        "training": {"images": 99_999, "pretrain_images": 10 * INTERVAL},
    }
    run = write_run(tmp_path / "run", *healthy(40), grids=0, config=config)
    assert read_record(run).steps == 30 * INTERVAL // 64
    config["training"] = {"images": 99_999, "pretrain_images": 50 * INTERVAL}
    run = write_run(tmp_path / "alone", *healthy(40), grids=0, config=config)
    assert read_record(run).steps == 0


def test_the_record_reads_a_resolved_config(tmp_path: Path) -> None:
    """What the report takes from `run.json` is named as training's own config names it."""
    fields = RunConfig.model_fields
    assert {"labels", "latent", "objective", "training", "first_stage"} <= fields.keys()
    training = fields["training"].annotation
    assert training is not None
    assert {"pretrain_images", "balance", "seed", "grid"} <= training.model_fields.keys()
