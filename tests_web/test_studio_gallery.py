"""The tab Gallery, used as people use it: where one is, what was found, made and removed."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

import impasto
from impasto.api.collections import pack
from tests.helpers.pictures import paint
from tests_web.studio import Visitor, visiting


def _opened(page: Page, seed: int) -> None:
    page.locator("dialog").get_by_text(f"Seed {seed}, style", exact=False).wait_for()


def _closed(page: Page) -> None:
    page.locator("dialog").wait_for(state="detached")


def test_back_and_a_reload_come_to_where_one_was(browser: Browser, tmp_path: Path) -> None:
    """Of pictures, of settings, and of pictures near one."""
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        visitor.click("link", "Gallery")
        box = page.get_by_label("From seed")
        box.fill("4294967296")
        box.press("Enter")
        page.get_by_text("4294967296 is no seed").wait_for()
        assert box.input_value() == "0"
        visitor.check_both()
        box.fill("20")
        box.press("Enter")
        page.get_by_label("style", exact=True).select_option("Ukiyo-e")
        page.get_by_role("button", name="Seed 21", exact=True).press("Space")
        _opened(page, 21)
        page.keyboard.press("ArrowRight")
        _opened(page, 22)
        page.go_back()
        _closed(page)
        page.go_forward()
        _opened(page, 22)
        page.reload()
        _opened(page, 22)
        page.get_by_text("Seed 22, style Ukiyo-e").wait_for()
        page.keyboard.press("Escape")
        _closed(page)
        assert box.input_value() == "20"
        visitor.click("button", "Seed 20")
        visitor.click("button", "Variations")
        visitor.click("button", "Variation 3")
        page.reload()
        page.locator("dialog").get_by_text("style Ukiyo-e", exact=False).wait_for()
        page.go_back()
        _closed(page)
        page.get_by_role("heading", name="Seed 20: pictures near it").wait_for()
        page.go_back()
        _opened(page, 20)


def test_a_search_shows_how_far_it_is_and_can_be_stopped(browser: Browser, tmp_path: Path) -> None:
    with visiting(browser, tmp_path / "studio", 390) as visitor:
        page = visitor.page
        visitor.click("link", "Gallery")
        visitor.click("button", "Seed 3")
        page.keyboard.press("l")
        page.get_by_text(re.compile(r"^[1-9]\d* of 256 seeds compared")).wait_for()
        visitor.click("button", "Stop")
        heading = page.get_by_role("heading", name="most like it among", exact=False)
        heading.wait_for()
        (seeds,) = re.findall(r"among (\d+) seeds", heading.inner_text())
        assert int(seeds) < 256
        visitor.check()
        shown = page.locator("main").get_by_role("button", name=re.compile(r"^Seed \d+$"))
        nearest = shown.first.inner_text()
        page.reload()
        heading.wait_for()
        assert shown.first.inner_text() == nearest
        # Those of the seeds before are not looked for again.
        with page.expect_request("**/api/gallery/more-like") as request:
            visitor.click("button", "Look among more")
        assert json.loads(request.value.post_data or "")["first"] == int(seeds)


@pytest.fixture
def moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A studio whose cache has directions of `masters`."""
    folder = tmp_path / "studio"
    monkeypatch.setenv("IMPASTO_CACHE", str(folder / "cache"))
    impasto.directions("masters", samples=128, components=0, device="cpu")
    return folder


