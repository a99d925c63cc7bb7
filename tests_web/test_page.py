"""The exported page against torch, and its ways by hand and keyboard."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser

from impasto.enlarging import enlarged, load_enlarger
from impasto.exploring.directions import About, Directions
from impasto.exploring.mixing import mix_of
from impasto.exporting.page import write_page
from impasto.resolution import Size
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import Model, find_model
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke
from tests_web.pages import Opened, opened

MOST = 2
"""Levels of 256 that a picture may differ from torch's."""
HOSTILE = "</script><img src=x onerror=alert(1)>"


def differ(pixels: np.ndarray, others: np.ndarray) -> int:
    assert pixels.shape == others.shape
    return int(np.abs(pixels.astype(int) - others.astype(int)).max())


@pytest.fixture(scope="session")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the packaged model, with two sliders: the first value of the latent, and the second
    with a difference of classes."""
    model = Model.load("masters")
    classes = torch.zeros(2, 8)
    classes[1, :2] = torch.tensor([-0.5, 0.5])
    directions = Directions(
        (About(name="first", how="the first value"), About(name="second", how="both")),
        torch.eye(2, 128) * 4,
        classes,
        model.record.weights_sha256,
        model.record.recipe,
    )
    path = tmp_path_factory.mktemp("masters") / "masters.html"
    write_page(model, path, directions)
    return path


@pytest.mark.parametrize("kind", ["dcgan", "self-modulated", "flow"])
def test_pictures_are_those_of_torch(browser: Browser, tmp_path: Path, kind: str) -> None:
    # One whose pictures do not hang on rounding, also between levels.
    folder = random_model(tmp_path / "model", kind, steady=kind == "self-modulated")
    path = tmp_path / "page.html"
    model = Model.load(folder)
    write_page(model, path)
    (tmp_path / "saved").mkdir()
    with opened(browser, tmp_path / "saved") as page:
        page.open(path)
        for seed in (0, 5):
            page.seed(seed)
            assert differ(page.pixels(), model.sample([seed])[0]) <= MOST
        page.slide("Truncation", 0.6)
        assert differ(page.pixels(), model.sample([5], truncation=0.6)[0]) <= MOST


def test_seeds_classes_and_sliders_of_masters(
    browser: Browser, masters: Path, tmp_path: Path
) -> None:
    model = Model.load("masters")
    painter = Painter.of(model)
    with opened(browser, tmp_path) as page:
        page.open(masters)
        for seed in (0, 7, 123_456, 4_294_967_295):
            page.seed(seed)
            assert differ(page.pixels(), model.sample([seed])[0]) <= MOST
        page.seed(7)
        page.page.get_by_label("style", exact=True).select_option("Impressionism")
        assert page.label == "Seed 7, style Impressionism"
        assert differ(page.pixels(), model.sample([7], {"style": "Impressionism"})[0]) <= MOST
        page.page.get_by_label("style", exact=True).select_option("Ukiyo-e")
        page.slide("Ukiyo-e", 0.25)
        assert page.label == "Seed 7, style 80% Impressionism + 20% Ukiyo-e"
        page.slide("second", -1.5)
        saved = page.save()
    point = Points.load(saved, model.record)
    assert point.origins[0].seed == 7
    assert point.origins[0].edits == {"second": -1.5}
    (painted,) = next(painter.paint_points(point))
    again = Points.load(saved, model.record).latents - painter.latents([7])
    assert torch.equal(again.nonzero(), torch.tensor([[0, 1]]))
    expected = {3: 0.8, 7: 0.2, 0: 0.75, 1: -0.75}
    for number, weight in enumerate(point.classes[0].tolist()):
        assert weight == pytest.approx(expected.get(number, 0.0), abs=1e-6)
    with Image.open(saved) as picture:
        assert differ(np.asarray(picture), painted) <= MOST


def test_coarse_and_fine_levels_of_two_seeds(
    browser: Browser, masters: Path, tmp_path: Path
) -> None:
    painter = Painter.load(find_model("masters"))
    record = painter.record
    rows, columns = (painter.points([n], labels_of_seeds([n], record)) for n in (7, 20))
    levels = painter.levels
    assert levels is not None
    (tmp_path / "saved").mkdir()
    with opened(browser, tmp_path / "saved") as page:
        page.open(masters)
        page.seed(7)
        plain = page.pixels()
        fine = page.page.get_by_label("Fine levels of seed")
        fine.fill("20")
        fine.press("Enter")
        for at in (levels // 2, 1, levels - 1):
            page.slide("First fine level", at)
            assert page.label.startswith("Seed 7 with fine levels of seed 20")
            saved = page.save()
            mix = mix_of(painter, rows, columns, at)
            (expected,) = next(painter.paint_points(mix.mixed))
            with Image.open(saved) as picture:
                assert differ(np.asarray(picture), expected) <= MOST
                assert differ(np.asarray(picture), plain) > 20
            assert torch.equal(Points.load(saved, record).latents, mix.mixed.latents)
        page.page.get_by_label("Reset fine levels").click()
        assert page.label.startswith("Seed 7, ")
        assert differ(page.pixels(), plain) <= MOST
        # A mixed picture opens in the page again, and a walk leads from a plain one through it.
        page.page.keyboard.press("f")
        page.page.get_by_label("Open PNG").set_input_files(saved)
        page.page.locator(".label", has_text="Seed 7 with fine levels of seed 20").wait_for()
        assert differ(page.pixels(), expected) <= MOST
        page.page.keyboard.press("f")
        page.page.get_by_label("through").select_option("favourites")
        page.page.keyboard.press("w")
        page.page.get_by_text("pictures a second").wait_for()


@pytest.mark.parametrize("kind", ["masters", "rectangles"])
def test_a_picture_is_saved_four_times_as_large(
    browser: Browser, masters: Path, tmp_path: Path, kind: str
) -> None:
    """In one part, and in several whose seams cannot be seen; the picture is the seed's."""
    model, path, large = Model.load("masters"), masters, "Save 256 × 256"
    if kind == "rectangles":
        model = Model.load(random_model(tmp_path / "model", "dcgan", resolution=Size(96, 128)))
        path, large = tmp_path / "page.html", "Save 384 × 512"
        write_page(model, path)
    (tmp_path / "saved").mkdir()
    with opened(browser, tmp_path / "saved") as page:
        page.open(path)
        page.seed(3)
        saved = page.save(large)
        page.page.get_by_text("Saved seed-00000003-4x.png").wait_for()
    (expected,) = enlarged(torch.from_numpy(model.sample([3])), load_enlarger()).numpy()
    with Image.open(saved) as picture:
        assert differ(np.asarray(picture), expected) <= MOST
    point = Points.load(saved, model.record)
    assert point.origins[0].seed == 3


