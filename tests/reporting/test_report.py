"""The report page: whole, self-contained, and plain about what is missing."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from impasto.cli import app
from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.reporting.charts import Line, Mark, chart, envelope, smoothed
from impasto.reporting.findings import run_findings
from impasto.reporting.page import write_report
from impasto.reporting.pictures import cut, enlarge, evenly, open_picture, tile_size
from impasto.reporting.preprocessing import before_and_after
from impasto.reporting.record import newest_run, read_record
from impasto.reporting.timelapse import frame_rate, write_timelapse
from tests.helpers.pages import Page
from tests.helpers.report_runs import FAULTS, INTERVAL, grid, healthy, jsonl, with_fault, write_run


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The page of a healthy run of 40 grids."""
    run = write_run(tmp_path_factory.mktemp("runs") / "healthy", *healthy(), grids=40)
    return Page(write_report(run).page)


def test_the_page_says_what_was_trained_on_what(reported: Page) -> None:
    for words in (
        "ukiyoe_dcgan_v1 on ukiyoe-64",
        "Finished: 204,800 images (epoch 91.6)",
        "2,235 training pictures",
        "impasto train ukiyoe_dcgan_v1 --data ukiyoe-64",
        "22 November 2026, 02:35 UTC",
        "Gao & Qin <project page>",
        "3,576,704 parameters",
        "Nothing found",
    ):
        assert words in reported.text


def test_the_page_needs_nothing_from_elsewhere(reported: Page) -> None:
    assert "link" not in reported.tags
    assert all("src" not in script for script in reported.tags["script"])
    for tag in ("img", "video"):
        for attributes in reported.tags[tag]:
            source = attributes.get("src") or ""
            assert source == "" or source.startswith("data:")
    places = re.findall(r'(?:src|href)="((?!data:|#)[^"]*)"', reported.source)
    assert set(places) <= {"", "timelapse.mp4"}
    assert "@import" not in reported.source
    assert "url(http" not in reported.source
    assert len(reported.source) < 5_000_000


def test_names_within_the_page_are_unique_and_pictures_are_described(reported: Page) -> None:
    assert len(reported.identities) == len(set(reported.identities))
    assert all(image.get("alt") for image in reported.tags["img"])
    assert all(svg.get("aria-label") for svg in reported.tags["svg"])


def test_the_page_shows_curves_and_grids_over_time(reported: Page) -> None:
    assert len(reported.tags["svg"]) == 4
    captions = re.findall(r'alt="grid after ([\d,]+) images"', reported.source)
    assert len(captions) == 24
    assert captions[0] == "0"
    assert captions[-1] == "204,800"
    assert "16 more lie in the run's folder" in reported.text


def test_classes_are_listed_by_size_and_escaped(reported: Page) -> None:
    _, _, bars = reported.text.partition("what is rare is learnt badly.")
    places = [bars.index(name) for name in ("landscape", "actor <print>", "birds & flowers")]
    assert places == sorted(places)
    assert "not known 115" in reported.text
    assert "<print>" not in reported.source


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_told_with_moment_and_advice(fault: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / fault, *with_fault(fault, 0.5), grids=2, planned=204_800)
    report = write_report(run)
    assert [finding.kind for finding in report.findings] == [FAULTS[fault]]
    assert report.missing == []
    page = Page(report.page)
    began = report.findings[0].began_at_images
    when = f"from {began:,} images (epoch {began / 2235:.1f}, iteration {began // 64:,})"
    assert when in page.text
    assert "What to try:" in page.text
    assert report.findings[0].advice.replace(" ", "") in page.text.replace(" ", "")
    assert "var(--alarm)" in page.source


def test_the_command_prints_the_page_last(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *with_fault("spikes", 0.5), grids=2)
    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[-1] == str(run / "report.html")
    assert lines[0] == "finished: 204,800 images (epoch 91.6)"
    assert lines[1].startswith("spikes, from 1")


def test_latest_takes_the_run_begun_last(tmp_path: Path) -> None:
    for name, created in (
        ("b", "2026-11-22T02:35:00+00:00"),
        ("c", "2026-11-22T03:30:00+02:00"),
        ("a", "2026-11-21T23:00:00+00:00"),
    ):
        write_run(tmp_path / name, *healthy(2), grids=0, created=created)
    (tmp_path / "stray").mkdir()
    assert newest_run(tmp_path) == tmp_path / "b"
    result = CliRunner().invoke(app, ["report", "--latest", str(tmp_path)])
    assert result.output.splitlines()[-1] == str(tmp_path / "b" / "report.html")
    assert newest_run(tmp_path / "a") == tmp_path / "a"


