"""ONNX files: what they paint, what they say, and that they need no torch."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from PIL import Image

import impasto
from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError
from impasto.exploring.mixing import mix_of
from impasto.exporting import onnx_file
from impasto.exporting.forms import FORMS
from impasto.exporting.onnx_file import OnnxReport, export_onnx
from impasto.networks import autoencoder_of, flow, generator_of
from impasto.resolution import Resolution, Size
from impasto.sampling import Model, latents_of_seeds, onnx_check
from impasto.sampling.class_choice import labels_of_seeds, mixed
from impasto.sampling.numpy_latents import _normal, _Uniform, numpy_latents
from impasto.sampling.onnx_model import OnnxModel
from impasto.sampling.painter import Painter
from impasto.sampling.points import Points
from impasto.sampling.records import ModelRecord
from tests.exploring.models import random_model
from tests.helpers.autoencoders import write_weights
from tests.helpers.command_line import invoke, without_torch


def moderate_model(folder: Path, kind: str, resolution: Resolution = 32) -> Path:
    """A model folder as `random_model`, with pictures of medium tones: in saturated ones everything
    would be equal, and a rounding error would turn black to white."""
    record = Model.load(random_model(folder, kind, resolution=resolution)).record
    shutil.rmtree(folder)
    if record.generator.network == "fastgan":  # spectral norm would not fit other weights
        options = {**record.generator.model_dump(), "spectral_norm": False}
        record = record.model_copy(update={"generator": NetworkConfig.model_validate(options)})
    model = Model(generator_of(record, record.label_sizes).eval().requires_grad_(False), record)
    for gain in (1.1**power for power in range(24)):
        torch.manual_seed(1)
        for parameter in model.generator.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, 0.0, gain * parameter[0].numel() ** -0.5)
        if model.sample(range(6)).std() > 25:
            break
    pixels = model.sample(range(6))
    assert pixels.std() > 25
    assert np.mean((pixels == 0) | (pixels == 255)) < 0.2
    folder.mkdir()
    Model.write(folder, model.generator.state_dict(), model.record)
    return folder


@pytest.fixture
def small_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The transformer of flow models with a single narrow block."""
    monkeypatch.setitem(flow._TRANSFORMERS, "small", {"embedding": 32, "width": 64, "depth": 1})


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model folder with three styles, and its ONNX file."""
    folder = tmp_path_factory.mktemp("onnx")
    model = moderate_model(folder / "model", "self-modulated")
    export_onnx(Model.load(model), folder / "model.onnx")
    return model, folder / "model.onnx"


@pytest.fixture(scope="module")
def with_levels(exported: tuple[Path, Path]) -> Path:
    """The ONNX file of `--levels` of the same model."""
    return impasto.export(exported[0], exported[1].with_name("levels.onnx"), levels=True)


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_the_file_paints_what_torch_paints(exported: tuple[Path, Path]) -> None:
    """By onnxruntime itself, from torch's latents and one-hots made here, at several batch sizes."""
    model, session = Model.load(exported[0]), session_of(exported[1])
    for count in (1, 2, 7):
        latents = latents_of_seeds(range(count), model.latent)
        labels = torch.arange(count) % 3
        weights = np.eye(3, dtype=np.float32)[labels.numpy()]
        inputs = {"latents": latents.numpy(), "labels": weights}
        (images,) = session.run(["images"], inputs)
        with torch.inference_mode():
            expected = model.generator(latents, labels[:, None]).numpy()
        assert images.shape == (count, 3, 32, 32)
        assert np.abs(images - expected).max() < 1e-5
        assert np.abs(expected).max() > 0.1


