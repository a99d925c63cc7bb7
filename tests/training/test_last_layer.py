"""A generator that starts from a model of fewer pixels paints its pictures, enlarged."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from impasto.collection import Collection
from impasto.sampling.class_choice import labels_of_seeds
from impasto.sampling.model import ModelRecord
from impasto.sampling.seeds import latents_of_seeds
from impasto.settings import change
from impasto.training.pretrained import PretrainedModel
from impasto.training.session import Session
from impasto.training.transfer import Transfer, begin
from tests.helpers.training import session
from tests.training.test_transfer import FASTGAN, R3GAN, tiny_r3gan

FLAGSHIP = {
    **FASTGAN,
    "generator.width": 4,
    "generator.big": False,
    "generator.pixel_shuffle": True,
    "generator.self_modulation": True,
}
SEEDS = range(1_000, 1_064)
"""Others than those that it is fitted to."""
FITTED = "to_rgb fitted to that model's pictures, enlarged"

pytestmark = pytest.mark.usefixtures("told")


def model_of(settings: dict[str, Any], collection: Collection) -> tuple[PretrainedModel, nn.Module]:
    """A model of 16 pixels whose pictures have large areas of strong colours, and its generator."""
    made = session(change(tiny_r3gan(labels=["style"]), settings), collection)
    generator, record = made.state.generator, made.model_record()
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weights in generator.named_parameters():
            if weights.ndim > 1 and "norm." not in name:
                weights.normal_(0.0, 0.1)
            if name.startswith("to_rgb") and len(weights) == 12:  # Neighbouring pixels are alike.
                weights.copy_(weights[::4].repeat_interleave(4, 0) + 0.1 * weights)
        generator.train()
        for _ in range(20):  # running statistics
            generator(*inputs(record))
    state = {name: value.clone() for name, value in generator.state_dict().items()}
    return PretrainedModel("smaller", record, state, None), generator.eval()


def inputs(record: ModelRecord) -> tuple[Tensor, Tensor]:
    return latents_of_seeds(SEEDS, record.latent), labels_of_seeds(SEEDS, record)


def grown(
    model: PretrainedModel, settings: dict[str, Any], collection: Collection
) -> tuple[Session, Transfer]:
    """A session of 32 pixels that has started from the model."""
    config = change(tiny_r3gan(labels=["style"]), {**settings, "resolution": 32})
    made = session(config, collection)
    return made, begin(made.state, model, made.model_record())


def correlation(one: Tensor, other: Tensor) -> float:
    """Mean over pictures."""
    pairs = zip(one.flatten(1), other.flatten(1), strict=True)
    return float(torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]).mean())


@pytest.mark.parametrize("settings", [FLAGSHIP, {**FLAGSHIP, "generator.pixel_shuffle": False}])
def test_the_first_pictures_are_the_smaller_ones_enlarged(
    settings: dict[str, Any], labelled: Collection
) -> None:
    model, generator = model_of(settings, labelled)
    larger, taken = grown(model, settings, labelled)
    with torch.no_grad():
        before = F.interpolate(generator(*inputs(model.record)), scale_factor=2, mode="bilinear")
        after = larger.state.average.eval()(*inputs(model.record))
    assert correlation(before, after) > 0.75
    assert correlation(before, after[torch.arange(len(after)) - 1]) < 0.5  # each seed's own
    assert FITTED in taken.notes


def test_where_new_layers_do_nothing_the_last_one_is_as_it_was(labelled: Collection) -> None:
    # R3GAN's new blocks are the identity, and its maps are doubled as the pictures are here.
    model, _ = model_of({**R3GAN, "generator.full_width_upto": 32}, labelled)
    larger, taken = grown(model, {**R3GAN, "generator.full_width_upto": 32}, labelled)
    expected = model.generator["to_rgb.16.weight"]
    found = larger.state.generator.state_dict()["to_rgb.32.weight"]
    assert FITTED in taken.notes
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.05 * float(expected.std()))


def test_only_what_is_new_is_changed(labelled: Collection) -> None:
    model, _ = model_of(FLAGSHIP, labelled)
    larger, taken = grown(model, FLAGSHIP, labelled)
    state = larger.state.generator.state_dict()
    kept = [name for name in model.generator if name in state and not name.startswith("to_rgb")]
    assert len(kept) == len(model.generator) - 1
    assert all(torch.equal(state[name], model.generator[name]) for name in kept)
    assert "to_rgb.32" in taken.generator.new
    assert larger.state.generator.training
    assert all(module.training for module in larger.state.generator.modules())
    norm = larger.state.generator.get_submodule("blocks.16.first.norm")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.momentum == 0.1
    again, _ = grown(model, FLAGSHIP, labelled)
    assert all(torch.equal(state[n], v) for n, v in again.state.generator.state_dict().items())


def test_spectral_norm_and_other_shapes_begin_afresh(labelled: Collection) -> None:
    normed = {**FLAGSHIP, "generator.spectral_norm": True}
    model, _ = model_of(normed, labelled)
    _, taken = grown(model, normed, labelled)
    assert FITTED not in taken.notes
    model, _ = model_of(FLAGSHIP, labelled)
    _, taken = grown(model, {**FLAGSHIP, "generator.embedding": 8}, labelled)
    assert FITTED in taken.notes
    _, taken = grown(model, {**FLAGSHIP, "generator.pixel_shuffle": False}, labelled)
    assert FITTED not in taken.notes
