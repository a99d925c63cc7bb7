"""The studio's page, used as people use it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from impasto.sampling.model import Model
from impasto.sampling.points import Points
from tests.helpers.pictures import paint
from tests_web.studio import visiting


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


def test_what_goes_wrong_is_one_line(browser: Browser, tmp_path: Path) -> None:
    with visiting(browser, tmp_path / "studio") as visitor:
        page = visitor.page
        paint(tmp_path / "pictures", 2)
        visitor.drop(sorted((tmp_path / "pictures").rglob("*.png")))
        page.get_by_label("Name", exact=True).fill("a/b")
        visitor.click("button", "Pack")
        page.get_by_role("alert").get_by_text("cannot be the name of a collection").wait_for()
        visitor.click("button", "Close the message")
        assert page.get_by_role("alert").count() == 0
        visitor.errors.clear()  # the browser reports the refused request