def test_coarse_and_fine_levels_of_two_seeds(
    exported: tuple[Path, Path], with_levels: Path, tmp_path: Path
) -> None:
    """Pictures mixed by a file of `--levels` are those of `mix`, and seeds are painted as before."""
    folder, usual = exported
    path = with_levels
    written, painter = OnnxModel.load(path), Painter.load(folder)
    levels = painter.levels
    assert written.levels == levels is not None
    rows, columns = (
        painter.points(seeds, labels_of_seeds(seeds, painter.record)) for seeds in ([3, 4], [8])
    )
    for at in (1, levels - 1):
        mix = mix_of(painter, rows, columns, at)
        others = written.images(mix.mixed.latents.numpy(), mix.mixed.classes.numpy())
        images = painter.sampler.images(mix.mixed.latents, mix.mixed.classes).numpy()
        assert np.abs(images - others).max() < 1e-5
        assert (
            np.abs(images[0] - painter.sampler.images(rows.latents, rows.classes).numpy()[0]).max()
            > 0.1
        )
    weights = written.weights([3, 4])
    again = OnnxModel.load(usual).images(rows.latents.numpy(), weights)
    assert np.abs(written.images(rows.latents.numpy(), weights) - again).max() < 1e-5
    assert f"latents [B, {levels}, 16]" in onnx.load(path).doc_string
    flat = random_model(tmp_path / "flat", "dcgan")
    code, text = invoke("export", flat, tmp_path / "flat.onnx", "--levels")
    assert (code, "takes its latent in one place" in text) == (2, True)
    assert not (tmp_path / "flat.onnx").exists()


def test_classes_between_and_unknown_ones(exported: tuple[Path, Path]) -> None:
    model, session = Model.load(exported[0]), session_of(exported[1])
    latents = latents_of_seeds([5, 6], model.latent)
    weights = torch.tensor([[0.3, 0.0, 0.7], [0.0, 0.0, 0.0]])
    with torch.inference_mode():
        expected = [
            model.generator(latents[:1], weights[:1]),
            model.generator(latents[1:], torch.tensor([[-1]])),
        ]
    inputs = {"latents": latents.numpy(), "labels": weights.numpy()}
    images = session.run(None, inputs)[0]
    assert np.abs(images - torch.cat(expected).numpy()).max() < 1e-5


@pytest.mark.parametrize("settings", [{}, {"preconditioning": "edm", "sampler": "euler"}])
def test_the_steps_of_a_flow_model_are_a_loop(
    settings: dict[str, Any], tmp_path: Path, small_bodies: None
) -> None:
    """With guidance in a part of the times; the graph holds the network twice, however many steps."""
    path = tmp_path / "model"
    record = Model.load(random_model(tmp_path / "usual", "flow")).record
    options = {"guidance": 2.5, "guidance_times": (0.2, 0.9), "body": "transformer", "patch": 8}
    network = {**options, "network": "flow", "steps": 3, **settings}
    record = record.model_copy(update={"generator": NetworkConfig.model_validate(network)})
    torch.manual_seed(0)
    generator = generator_of(record, record.label_sizes)
    for parameter in generator.parameters():
        parameter.data.normal_(0, 0.05)
    path.mkdir()
    Model.write(path, generator.state_dict(), record)
    model = Model.load(path, steps=4)
    assert export_onnx(model, tmp_path / "m.onnx").difference < 1e-5
    (loop,) = (node for node in onnx.load(tmp_path / "m.onnx").graph.node if node.op_type == "Scan")
    (body,) = (attribute.g for attribute in loop.attribute if attribute.name == "body")
    assert [node.op_type for node in body.node].count("Softmax") == 2, "with classes, and without"
    written = OnnxModel.load(tmp_path / "m.onnx")
    assert written.made_with == "4 steps"
    images = written.images(written.latents([1]), written.weights([1]))
    other = Model.load(path, steps=2).generator
    with torch.inference_mode():
        few = other(latents_of_seeds([1], model.latent), labels_of_seeds([1], record)).numpy()
    assert np.abs(images - few).max() > 1e-3