def test_sample_paints_a_saved_picture_again(
    browser: Browser, masters: Path, tmp_path: Path
) -> None:
    (tmp_path / "saved").mkdir()
    with opened(browser, tmp_path / "saved") as page:
        page.open(masters)
        page.seed(99)
        page.slide("Truncation", 0.8)
        saved = page.save()
    code, _ = invoke("sample", "masters", "--like", saved, "--out", tmp_path / "again")
    assert code == 0
    (again,) = (tmp_path / "again").glob("*.png")
    with Image.open(saved) as one, Image.open(again) as other:
        assert differ(np.asarray(one), np.asarray(other)) <= MOST


def test_a_saved_picture_opens_in_the_page(browser: Browser, masters: Path, tmp_path: Path) -> None:
    code, _ = invoke(
        "sample", "masters", "--seeds", "42", "--class", "style=0.6*Ukiyo-e+0.4*Impressionism",
        "--truncation", "0.7", "--out", tmp_path / "theirs",
    )  # fmt: skip
    assert code == 0
    (picture,) = (tmp_path / "theirs").glob("*.png")
    (tmp_path / "saved").mkdir()
    with opened(browser, tmp_path / "saved") as page:
        page.open(masters)
        page.page.get_by_label("Open PNG").set_input_files(picture)
        page.page.get_by_text("Seed 42, style 40% Impressionism + 60% Ukiyo-e").first.wait_for()
        with Image.open(picture) as theirs:
            assert differ(page.pixels(), np.asarray(theirs)) <= MOST
        plain = tmp_path / "plain.png"
        Image.new("RGB", (4, 4)).save(plain)
        page.page.get_by_label("Open PNG").set_input_files(plain)
        page.page.get_by_text("plain.png cannot be opened: it carries no point").wait_for()


def test_by_keyboard(browser: Browser, masters: Path, tmp_path: Path) -> None:
    with opened(browser, tmp_path) as page:
        page.open(masters)
        assert page.label == "Seed 0, style Ukiyo-e"
        keys = page.page.keyboard
        keys.press("ArrowRight")
        assert page.label.startswith("Seed 1,")
        keys.press("n")
        drawn = page.label
        assert not drawn.startswith("Seed 1,")
        keys.press("f")
        kept = page.page.get_by_label("Favourites").get_by_role("button", name=drawn, exact=True)
        kept.wait_for()
        keys.press("e")
        dialog = page.page.get_by_role("dialog")
        dialog.wait_for()
        before = page.label
        keys.press("ArrowRight")
        assert page.label != before
        keys.press("Escape")
        dialog.wait_for(state="detached")
        # A reload keeps favourites; one that is opened is the picture again.
        page.open(masters)
        kept.click()
        assert page.label == drawn
        page.page.get_by_role("button", name=f"Remove {drawn}").click()
        kept.wait_for(state="detached")


