"""The studio's page, used as people use it."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

import impasto
from impasto.api.collections import pack
from impasto.collection import Collection
from impasto.resolution import Size
from impasto.sampling.model import Model
from impasto.sampling.points import Points
from tests.exploring.models import random_model
from tests.helpers.pictures import paint
from tests_web.studio import Visitor, visiting

PICTURES = 21
SMALL = {
    "resolution": "32",
    "training.samples_every": "100000",
    "training.stats_every": "16",
    "training.checkpoint_every": "100000",
    "generator.widest": "16",
    "generator.narrowest": "8",
    "discriminator.widest": "16",
    "discriminator.narrowest": "8",
}
"""Settings of a training that is quick."""
TINY = {
    "resolution": 32,
    "training.batch": 8,
    "training.images": 64,
    "training.grid": 4,
    "training.checkpoint_every": 32,
}
"""Settings of a training that is over at once."""


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_from_an_empty_folder_to_a_favourite_downloaded(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    with visiting(browser, tmp_path / "studio", width, scheme) as visitor:
        page = visitor.page
        page.get_by_text("Begin with your own pictures").wait_for()
        visitor.check()
        visitor.click("link", "open the gallery")
        visitor.painted()
        assert visitor.clicks <= 4
        visitor.check()
        visitor.click("button", "Seed 3")
        page.get_by_text("Seed 3, style").wait_for()
        visitor.click("button", "♥ Keep")
        page.get_by_text("Kept as seed-3").wait_for()
        visitor.check()
        with page.expect_download() as started:
            visitor.click("link", "Download PNG")
        started.value.save_as(tmp_path / "kept.png")
        visitor.click("button", "Close")
        visitor.click("button", "Favourites (1)")
        page.get_by_role("button", name="seed-3", exact=False).first.wait_for()
        # It is there after the page is opened anew.
        page.reload()
        page.get_by_role("button", name="Favourites (1)").wait_for()
    model = Model.load("masters")
    assert Points.load(tmp_path / "kept.png", model.record).origins[0].seed == 3
    with Image.open(tmp_path / "kept.png") as picture:
        assert np.array_equal(np.asarray(picture), model.sample([3])[0])


def test_the_gallery(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes, seeds without end, directions, enlarging, variations, favourites, canvases."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "studio" / "cache"))
    impasto.directions("masters", samples=128, components=0, device="cpu")
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        visitor.click("link", "Gallery")
        visitor.painted()
        page.get_by_label("style", exact=True).select_option("Ukiyo-e")
        before = page.locator("main canvas").count()
        page.keyboard.press("End")
        page.wait_for_function(
            "before => document.querySelectorAll('main canvas').length > before", arg=before
        )
        for seed in (1, 2):
            visitor.click("button", f"Seed {seed}")
            page.get_by_text(f"Seed {seed}, style Ukiyo-e").wait_for()
            page.keyboard.press("f")
            page.get_by_text(f"Kept as seed-{seed}").wait_for()
            page.keyboard.press("Escape")
        visitor.click("button", "Seed 3")
        picture_box = page.locator("dialog canvas").bounding_box()
        keep_box = page.get_by_role("button", name="Keep").bounding_box()
        assert picture_box is not None
        assert keep_box is not None
        # The sliders make the bar high; the picture takes the room that is left.
        assert picture_box["y"] + picture_box["height"] <= keep_box["y"]
        plain = _pixels(visitor)
        page.get_by_label("warmth", exact=True).fill("2")
        page.wait_for_function(
            "before => document.querySelector('dialog canvas').toDataURL() !== before", arg=plain
        )
        page.get_by_label("Size", exact=True).select_option("128 px, enlarged")
        page.wait_for_function("() => document.querySelector('dialog canvas').width === 128")
        visitor.check_both()
        with page.expect_download() as started:
            visitor.click("link", "Download PNG")
        with Image.open(started.value.path()) as picture:
            assert picture.size == (128, 128)
        visitor.click("button", "Variations")
        page.get_by_role("button", name="Variation 24", exact=True).wait_for()
        visitor.check_both()
        visitor.click("button", "Variation 1")
        visitor.click("button", "More like this")
        page.get_by_role("heading", name="most like it among 256 seeds", exact=False).wait_for()
        page.get_by_role("button", name=re.compile(r"^Seed \d+$")).nth(23).wait_for()
        _favourites(visitor)
        _canvas(visitor)


def _pixels(visitor: Visitor) -> str:
    """The opened picture, when it is painted."""
    visitor.page.wait_for_function(
        """() => {
          const canvas = document.querySelector("dialog canvas");
          return new Set(canvas.getContext("2d").getImageData(0, 0, 64, 64).data).size > 8;
        }"""
    )
    return str(visitor.page.evaluate("document.querySelector('dialog canvas').toDataURL()"))


def _favourites(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click("button", "Favourites (2)")
    visitor.click("button", "Walk through them")
    page.get_by_role("img", name="A walk through the favourites").wait_for()
    visitor.click("button", "Mix them")
    page.get_by_role("img", name="Favourites mixed", exact=False).wait_for()
    page.get_by_label("Seconds each").fill("0.5")
    visitor.click("button", "Make a video")
    page.wait_for_function("() => document.querySelector('main video')?.duration === 1")
    visitor.check_both()
    page.get_by_role("checkbox", name="Take seed-1", exact=False).uncheck()
    page.get_by_text("need two favourites").wait_for()


def _canvas(visitor: Visitor) -> None:
    page = visitor.page
    visitor.click("button", "Canvas")
    page.get_by_label("Of", exact=True).select_option("favourites")
    visitor.click("button", "Paint it")
    page.get_by_role("img", name="Canvas of 1024 × 512 pixels").wait_for()
    with page.expect_download() as started:
        visitor.click("link", "Download Canvas of 1024 × 512 pixels")
    with Image.open(started.value.path()) as picture:
        assert picture.size == (1024, 512)
        assert len(np.unique(np.asarray(picture.resize((16, 8))).reshape(-1, 3), axis=0)) > 100
    visitor.check_both()


def test_from_dropped_pictures_to_a_training_and_its_gallery(
    browser: Browser, tmp_path: Path
) -> None:
    """And a report of it."""
    paint(tmp_path / "pictures", PICTURES)
    paint(tmp_path / "kinds", 8)
    kinds = tmp_path / "studio" / "collections" / "kinds"
    pack(tmp_path / "kinds", kinds, resolution=32, labels="kind", heldout=0)
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        visitor.drop(sorted((tmp_path / "pictures").rglob("*.png")))
        page.get_by_text(f"{PICTURES} pictures", exact=True).wait_for()
        page.get_by_role("img", name="by aspect", exact=False).first.wait_for()
        visitor.check_both()
        page.get_by_label("Resolution").select_option("32 px")
        page.get_by_label("Name", exact=True).fill("mine")
        visitor.click("button", "Pack")
        visitor.click("link", "Train on it")
        _classes_are_chosen(visitor)
        visitor.click("button", "Measure on this machine: flagship_32")
        page.get_by_text("of other sizes or labels than this collection has").click()
        page.get_by_role("radio", name="first_look", exact=False).check()
        visitor.clicks += 1
        page.get_by_text("On this machine: ").first.wait_for()
        page.get_by_text("Does not fit: first_look paints pictures of 64 px").wait_for()
        page.get_by_text("Settings of first_look").click()
        for name, value in SMALL.items():
            box = page.get_by_label(name, exact=True)
            box.fill(value)
            box.press("Tab")
        visitor.check_both()
        visitor.click("button", "Start")
        assert visitor.clicks <= 6
        page.get_by_role("img", name="Grid of generated pictures", exact=False).wait_for()
        page.get_by_role("img", name="Losses, from", exact=False).wait_for()
        page.get_by_text("left", exact=False).first.wait_for()
        visitor.click("button", "Save now")
        page.get_by_text("A checkpoint is saved").wait_for()
        visitor.click("button", "Sample now")
        page.get_by_text("A grid is drawn").wait_for()
        page.get_by_role(
            "img", name=re.compile("Grid of generated pictures after [1-9]")
        ).wait_for()
        page.get_by_label("Last lines of the output").get_by_text("run: ").wait_for()
        visitor.check_both()
        visitor.click("button", "Stop")
        visitor.click("button", "Resume")
        visitor.click("button", "Stop")
        page.get_by_role("button", name="Resume").wait_for()
        visitor.click("link", "Judge")
        visitor.click("button", "Write the report")
        page.frame_locator("iframe").get_by_role("heading").first.wait_for()
        visitor.check_both()
        visitor.click("link", "Train")
        visitor.click("link", "00000-first_look-mine", exact=False)
        page.locator("main").get_by_role("link", name="Gallery", exact=True).click()
        visitor.painted()
        assert "runs/00000-first_look-mine" in page.get_by_label("Model", exact=True).input_value()


def _classes_are_chosen(visitor: Visitor) -> None:
    """Of a collection that has some; what is sent to be trained or measured follows."""
    page = visitor.page
    page.get_by_role("button", name="Start", exact=True).wait_for()
    page.get_by_label("Collection", exact=True).select_option("kinds")
    kind = page.get_by_role("checkbox", name="kind 2 classes, 4 pictures each")
    kind.wait_for()
    assert kind.is_checked()
    sent = _asked_to_measure(visitor)
    assert (sent["collection"], sent["labels"]) == ("kinds", ["kind"])
    visitor.check_both()
    kind.uncheck()
    page.get_by_text("pictures cannot be asked for by class").wait_for()
    assert _asked_to_measure(visitor)["labels"] == []
    page.get_by_label("Collection", exact=True).select_option("mine")
    kind.wait_for(state="detached")
    assert _asked_to_measure(visitor)["labels"] is None


def _asked_to_measure(visitor: Visitor) -> dict[str, Any]:
    """What "Measure first" sends; nothing is measured."""
    page = visitor.page
    page.route("**/api/estimate", lambda route: route.fulfill(json={"id": "none"}))
    with page.expect_request("**/api/estimate") as asked:
        page.get_by_role("button", name="Measure first").click()
    page.unroute("**/api/estimate")
    return dict(asked.value.post_data_json or {})


def test_runs_are_judged_compared_and_shared(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores say what they mean, runs are compared, and the exported checkpoint is the one shown."""
    folder = tmp_path / "studio"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder / "cache"))
    paint(tmp_path / "pictures", 24)
    pack(tmp_path / "pictures", folder / "collections" / "mine", resolution=32)
    settings = {**TINY, "generator.width": 4, "discriminator.width": 4, "latent.dim": 16}
    for name in ("00000-one", "00001-two"):
        run = folder / "runs" / name
        collection = folder / "collections" / "mine"
        impasto.train(collection, "r3gan_64", settings=settings, run=run, device="cpu")
        impasto.evaluate(run, pictures=48, per_class=0, device="cpu")
    with visiting(browser, folder, 390) as visitor:
        page = visitor.page
        visitor.click("link", "Judge")
        table = page.get_by_role("region", name="Scores")
        table.get_by_role("rowheader", name="64").wait_for()
        assert table.evaluate("box => box.scrollWidth > box.clientWidth")
        assert table.evaluate("box => box.querySelector('tbody th').getClientRects().length") == 1
        page.get_by_text("More scores are to the right.").wait_for()
        table.evaluate("box => (box.scrollLeft = box.scrollWidth)")
        first, last = (
            table.locator(f"tbody tr:first-child > :{which}-child").bounding_box()
            for which in ("first", "last")
        )
        assert first is not None
        assert last is not None
        assert last["x"] >= first["x"] + first["width"]
        table.evaluate("box => (box.scrollLeft = 0)")
        score = table.get_by_role("button", name="KID (lite0)")
        score.press("Enter")
        page.get_by_text("Lower is better.").wait_for()
        page.get_by_text("It cannot see: Copies of training pictures").wait_for()
        visitor.check()
        score.press("Enter")
        assert page.get_by_text("Lower is better.").count() == 0
        for name in ("00000-one", "00001-two"):
            page.get_by_role("checkbox", name=name).check()
        visitor.click("button", "Compare")
        with page.expect_popup() as opened:
            visitor.click("link", "Open it")
        opened.value.get_by_text("00001-two").first.wait_for()
        opened.value.close()
        _shared_while_it_trains(visitor, folder / "runs" / "00001-two")
    given = Model.load(folder / "models" / "given")
    assert given.record.images_seen == TINY["training.images"]