@pytest.mark.parametrize("kind", ["dcgan", "stacked"])
def test_models_without_classes_and_of_two_stages(kind: str, tmp_path: Path) -> None:
    model = Model.load(moderate_model(tmp_path / "model", kind))
    assert export_onnx(model, tmp_path / "m.onnx").difference < 1e-5
    written = OnnxModel.load(tmp_path / "m.onnx")
    (pixels,) = written.paint([3, 4], written.weights([3, 4]), truncation=0.5)
    assert np.abs(pixels.astype(int) - model.sample([3, 4], truncation=0.5)).max() <= 1
    names = [value.name for value in session_of(tmp_path / "m.onnx").get_inputs()]
    assert names == (["latents"] if kind == "dcgan" else ["latents", "labels"])


@pytest.mark.parametrize("kind", ["dcgan", "self-modulated"])
def test_rectangles(kind: str, tmp_path: Path) -> None:
    model = Model.load(moderate_model(tmp_path / "model", kind, Size(24, 32)))
    assert export_onnx(model, tmp_path / "m.onnx").difference < 1e-5
    written = OnnxModel.load(tmp_path / "m.onnx")
    (pixels,) = written.paint([3, 4], written.weights([3, 4]))
    assert pixels.shape == (2, 32, 24, 3)
    assert np.abs(pixels.astype(int) - model.sample([3, 4])).max() <= 1
    words = onnx.load(tmp_path / "m.onnx").doc_string
    assert "Pictures of 24 x 32 pixels" in words
    assert "Output images [B, 3, 32, 24]" in words


def test_the_decoder_of_an_autoencoder_is_part_of_the_file(
    tmp_path: Path, small_bodies: None
) -> None:
    record = Model.load(random_model(tmp_path / "usual", "flow")).record
    settings = write_weights(tmp_path / "weights")
    known = record.model_copy(update={"autoencoder": NetworkConfig.model_validate(settings)})
    settings = {**settings, **autoencoder_of(known).identified(), "scale": 0.7}
    network = {"network": "flow", "body": "transformer", "patch": 2, "steps": 2}
    changes = {
        "autoencoder": NetworkConfig.model_validate({**settings, "encoder": None, "decoder": None}),
        "latent": LatentConfig(dim=4 * 4 * 4),
        "generator": NetworkConfig.model_validate(network),
    }
    record = record.model_copy(update=changes)
    generator = generator_of(record, record.label_sizes)
    for parameter in generator.parameters():
        if not parameter.any():
            parameter.data.normal_(0, 0.05)
    (tmp_path / "model").mkdir()
    Model.write(tmp_path / "model", generator.state_dict(), record)
    report = export_onnx(Model.load(tmp_path / "model"), tmp_path / "m.onnx")
    assert report.difference < 1e-4
    assert OnnxModel.load(tmp_path / "m.onnx").record.resolution == 32


def test_half_is_half_the_size_and_nearly_the_same(
    exported: tuple[Path, Path], tmp_path: Path
) -> None:
    model = Model.load(exported[0])
    report = export_onnx(model, tmp_path / "half.onnx", half=True)
    weights = {
        tensor.name: numpy_helper.to_array(tensor).dtype
        for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer
    }
    assert np.dtype("float16") in weights.values()
    whole = sum(
        tensor.nbytes
        for tensor in map(numpy_helper.to_array, onnx.load(exported[1]).graph.initializer)
    )
    halved = sum(
        tensor.nbytes
        for tensor in map(
            numpy_helper.to_array, onnx.load(tmp_path / "half.onnx").graph.initializer
        )
    )
    assert halved < 0.51 * whole
    assert 1e-6 < report.difference < 0.05
    texts = session_of(tmp_path / "half.onnx").get_modelmeta().custom_metadata_map
    assert texts["impasto.weights"] == "float16"


