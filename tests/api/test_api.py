"""What `import impasto` offers, called as in a notebook, with texts as paths."""

import io
import json
import logging
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import impasto
from impasto.api.collections import PackSettings, pack_options
from impasto.collection import Collection
from impasto.messages import printed, say
from impasto.sampling.class_choice import class_numbers, labels_of_seeds
from tests.helpers.pictures import paint
from tests.helpers.training import small

SETTINGS: dict[str, Any] = {
    "training.batch": 8,
    "training.grid": 4,
    "generator.width": 4,
    "discriminator.width": 4,
    "training.pretrain_images": 8,
}


@pytest.fixture(scope="module")
def run(labelled: Collection, tmp_path_factory: pytest.TempPathFactory) -> impasto.Run:
    """A run of two label fields."""
    config = small("gangogh_style_genre", training__images=40)
    return impasto.train(config, labelled, out=str(tmp_path_factory.mktemp("runs")), device="cpu")


def test_the_whole_way_with_texts_as_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paint(Path("photos"), 30)
    report = impasto.pack("photos", "packed", resolution=[32, 16], labels=["kind"])
    assert report.collection.resolutions == (16, 32)
    collection = impasto.open("packed", 32)
    assert repr(collection) == "<Collection packed: 30 pictures of 32 px, kind of 2 classes>"

    first = impasto.train(
        "packed",
        "gangogh",
        labels="kind",
        images="40",
        settings={**SETTINGS, "resolution": 32},
        out="runs",
        device="cpu",
    )
    assert repr(first) == f"<Run {first.path}: 40 of 40 images>"
    assert first.config.labels == ("kind",)
    assert impasto.resume(str(first), images=80).images_seen == 80
    second = impasto.train(collection, first.config, seed=1, out="runs", device="cpu")
    assert second.config.training.seed == 1

    model = impasto.Model.load(str(first))
    pictures = model.sample(seeds=[3, 1], classes={"kind": "warm"}, truncation=0.7)
    assert pictures.shape == (2, 32, 32, 3)
    assert pictures.dtype == np.uint8
    again = impasto.sample(first, [1], {"kind": "warm"}, truncation=0.7, device="cpu")
    assert np.abs(again[0].astype(int) - pictures[1]).max() <= 1
    folder = impasto.export(str(first), "model")
    assert folder == Path("model")
    assert (impasto.sample(str(folder), [1]) == impasto.sample(first, [1])).all()

    scored = impasto.evaluate(first, pictures=8, per_class=0, device="cpu")
    assert scored.scores["kid-lite0"] is not None
    assert "kid" in str(scored).lower()
    assert len((first.path / "metrics.jsonl").read_text().splitlines()) == 1
    page = impasto.compare(
        [str(first), str(second)], "packed", out="both.html", pictures=8, per_class=0, device="cpu"
    ).page
    assert page.is_file()
    assert impasto.report(str(first)).name == "report.html"

    named = Path("packed", "sources.csv").read_text().splitlines()[1].split(",")
    forgotten = impasto.forget("packed", next(cell for cell in named if cell.endswith(".png")))
    assert len(forgotten.collection) == 29


def test_a_text_of_label_fields_is_read_as_in_the_command(tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "oil", 4)
    paint(tmp_path / "photos" / "ink", 4)
    packed = impasto.pack(
        tmp_path / "photos", tmp_path / "packed", resolution=16, labels="way, kind"
    )
    assert [field.name for field in packed.collection.fields] == ["way", "kind"]
    with pytest.raises(impasto.ImpastoError, match="empty name"):
        impasto.pack(tmp_path / "photos", tmp_path / "other", resolution=16, labels="way,")
    none = impasto.pack(tmp_path / "photos", tmp_path / "none", resolution=16, labels="")
    assert none.collection.fields == ()


