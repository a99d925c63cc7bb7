"""The report's section of pictures that the discriminator chose, and the command that writes them."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.collection import Collection
from impasto.files import sha256_of_file
from impasto.reporting.page import write_report
from impasto.sampling import find_model
from impasto.sampling.curated import CuratedGroup, CuratedRecord
from impasto.sampling.output import save_grid
from impasto.sampling.painter import Painter
from impasto.training import train
from tests.helpers.command_line import Say
from tests.helpers.pages import Page
from tests.helpers.report_runs import healthy, with_classes, write_run
from tests.helpers.training import small

HEADING = "Chosen by the discriminator"


def pictures_of(page: Page, described: str) -> list[np.ndarray]:
    """Pixels of the page's pictures with this beginning of their descriptions."""
    found = []
    for image in page.tags.get("img", []):
        if (image["alt"] or "").startswith(described):
            content = base64.b64decode((image["src"] or "").partition("base64,")[2])
            found.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    return found


def run_of_classes(folder: Path) -> Path:
    """A run whose discriminator names genres."""
    images, series = healthy(40)
    run = write_run(folder, images, with_classes(series, real=0.8, fake=0.7), grids=0)
    told = json.loads((run / "run.json").read_text())
    told["config"]["labels"] = ["genre"]
    (run / "run.json").write_text(json.dumps(told))
    return run


def choose(
    run: Path, names: tuple[str, ...] = ("landscape", "portrait"), kept: int = 8, **changes: object
) -> np.ndarray:
    """Write a grid of the best as the command does; gives its pictures [groups, kept, 4, 4, 3]."""
    rng = np.random.default_rng(len(names))
    tiles = rng.integers(0, 255, (len(names), kept, 4, 4, 3), dtype=np.uint8)
    grid = run / "curated" / "best.png"
    several = len(names) > 1
    save_grid(
        grid,
        tiles.reshape(-1, 4, 4, 3),
        kept if several else None,
        beside=names if several else (),
    )
    groups = [
        CuratedGroup(
            title=name, kept=kept, realness=(2.5, -0.25), confidence=(0.9, 0.4) if name else None
        )
        for name in names
    ]
    about = CuratedRecord(
        grid_sha256=sha256_of_file(grid),
        images_seen=40_960,
        candidates=512,
        worst=False,
        groups=tuple(groups),
    )
    about = about.model_copy(update=changes)
    grid.with_suffix(".json").write_text(about.model_dump_json())
    return tiles