def test_what_the_file_says(exported: tuple[Path, Path]) -> None:
    model, path = exported
    texts = session_of(path).get_modelmeta().custom_metadata_map
    assert set(texts) == {
        "impasto.version",
        "impasto.model",
        "impasto.made_with",
        "impasto.weights",
    }
    assert texts["impasto.version"] == impasto.__version__
    assert ModelRecord.model_validate_json(texts["impasto.model"]) == Model.load(model).record
    assert OnnxModel.load(path).record.weights_sha256
    words = onnx.load(path).doc_string
    for part in ("standard normal", "style: Cubism, Rococo, Ukiyo-e", "erfinv", "32 x 32"):
        assert part in words


def test_no_file_of_this_machine_is_named(exported: tuple[Path, Path]) -> None:
    content = exported[1].read_bytes()
    for text in (str(Path.home()), str(Path(impasto.__file__).parent), "site-packages", ".py"):
        assert text.encode() not in content


def test_latents_of_seeds_without_torch_are_torchs() -> None:
    seeds = [0, 1, 7, 4711, 2**31, 2**32 - 1]
    for size in (*range(1, 50), 128, 129, 512, 3072):
        for seed in seeds:
            random = torch.Generator().manual_seed(seed)
            expected = torch.randn(size, generator=random, dtype=torch.float64).numpy()
            np.testing.assert_array_max_ulp(_normal(_Uniform(seed), size), expected, 2)
    for latent in (
        LatentConfig(dim=size, distribution=distribution)
        for size in (1, 5, 16, 33, 128)
        for distribution in ("normal", "uniform")
    ):
        for truncation in (None, 0.2, 0.7, 1.0, 3.0, 9.0):
            expected = latents_of_seeds(seeds, latent, truncation).numpy()
            found = numpy_latents(seeds, latent, truncation)
            np.testing.assert_array_max_ulp(found, expected, 1)
    with pytest.raises(ImpastoError, match="truncation must be a positive number"):
        numpy_latents([0], LatentConfig(dim=3), 0.0)


def test_sampling_imports_no_torch(exported: tuple[Path, Path], tmp_path: Path) -> None:
    """The same pictures as by torch from the same seeds, classes and truncation, where importing torch
    is an error."""
    model, path = exported
    options = ["--seeds", "0-5", "--truncation", "0.8"]
    for number, classes in enumerate(
        ([], ["--class", "rococo"], ["--class", "0.25*Cubism+0.75*Rococo"])
    ):
        grids = [tmp_path / f"{number}-{name}.png" for name in ("torch", "onnx")]
        assert invoke("sample", model, *options, *classes, "--grid", grids[0])[0] == 0
        done = without_torch("sample", path, *options, *classes, "--grid", grids[1])
        assert done.returncode == 0, done.stderr
        assert "6 pictures in" in done.stdout
        pixels = [np.asarray(Image.open(grid)).astype(int) for grid in grids]
        assert np.abs(pixels[0] - pixels[1]).max() <= 1
        assert pixels[0].std() > 10


def test_an_option_that_needs_torch_is_refused_without_it(exported: tuple[Path, Path]) -> None:
    done = without_torch("sample", exported[1], "--keep", "one")
    assert done.returncode == 2
    assert done.stderr.startswith("impasto: --keep is not for ONNX files")


def test_a_picture_carries_its_point(exported: tuple[Path, Path], tmp_path: Path) -> None:
    model, path = exported
    assert invoke("sample", path, "--seeds", "4", "--class", "Rococo", "--out", tmp_path)[0] == 0
    picture = tmp_path / "seed-00000004.png"
    assert invoke("sample", model, "--like", picture, "--grid", tmp_path / "again.png")[0] == 0
    first, again = (np.asarray(Image.open(each)) for each in (picture, tmp_path / "again.png"))
    assert np.abs(first.astype(int) - again).max() <= 1