def test_what_was_saved_is_found_with_its_settings(browser: Browser, moved: Path) -> None:
    with visiting(browser, moved) as visitor:
        page = visitor.page
        visitor.click("link", "Gallery")
        for style in ("Ukiyo-e", "Mannerism"):
            page.get_by_label("style", exact=True).select_option(style)
        page.get_by_label("Truncation", exact=True).fill("1.2")
        visitor.click("button", "Seed 6")
        mixed = "Seed 6, style 50% Mannerism + 50% Ukiyo-e"
        page.get_by_text(mixed).wait_for()
        page.get_by_label("warmth", exact=True).fill("2")
        with page.expect_download() as started:
            visitor.click("link", "Download PNG")
        saved = moved / "saved.png"
        started.value.save_as(saved)
        visitor.click("button", "♥ Keep")
        page.get_by_text("Kept as picture-").wait_for()
        page.goto(page.url.partition("#")[0])
        visitor.click("link", "Gallery")
        finding = page.get_by_label("Find a picture", exact=False)
        finding.set_input_files(saved)
        page.get_by_text(mixed).wait_for()
        assert page.get_by_label("warmth", exact=True).input_value() == "2"
        visitor.click("button", "Close")
        assert page.get_by_label("From seed").input_value() == "6"
        assert page.get_by_label("Truncation", exact=True).input_value() == "1.2"
        assert page.get_by_label("Mannerism", exact=True).input_value() == "0.5"
        # A favourite has the direction in it, and its slider shows it.
        visitor.click("button", "Favourites (1)")
        page.get_by_role("button", name="picture-", exact=False).first.click()
        slider = page.get_by_label("warmth", exact=True)
        assert slider.input_value() == "2"
        visitor.click("button", "Reset warmth")
        assert slider.input_value() == "0"
        visitor.click("button", "Close")
        notes = moved / "notes.txt"
        notes.write_text("no picture")
        finding.set_input_files(notes)
        page.get_by_role("alert").get_by_text("notes.txt cannot be looked for").wait_for()
        assert str(moved) not in page.get_by_role("alert").inner_text()
        visitor.errors.clear()  # the browser reports the refused request


def _keep(visitor: Visitor, seeds: list[int]) -> None:
    for seed in seeds:
        visitor.click("button", f"Seed {seed}")
        visitor.page.keyboard.press("f")
        visitor.page.get_by_text(f"Kept as seed-{seed}").wait_for()
        visitor.page.keyboard.press("Escape")
        _closed(visitor.page)


def test_the_nearest_training_picture(browser: Browser, tmp_path: Path) -> None:
    """It is shown with its file and with how many real pictures are less near to one."""
    folder = tmp_path / "studio"
    paint(tmp_path / "pictures", 24)
    pack(tmp_path / "pictures", folder / "collections" / "mine", resolution=32)
    settings = {
        "resolution": 32,
        "training.batch": 8,
        "training.images": 8,
        "training.grid": 4,
        "generator.width": 4,
        "discriminator.width": 4,
        "latent.dim": 16,
    }
    run = folder / "runs" / "00000-one"
    impasto.train(
        folder / "collections" / "mine", "r3gan_64", settings=settings, run=run, device="cpu"
    )
    with visiting(browser, folder, 390) as visitor:
        page = visitor.page
        page.goto(f"{page.url.split('#')[0]}#/gallery/runs/00000-one")
        visitor.click("button", "Seed 0")
        visitor.click("button", "Nearest training picture")
        shown = page.locator("dialog figure")
        shown.get_by_text(re.compile(r"nearer than \d+% of real pictures")).wait_for()
        assert re.search(r"(cold|warm)/\d+\.png", shown.inner_text())
        width = "image => image.decode().then(() => image.naturalWidth)"
        assert shown.locator("img").evaluate(width) == 32
        visitor.check_both()
        page.keyboard.press("ArrowRight")
        shown.wait_for(state="detached")


def test_favourites_are_put_back_and_made_files_stay(browser: Browser, tmp_path: Path) -> None:
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        visitor.click("link", "Gallery")
        _keep(visitor, [1, 2, 3])
        visitor.click("button", "Favourites (3)")
        page.get_by_role("button", name="Remove seed-2", exact=False).press("Enter")
        page.get_by_role("button", name="Favourites (2)").wait_for()
        visitor.check_both()
        page.keyboard.press("Space")  # the button to put it back has the focus
        page.get_by_role("button", name="Favourites (3)").wait_for()
        page.get_by_role("button", name="Remove seed-1", exact=False).click()
        page.get_by_role("button", name="Favourites (2)").wait_for()
        page.keyboard.press("Control+z")
        page.get_by_role("button", name="Favourites (3)").wait_for()
        names = page.get_by_role("region", name="Favourites").locator("li .tile").all_inner_texts()
        assert [name.strip()[:6] for name in names] == ["seed-1", "seed-2", "seed-3"]
        visitor.click("button", "Mix them")
        mixed = "Favourites mixed: coarse features of those at the left, fine ones of those above"
        page.get_by_role("img", name=mixed).wait_for()
        page.reload()
        page.get_by_text("Made: 1 file").click()
        visitor.click("button", f"Paint {mixed} again")
        page.get_by_role("img", name=mixed).wait_for()
        visitor.click("button", f"Close {mixed}")
        page.get_by_label("Seconds each").fill("0.5")
        page.get_by_label("as", exact=True).select_option("webp")
        visitor.click("button", "Make a video")
        title = "Walk through 3 pictures of masters"
        page.get_by_role("img", name=title).wait_for()
        visitor.click("button", "Seeds")
        page.get_by_role("img", name=title).wait_for()
        page.reload()
        page.get_by_text("Made: 1 file").click()
        with page.expect_download() as started:
            visitor.click("link", f"Download {title}")
        assert started.value.suggested_filename == "walk.webp"
        visitor.check_both()
        visitor.click("button", f"Close {title}")
        page.reload()
        page.get_by_role("button", name="Favourites (3)").wait_for()
        assert not page.get_by_text("Made:").count()


