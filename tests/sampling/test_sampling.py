import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

import impasto
from impasto.config import LatentConfig, NetworkConfig
from impasto.errors import ImpastoError
from impasto.fold import fold_batch_norm
from impasto.registry import load_module, module_names
from impasto.sampling import Model, Sampler, find_model, latents_of_seeds, parse_seeds
from impasto.sampling.grid import grid_picture
from impasto.sampling.model import CollectionRecord, ModelRecord, export
from impasto.sampling.output import save_grid_of, save_pictures, seed_name
from impasto.sampling.pixels import to_uint8
from impasto.sampling.tensors import read_tensors
from tests.helpers.generators import latent_of, worn_generator
from tests.helpers.lfs import POINTER

NORMAL = LatentConfig(dim=16)
UNIFORM = LatentConfig(dim=16, distribution="uniform")
GENERATORS = [
    name
    for name in module_names("networks")
    if hasattr(load_module("networks", name, "network"), "Generator")
]


def test_seeds() -> None:
    assert parse_seeds("7") == [7]
    assert parse_seeds("0-3,9, 2") == [0, 1, 2, 3, 9, 2]
    for wrong in ("", "a", "1-", "-3", "3-1", "1,,2", "4294967296", "0-99999999"):
        with pytest.raises(ImpastoError):
            parse_seeds(wrong)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=8))
def test_a_seed_names_a_latent(seeds: list[int]) -> None:
    together = latents_of_seeds(seeds, NORMAL)
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(row, latents_of_seeds([seed], NORMAL)[0])


def test_latents_have_their_distribution() -> None:
    normal = latents_of_seeds(range(3000), NORMAL)
    assert normal.mean().item() == pytest.approx(0, abs=0.02)
    assert normal.std().item() == pytest.approx(1, abs=0.02)
    uniform = latents_of_seeds(range(3000), UNIFORM)
    assert uniform.std().item() == pytest.approx(2 / 12**0.5, abs=0.02)
    assert -1 <= uniform.min() <= -0.99
    assert 0.99 <= uniform.max() <= 1


def test_truncation_gives_the_truncated_normal_distribution() -> None:
    # Variance of N(0, 1) inside +-1: 1 - 2 phi(1) / (2 Phi(1) - 1) = 0.29112
    latents = latents_of_seeds(range(3000), NORMAL, truncation=1.0)
    assert latents.abs().max() <= 1
    assert latents.var().item() == pytest.approx(0.29112, abs=0.005)
    # A seed keeps its place: the order of values is that of the whole distribution.
    whole = latents_of_seeds(range(3000), NORMAL)
    assert latents.flatten()[whole.flatten().argsort()].diff().min() >= -1e-6
    assert torch.allclose(latents_of_seeds([1], NORMAL, 20.0), latents_of_seeds([1], NORMAL))
    assert latents_of_seeds([1], UNIFORM, 0.5).abs().max() <= 0.5
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ImpastoError, match="truncation must be a positive number"):
            latents_of_seeds([1], NORMAL, wrong)


@pytest.mark.parametrize("family", GENERATORS)
def test_folding_changes_nothing(family: str) -> None:
    generator = worn_generator(family)
    folded = fold_batch_norm(generator)
    latents, labels = torch.randn(8, latent_of(family).size), torch.zeros(8, 0, dtype=torch.int64)
    with torch.no_grad():
        expected, actual = generator(latents, labels), folded(latents, labels)
    assert expected.std() > 0.05
    assert (expected - actual).abs().max() < 5e-5