def test_points_are_painted_without_torch(exported: tuple[Path, Path], tmp_path: Path) -> None:
    """A PNG of a truncated seed in a class, and a file with a mixture and a point that no seed has: the
    pictures of torch, which carry their points again."""
    model, path = exported
    out, points = tmp_path / "out", tmp_path / "p.safetensors"
    seed = ["--seeds", "4", "--truncation", "0.7", "--class", "Rococo"]
    assert invoke("sample", model, *seed, "--out", out)[0] == 0
    mixture = ["--seeds", "5-6", "--class", "0.25*Cubism+0.75*Rococo"]
    near = ["--variations", "4", "--save-points", points]
    assert invoke("sample", model, *mixture, *near, "--out", out / "near")[0] == 0
    given = ["--like", out / "*.png", "--points", points]
    folders = [tmp_path / "by-torch", tmp_path / "by-onnx"]
    assert invoke("sample", model, *given, "--out", folders[0])[0] == 0
    done = without_torch("sample", path, *given, "--out", folders[1], "--batch", "2")
    assert (done.returncode, "3 pictures in" in done.stdout) == (0, True), done.stderr
    for number in range(3):
        texts = []
        pixels = []
        for folder in folders:
            with Image.open(folder / f"point-{number:04d}.png") as picture:
                pixels.append(np.asarray(picture).astype(int))
                texts.append(picture.info["impasto"])
        assert np.abs(pixels[0] - pixels[1]).max() <= 1
        assert texts[0] == texts[1]
    assert np.abs(pixels[0] - np.asarray(Image.open(folders[1] / "point-0000.png"))).max() > 10


def test_points_with_a_latent_a_level(
    exported: tuple[Path, Path], with_levels: Path, tmp_path: Path
) -> None:
    model, path = exported
    record, levels = Model.load(model).record, with_levels
    count = OnnxModel.load(levels).levels
    assert count is not None
    torch.manual_seed(0)
    file, more, other = (tmp_path / f"{name}.safetensors" for name in ("level", "more", "other"))
    points = Points.make(
        record, torch.randn(1, count, record.latent.size), labels_of_seeds([0], record)
    )
    points.save(file)
    points.changed(latents=torch.randn(1, count + 1, record.latent.size)).save(more)
    points.changed(model="f" * 64).save(other)
    for target, given, message in (
        (path, file, "this ONNX file takes one: export it with --levels, or give"),
        (levels, more, f"this ONNX file takes {count}: give"),
        (path, other, "has points of another generator"),
        (path, tmp_path / "*.png", "no file of points has a name of the pattern"),
    ):
        code, text = invoke("sample", target, "--like", given)
        assert (code, message in text) == (2, True), text
    expected = Painter.load(model).paint_points(points)
    found = OnnxModel.load(levels).paint_points(OnnxModel.load(levels).points([file]))
    assert np.abs(next(iter(expected)).astype(int) - next(found)).max() <= 1


def test_the_text_of_a_picture_is_that_of_other_models(exported: tuple[Path, Path]) -> None:
    painter, onnx_model = Painter.load(exported[0]), OnnxModel.load(exported[1])
    mixtures = {0: {0: 0.123456789, 2: 0.876543211}}
    labels = mixed(painter.record, painter.labels([4, 5], {}), mixtures)
    texts = onnx_model.texts([4, 5], onnx_model.weights([4, 5], mixtures=mixtures), None)
    assert list(texts) == list(painter.texts([4, 5], labels))


def test_every_class_of_an_onnx_file(exported: tuple[Path, Path], tmp_path: Path) -> None:
    for number, model in enumerate(exported):
        grid = tmp_path / f"{number}.png"
        code, out = invoke(
            "sample", model, "--every-class", "style", "--seeds", "0,9", "--grid", grid
        )
        assert code == 0, out
    first, second = (np.asarray(Image.open(tmp_path / f"{n}.png")).astype(int) for n in (0, 1))
    assert np.abs(first - second).max() <= 1


