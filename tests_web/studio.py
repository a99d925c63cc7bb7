"""The studio in a browser: the command itself in an empty folder, and a page of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from tests.helpers.studio_server import StudioServer
from tests_web.pages import PATIENCE

AXE = Path(__file__).parent.parent / "web" / "node_modules" / "axe-core" / "axe.min.js"
PHONE: ViewportSize = {"width": 390, "height": 844}
SMALLEST = 13
"""Pixels of the smallest letters."""


@contextmanager
def studio(folder: Path) -> Iterator[str]:
    """The address of `impasto studio` in a folder, with its token."""
    with StudioServer(folder, IMPASTO_CACHE=str(folder / "cache")) as server:
        try:
            yield server.address
        finally:
            server.end()
            server.end_jobs()


class Visitor:
    """Somebody who uses the page with a pointer. Counts the clicks."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )

    def click(self, role: str, name: str, *, exact: bool = True) -> None:
        """Click the first element of a role and a name; while a picture is open, of those beside it."""
        dialog = self.page.locator("dialog[open]")
        place = dialog if dialog.count() else self.page
        place.get_by_role(role, name=name, exact=exact).first.click()  # type: ignore[arg-type]
        self.clicks += 1

    def drop(self, paths: list[Path]) -> None:
        """Drop files on the page, as from a file manager."""
        files = [{"name": path.name, "bytes": list(path.read_bytes())} for path in paths]
        self.page.get_by_role("region", name="New collection").evaluate(
            """(place, files) => {
              const all = new DataTransfer();
              for (const { name, bytes } of files)
                all.items.add(new File([new Uint8Array(bytes)], name));
              const options = { dataTransfer: all, bubbles: true, cancelable: true };
              for (const kind of ["dragenter", "dragover", "drop"])
                place.dispatchEvent(new DragEvent(kind, options));
            }""",
            files,
        )

    def painted(self) -> None:
        """Wait until the first picture of the page is more than its background."""
        self.page.wait_for_function(
            """() => {
              const canvas = document.querySelector("main canvas");
              if (!canvas) return false;
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              return new Set(data).size > 8;
            }"""
        )

    def check_both(self) -> None:
        """Check the page as it is, and as a phone shows it."""
        self.check()
        before = self.page.viewport_size
        assert before is not None
        self.page.set_viewport_size(PHONE)
        self.check()
        self.page.set_viewport_size(before)

    def check(self) -> None:
        """Nothing is wider than the window, no letters are too small, and axe has no serious finding."""
        page = self.page
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} pixels wider than the window"
        small = page.evaluate(
            """least => [...document.querySelectorAll("body *")]
              .filter((each) => each.checkVisibility() && each.innerText?.trim()
                && parseFloat(getComputedStyle(each).fontSize) < least)
              .map((each) => each.outerHTML.slice(0, 100))""",
            SMALLEST,
        )
        assert not small, small
        assert AXE.is_file(), "axe-core is not installed: npm --prefix web ci --ignore-scripts"
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
        assert len(found["passes"]) > 5
        serious = [
            (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert not serious, serious


@contextmanager
def visiting(
    browser: Browser, folder: Path, width: int = 1440, scheme: str = "light"
) -> Iterator[Visitor]:
    """A visitor of a new studio in a folder. Asked for nothing elsewhere, and without errors."""
    with studio(folder) as address:
        context = browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        found = Visitor(context.new_page())
        found.page.goto(address)
        assert "token" not in found.page.url
        yield found
        context.close()
        origin = address.partition("/?")[0]
        outside = [url for url in found.requests if not url.startswith((origin, "blob:", "data:"))]
        assert not outside
        assert not found.errors, found.errors