def _shared_while_it_trains(visitor: Visitor, run: Path) -> None:
    page = visitor.page
    visitor.click("link", "Share")
    page.get_by_label("Model", exact=True).select_option("runs/00001-two, 32 px")
    page.get_by_text("This is the checkpoint after 64 images").wait_for()
    # It saves a newer one.
    checkpoints = run / "checkpoints"
    newer = shutil.copytree(checkpoints / f"{64:012d}", checkpoints / f"{96:012d}")
    record = json.loads((newer / "model.json").read_text(encoding="utf-8"))
    (newer / "model.json").write_text(json.dumps({**record, "images_seen": 96}), encoding="utf-8")
    page.get_by_text("a folder: safetensors and JSON").click()
    page.get_by_label("Name", exact=True).fill("given")
    visitor.click("button", "Export")
    page.get_by_text("as models/given: done").wait_for()
    # The list begins with what was exported now; what was chosen stays.
    page.get_by_role("button", name="Show the newer one").wait_for()
    assert page.get_by_label("Model", exact=True).input_value() == "runs/00001-two"
    visitor.check()
    visitor.click("button", "Show the newer one")
    page.get_by_text("This is the checkpoint after 96 images").wait_for()


def test_duplicates_and_classes(browser: Browser, tmp_path: Path) -> None:
    """Copies are kept or excluded one by one; classes are merged by dragging, and by keyboard."""
    folder = tmp_path / "studio"
    upload = folder / "uploads" / "mine"
    paint(upload, 12)
    for number in (0, 1):
        with Image.open(upload / "cold" / f"{2 * number:03}.png") as picture:
            picture.save(upload / "cold" / f"copy-{number}.png")
    pack(upload, folder / "collections" / "mine", resolution=32, labels="kind")
    with visiting(browser, folder, 390, "dark") as visitor:
        page = visitor.page
        visitor.click("link", "mine", exact=False)
        page.get_by_text("2 source pictures were excluded").first.wait_for()
        visitor.check()
        page.get_by_role("checkbox", name="Keep cold/copy-0.png").check()
        page.get_by_role("checkbox", name="Keep cold/000.png").uncheck()
        visitor.click("button", "Pack again with them")
        page.get_by_text("1 source picture was excluded").first.wait_for()
        page.get_by_text("Merge classes").click()
        cold, warm = (
            page.get_by_role("checkbox", name=each, exact=True) for each in ("cold", "warm")
        )
        cold.drag_to(warm)
        assert cold.is_checked()
        assert warm.is_checked()
        assert page.get_by_label("become").input_value() == "warm"
        cold.press("Space")
        assert page.get_by_role("button", name="Pack", exact=True).is_disabled()
        cold.press("Space")
        page.get_by_label("become").fill("all")
        page.get_by_label("in a new collection").fill("merged")
        page.get_by_label("in a new collection").press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="all 1", exact=False).wait_for()
        visitor.check()
    paths = {row["path"] for row in Collection.open(folder / "collections" / "mine").source_table()}
    assert "cold/copy-0.png" in paths
    assert not {"cold/000.png", "cold/copy-1.png"} & paths