def test_what_a_file_cannot_do_is_one_line(exported: tuple[Path, Path], tmp_path: Path) -> None:
    path = exported[1]
    for options, message in (
        (["--curate", "best"], "--curate is not for ONNX files"),
        (["--keep", "one"], "--keep is not for ONNX files"),
        (["--enlarge", "2"], "--enlarge is not for ONNX files"),
        (["--captions", "--grid", "x.png"], "--captions is not for ONNX files"),
        (["--grid", "x.png", "--out", "x"], "choose one of the two"),
        (["--steps", "3"], "--steps is not for ONNX files"),
        (["--guidance", "0"], "--guidance is not for ONNX files"),
        (["--from", "9"], "--from is not for ONNX files"),
        (["--of", "0-9"], "--of is not for ONNX files"),
        (["--class", "Rokoko"], "unknown class of style 'Rokoko'; did you mean Rococo?"),
        (["--seeds", "x"], "seeds are numbers"),
        (["--grid", "x.jpg"], "a grid is a PNG"),
        (["--device", "cuda"], "ONNX files are painted on the CPU"),
    ):
        code, text = invoke("sample", path, *options)
        assert (code, message in text) == (2, True), text


def test_files_that_are_none_are_one_line(exported: tuple[Path, Path], tmp_path: Path) -> None:
    content = exported[1].read_bytes()
    graph = onnx.load(exported[1])
    other, lying = onnx.ModelProto(), onnx.ModelProto()
    other.CopyFrom(graph)
    del other.metadata_props[:]
    lying.CopyFrom(graph)
    for entry in lying.metadata_props:
        if entry.key == "impasto.model":
            entry.value = entry.value.replace('"resolution":32', '"resolution":64')
    number = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, []) for n in ("x", "y")]
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    scalar = helper.make_model(
        helper.make_graph(nodes, "scalar", number[:1], number[1:]),
        opset_imports=graph.opset_import,
        ir_version=graph.ir_version,
    )
    scalar.metadata_props.extend(graph.metadata_props)
    for name, data, message in (
        ("cut", content[: len(content) // 2], "cannot be opened as an ONNX file"),
        ("empty", b"", "cannot be opened as an ONNX file"),
        ("pointer", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ("other", other.SerializeToString(), "not one of impasto export"),
        ("lying", lying.SerializeToString(), "other inputs than its description says"),
        ("scalar", scalar.SerializeToString(), "other inputs than its description says"),
    ):
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(data)
        with pytest.raises(ImpastoError, match=message):
            OnnxModel.load(file)
    with pytest.raises(ImpastoError, match="there is no file"):
        OnnxModel.load(tmp_path / "none.onnx")


def test_images_that_are_not_finite_are_not_kept(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "_difference", lambda *_: float("inf"))
    with pytest.raises(ImpastoError, match="paints other pictures than torch"):
        export_onnx(Model.load(exported[0]), tmp_path / "m.onnx", half=True)
    assert not (tmp_path / "m.onnx").exists()


def test_a_file_that_differs_is_not_kept(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model.load(exported[0])
    graph = onnx_file._graph_of(model)
    first = graph.graph.initializer[1]
    changed = numpy_helper.to_array(first) * np.float32(1.01)
    first.CopyFrom(numpy_helper.from_array(changed, first.name))
    monkeypatch.setattr(onnx_file, "_graph_of", lambda *_: graph)
    with pytest.raises(ImpastoError, match="paints other pictures than torch"):
        export_onnx(model, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports(exported: tuple[Path, Path], tmp_path: Path) -> None:
    model = exported[0]
    code, out = invoke("export", model, tmp_path / "m.onnx", "--half")
    assert code == 0
    assert "differ from torch's by" in out
    assert "learned from x" in out
    for arguments, message in (
        ([tmp_path / "m.onnx"], "exists already"),
        ([tmp_path / "m", "--as", "onnx"], "ends in .onnx"),
        (
            [tmp_path / "m", "--as", "pickle"],
            "--as takes folder or onnx or html or hub or space, not 'pickle'",
        ),
        ([tmp_path / "m", "--half"], "--half is for --as onnx and html, not for --as folder"),
        ([tmp_path / "n.onnx", "--discriminator"], "is for --as folder and hub"),
        ([tmp_path / "n.onnx", "--steps", "3"], "steps is for generators"),
    ):
        code, text = invoke("export", model, *arguments)
        assert (code, message in text) == (2, True), text
    assert str(replace(OnnxReport(1e-5, 2_000_000), difference=0.02)).startswith("2.0 MB; its")


@pytest.mark.parametrize("form", FORMS)
def test_a_destination_that_cannot_be_written_is_refused_first(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr(Model, "load", work)
    (tmp_path / "file").touch()
    ending = {"onnx": ".onnx", "html": ".html"}.get(form, "")
    target = tmp_path / "file" / f"m{ending}"
    code, text = invoke("export", "masters", target, "--as", form)
    assert (code, f"cannot write {target}" in text) == (2, True), text
    with pytest.raises(ImpastoError, match="cannot write"):
        impasto.export("masters", target, form=form)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_file_that_is_no_model_is_told_from_an_onnx_file(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "m.png")
    code, text = invoke("sample", tmp_path / "m.png")
    assert (code, "m.png is a file" in text, "or an ONNX file (MODEL.onnx)" in text) == (
        *(2, True, True),
    ), text
    assert "MODEL.onnx" in invoke("sample", "--help")[1]


def test_a_missing_package_is_one_line(
    exported: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImpastoError, match=r"ONNX files need onnxscript: .*impasto\[torch,onnx\]"):
        export_onnx(Model.load(exported[0]), tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, text = invoke("sample", exported[1], "--grid", tmp_path / "g.png")
    assert code == 2
    assert "ONNX files need onnxruntime: install it with pip install 'impasto[onnx]'" in text


def test_weights_between_classes_are_those_of_torch() -> None:
    record = Model.load("masters").record
    labels = labels_of_seeds(range(20), record)
    weights = mixed(record, labels, {0: {2: 0.25, 5: 0.75}})
    assert weights[:, 2].tolist() == [0.25] * 20
    assert weights.sum(1).tolist() == [1.0] * 20


def changed_graph(path: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """An ONNX file with something changed in it."""
    graph = onnx.load(path)
    change(graph)
    target.write_bytes(graph.SerializeToString())
    return target


def _endless(graph: Any) -> None:
    """With a loop of 2**62 passes in front."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [
            helper.make_tensor_value_info("number", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("go", onnx.TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("on", onnx.TensorProto.BOOL, [])],
    )
    graph.graph.initializer.append(numpy_helper.from_array(np.array(2**62), "passes"))
    graph.graph.node.insert(0, helper.make_node("Loop", ["passes", ""], [], body=body))


def _elsewhere(graph: Any) -> None:
    """With weights in a file of this machine."""
    tensor = graph.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    place = tensor.external_data.add()
    place.key, place.value = "location", "../../../../../../etc/passwd"


def _foreign(graph: Any) -> None:
    graph.graph.node[0].domain = "com.example"


def _function(graph: Any) -> None:
    graph.functions.add().name = "mine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_endless, "has the operator Loop, as no file of impasto export"),
        (_elsewhere, "has weights in another file"),
        (_foreign, "has operators of 'com.example'"),
        (_function, "has functions of its own"),
    ],
)
def test_files_of_anybody_are_checked_before_they_run(
    exported: tuple[Path, Path], change: Callable[[Any], None], message: str, tmp_path: Path
) -> None:
    file = changed_graph(exported[1], tmp_path / "m.onnx", change)
    with pytest.raises(ImpastoError, match=message):
        OnnxModel.load(file)


def test_scans_have_a_known_length() -> None:
    def graph(length: int, constant: bool = True, inside: bool = False) -> Any:
        value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [])
        step = [helper.make_node("Identity", ["x"], ["y"])]
        body = helper.make_graph(step, "body", [value], [])
        scan = helper.make_node("Scan", ["times"], ["z"], body=body, num_scan_inputs=1)
        if inside:
            outer = helper.make_graph([scan], "outer", [value], [])
            scan = helper.make_node("Scan", ["times"], ["z"], body=outer, num_scan_inputs=1)
        times = numpy_helper.from_array(np.zeros(length, np.float32), "times" if constant else "t")
        return helper.make_model(helper.make_graph([scan], "g", [], [], [times]))

    assert onnx_check._wrong_with(graph(2000)) is None
    assert onnx_check._wrong_with(graph(2001)) == "a scan of unknown length"
    assert onnx_check._wrong_with(graph(3, constant=False)) == "a scan of unknown length"
    assert onnx_check._wrong_with(graph(3, inside=True)) == "a scan in a scan"


def test_a_file_that_asks_for_any_memory_is_one_line(
    exported: tuple[Path, Path], tmp_path: Path
) -> None:
    """Images of 60 GB, which are then cut to their size."""

    def larger(graph: Any) -> None:
        graph.graph.node[-1].output[0] = "small"
        graph.graph.initializer.append(
            numpy_helper.from_array(np.array([1, 1, 70_000, 70_000]), "large")
        )
        graph.graph.initializer.append(numpy_helper.from_array(np.array([0, 0]), "first"))
        graph.graph.initializer.append(numpy_helper.from_array(np.array([32, 32]), "last"))
        graph.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
        graph.graph.node.append(
            helper.make_node("Slice", ["small", "first", "first1", "axes"], ["dot"])
        )
        graph.graph.initializer.append(numpy_helper.from_array(np.array([1, 1]), "first1"))
        graph.graph.node.append(helper.make_node("Expand", ["dot", "large"], ["huge"]))
        graph.graph.node.append(
            helper.make_node("Slice", ["huge", "first", "last", "axes"], ["images"])
        )

    file = changed_graph(exported[1], tmp_path / "m.onnx", larger)
    code = (
        "import sys; from impasto.cli import main; "
        f"sys.argv = ['impasto', 'sample', {str(file)!r}, '--seeds', '0', '--grid', 'g.png']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "g.png").exists()


_LIMITED = """
import resource
import numpy as np
from impasto.sampling.onnx_check import limited_memory

before = resource.getrlimit(resource.RLIMIT_DATA)
refused = False
with limited_memory(2**26):
    np.zeros(2**22, np.uint8)
    try:
        np.ones(2**28, np.uint8)
    except MemoryError:
        refused = True
assert refused
assert resource.getrlimit(resource.RLIMIT_DATA) == before
"""


def test_the_memory_of_a_block_is_limited() -> None:
    pytest.importorskip("resource", reason="Windows has no such limit")
    # In a process of its own: this one may free what other tests took, and so make room, at any time.
    done = subprocess.run([sys.executable, "-c", _LIMITED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = Model.load("masters").record
    assert onnx_check.memory_for(record, 5_000_000, 64) < 2_000_000_000


def test_images_of_another_shape_or_not_finite_are_one_line() -> None:
    """Also of a model of rectangular pictures."""

    class Session:
        def __init__(self, images: np.ndarray) -> None:
            self.found = images

        def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            return [self.found]

    record = Model.load("masters").record.model_copy(update={"resolution": Size(48, 32)})
    images = np.zeros((1, 3, 32, 48), np.float32)
    latents = np.zeros((1, 128), np.float32)
    assert OnnxModel(Session(images), record, 1).images(latents, latents[:, :8]) is images
    for wrong in (images.transpose(0, 1, 3, 2), images * np.nan, images[:0]):
        with pytest.raises(ImpastoError, match="paints no pictures"):
            OnnxModel(Session(wrong), record, 1).images(latents, latents[:, :8])