def test_nothing_is_left_to_normalise() -> None:
    for family in ("dcgan", "lean"):
        generator = worn_generator(family)
        norms = [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        folded = fold_batch_norm(generator)
        assert norms
        assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert [m for m in generator.modules() if isinstance(m, torch.nn.BatchNorm2d)] == norms


def test_folding_leaves_spectral_norm_alone() -> None:
    torch.manual_seed(0)
    layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(3, 4, 3))
    network = torch.nn.Sequential(layer, torch.nn.BatchNorm2d(4))
    network(torch.randn(8, 3, 9, 9))
    network.eval()
    folded, images = fold_batch_norm(network), torch.randn(2, 3, 9, 9)
    assert torch.allclose(network(images), folded(images), atol=1e-6)


@pytest.mark.parametrize("family", GENERATORS)
def test_the_same_seed_gives_the_same_picture_at_any_batch_size(family: str) -> None:
    sampler = Sampler(worn_generator(family), latent_of(family))
    whole = np.concatenate(list(sampler.batches(range(6), batch=6)))
    for batch in (1, 5):
        parts = np.concatenate(list(sampler.batches(range(6), batch=batch)))
        assert np.array_equal(parts, whole)
    backwards = np.concatenate(list(sampler.batches(range(5, -1, -1), batch=6)))
    assert np.array_equal(backwards[::-1], whole)


@pytest.mark.parametrize("family", GENERATORS)
def test_bfloat16_changes_the_pictures_a_little(family: str) -> None:
    generator = worn_generator(family)
    exact, rounded, chosen = (
        np.concatenate(
            list(Sampler(generator, latent_of(family), precision=precision).batches(range(6)))
        )
        for precision in ("float32", "bfloat16", "auto")
    )
    apart = np.abs(exact.astype(int) - rounded)
    # bfloat16 keeps 8 bits of each number: an error of 0.4% in each of some layers.
    assert 0 < apart.mean() < 5
    assert np.array_equal(chosen, exact) or np.array_equal(chosen, rounded)


def test_a_model_samples_in_a_precision_by_name(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    exact, rounded = model.sample(range(4)), model.sample(range(4), precision="bfloat16")
    assert np.array_equal(exact, impasto.sample(tmp_path / "model", range(4), device="cpu"))
    assert not np.array_equal(exact, rounded)
    with pytest.raises(ImpastoError, match="a precision is auto, float32, bfloat16, not 'half'"):
        model.sample(range(4), precision="half")


def test_levels_are_rounded() -> None:
    values = torch.tensor([-1.0, -0.999, 0.0, 1.0, 1.2]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_grids_are_in_reading_order() -> None:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None].repeat(3, 3) * np.ones(
        (1, 2, 2, 1), np.uint8
    )
    grid = np.asarray(grid_picture(images))
    assert grid.shape == (4, 6, 3)
    assert grid[::2, ::2, 0].tolist() == [[0, 1, 2], [3, 4, 0]]


def write_model(folder: Path) -> torch.nn.Module:
    generator = worn_generator()
    folder.mkdir(parents=True)
    collection = CollectionRecord(
        name="tiny", hash="0", count=1, sources=1, fit="crop", licences={"unknown": 1}
    )
    record = ModelRecord(
        recipe="x",
        resolution=32,
        latent=NORMAL,
        generator=NetworkConfig(network="dcgan"),
        discriminator=NetworkConfig(network="dcgan"),
        labels=(),
        label_rows=((),),
        label_counts=(1,),
        collection=collection,
        parameters=1,
        images_seen=1,
    )
    Model.write(folder, generator.state_dict(), record)
    return generator


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    generator = write_model(tmp_path / "model")
    model = Model.load(find_model(tmp_path / "model"))
    for name, value in generator.state_dict().items():
        assert torch.equal(value, model.generator.state_dict()[name])
    assert model.record.resolution == 32
    export(tmp_path / "model", tmp_path / "copy")
    assert Model.load(tmp_path / "copy").record == model.record
    with pytest.raises(ImpastoError, match="exists already"):
        export(tmp_path / "model", tmp_path / "copy")


def test_damaged_models_are_refused_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_model(folder)
    weights, record = folder / "generator.safetensors", folder / "model.json"
    whole, text = weights.read_bytes(), record.read_text()

    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImpastoError, match="cut short or damaged"):
        Model.load(folder)
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ImpastoError, match="not the file that was saved"):
        Model.load(folder)
    for protocol in (2, 5):
        weights.write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
        with pytest.raises(ImpastoError, match="is a pickle"):
            Model.load(folder)
    torch.save({"a": torch.zeros(1)}, weights)
    with pytest.raises(ImpastoError, match="is a pickle"):
        Model.load(folder)
    weights.unlink()
    with pytest.raises(ImpastoError, match="is missing"):
        Model.load(folder)
    weights.write_bytes(whole)

    wider = {**json.loads(text), "generator": {"network": "dcgan", "width": 32}}
    record.write_text(json.dumps(wider))
    with pytest.raises(ImpastoError, match="does not fit the network"):
        Model.load(folder)
    record.write_text("{")
    with pytest.raises(ImpastoError, match="is damaged"):
        Model.load(folder)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"format": 99}, "format: Input should be 1"),
        ({"latent": {"dim": -3}}, "latent.dim: Input should be greater than 0"),
        ({"weights_sha256": None}, "weights_sha256"),
    ]
    for change, reason in changes:
        record.write_text(json.dumps({**json.loads(text), **change}))
        with pytest.raises(ImpastoError, match=f"is damaged .*{reason}"):
            Model.load(folder)