def test_what_is_no_run_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="not a folder"):
        read_record(tmp_path / "nowhere")
    with pytest.raises(ImpastoError, match=r"not a run \(it has no run.json\); give a folder"):
        read_record(tmp_path)
    with pytest.raises(ImpastoError, match="has no run in it"):
        newest_run(tmp_path)
    with pytest.raises(ImpastoError, match="not a folder"):
        newest_run(tmp_path / "nowhere")
    run = write_run(tmp_path / "run", *healthy(2), grids=0)
    with pytest.raises(ImpastoError, match="--latest"):
        read_record(tmp_path)
    for damaged in ("{", "[]"):
        (run / "run.json").write_text(damaged)
        with pytest.raises(ImpastoError, match="damaged"):
            read_record(run)
    for arguments in ([], [str(run), "--latest", str(tmp_path)]):
        error = CliRunner().invoke(app, ["report", *arguments]).exception
        assert isinstance(error, ImpastoError)


def test_a_run_that_has_just_begun_gives_a_page_of_what_is_missing(tmp_path: Path) -> None:
    images, _ = healthy(1)
    run = write_run(tmp_path / "run", images[:0], {}, grids=0, planned=5000)
    report = write_report(run)
    page = Page(report.page)
    assert report.status == "just begun: 0 of 5,000 images"
    assert "no whole row" in page.text
    assert "no sample grids" in page.text
    assert "no statistics to judge" in page.text
    (run / "stats.jsonl").unlink()
    write_report(run)


def test_one_row_is_enough_for_a_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(1), grids=1, planned=100_000)
    report = write_report(run)
    page = Page(report.page)
    assert report.findings == []
    assert len(page.tags["svg"]) == 4
    assert "1,024 of 100,000 images (1.0%)" in page.text
    assert "video" not in page.tags


def test_a_run_without_samples_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(60), grids=0)
    report = write_report(run)
    assert any("no sample grids" in sentence for sentence in report.missing)
    assert not (run / "timelapse.mp4").exists()


