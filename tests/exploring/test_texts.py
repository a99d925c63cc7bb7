"""Directions from pairs of texts, with a CLIP of three features in place of open_clip's."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import impasto
from impasto.errors import ImpastoError
from impasto.exploring.finding import Readings, Wanted, find
from impasto.exploring.texts import TextPair, pairs_of, parse_pair
from impasto.features import FeatureNetwork
from impasto.features.clip import text_features
from tests.exploring.models import random_model
from tests.exploring.test_directions import known, mean_colours
from tests.helpers.command_line import invoke

WORDS = ["", "red", "green", "blue", "light"]


class Visual(nn.Module):
    """The mean colour."""

    output_dim = 3

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) * self.scale


class SmallClip(nn.Module):
    """Texts are sums of colours, pictures are their mean colour."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.visual: nn.Module = Visual()
        self.token_embedding = nn.Embedding(words, 3)

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        found: Tensor = self.token_embedding(tokens).sum(1)
        return nn.functional.normalize(found, dim=1) if normalize else found


def tokenizer(texts: list[str]) -> Tensor:
    """Rows of four words, longer ones cut, as open_clip's does."""
    rows = [[WORDS.index(word) for word in text.split()][:4] for text in texts]
    return torch.tensor([row + [0] * (4 - len(row)) for row in rows])


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of the small CLIP's weights; it takes open_clip's place."""
    package: Any = ModuleType("open_clip")
    package.CLIP = SmallClip
    package.get_model_config = lambda name: {"words": len(WORDS)}
    package.get_tokenizer = lambda name: tokenizer
    monkeypatch.setitem(sys.modules, "open_clip", package)
    colours = torch.tensor(
        [[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], dtype=torch.float32
    )
    path = tmp_path / "clip.safetensors"
    save_file({"visual.scale": torch.ones(3), "token_embedding.weight": colours}, path)
    return path


def test_parsing() -> None:
    assert parse_pair("a calm sea|a stormy sea") == (
        "a calm sea to a stormy sea",
        "a calm sea",
        "a stormy sea",
    )
    assert parse_pair(" storm = a calm sea | x=y ") == ("storm", "a calm sea", "x=y")
    for text in ("a calm sea", "a|", "|b", "=a|b", "n=|b", "a|b|c", ""):
        with pytest.raises(ImpastoError, match="--texts takes FROM"):
            parse_pair(text)
    with pytest.raises(ImpastoError, match="the same"):
        parse_pair("n=sea| sea")


def test_a_pair_is_the_normalised_difference_of_texts(weights: Path) -> None:
    pair, named = pairs_of(
        [parse_pair("red red|blue"), parse_pair("dark=light|green")], str(weights)
    )
    assert pair.towards.tolist() == pytest.approx([-(0.5**0.5), 0, 0.5**0.5])
    assert (pair.name, named.name) == ("red red to blue", "dark")
    difference = torch.tensor([0.0, 1, 0]) - torch.ones(3) / 3**0.5
    assert torch.allclose(named.towards, difference / difference.norm())
    # The length of features says nothing, their angle does.
    features = torch.tensor([[0.0, 0, 1], [0, 0, 9], [2, 0, 0], [1, 0, 1]])
    assert pair(features).tolist() == pytest.approx([0.5**0.5, 0.5**0.5, -(0.5**0.5), 0])


def test_the_direction_of_a_generator_that_is_known() -> None:
    """Red follows the first value of the latent, blue the second."""
    device = torch.device("cpu")

    def centred(pixels: Tensor) -> tuple[Tensor, None]:
        return mean_colours(pixels)[0] - 127.5, None

    network = FeatureNetwork("colours", 3, None, "none", "b" * 64, False, device, centred)
    way = torch.tensor([1.0, 0, -1]) / 2**0.5
    pair = TextPair("redder", "read from features", way)
    found = find(known(), Wanted(samples=512, components=0, readings=(Readings(network, [pair]),)))
    place = found.names.index("redder")
    assert float(found.latents[place] @ torch.tensor([1.0, -1, 0, 0])) / 2**0.5 > 0.97
    assert (found.about[place].correlation or 0) > 0.8


def test_the_command(weights: Path, tmp_path: Path) -> None:
    model = random_model(tmp_path / "m", "self-modulated")
    options = ["--samples", 64, "--components", 0, "--weights", f"clip={weights}"]
    texts = ["--texts", "redder=blue|red", "--texts", "green|light green"]
    code, text = invoke("directions", model, *options, *texts, "--device", "cpu")
    assert code == 0, text
    assert "from 'blue' to 'red'; correlation" in text
    assert "green-to-light-green" in text
    found = impasto.directions(
        model,
        tmp_path / "same.safetensors",
        samples=64,
        components=0,
        texts=["redder=blue|red", "green|light green"],
        weights={"clip": weights},
        device="cpu",
    )
    assert {"redder", "green-to-light-green"} <= set(found.names)
    kept = (model / "directions.safetensors").read_bytes()
    assert kept == (tmp_path / "same.safetensors").read_bytes()
    with Image.open(model / "directions.png") as strips:
        assert strips.height == len(found) * 32
    edit = ["sample", model, "--edit", "redder=2", "--seeds", "0-7", "--device", "cpu"]
    code, text = invoke(*edit, "--grid", tmp_path / "red.png")
    assert code == 0, text


def test_what_is_wrong_is_one_line(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = random_model(tmp_path / "m", "self-modulated")
    base = ["directions", model, "--samples", 64, "--components", 0, "--device", "cpu"]
    given = ["--weights", f"clip={weights}"]
    other = tmp_path / "other.safetensors"
    save_file({"visual.scale": torch.ones(3), "text.weight": torch.ones(3)}, other)
    for arguments, message in (
        (["--texts", "red", *given], "--texts takes FROM|TO or NAME=FROM|TO"),
        (["--texts", "red|red", *given], "the two texts are the same"),
        (["--texts", "red|green red blue red red", *given], "is too long for CLIP"),
        (["--texts", "red|blue", "--weights", f"lite0={weights}"], "--weights takes NETWORK=FILE"),
        (["--texts", "red|blue", "--weights", f"clip={tmp_path / 'no'}"], "no weights file"),
        (["--texts", "red|blue", "--weights", f"clip={other}"], "does not hold weights of CLIP"),
        (given, "add them"),
    ):
        code, text = invoke(*base, *arguments)
        assert code == 2, text
        assert message in text
    with pytest.raises(ImpastoError, match="is empty"):
        text_features(["red", " "], weights=str(weights))
    monkeypatch.setitem(sys.modules, "open_clip", None)
    code, text = invoke(*base, "--texts", "red|blue", *given)
    assert code == 2
    assert "pip install 'impasto[vision]'" in text
    assert not (model / "directions.safetensors").exists()
