"""A page of `impasto export --as html` in a browser, used as people use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page

PATIENCE = 120_000
"""Milliseconds; only a page that has failed takes as long."""


class Opened:
    """An open page, and what it asked for."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda socket: self.requests.append(socket.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )

    @property
    def label(self) -> str:
        """What stands below the picture."""
        return self.page.locator(".shown .label").inner_text()

    def open(self, path: Path) -> None:
        """Open a page from the disk, and wait for its first picture."""
        self.page.goto(path.as_uri())
        painted = self.page.locator(".shown .label:not(:has-text('starting'))")
        trouble = self.page.get_by_role("alert")
        painted.or_(trouble).wait_for()
        assert not trouble.count(), trouble.inner_text()

    def seed(self, number: int) -> None:
        """Type a seed."""
        box = self.page.get_by_label("Seed", exact=True)
        box.fill(str(number))
        box.press("Enter")

    def slide(self, name: str, value: float) -> None:
        """Move a slider."""
        self.page.get_by_label(name, exact=True).fill(str(value))

    def save(self, button: str = "Save PNG") -> Path:
        """Save the picture as PNG, by the button of this name."""
        with self.page.expect_download() as started:
            self.page.get_by_role("button", name=button).first.click()
        path = self.folder / f"{len(list(self.folder.iterdir()))}.png"
        started.value.save_as(path)
        return path

    def pixels(self) -> np.ndarray:
        """The picture, as it is saved: uint8 [H, W, 3]."""
        with Image.open(self.save()) as picture:
            assert picture.mode == "RGB"
            return np.asarray(picture)


@contextmanager
def opened(
    browser: Browser, folder: Path, width: int = 1440, height: int = 900, scheme: str = "light"
) -> Iterator[Opened]:
    """A page in a browser that has seen nothing before.

    Args:
        browser: any.
        folder: an empty one, for what is saved.
        width: of the window.
        height: of the window.
        scheme: `light` or `dark`.
    """
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    found = Opened(context.new_page(), folder)
    yield found
    context.close()
    outside = [url for url in found.requests if not url.startswith(("file:", "blob:"))]
    assert not outside, "the page asked a host for something"
    assert not found.errors