def test_a_walk_plays_and_stops(browser: Browser, masters: Path, tmp_path: Path) -> None:
    with opened(browser, tmp_path) as page:
        page.open(masters)
        page.page.keyboard.press("w")
        page.page.get_by_text("Between seeds").first.wait_for()
        page.page.get_by_text("pictures a second").wait_for()
        # The space bar is that of the button.
        page.page.get_by_role("button", name="Stop").press("Space")
        walk = page.page.get_by_role("button", name="Walk", exact=True)
        walk.wait_for()
        assert walk.get_attribute("aria-pressed") == "false"
        page.page.keyboard.press("Space")
        page.page.get_by_text("pictures a second").wait_for()
        page.page.keyboard.press("Space")
        walk.wait_for()
        saved = page.save()
    model = Model.load("masters")
    point = Points.load(saved, model.record)
    assert point.origins[0].seed is None
    # As long as latents of seeds are, and not the shorter middle of two.
    lengths = Painter.of(model).latents(range(12)).norm(dim=1)
    assert 0.95 * lengths.min() <= point.latents.norm() <= 1.05 * lengths.max()


def settings(page: Opened) -> list[str]:
    """What the seed box and the controls show."""
    names = ("Seed", "Fine levels of seed", "First fine level", "Truncation", "second")
    return [page.page.get_by_label(name, exact=True).input_value() for name in names]


def test_favourites_and_pictures_set_the_controls_again(
    browser: Browser, masters: Path, tmp_path: Path
) -> None:
    """Those that this page keeps and saves; of others the seed box says where they are from."""
    made = ["11", "3", "2", "0.7", "-1.5"]
    saves = tmp_path / "saves"
    saves.mkdir()
    with opened(browser, saves) as page:
        page.open(masters)
        page.seed(11)
        page.page.get_by_label("style", exact=True).select_option("Impressionism")
        page.page.get_by_label("Fine levels of seed").fill("3")
        page.page.get_by_label("Fine levels of seed").press("Enter")
        page.slide("First fine level", 2)
        page.slide("Truncation", 0.7)
        assert page.label.startswith("Seed 11 with fine levels of seed 3, style Impressionism")
        page.slide("second", -1.5)
        assert settings(page) == made
        label = page.label
        page.page.get_by_role("button", name="Keep").click()
        kept = page.page.get_by_label("Favourites").get_by_role("button", name=label, exact=True)
        kept.wait_for()
        saved = page.save()
        page.page.get_by_text("Saved seed-11-fine-3-edited.png").wait_for()
        page.open(masters)
        assert page.label.startswith("Seed 0,")
        kept.click()
        assert (page.label, settings(page)) == (label, made)
        with Image.open(saved) as picture:
            assert differ(page.pixels(), np.asarray(picture)) == 0
            # As pages before saved it: with the point alone.
            older = PngInfo()
            older.add_text("impasto", picture.info["impasto"])
            picture.save(tmp_path / "older.png", pnginfo=older)
        page.open(masters)
        page.page.get_by_label("Open PNG").set_input_files(saved)
        page.page.locator(".label", has_text="Seed 11 with").wait_for()
        assert (page.label, settings(page)) == (label, made)
        page.page.get_by_label("Open PNG").set_input_files(tmp_path / "older.png")
        page.page.locator(".label", has_text="Mixed").wait_for()
        box = page.page.get_by_label("Seed", exact=True)
        assert (box.input_value(), box.get_attribute("placeholder")) == ("", "from a file")
        page.save()
        page.page.get_by_text("Saved older.png").wait_for()
    code, said = invoke("sample", "masters", "--like", saved, "--out", tmp_path / "again")
    assert code == 0, said