def test_sharing(browser: Browser, tmp_path: Path) -> None:
    """The card is shown before; a folder for the hub is made, and becomes a model of the studio."""
    with visiting(browser, tmp_path / "studio", 390) as visitor:
        page = visitor.page
        visitor.click("link", "Share")
        about = page.get_by_role("region", name="What goes with it")
        about.get_by_text("Licences, by source pictures").wait_for()
        name = page.get_by_label("Name", exact=True)
        assert name.input_value() == "masters"
        page.get_by_text("a folder for the Hugging Face hub").click()
        assert name.input_value() == "masters 2"  # the other one is a word of impasto's
        page.get_by_label("Licence of the model").select_option("cc0-1.0")
        page.get_by_label("Text of the card").get_by_text("license: cc0-1.0").wait_for()
        page.get_by_text("impasto push masters OWNER/NAME --licence cc0-1.0").wait_for()
        page.get_by_label("Name", exact=True).fill("given")
        visitor.check_both()
        visitor.click("button", "Export")
        page.get_by_text("as models/given: done").wait_for()
        page.get_by_label("Model", exact=True).select_option("models/given, 64 px")
        page.get_by_text("a folder for a Space of the hub").click()
        page.get_by_label("Name", exact=True).fill("painter")
        visitor.check()
        visitor.click("button", "Export")
        page.get_by_text("as models/painter: done").wait_for()
    assert (tmp_path / "studio" / "models" / "painter" / "app.py").is_file()
    given = tmp_path / "studio" / "models" / "given"
    assert Model.load(given).record.resolution == 64
    assert "license: cc0-1.0" in (given / "README.md").read_text(encoding="utf-8")


