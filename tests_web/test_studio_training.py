"""What the page of a new training asks for, in a browser."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from impasto.api.collections import pack
from tests.helpers.pictures import paint
from tests_web.studio import visiting


def test_what_a_training_needs_is_known_before_it_starts(browser: Browser, tmp_path: Path) -> None:
    """Classes that cannot be read, and settings that are no values."""
    folder = tmp_path / "studio"
    paint(tmp_path / "kinds", 8)
    pack(tmp_path / "kinds", folder / "collections" / "kinds", resolution=32, labels="kind")
    with visiting(browser, folder) as visitor:
        page = visitor.page
        page.route(
            "**/api/labels?*",
            lambda route: route.fulfill(status=500, json={"error": "The disk is full."}),
        )
        visitor.click("link", "Train")
        visitor.click("link", "New training")
        alert = page.get_by_role("alert")
        alert.get_by_text(
            "the classes that can be learned are not known. The disk is full"
        ).wait_for()
        start = page.get_by_role("button", name="Start", exact=True)
        assert start.is_disabled()
        visitor.check_both()
        page.unroute("**/api/labels?*")
        visitor.click("button", "Ask again")
        page.get_by_role("checkbox", name="kind 2 classes", exact=False).wait_for()
        assert start.is_enabled()
        page.get_by_role("radio", name="flow_32", exact=False).check()
        cards = page.get_by_role("listitem").filter(has=page.get_by_role("radio"))
        flagship, named = (
            cards.filter(has_text=each).first for each in ("the flagship", "flow_32")
        )
        assert "What fits this collection: flagship_32" in flagship.inner_text()
        assert "More" not in flagship.inner_text()
        named.get_by_text("More", exact=True).click()
        assert "Source: flow_64, with" in named.inner_text()
        page.get_by_label("How long").get_by_text("recipe says: 300,000 images").wait_for(
            state="attached"
        )
        page.get_by_text("Settings of flow_32").click()
        box = page.get_by_label("training.images", exact=True)
        box.fill("-5")
        box.press("Tab")
        alert.get_by_text("training.images: -5 is outside its limits").wait_for()
        assert box.get_attribute("aria-invalid") == "true"
        assert start.is_disabled()
        visitor.check_both()
        visitor.click("button", "Correct it in the settings")
        assert box.evaluate("box => box === document.activeElement")
        box.fill("500")  # It is right before it is left.
        alert.wait_for(state="detached")
        expect(start).to_be_enabled()
        visitor.click("button", "Take back training.images")
        assert box.input_value() == "300000"
        box.fill("")
        box.press("Tab")
        assert box.input_value() == "300000"
        expect(start).to_be_enabled()
        visitor.errors.clear()  # the browser reports the refused request