def test_what_is_no_seed_is_said(browser: Browser, masters: Path, tmp_path: Path) -> None:
    rule = "seed is a whole number from 0 to 4294967295"
    with opened(browser, tmp_path) as page:
        page.open(masters)
        page.seed(7)
        box = page.page.get_by_label("Seed", exact=True)
        fine = page.page.get_by_label("Fine levels of seed")
        for field, stays in ((box, "7"), (fine, "")):
            said = page.page.get_by_role("status").filter(has_text=rule)
            for text in ("1.5", "5000000000", "-3"):
                field.fill(text)
                field.press("Enter")
                page.page.get_by_text(f"{text} is no seed: a {rule}.").wait_for()
                assert field.input_value() == stays
                assert page.label.startswith("Seed 7,")
            # The browser gives nothing of what is not a number.
            field.press("Control+a")
            page.page.keyboard.type("-")
            field.press("Enter")
            page.page.get_by_text(f"A {rule}.").wait_for()
            assert page.label.startswith("Seed 7,")
            field.fill("3")
            field.press("Enter")
            said.wait_for(state="detached")
            page.seed(7)
        box.fill("")
        box.press("Enter")
        page.page.get_by_text(f"A {rule}.").wait_for()
        assert page.label.startswith("Seed 7 with fine levels of seed 3,")
        page.page.get_by_role("button", name="Another").click()
        said.wait_for(state="detached")


@pytest.mark.parametrize("kind", ["masters", "upright"])
def test_the_picture_leaves_a_phone_room(
    browser: Browser, masters: Path, tmp_path: Path, kind: str
) -> None:
    """It stays at the top, in at most 40% of the height, and what is focused is not behind it."""
    path = masters
    if kind == "upright":
        path = tmp_path / "page.html"
        folder = random_model(tmp_path / "model", "dcgan", resolution=Size(96, 128))
        write_page(Model.load(folder), path)
    with opened(browser, tmp_path, 390, 844) as page:
        page.open(path)
        slider = page.page.get_by_label("Truncation", exact=True)
        page.page.get_by_text("About this model").scroll_into_view_if_needed()
        slider.focus()
        picture = page.page.locator("button.picture").bounding_box()
        found = slider.bounding_box()
        assert picture is not None
        assert found is not None
        assert 0.3 * 844 < picture["height"] <= 0.4 * 844
        assert found["y"] >= picture["y"] + picture["height"]
        canvas = page.page.locator("button.picture canvas").bounding_box()
        assert canvas is not None
        proportion = 1 if kind == "masters" else 96 / 128
        assert canvas["width"] / canvas["height"] == pytest.approx(proportion, rel=0.02)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_nothing_is_wider_than_the_window(
    browser: Browser, masters: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    with opened(browser, tmp_path, width, 844, scheme) as page:
        page.open(masters)
        # The words in place of pictures go one after another.
        page.page.wait_for_function("() => !document.querySelector('.waits')")
        boxes = [each.bounding_box() for each in page.page.locator("body *:visible").all()]
        found = [box for box in boxes if box is not None]
        assert len(found) > 50
        assert max(box["x"] + box["width"] for box in found) <= width
        paper = page.page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        red = int(paper.removeprefix("rgb(").split(",")[0])
        assert red < 64 if scheme == "dark" else red > 192


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on this machine, and what it was asked for."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


def test_the_policy_forbids_requests(
    browser: Browser, masters: Path, tmp_path: Path, asked: tuple[str, list[str]]
) -> None:
    address, seen = asked
    with opened(browser, tmp_path) as page:
        page.open(masters)
        refused = page.page.locator("body").evaluate(
            """async (body, address) => {
              const image = new Image();
              const shown = new Promise((done) => {
                image.onload = () => done("shown");
                image.onerror = () => done("refused");
              });
              image.src = address + "/image";
              body.append(image);
              const answer = await fetch(address + "/fetch").then(() => "fetched", () => "refused");
              return [await shown, answer];
            }""",
            address,
        )
        assert refused == ["refused", "refused"]
        assert not seen
        # The browser reports what it refused.
        said = [error for error in page.errors if "Content Security Policy" in error]
        assert len(said) >= 2
        page.errors.clear()
        page.requests.clear()


def test_names_of_classes_are_text(browser: Browser, tmp_path: Path) -> None:
    folder = random_model(tmp_path / "model", "self-modulated", steady=True)
    record = folder / "model.json"
    record.write_text(record.read_text().replace('"Cubism"', f'"{HOSTILE}"'))
    model = Model.load(folder)
    assert model.record.labels[0].classes[0] == HOSTILE
    path = tmp_path / "page.html"
    write_page(model, path)
    with opened(browser, tmp_path) as page:
        page.open(path)
        page.page.get_by_label("style", exact=True).select_option(HOSTILE)
        assert page.label == f"Seed 0, style {HOSTILE}"
        assert page.page.locator("img").count() == 0


def test_a_page_of_a_folder_named_by_the_command(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    code, said = invoke("export", "masters", path, "--as", "html")
    assert code == 0, said
    assert path.stat().st_size < 20e6
    (tmp_path / "saved").mkdir()
    with opened(browser, tmp_path / "saved") as page:
        page.open(path)
        assert differ(page.pixels(), Model.load(find_model("masters")).sample([0])[0]) <= MOST