def test_pack_takes_each_option_by_name_as_the_command_does(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    paint(tmp_path / "photos" / "oil", 4)
    paint(tmp_path / "photos" / "ink", 4)
    picture.save(tmp_path / "photos" / "oil" / "clear.png")
    merges = tmp_path / "merges.csv"
    merges.write_text("field,from,to\nway,oil,paint\nway,ink,paint\n")
    report = impasto.pack(
        tmp_path / "photos",
        tmp_path / "packed",
        resolution="16,8",
        labels="way",
        fit="pad",
        background="#102030",
        duplicates="none",
        merge=str(merges),
        name="By name",
    )
    packed = report.collection
    assert (packed.name, packed.fit, packed.resolution) == ("By name", "pad", 16)
    assert impasto.open(tmp_path / "packed", 8).resolution == 8
    assert packed.fields[0].classes == ("paint",)
    pixels = packed.images(np.arange(9))
    assert any((each == (0x10, 0x20, 0x30)).all() for each in pixels)


def test_options_by_name_replace_those_of_the_options() -> None:
    options = impasto.PackOptions(resolution=32, smaller=(8,), fit="pad", seed=4)
    changed = pack_options(options, {"resolution": [16, 64], "fit": "squash"})
    assert changed == replace(options, resolution=64, smaller=(16,), fit="squash")
    assert pack_options(options, {}) == options
    assert pack_options(None, {"resolution": 64, "smaller": [16]}).resolutions == (16, 64)


def test_every_option_of_packing_has_a_keyword() -> None:
    names = {field.name for field in fields(impasto.PackOptions)}
    assert set(PackSettings.__annotations__) == names - {"buckets"}  # `fit="aspect"` chooses them


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"fits": "pad"},
            r"^pack has no option 'fits'; there is background, duplicates, .*workers$",
        ),
        ({"fit": "stretch"}, "unknown fit 'stretch'"),
        ({"background": "blueish"}, "unknown background 'blueish'"),
        ({"resolution": "big"}, "resolution takes a side.* not 'big'"),
        ({"resolution": [16.5]}, r"not '\[16.5\]'"),
        ({"resolution": []}, "resolution takes a side"),
        ({"resolution": None}, "resolution takes a side"),
        ({"merge": "oil"}, "--merge takes"),
    ],
)
def test_an_option_of_packing_that_cannot_be(settings: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(impasto.ImpastoError, match=message) as raised:
        impasto.pack("masters", tmp_path / "packed", **settings)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "packed").exists()


def test_the_recipe_is_chosen_where_none_is_named(
    labelled: Collection, run: impasto.Run, tmp_path: Path
) -> None:
    started = impasto.train(
        labelled,
        start_from=run,
        images=40,
        settings={"training.batch": 8},
        out=tmp_path,
        device="cpu",
    )
    assert started.config.recipe == run.config.recipe
    assert started.config.labels == ("style", "genre")
    record = json.loads((started.path / "run.json").read_text())
    assert record["started_from"]["model"]
    assert record["recipe_text"]  # for the report, as from the command line


def test_a_model_shows_itself(run: impasto.Run) -> None:
    model = run.model()
    fields = "style of 3 classes, genre of 3 classes"
    assert repr(model) == f"<Model gangogh_style_genre: 32 px, {fields}, 40 images of labelled>"
    shown = Image.open(io.BytesIO(model._repr_png_()))
    assert shown.size == (128, 128)
    assert [picture.size for picture in model.pictures([1, 2])] == [(32, 32)] * 2
    assert model.grid([1, 2, 3], columns=3).size == (96, 32)
    assert Image.open(io.BytesIO(run._repr_png_() or b"")).size == (64, 64)


def test_a_class_is_that_of_its_name(run: impasto.Run) -> None:
    model = run.model()
    chosen = class_numbers(model.record, {"genre": "marina", "style": "Ukiyo-e"})
    assert {
        model.record.labels[field].name: model.record.labels[field].classes[number]
        for field, number in chosen.items()
    } == {"style": "Ukiyo-e", "genre": "marina"}
    labels = labels_of_seeds([5], model.record, chosen)
    fields = len(model.record.labels)
    sampler = impasto.Sampler(model.generator, model.latent, label_fields=fields)
    (wanted,) = sampler.batches([5], labels)
    drawn = model.sample([5], {"genre": "marina", "style": "Ukiyo-e"})
    assert (drawn == wanted).all()
    assert (drawn != model.sample([5], {"genre": "marina", "style": "Rococo"})).any()