def test_bare_run_json_is_enough(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    page = Page(write_report(tmp_path).page)
    assert tmp_path.name in page.text
    assert "0 images so far" in page.text


def test_a_killed_run_is_read_up_to_its_last_whole_row(tmp_path: Path) -> None:
    images, series = healthy(50)
    run = write_run(tmp_path / "run", images, series, grids=2, planned=100_000)
    whole = read_record(run)
    with (run / "stats.jsonl").open("a") as file:
        file.write('{"images_seen": 52224, "loss/disc')
    (run / "samples" / "fakes-000000052224.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    killed = read_record(run)
    np.testing.assert_equal(killed.series, whole.series)
    report = write_report(run)
    assert "52,224 of 100,000 images (52%)" in report.status
    assert "Generated, after 51,200 images" in Page(report.page).text


def test_a_stretch_told_twice_counts_as_told_last(tmp_path: Path) -> None:
    images, series = healthy(50)
    run = write_run(tmp_path / "run", images, series, grids=0)
    again = {name: values[30:] + 1 for name, values in series.items()}
    with (run / "stats.jsonl").open("a") as file:
        file.write(jsonl(images[30:], again))
    record = read_record(run)
    np.testing.assert_array_equal(record.images_seen, images)
    expected = series["loss/generator"] + (np.arange(50) >= 30)
    np.testing.assert_allclose(record.series["loss/generator"], expected)


def test_nulls_are_breaks_but_for_a_generator_that_waits(tmp_path: Path) -> None:
    images, series = healthy(50)
    series["loss/generator"][:10] = np.inf
    config = {"training": {"images": 51_200, "pretrain_images": 10 * INTERVAL}}
    run = write_run(tmp_path / "run", images, series, grids=0, config=config)
    assert run_findings(read_record(run)) == []
    series["loss/generator"][10] = np.inf
    run = write_run(tmp_path / "broken", images, series, grids=0, config=config)
    assert [finding.kind for finding in run_findings(read_record(run))] == ["not finite"]


def test_saturation_is_judged_by_smoothed_labels(tmp_path: Path) -> None:
    images, series = healthy(200)
    series["score/real"][100:] = 0.848
    series["score/fake"][100:] = 0.152
    run = write_run(tmp_path / "plain", images, series, grids=0)
    assert run_findings(read_record(run)) == []
    bce = {"term": "bce", "weight": 1.0, "real_labels": [0.7, 1.0], "fake_labels": [0.0, 0.3]}
    config = {"objective": [bce], "training": {"images": 204_800}}
    run = write_run(tmp_path / "smoothed", images, series, grids=0, config=config)
    assert [finding.kind for finding in run_findings(read_record(run))] == ["discriminator wins"]


def test_a_critic_has_its_own_words(tmp_path: Path) -> None:
    images, series = healthy(60)
    series["score/real"] = series["score/real"] * 10
    series["term/wasserstein/discriminator"] = -series["loss/generator"]
    series["term/gradient_penalty/discriminator"] = series["loss/discriminator"]
    run = write_run(tmp_path / "run", images, series, grids=0, score="critic")
    page = Page(write_report(run).page)
    assert "The critic's scores of real" in page.text
    assert "gradient_penalty" in page.text
    assert len(page.tags["svg"]) == 5


def test_the_time_lapse_decodes_frame_by_frame(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    run = write_run(tmp_path / "run", *healthy(40), grids=9)
    write_report(run)
    with av.open(str(run / "timelapse.mp4")) as video:
        frames = list(video.decode(video=0))
        assert video.streams.video[0].codec_context.name == "h264"
    rate = frame_rate(9)
    assert len(frames) == 9 + 2 * rate
    # A 64-pixel grid, each pixel eight times, and a band of 28 for the caption.
    assert (frames[0].width, frames[0].height) == (512, 512 + 28)
    first, last = (
        np.asarray(frame.to_image())[:512].astype(float) for frame in (frames[0], frames[-1])
    )
    expected = np.asarray(grid(3, 1.0).resize((512, 512), Image.Resampling.NEAREST)).astype(float)
    assert np.abs(last - expected).mean() < 12
    assert np.abs(first - expected).mean() > 40
    assert list((run).glob(".*.tmp")) == []


def test_the_time_lapse_takes_odd_sizes_and_skips_damaged_grids(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    files = []
    for number, size in enumerate(((1539, 513), (1539, 513), (64, 64))):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", size, (90, 40 * number, 0)).save(path)
        files.append((number, path))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    files.insert(1, (1, tmp_path / "bad.png"))
    frames = write_timelapse(files, 3, tmp_path / "out.mp4", str)
    assert frames == 3 + 2 * frame_rate(4)
    with av.open(str(tmp_path / "out.mp4")) as video:
        size = next(video.decode(video=0))
    # Two of three pictures of 513 fit in 1536, and sides are even.
    assert (size.width, size.height) == (1026, 514 + 28)
    assert write_timelapse(files[:2], 3, tmp_path / "none.mp4", str) == 0
    assert not (tmp_path / "none.mp4").exists()


def test_without_pyav_the_rest_of_the_page_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    run = write_run(tmp_path / "run", *healthy(40), grids=3)
    result = CliRunner().invoke(app, ["report", str(run)])
    assert result.exit_code == 0
    assert len([line for line in result.output.splitlines() if "impasto[video]" in line]) == 1
    page = Page(run / "report.html")
    assert "impasto[video]" in page.text
    assert "Over time" in page.text


def test_without_matplotlib_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run = write_run(tmp_path / "run", *healthy(4), grids=0)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[report\]'"):
        write_report(run)


def run_on(pictures: Path, fit: str = "crop") -> Path:
    """A run that was trained on two pictures, packed at 16 pixels beside their folder."""
    options = PackOptions(resolution=16, fit=fit, name="two", workers=1)
    collection = pack(pictures, pictures.with_name("packed"), options).collection
    packed = {"path": str(collection.path), "name": "two", "count": 2}
    return write_run(pictures.with_name("run"), *healthy(2), grids=0, collection=packed)


def test_a_transparent_picture_lies_on_white_before_as_after(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a", "b"):
        Image.new("RGBA", (60, 60), (0, 0, 0, 0)).save(pictures / f"{name}.png")
    run = run_on(pictures)
    pair, reason = before_and_after(read_record(run))
    assert pair is not None, reason
    assert pair.before.getpixel((30, 30)) == pair.after.getpixel((8, 8)) == (255, 255, 255)


@pytest.mark.parametrize("fit", ["crop", "squash", "pad", "tiles"])
def test_a_painting_before_and_after_preprocessing(fit: str, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    wide = np.zeros((60, 100, 3), np.uint8)
    wide[:, :50] = (200, 30, 30)
    wide[:, 50:] = (30, 30, 200)
    Image.fromarray(wide).save(pictures / "sea & <sky>.png")
    Image.new("RGB", (60, 60), (10, 120, 10)).save(pictures / "a.png")
    run = run_on(pictures, fit)
    pair, reason = before_and_after(read_record(run))
    assert pair is not None, reason
    assert pair.title == "sea & <sky>.png"
    assert pair.size == (100, 60)
    assert pair.before.size == (100, 60)
    assert pair.after.size == (16, 16)
    outlined = np.asarray(pair.before)[30].tolist().count([255, 255, 255])
    assert (outlined > 0) == (fit in ("crop", "tiles"))
    if fit == "crop":
        left, right = pair.after.getpixel((2, 8)), pair.after.getpixel((13, 8))
        assert left == (200, 30, 30)
        assert right == (30, 30, 200)
    page = Page(write_report(run).page)
    assert "sea & <sky>.png, 100 × 60 pixels." in page.text
    assert "<sky>" not in page.source

    (pictures / "sea & <sky>.png").rename(pictures / "b.png")
    pair, _ = before_and_after(read_record(run))
    assert pair is not None
    assert pair.title == "a.png"
    Image.new("RGB", (60, 60)).save(pictures / "a.png")
    assert "has changed" in before_and_after(read_record(run))[1]
    (pictures / "a.png").unlink()
    assert "not to be found" in before_and_after(read_record(run))[1]
    (tmp_path / "packed" / "collection.json").unlink()
    assert "cannot be read" in before_and_after(read_record(run))[1]
    assert "Not shown: the collection" in Page(write_report(run).page).text


def test_many_classes_are_summed_up(tmp_path: Path) -> None:
    field = {
        "name": "artist",
        "classes": [f"artist {number}" for number in range(100)],
        "counts": [1000 - number for number in range(100)],
    }
    collection = {"name": "big", "count": sum(range(901, 1001)), "fields": [field]}
    run = write_run(tmp_path / "run", *healthy(2), grids=0, collection=collection)
    page = Page(write_report(run).page)
    assert "100 classes." in page.text
    assert "70 others" in page.text
    assert "not known" not in page.text


def test_large_grids_are_cut_never_shrunk() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (512, 1024, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    kept, shown, of = cut(picture, 8, 400)
    assert (kept.size, shown, of) == ((384, 384), 9, 32)
    np.testing.assert_array_equal(np.asarray(kept), pixels[:384, :384])
    assert cut(picture, 8, 2000)[0].size == picture.size
    assert cut(picture, 8, 10)[0].size == (128, 128)
    assert tile_size(picture, 7) == (1024, 1024)
    assert enlarge(kept, 500).size == (768, 768)


def test_small_things(tmp_path: Path) -> None:
    assert evenly(3, 24) == [0, 1, 2]
    assert evenly(100, 5) == [0, 25, 50, 74, 99]
    assert open_picture(tmp_path / "nothing.png") is None


def test_thinned_lines_keep_their_peaks() -> None:
    images = np.arange(50_000)
    values = np.random.default_rng(0).normal(size=50_000)
    values[12_345] = 99
    thin_images, thin = envelope(images, values)
    assert len(thin) <= 600
    assert thin.max() == 99
    assert thin_images[thin.argmax()] == 12_345
    assert (np.diff(thin_images) > 0).all()
    assert smoothed(np.full(100, 3.0)) == pytest.approx(np.full(100, 3.0))
    assert len(smoothed(np.arange(7.0))) == 7


def test_a_chart_is_small_and_in_the_colours_of_the_page() -> None:
    images = np.arange(1, 20_001) * 64
    values = np.random.default_rng(0).normal(size=20_000) ** 8
    lines = [Line("one", values), Line("none", np.full(20_000, np.nan))]
    drawing = chart(images, lines, [Mark(50_000, "1")], identity="x", label="a line")
    assert drawing.startswith("<svg")
    assert len(drawing) < 60_000
    assert "var(--line-1)" in drawing
    assert "#0a0b" not in drawing
    assert ">none<" not in drawing
    assert "<style" not in drawing


def test_the_record_survives_odd_values(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", *healthy(3), grids=0)
    odd = {"recipe": 3, "config": [], "collection": "x", "created": "soon", "parameters": None}
    (run / "run.json").write_text(json.dumps(odd))
    with (run / "stats.jsonl").open("a") as file:
        file.write(
            '[1]\n"x"\n{"images_seen": "many"}\n{"images_seen": 9999, "loss/generator": "a"}'
        )
    page = Page(write_report(run).page)
    assert "soon" in page.text


def test_small_numbers_keep_their_digits_beside_a_chart() -> None:
    images = np.array([0, 10, 20])
    line = Line("a", np.array([0.002, 0.004, 0.0035]))
    drawing = chart(images, [line], [], identity="x", label="x")
    assert re.search(r">0\.00[1-9]", drawing)
    assert not re.search(r"<path [^>]*\d\.\d{3}", drawing)