def test_classes_in_an_address_and_favourites_of_another_tab(
    browser: Browser, tmp_path: Path
) -> None:
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        start = page.url.partition("#")[0]
        page.goto(f"{start}#/gallery?style=Ukiyo-e")
        visitor.click("button", "Seed 1")
        page.get_by_text("Seed 1, style Ukiyo-e").wait_for()
        assert not page.get_by_text("no class or setting").count()
        page.keyboard.press("Escape")
        other = page.context.new_page()
        other.goto(f"{start}#/gallery/masters?seed=7")
        other.get_by_role("button", name="♥ Keep").click()
        other.get_by_text("Kept as seed-7").wait_for()
        # This one is in sight and does not get the focus.
        page.get_by_role("button", name="Favourites (1)").wait_for()
        other.close()


def test_a_gallery_that_is_left_paints_no_more(browser: Browser, tmp_path: Path) -> None:
    """Its requests would hold the connections that the next page needs."""
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        given_up: list[str] = []
        page.on("requestfailed", lambda request: given_up.append(request.url))
        page.route("**/api/gallery/sheet", lambda route: None)  # no answer
        with page.expect_request("**/api/gallery/sheet"):
            visitor.click("link", "Gallery")
        tile = page.get_by_role("button", name="Seed 0", exact=True)
        page.get_by_text("painting…").first.wait_for()
        words = "tile => tile.ariaDescribedByElements[0].textContent"
        assert tile.evaluate(words) == "painting…"
        visitor.check_both()
        assert not given_up
        visitor.click("link", "Train")
        page.get_by_role("link", name="New training").wait_for()
        assert [url.rpartition("/")[2] for url in given_up] == ["sheet"]
        # Come back to, it is painted.
        page.unroute("**/api/gallery/sheet")
        visitor.click("link", "Gallery")
        visitor.painted()
        page.get_by_text("painting…").first.wait_for(state="detached")
        assert tile.get_attribute("aria-describedby") is None


def test_what_is_being_made_is_listed_after_a_reload(browser: Browser, tmp_path: Path) -> None:
    job = {"about": "masters", "run": None, "stopped": False, "command": ""}
    canvas = {"id": "2", "kind": "canvas", "title": "Canvas of 9 × 9", "files": ["canvas.png"]}
    search = {"id": "1", "kind": "invert", "title": "Find 1 picture", "files": ["points.png"]}
    directions = {"id": "3", "kind": "directions", "title": "Directions", "files": []}
    jobs = [
        {**job, **directions, "state": "running", "message": "64 of 2,048 pictures"},
        {**job, **canvas, "state": "running", "message": "3 of 9 rows"},
        {**job, **search, "state": "done", "message": None},
    ]
    with visiting(browser, tmp_path / "studio", 390) as visitor:
        page = visitor.page
        page.route(
            "**/api/events",
            lambda route: route.fulfill(
                content_type="text/event-stream", body=f"event: jobs\ndata: {json.dumps(jobs)}\n\n"
            ),
        )
        visitor.click("link", "Gallery")
        page.reload()
        page.get_by_text("Made: 2 files").click()
        page.get_by_text("It is being made. 3 of 9 rows").wait_for()
        found = page.get_by_role("link", name="Open what was found: Find 1 picture", exact=True)
        assert found.get_attribute("href") == "#/gallery/masters?inverted=1"
        visitor.check()
        page.get_by_role("button", name="Seed 0", exact=False).first.click()
        page.get_by_text("Directions are looked for. 64 of 2,048 pictures").wait_for()
        assert page.get_by_role("button", name="Find directions").is_disabled()