def test_expected_errors_are_one_line(
    run: impasto.Run, labelled: Collection, tmp_path: Path
) -> None:
    model = run.model()
    unknown: Any = ["a"]
    text: Any = "Fauvism"
    for call, told in (
        (lambda: model.sample([]), "no seeds"),
        (lambda: model.sample([-1]), "from 0 to 4294967295"),
        (lambda: model.sample(unknown), "whole numbers"),
        (lambda: model.sample([0], {"style": "Fauvism"}), "did you mean Cubism"),
        (lambda: model.sample([0], {"artist": "x"}), "unknown label field"),
        (lambda: model.sample([0], text), "by label field"),
        (lambda: model.sample([0], truncation=0), "positive"),
        (lambda: model.sample([0], truncation=text), "positive"),
        (lambda: model.sample([0], batch=0), "from 1"),
        (
            lambda: impasto.Model(model.generator, model.record, "gpu").sample([0]),
            "no device 'gpu'",
        ),
        (lambda: impasto.train("masters", settings=text), "by name"),
        (lambda: impasto.pack("masters", tmp_path / "packed", resolution=text), "4 to 4096"),
        (lambda: impasto.evaluate(run, pictures=1), "from 2"),
        (lambda: impasto.Model.load(str(tmp_path / "no")), "does not exist"),
        (lambda: impasto.Run(str(tmp_path)), "run"),
        (lambda: impasto.train("masters", "nothing"), "unknown recipe"),
        (lambda: impasto.train("masters", images="many"), "number of pictures"),
        (lambda: impasto.train(labelled, "nothing"), "unknown recipe"),
        (lambda: impasto.train("nothing", labelled), "unknown recipe"),
        (lambda: impasto.train(labelled, labelled), "two collections"),
        (lambda: impasto.train(run.config, run.config), "two configs"),
        (lambda: impasto.train(run.config), "what to learn from"),
        (lambda: impasto.open(str(tmp_path / "no")), "no"),
        (lambda: impasto.compare([run], "masters"), "two runs"),
        (lambda: impasto.fetch([], str(tmp_path)), "no source"),
        (lambda: impasto.fetch("urls.csv", tmp_path, max_mb=1e-7), "largest picture"),
        (lambda: impasto.evaluate(run, against="test"), "train, heldout or all"),
    ):
        with pytest.raises(impasto.ImpastoError, match=told) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_library_is_quiet_and_its_messages_are_logged(
    labelled: Collection,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    config = small(training__images=16)
    impasto.train(config, labelled, out=tmp_path, device="cpu")
    out, err = capsys.readouterr()
    assert out == ""
    assert "16 of 16 images" in err  # the progress, without a terminal
    with caplog.at_level(logging.INFO, logger="impasto"):
        run = impasto.train(config, labelled, out=tmp_path, device="cpu")
    assert f"run: {run.path}" in caplog.messages
    capsys.readouterr()
    with printed():
        say("a result")
        say("beside it", to_stderr=True)
    assert capsys.readouterr() == ("a result\n", "beside it\n")
    say("nobody hears this")
    assert capsys.readouterr() == ("", "")


def test_messages_go_on_where_nobody_reads_them() -> None:
    code = (
        "from impasto.messages import printed, say\n"
        "with printed():\n"
        "    for number in range(20_000):\n"
        "        say(f'line {number}')\n"
        "import sys; print('at the end', file=sys.stderr)\n"
    )
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        assert stream.readline() == b"line 0\n"
    assert process.communicate()[1] == "at the end\n"
    assert process.returncode == 0
