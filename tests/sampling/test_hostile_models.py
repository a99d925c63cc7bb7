"""Models that come from anybody: a picture or one line, whatever is in them."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from benchmarks._mutations import ESCAPES, Originals, as_json, mutated
from benchmarks.hostile_models import fault_of
from impasto.errors import ImpastoError
from impasto.files import read_json
from impasto.formatting import as_message
from impasto.sampling import Model
from impasto.sampling.model import MODEL_FILE, WEIGHTS_FILE
from impasto.sampling.point_text import TEXT_KEY
from impasto.sampling.points import Points
from impasto.sampling.tensors import read_shapes, read_tensors
from tests.helpers.command_line import Say as Say
from tests.helpers.command_line import say as say


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    return Originals.make(tmp_path_factory.mktemp("hostile") / "originals", ("dcgan", "fastgan"))


def changed(originals: Originals, folder: Path, **values: Any) -> Path:
    """A copy of the model with classes whose model.json has other values, by dotted names."""
    folder.mkdir()
    source = originals.models["fastgan"]
    record = json.loads((source / MODEL_FILE).read_text(encoding="utf-8"))
    for name, value in values.items():
        node = record
        *parents, last = name.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    (folder / MODEL_FILE).write_bytes(as_json(record))
    (folder / WEIGHTS_FILE).write_bytes((source / WEIGHTS_FILE).read_bytes())
    return folder


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_mutated_models_give_a_picture_or_one_line(
    originals: Originals, first: int, tmp_path: Path, say: Say
) -> None:
    """A part of `python -m benchmarks.hostile_models`."""
    painted = 0
    for number in range(first, first + 50):
        case = mutated(originals, number, seed=1, work=tmp_path / str(number))
        code, _, errors = say(*case.arguments)
        fault = fault_of(code, errors, case.out)
        assert fault is None, f"{number}: {case.what}: {fault}"
        painted += code == 0
    assert 0 < painted < 25


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generator__width": 10**6}, "does not fit the network in model.json, which is larger"),
        ({"generator__width": 10**15}, "does not fit the network in model.json, which is larger"),
        (
            {"generator__embedding": 10**9},
            "does not fit the network in model.json, which is larger",
        ),
        ({"generator__width": 10**30}, "less than or equal to"),
        ({"generator__width": 5}, r"does not fit the network in model.json: its .* in the network"),
        ({"latent__dim": 10**7}, "does not fit the network in model.json, which is larger"),
        ({"latent__dim": 10**9}, "latent.dim should be a number from 1 to 50,331,648"),
        ({"latent__dim": None}, "latent.dim should be a number"),
        ({"resolution": 2**20}, "less than or equal to 4096"),
        ({"label_rows": [[0], [1], [3]]}, "label_rows should have numbers of classes"),
        ({"label_rows": [[0], [1], [-2]]}, "label_rows should have numbers of classes"),
        ({"label_rows": [[0], [1], []]}, "label_rows should have a class for each label field"),
        ({"label_rows": [[0]]}, "label_rows and label_counts should be equally many"),
        ({"label_counts": [0, 0, 0]}, "label_counts should count pictures"),
        ({"label_counts": [-1, 1, 1]}, "greater than or equal to 0"),
        ({"label_counts": [10**400, 1, 1]}, "less than or equal to"),
        (
            {"label_counts_by_size": [[3, 2, 1]]},
            "label_counts_by_size should have counts for each of the buckets",
        ),
        (
            {"buckets": [32, "48x32"], "label_counts_by_size": [[3, 2, 1], [3, 2]]},
            "label_counts_by_size should have a count for each of the label_rows",
        ),
        (
            {"buckets": [32, "48x32"], "label_counts_by_size": [[3, 2, 1], [0, 0, 0]]},
            "label_counts_by_size should count pictures of each size",
        ),
        ({"label_counts_by_size": [[-1, 1, 1]]}, "greater than or equal to 0"),
        ({"label_counts_by_size": [[10**400, 1, 1]]}, "less than or equal to"),
        ({"label_counts_by_size": 1}, "label_counts_by_size: should be a list"),
        ({"labels": [{"name": "style", "classes": []}]}, "a label field should have classes"),
        ({"generator": {"network": "flow", "steps": 1001}}, "less than or equal to 1000"),
        ({"real_noise": "\0infinite"}, "should be a finite number"),
        ({"real_noise": "\0nan"}, "NaN is no number of JSON"),
        ({"images_seen": "\0digits"}, "is damaged .*4300 digits"),
        ({"generator__new": "\0deep"}, "is damaged .*recursion"),
    ],
)
def test_sizes_have_bounds(
    originals: Originals, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ImpastoError, match=message):
        Model.load(changed(originals, tmp_path / "model", **values))


def test_millions_of_wrong_values_are_one_error(originals: Originals, tmp_path: Path) -> None:
    """Pydantic makes a record of each wrong value; of these lists it makes one."""
    floods: tuple[dict[str, Any], ...] = (
        {"label_rows": [["a"]] * 50_000},
        {"labels": [{"name": "style", "classes": [0] * 50_000}]},
        {"label_counts": ["a"] * 50_000},
        {"label_counts_by_size": ["a"] * 50_000},
        {"label_counts_by_size": [["a"] * 50_000] * 2},
        {"collection__licences": {str(each): "a" for each in range(50_000)}},
    )
    for number, values in enumerate(floods):
        with pytest.raises(ImpastoError) as raised:
            Model.load(changed(originals, tmp_path / str(number), **values))
        assert raised.value.__cause__.error_count() < 10  # type: ignore[union-attr]


def test_names_are_one_line_without_control_characters(
    originals: Originals, tmp_path: Path, say: Say
) -> None:
    hostile = {
        "recipe": ESCAPES,
        "labels": [{"name": ESCAPES, "classes": [ESCAPES, "a", "b"]}],
        "collection__name": ESCAPES,
        "collection__artists": {ESCAPES: 1},
        "collection__only": ESCAPES,
    }
    folder = changed(originals, tmp_path / "model", **hostile)
    record = Model.load(folder).record
    learned = record.collection
    texts = [record.recipe, record.labels[0].name, record.labels[0].classes[0], learned.name]
    for text in (*texts, *learned.artists, learned.only):
        assert text == "]0;owned[2J <script>alert(1)</script> [x](javascript:y) 31m"
    code, output, errors = say("export", str(folder), str(tmp_path / "exported"))
    assert (code, errors) == (0, "")
    assert not set("\x1b\x07\r\u202e\x9b") & set(output)
    code, _, errors = say("sample", str(folder), "--class", "none", "--out", str(tmp_path / "out"))
    assert fault_of(code, errors, tmp_path) is None
    assert code == 2


def test_messages_that_quote_a_file_are_one_short_line(
    originals: Originals, tmp_path: Path, say: Say
) -> None:
    folder = changed(originals, tmp_path / "model", generator={"network": ESCAPES + "x" * 10**6})
    code, _, errors = say("sample", str(folder), "--out", str(tmp_path / "out"))
    assert code == 2
    assert len(errors.splitlines()) == 1
    assert len(errors) < 5_000
    assert "\x1b" not in errors
    assert as_message("a\nb  c\x1b[0m\ud800") == "a b  c[0m?"


def test_what_is_no_file_is_one_line(originals: Originals, tmp_path: Path) -> None:
    for name, place in (("pipe", WEIGHTS_FILE), ("zeros", WEIGHTS_FILE), ("folder", WEIGHTS_FILE)):
        file = changed(originals, tmp_path / name) / place
        file.unlink()
        if name == "pipe":
            os.mkfifo(file)
        elif name == "zeros":
            file.symlink_to("/dev/zero")
        else:
            file.mkdir()
        with pytest.raises(ImpastoError, match=r"is not a file"):
            Model.load(file.parent)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ImpastoError, match=r"pipe.json is not a file"):
        read_json(tmp_path / "pipe.json", "model")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "empty" / MODEL_FILE)
    with pytest.raises(ImpastoError, match="neither a run"):
        Model.load(tmp_path / "empty")


def test_sparse_files_are_not_read(originals: Originals, tmp_path: Path) -> None:
    folder = changed(originals, tmp_path / "model")
    os.truncate(folder / MODEL_FILE, 2**40)
    with pytest.raises(ImpastoError, match=r"has 1,099.5 GB, and 17 MB at most are read"):
        Model.load(folder)
    longer = changed(originals, tmp_path / "longer") / WEIGHTS_FILE
    os.truncate(longer, 2**31)
    with pytest.raises(ImpastoError, match="cut short or damaged"):
        read_tensors(longer)
    os.truncate(longer, 2**42)
    with pytest.raises(ImpastoError, match=r"has 4,398.0 GB, and .* at most are read"):
        read_shapes(longer)
    header = tmp_path / "header.safetensors"
    header.write_bytes(struct.pack("<Q", 2**30) + b"{}")
    os.truncate(header, 2**31)
    with pytest.raises(ImpastoError, match="its header has 1,073,741,824 bytes"):
        read_shapes(header)


def picture_of(originals: Originals, path: Path, **values: Any) -> Path:
    """The PNG of a seed, whose point has other values."""
    with Image.open(originals.folder / "fastgan.png") as picture:
        about = json.loads(picture.text[TEXT_KEY]) | values  # type: ignore[attr-defined]
        info = PngInfo()
        info.add_text(TEXT_KEY, json.dumps(about), zip=True)
        picture.save(path, pnginfo=info)
    return path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"origins": [{"seed": 2**80}]}, "less than or equal to 4294967295"),
        ({"origins": [{"seed": -1}]}, "greater than or equal to 0"),
        ({"latents": "AAAA", "levels": 1}, "holds a damaged point"),
        ({"latents": "!", "levels": None}, "holds a damaged point"),
        ({"latents": "eJxjYGBgAAAABAAB", "levels": 10**30}, "less than or equal to 1024"),
        ({"recipe": ESCAPES, "model": ESCAPES}, "points of another generator"),
    ],
)
def test_points_have_bounds(
    originals: Originals, values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    record = Model.load(originals.models["fastgan"]).record
    with pytest.raises(ImpastoError, match=message) as raised:
        Points.load(picture_of(originals, tmp_path / "p.png", **values), record)
    assert "\x1b" not in str(raised.value)


def test_a_png_that_claims_to_be_huge_is_not_decoded(originals: Originals, tmp_path: Path) -> None:
    content = bytearray((originals.folder / "fastgan.png").read_bytes())
    assert content[12:16] == b"IHDR"
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    path = tmp_path / "huge.png"
    path.write_bytes(content)
    with pytest.raises(ImpastoError, match="cannot be read as a PNG"):
        Points.load(path, Model.load(originals.models["fastgan"]).record)
