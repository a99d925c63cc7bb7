"""`impasto inspect`: the numbers, the contact sheet and the chart."""

import builtins
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from impasto import fonts
from impasto.cli import app
from impasto.collection import Collection, PackOptions, pack
from impasto.collection.overview import contact_sheet, summary
from impasto.errors import ImpastoError


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("inspect")
    for name, count, colour in (("red $1", 9, (255, 0, 0)), ("blue", 4, (0, 0, 255))):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(count):
            shade = tuple(max(0, part - 12 * number) for part in colour)
            path = folder / "pictures" / name / f"{number}.png"
            Image.new("RGB", (64, 64), shade).save(path)
    options = PackOptions(resolution=64, name="A name / with signs")
    return pack(folder / "pictures", folder / "packed", options).collection


def test_the_summary_counts_every_class(collection: Collection) -> None:
    lines = summary(collection).splitlines()
    assert lines[0] == "A name / with signs"
    by_name = {line.rsplit(maxsplit=3)[0]: line.split()[-3:] for line in lines[-2:]}
    assert set(by_name) == {"red $1", "blue"}
    assert [int(by_name["red $1"][i]) + int(by_name["blue"][i]) for i in (0, 1, 2)] == [12, 1, 13]
    assert int(by_name["blue"][2]) == 4
    assert collection.content_hash in summary(collection)


def test_unknown_labels_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (16, 16), number).save(folder / f"{number}.png")
    (folder / "metadata.csv").write_text("file,style\n0.png,a\n1.png,\n2.png,\n")
    options = PackOptions(resolution=16, labels=("style",))
    opened = pack(folder, tmp_path / "packed", options).collection
    assert summary(opened).splitlines()[-1] == "unknown for 2 pictures"
    (folder / "metadata.csv").write_text("file,style\n0.png,a\n1.png,\n2.png,a\n")
    options = PackOptions(resolution=16, labels=("style",), heldout=0)
    lines = summary(pack(folder, tmp_path / "again", options).collection).splitlines()
    assert lines[-1] == "unknown for 1 picture"
    assert "  held out    none" in lines


def test_the_contact_sheet_shows_the_training_pictures(collection: Collection) -> None:
    sheet = contact_sheet(collection)
    pixels = np.asarray(sheet)
    count = len(collection.train_indices)
    assert sheet.size == (12 * 66 + 2, -(-count // 12) * 66 + 2)
    assert (pixels[:2] == 255).all()
    expected = collection.images(collection.train_indices)
    for place in range(min(count, 12)):
        left = 2 + place * 66
        assert (pixels[2:66, left : left + 64] == expected[place]).all()


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["inspect", *arguments])


def test_the_command_writes_two_pictures(collection: Collection, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = invoke(str(collection.path), "--out", str(tmp_path / "new"), "--verify")
    assert result.exit_code == 0, result.output
    assert "verified" in result.stdout
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["A-name-with-signs-classes.png", "A-name-with-signs-contact-sheet.png"]
    for name in names:
        assert str(tmp_path / "new" / name) in result.stdout
        with Image.open(tmp_path / "new" / name) as opened:
            opened.load()
            assert min(opened.size) > 60
            assert len(set(opened.convert("RGB").resize((50, 50)).get_flattened_data())) > 3


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    folder = tmp_path_factory.mktemp("foreign")
    for name in ("浮世絵", "🎨 emoji", "Café $x$"):
        (folder / "pictures" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16), (len(name), 0, 0)).save(folder / "pictures" / name / "0.png")
    return pack(folder / "pictures", folder / "packed", PackOptions(resolution=16)).collection


def test_names_that_no_font_has_are_boxes_and_one_line(
    foreign: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(fonts, "_further", lambda: ())
    fonts._font_of.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = invoke(str(foreign.path), "--out", str(tmp_path))
    fonts._font_of.cache_clear()
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    notes = [line for line in result.stdout.splitlines() if line.startswith("note:")]
    assert len(notes) == 1
    assert notes[0].startswith("note: no font here has ")
    assert set("浮世絵🎨") <= set(notes[0])
    assert (tmp_path / "packed-classes.png").is_file()


def test_columns_of_names_in_wide_letters_stand_below_each_other(foreign: Collection) -> None:
    rows = summary(foreign).splitlines()[-3:]
    # Such letters take two columns in a terminal.
    ends = [len(row) + sum(letter in "浮世絵🎨" for letter in row) for row in rows]
    assert len(set(ends)) == 1


def test_without_matplotlib_one_line_says_so(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return original(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    result = invoke(str(collection.path), "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "not drawn; it takes matplotlib: pip install 'impasto[report]'" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["A-name-with-signs-contact-sheet.png"]


def test_a_collection_without_labels(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "pictures" / "a.png")
    pack(tmp_path / "pictures", tmp_path / "packed", PackOptions(resolution=16))
    result = invoke(str(tmp_path / "packed"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "labels      none" in result.stdout
    assert "no labels" in result.stdout


def test_the_masters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    result = invoke("masters", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0, result.output
    assert "Ukiyo-e" in result.stdout
    assert (tmp_path / "out" / "masters-contact-sheet.png").exists()


def test_what_is_no_collection(tmp_path: Path) -> None:
    result = invoke(str(tmp_path))
    assert isinstance(result.exception, ImpastoError)
    assert "is not a collection" in str(result.exception)