def test_a_model_of_several_proportions(browser: Browser, tmp_path: Path) -> None:
    folder = tmp_path / "studio"
    (folder / "models").mkdir(parents=True)
    random_model(
        folder / "models" / "several", "fastgan", resolution=64, buckets=(Size(48, 80), 64)
    )
    with visiting(browser, folder, 390) as visitor:
        page = visitor.page
        visitor.click("link", "Gallery")
        page.get_by_text("Settings", exact=True).click()
        page.get_by_label("Proportions").select_option("48 × 80 px")
        page.wait_for_function(
            "() => { const { width, height } = document.querySelector('main canvas');"
            " return width === 48 && height === 80; }"
        )
        visitor.check()


def test_what_goes_wrong_is_one_line(browser: Browser, tmp_path: Path) -> None:
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        paint(tmp_path / "pictures", 2)
        visitor.drop(sorted((tmp_path / "pictures").rglob("*.png")))
        page.get_by_label("Name", exact=True).fill("a/b")
        visitor.click("button", "Pack")
        page.get_by_role("alert").get_by_text("cannot be the name of a collection").wait_for()
        page.get_by_label("Name", exact=True).fill("ab")  # until the name changes it stays
        page.get_by_role("alert").wait_for(state="detached")
        visitor.errors.clear()  # the browser reports the refused request