def test_the_command_writes_what_the_report_shows(
    labelled: Collection, tmp_path: Path, say: Say
) -> None:
    config = small("gangogh", training__images=32, training__grid=4)
    run = train(config, labelled, out=tmp_path / "runs", device="cpu")
    options = ["--per-class", "2", "--from", "6", "--to-report"]
    for extreme in ("best", "worst"):
        code, out, err = say("sample", str(run), "--curate", extreme, *options)
        assert code == 0, err
        assert out.splitlines()[-1] == f"to see it in the report: impasto report {run.resolve()}"
        assert f"{extreme}.png, its scores in " in out.splitlines()[-2]
    assert sorted(file.name for file in (run / "curated").iterdir()) == sorted(
        f"{extreme}{ending}"
        for extreme in ("best", "worst")
        for ending in (".json", ".png", "-scores.csv")
    )
    page = Page(write_report(run).page)
    assert "The 2 best of 6 of each class, after 40 images" in page.text
    assert "The 2 worst of 6 of each class, after 40 images" in page.text
    painter = Painter.load(find_model(run))
    classes = labelled.fields[labelled.field("genre")].classes
    for extreme in ("best", "worst"):
        shown = pictures_of(page, f"the {extreme} pictures")
        with (run / "curated" / f"{extreme}-scores.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["kept"] == "yes"]
        if extreme == "worst":  # in its table the best of all come first
            rows = [row for place in (0, 2, 4) for row in (rows[place + 1], rows[place])]
        seeds = [int(row["seed"]) for row in rows]
        chosen = [[classes.index(row["genre"])] for row in rows]
        labels = painter.labels(seeds, {})
        labels[:, 0] = labels.new_tensor(chosen)[:, 0]
        expected = np.concatenate(list(painter.paint(seeds, labels)))
        drawn = np.concatenate([np.split(row, 2, axis=1) for row in shown])
        assert drawn.shape == expected.shape
        assert np.abs(drawn.astype(int) - expected).max() <= 1
        realness = [float(row["realness"]) for row in rows[:2]]
        assert f"The {extreme}: realness {np.median(realness):.3g} (of all " in page.text

    for words, said in (
        (["--to-report"], "add --curate best"),
        (["--to-report", "--curate", "best", "--grid", "x.png"], "leave out --grid and --out"),
        (["--to-report", "--curate", "best", "--stages"], "leave out --stages"),
    ):
        code, _, err = say("sample", str(run), *words)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err
    assert say("export", str(run), str(tmp_path / "bare"))[0] == 0
    code, _, err = say("sample", str(tmp_path / "bare"), "--curate", "best", "--to-report")
    assert (code, err.count("\n")) == (2, 1)
    assert "only a run has a report" in err


def test_each_class_is_shown_with_its_medians(tmp_path: Path) -> None:
    run = run_of_classes(tmp_path / "run")
    tiles = choose(run, truncation=0.7)
    page = Page(write_report(run).page)
    assert (
        "ordered by how real the discriminator takes them to be and by how sure it is" in page.text
    )
    assert (
        "The 8 best of 512 of each class, after 40,960 images (epoch 18.3), with truncation 0.7."
        in page.text
    )
    assert (
        "portrait The best: realness 2.5 (of all -0.25), confidence 90% (of all 40%)." in page.text
    )
    shown = pictures_of(page, "the best pictures ")
    assert len(shown) == 2
    for picture, mine in zip(shown, tiles, strict=True):
        rows = [np.concatenate(list(mine[start : start + 4]), axis=1) for start in (0, 4)]
        np.testing.assert_array_equal(picture, np.concatenate(rows))
    assert (
        "Not chosen yet: the worst with impasto sample run --curate worst --to-report" in page.text
    )


@pytest.mark.parametrize("kept", [8, 10, 7, 1])
def test_without_classes_there_is_one_group(kept: int, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(40), grids=0)
    tiles = choose(run, ("",), kept)[0]
    page = Page(write_report(run).page)
    assert f"{kept} best of 512, after" in page.text
    assert "of their class" not in page.text
    assert "The best: realness 2.5 (of all -0.25)." in page.text
    (shown,) = pictures_of(page, "the best pictures")
    across = {8: 4, 10: 5, 7: 7, 1: 1}[kept]
    rows = [
        np.concatenate(list(tiles[start : start + across]), axis=1)
        for start in range(0, kept, across)
    ]
    np.testing.assert_array_equal(shown, np.concatenate(rows))


def test_a_judge_is_named(tmp_path: Path) -> None:
    run = run_of_classes(tmp_path / "run")
    choose(run, judge="by-style <64>")
    page = Page(write_report(run).page)
    assert f"{HEADING} and a judge" in page.text
    assert "how sure the judge of by-style <64> is of their class" in page.text


def test_a_grid_is_not_shown_with_the_record_of_another(tmp_path: Path) -> None:
    run = run_of_classes(tmp_path / "run")
    choose(run)
    Image.new("RGB", (80, 8)).save(run / "curated" / "best.png")
    page = Page(write_report(run).page)
    assert pictures_of(page, "the best pictures") == []
    assert "Not chosen yet: the best with impasto sample run --curate best" in page.text
    choose(run)
    for odd in ("{", "[]", '{"format": 2}'):
        (run / "curated" / "best.json").write_text(odd)
        assert "Not chosen yet: the best" in Page(write_report(run).page).text


def test_many_classes_unfold(tmp_path: Path) -> None:
    run = run_of_classes(tmp_path / "run")
    choose(run, tuple(f"artist {number}" for number in range(13)))
    page = Page(write_report(run).page)
    assert len(pictures_of(page, "the best pictures")) == 13
    assert "The other 3 classes" in page.text


def test_the_commands_are_named_where_the_discriminator_can_choose(tmp_path: Path) -> None:
    plain = write_run(tmp_path / "plain", *healthy(40), grids=0)
    page = Page(write_report(plain).page)
    commands = re.findall(r"<code>(impasto sample[^<]*)</code>", page.source)
    assert commands == [
        "impasto sample plain --curate best --to-report",
        "impasto sample plain --curate worst --to-report",
    ]
    assert HEADING in Page(write_report(run_of_classes(tmp_path / "classes")).page).text
    # Labels that the discriminator does not name.
    told = json.loads((plain / "run.json").read_text())
    told["config"]["labels"] = ["genre"]
    (plain / "run.json").write_text(json.dumps(told))
    assert HEADING not in Page(write_report(plain).page).text
    images, _ = healthy(1)
    begun = write_run(tmp_path / "begun", images[:0], {}, grids=0)
    assert HEADING not in Page(write_report(begun).page).text