@pytest.mark.parametrize("file", ["generator.safetensors", "model.json"])
def test_a_model_that_git_has_left_pointers_of(tmp_path: Path, file: str) -> None:
    write_model(tmp_path / "model")
    (tmp_path / "model" / file).write_bytes(POINTER)
    with pytest.raises(ImpastoError, match=f"{file} is a Git LFS pointer; .* git lfs pull$"):
        Model.load(tmp_path / "model")


def test_a_models_record_saved_by_an_editor(tmp_path: Path) -> None:
    write_model(tmp_path / "model")
    record = tmp_path / "model" / "model.json"
    whole = Model.load(tmp_path / "model").record
    text = record.read_text(encoding="utf-8").replace("\n", "\r\n")
    for encoding in ("utf-8-sig", "utf-16"):
        record.write_bytes(text.encode(encoding))
        assert Model.load(tmp_path / "model").record == whole


def test_a_file_that_begins_like_a_pickle_may_be_none(tmp_path: Path) -> None:
    # safetensors begin with their header's length; one of 128 bytes looks like a pickle's first.
    for length in range(1, 200):
        content = save({"a" * length: torch.ones(2)})
        if content[:1] == b"\x80":
            (tmp_path / "x.safetensors").write_bytes(content)
            assert list(read_tensors(tmp_path / "x.safetensors")) == ["a" * length]
            return
    pytest.fail("no header of that length was made")


def test_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match="does not exist"):
        find_model(tmp_path / "nothing")
    with pytest.raises(ImpastoError, match="neither a run"):
        find_model(tmp_path)
    (tmp_path / "x.pt").write_bytes(b"x")
    with pytest.raises(ImpastoError, match="is a file"):
        find_model(tmp_path / "x.pt")


def test_pictures_are_named_by_their_seed(tmp_path: Path) -> None:
    sampler = Sampler(worn_generator(), NORMAL)
    names = [seed_name(seed) for seed in (4, 9)]
    save_pictures(sampler.batches([4, 9], batch=1), names, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "seed-00000004.png",
        "seed-00000009.png",
    ]
    with Image.open(tmp_path / "out" / "seed-00000009.png") as picture:
        assert np.array_equal(np.asarray(picture), next(sampler.batches([9]))[0])
    save_grid_of(sampler.batches([4, 9]), tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.size == (64, 32)
    with pytest.raises(ImpastoError, match=r"ends in \.png"):
        save_grid_of(sampler.batches([4]), tmp_path / "grid.jpg")