def test_lists_are_not_read_again_whenever_a_job_says_something(
    browser: Browser, tmp_path: Path
) -> None:
    """A training prints a line of progress every second or so."""
    job = {"id": "1", "kind": "train", "title": "Train on mine", "state": "running", "files": []}
    lines = [json.dumps([{**job, "message": f"{number} of 9 images"}]) for number in range(1, 10)]
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        page.route(
            "**/api/events",
            lambda route: route.fulfill(
                content_type="text/event-stream",
                body="".join(f"event: jobs\ndata: {line}\n\n" for line in lines),
            ),
        )
        visitor.click("link", "Gallery")
        visitor.requests.clear()
        page.reload()
        visitor.painted()
        page.get_by_text("Jobs (1): Train on mine").click()
        page.get_by_text("9 of 9 images").wait_for()
        asked = [url.partition("/api/")[2] for url in visitor.requests]
        for path in ("models", "gallery/directions?"):
            assert len([each for each in asked if each.startswith(path)]) == 1, asked
        # They are looked at every few seconds.
        assert len([each for each in asked if each.startswith("gallery/favourites?")]) < len(lines)


def test_a_run_that_stops_and_what_is_shown_when_the_studio_is_lost(
    browser: Browser, tmp_path: Path
) -> None:
    job = {"id": "1", "kind": "train", "title": "Train on mine", "run": "00000-mine", "files": []}
    event = json.dumps([{**job, "state": "running", "stopped": True, "message": None}])
    with visiting(browser, tmp_path / "studio", 390) as visitor:
        page = visitor.page
        page.route(
            "**/api/events",
            lambda route: route.fulfill(
                content_type="text/event-stream", body=f"event: jobs\ndata: {event}\n\n"
            ),
        )
        page.reload()
        visitor.click("link", "Train")
        main = page.locator("main")
        main.get_by_text("stopping", exact=True).wait_for()
        page.get_by_text("Jobs (1): Train on mine (stopping)").wait_for()
        main.get_by_role("link", name="00000-mine").click()
        main.get_by_text("stopping", exact=True).wait_for()
        page.route("**/api/**", lambda route: route.abort())
        alert = page.get_by_role("alert")
        alert.get_by_text(re.compile(r"What stands below is as it was at \d\d:\d\d\.")).wait_for()
        main.get_by_text("Last known: stopping").wait_for()
        visitor.check_both()
        visitor.click("link", "All trainings")
        main.get_by_text("last known: stopping").wait_for()
        visitor.errors.clear()  # the browser reports what was not answered
