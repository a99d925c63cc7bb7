"""How quickly the exported page paints in Chromium: its first picture, and a walk.

    python -m benchmarks.page_speed [MODEL] [--rounds 5]

Each round opens the page of MODEL (by default `masters`) from the disk in a browser that has seen
nothing before, and plays a walk for some seconds. Printed: the seconds to the first picture and the
pictures a second that the page shows itself; the first round, which finds no file in memory, and the
median of the others. Chromium is that of CHROMIUM, or the first that is found.
"""

import argparse
import re
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser

from impasto.exporting.page import write_page
from impasto.sampling.model import Model
from tests_web.conftest import chromium
from tests_web.pages import opened

SECONDS = 5.0
"""A walk's."""


def _round(browser: Browser, path: Path) -> tuple[float, float]:
    """Seconds to the first picture, and pictures a second of a walk."""
    with tempfile.TemporaryDirectory() as folder, opened(browser, Path(folder)) as page:
        began = time.monotonic()
        page.open(path)
        first = time.monotonic() - began
        page.page.keyboard.press("w")
        rate = page.page.get_by_text("pictures a second")
        rate.wait_for()
        page.page.wait_for_timeout(1_000 * SECONDS)
        found = re.search(r"(\d+(?:\.\d+)?) pictures a second", rate.inner_text())
        assert found is not None
        return first, float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", nargs="?", default="masters")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        path = Path(folder, "page.html")
        write_page(Model.load(given.model), path)
        rounds = [_round(browser, path) for _ in range(given.rounds)]
    print("                      first round   later rounds (median)")
    for name, column in (("first picture, s", 0), ("pictures a second", 1)):
        values = [found[column] for found in rounds]
        print(f"{name:20}{values[0]:13.2f}{statistics.median(values[1:] or values):16.2f}")


if __name__ == "__main__":
    main()
