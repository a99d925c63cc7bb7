"""The tab Collections, used as people use it."""

from pathlib import Path

from playwright.sync_api import Browser, Page

from impasto.api.collections import pack
from impasto.collection import Collection
from tests.helpers.pictures import paint
from tests_web.studio import visiting


def test_dropped_pictures_are_found_again(browser: Browser, tmp_path: Path) -> None:
    """After a change of tab and a reload; what cannot be packed is named before."""
    pictures = tmp_path / "pictures"
    paint(pictures, 6)
    cut = pictures / "warm" / "001.png"
    cut.write_bytes(cut.read_bytes()[:200])
    (pictures / "notes.txt").write_text("where they are from")
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        visitor.drop(sorted(path for path in pictures.rglob("*.*") if path.is_file()))
        page.get_by_label("Resolution").select_option("32 px")
        page.get_by_text("notes.txt: no picture").wait_for()
        page.get_by_text("001.png: truncated", exact=False).wait_for()
        page.get_by_text("2 files cannot be packed").wait_for()
        visitor.check_both()
        page.get_by_label("Name", exact=True).fill("mine")
        visitor.click("link", "Share")
        visitor.click("link", "Collections")
        assert page.get_by_label("Name", exact=True).input_value() == "mine"
        page.reload()
        page.get_by_text("7 files dropped at", exact=False).wait_for()
        visitor.check_both()
        page.get_by_role("button", name="Go on with", exact=False).press("Enter")
        page.get_by_text("6 pictures", exact=True).wait_for()
        page.get_by_label("Resolution").select_option("32 px")
        page.get_by_label("Name", exact=True).fill("masters")
        visitor.click("button", "Pack")
        page.get_by_role("alert").get_by_text("cannot be named masters").wait_for()
        visitor.errors.clear()  # the browser reports the refused request
        page.get_by_label("Name", exact=True).fill("mine")
        visitor.click("button", "Pack")
        page.get_by_role("heading", name="5 pictures").wait_for()
        visitor.click("link", "All collections")
        page.get_by_role("link", name="mine").wait_for()
        assert not page.get_by_text("files dropped at").count()


def test_forgetting_a_picture(browser: Browser, tmp_path: Path) -> None:
    """By the keyboard; it asks once more before, and shows those that are left afterwards."""
    folder = tmp_path / "studio"
    paint(folder / "uploads" / "mine", 6)
    pack(folder / "uploads" / "mine", folder / "collections" / "mine", resolution=32)
    with visiting(browser, folder, 390) as visitor:
        page = visitor.page
        visitor.click("link", "mine", exact=False)
        page.get_by_role("button", name="cold/002.png", exact=False).press("Enter")
        page.get_by_role("button", name="Forget this picture").press("Enter")
        page.keyboard.press("Enter")  # Cancel has the focus
        page.get_by_role("button", name="Forget this picture").press("Enter")
        visitor.check_both()
        cancel, remove = (
            page.get_by_role("button", name=each).bounding_box()
            for each in ("Cancel", "Really remove it")
        )
        assert cancel is not None
        assert remove is not None
        assert (
            remove["y"] - cancel["y"] - cancel["height"] >= 8
        )  # at this width one above the other
        shown = _addresses(page)
        assert len(Collection.open(folder / "collections" / "mine")) == 6
        page.get_by_role("button", name="Really remove it").press("Enter")
        page.get_by_text("1 picture removed, 5 left.").wait_for()
        page.get_by_role("heading", name="5 pictures").wait_for()
        assert not page.get_by_role("button", name="cold/002.png", exact=False).count()
        after = _addresses(page)
        assert len(after) == 5
        assert not set(after) & set(
            shown
        )  # of an address that stays the browser shows the old picture
    left = Collection.open(folder / "collections" / "mine").source_table()
    assert len(left) == 5
    assert "cold/002.png" not in {row["path"] for row in left}


def _addresses(page: Page) -> list[str]:
    tiles = page.get_by_role("button", name="Picture", exact=False).locator("img")
    return [str(tile.get_attribute("src")) for tile in tiles.all()]


def test_that_masters_is_packed_when_it_is_opened_is_said(browser: Browser, tmp_path: Path) -> None:
    with visiting(browser, tmp_path / "studio", 390) as visitor:
        page = visitor.page
        page.route("**/api/collections/masters**", lambda route: None)  # unanswered
        page.route("**/api/collections/masters/**", lambda route: None)
        visitor.click("link", "masters")
        page.get_by_text("The first time it is packed for that").wait_for()
        visitor.check()
        page.unroute_all(behavior="ignoreErrors")
