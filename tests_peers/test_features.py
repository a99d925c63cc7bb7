"""The same weights and the same pictures in impasto's feature networks and in other projects'.

`pytest -s` prints the differences; they are bounded a little above what was seen on CPUs.
"""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import pytorch_fid.inception
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

import impasto
from impasto.errors import ImpastoError
from impasto.exploring.texts import pairs_of
from impasto.features import FeatureNetwork, clip, dinov2, lite0, load_network
from impasto.features._efficientnet_lite import EfficientNetLite
from impasto.features._inception_v3 import resize
from impasto.features._layers import bicubic
from impasto.features._weights import read_tensors
from tests.helpers.random_inception import random_tensors

MASTERS = Path(impasto.__file__).parent / "masters"


def paintings(height: int, width: int, count: int = 4) -> Tensor:
    """uint8 [count, height, width, 3]."""
    pictures = []
    for path in sorted(MASTERS.glob("*.jpg"))[:count]:
        with Image.open(path) as opened:
            pictures.append(np.asarray(opened.convert("RGB").resize((width, height))))
    return torch.from_numpy(np.stack(pictures))


def channels_first(pixels: Tensor) -> Tensor:
    return pixels.permute(0, 3, 1, 2).contiguous()


def apart(ours: Tensor | None, theirs: Tensor, what: str) -> float:
    """The largest difference, as a share of the largest value."""
    assert ours is not None
    assert ours.shape == theirs.shape
    share = float((ours - theirs).abs().max() / theirs.abs().max())
    spread = float(theirs.std(0).mean() / theirs.abs().mean())
    print(f"{what}: {share:.1e} of the largest value (spread between pictures {spread:.2f})")
    assert spread > 0.005, "all pictures look alike to these weights, so they show nothing"
    return share


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(random_tensors(), path)
    return path


@pytest.fixture(scope="module")
def inception(weights: Path) -> FeatureNetwork:
    return load_network("inception", weights=str(weights))


SIZES = [(32, 32), (64, 64), (96, 128), (299, 299), (512, 400)]


@pytest.mark.parametrize("size", SIZES)
def test_resize_is_torch_fidelitys_to_the_bit(size: tuple[int, int]) -> None:
    pixels = paintings(*size)
    theirs = interpolate_bilinear_2d_like_tensorflow1x(
        channels_first(pixels).float(), size=(299, 299), align_corners=False
    )
    assert torch.equal(channels_first(resize(pixels)), theirs)


@pytest.mark.parametrize("size", SIZES)
def test_inception_is_torch_fidelitys(
    size: tuple[int, int], weights: Path, inception: FeatureNetwork
) -> None:
    pixels = paintings(*size)
    extractor = FeatureExtractorInceptionV3(
        "theirs", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(weights)
    )
    features, logits = extractor(channels_first(pixels))
    seen = inception(pixels)
    assert apart(seen.features, features, f"torch-fidelity, {size}, features") < 1e-5
    assert apart(seen.logits, logits, f"torch-fidelity, {size}, logits") < 1e-5


def test_inception_is_pytorch_fids(
    inception: FeatureNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network is the same function; the way to it is not. pytorch-fid resizes about the centres of
    pixels and puts 0..255 into -1..1, where TensorFlow's file has (x - 128) / 128; so it is given
    what our own preparation makes. How far its own leads away is printed."""
    tensors = random_tensors()
    monkeypatch.setattr(pytorch_fid.inception, "load_state_dict_from_url", lambda *_, **__: tensors)
    network = pytorch_fid.inception.InceptionV3([3], resize_input=False, normalize_input=False)
    network.eval()
    pixels = paintings(64, 64)
    ours = inception(pixels).features
    with torch.inference_mode():
        prepared = (channels_first(resize(pixels)) - 128) / 128
        theirs = network(prepared)[0].flatten(1)
        assert apart(ours, theirs, "pytorch-fid, same preparation, features") < 1e-5
        network.resize_input = network.normalize_input = True
        theirs = network(channels_first(pixels).float() / 255)[0].flatten(1)
        assert apart(ours, theirs, "pytorch-fid, its own preparation, features") > 1e-4


def random_state(network: torch.nn.Module) -> dict[str, Tensor]:
    """Random weights and statistics, on a scale that keeps activations alive."""
    torch.manual_seed(0)
    state = {}
    for name, tensor in network.state_dict().items():
        if tensor.ndim > 1:
            state[name] = torch.randn(tensor.shape) * (2 / tensor[0].numel()) ** 0.5
        elif name.endswith(("running_var", "bn.weight")):
            state[name] = 1 + 0.2 * torch.randn(tensor.shape).clamp(-3, 3)
        elif tensor.is_floating_point():
            state[name] = 0.1 * torch.randn(tensor.shape)
        else:
            state[name] = tensor
    return state


@pytest.mark.parametrize("size", ["lite0", "lite1"])
def test_efficientnet_lite_is_timms(size: str) -> None:
    """Lite0 with its published weights, Lite1 with random ones; names differ, their order does not."""
    ours = EfficientNetLite(size).eval()
    ours.load_state_dict(random_state(ours))
    if size == "lite0":
        published = list(read_tensors(lite0._weights()).values())
        ours.load_state_dict(dict(zip(ours.state_dict(), published, strict=True)))
    theirs = timm.create_model(f"tf_efficientnet_{size}", pretrained=False).eval()
    tensors = ours.state_dict().values()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), tensors, strict=True)))
    pixels = paintings(300, 300)
    images = bicubic(pixels, ours.side) / 127.5 - 1
    with torch.inference_mode():
        features, logits = ours(images)
        maps = theirs.forward_features(images)
        their_features = theirs.forward_head(maps, pre_logits=True)
        their_logits = theirs(images)
    assert apart(features, their_features, f"timm, {size}, features") < 1e-6
    assert apart(logits, their_logits, f"timm, {size}, logits") < 1e-6
    if size == "lite0":
        seen = load_network("lite0")(pixels)
        assert apart(seen.features, their_features, "timm, lite0 folded, features") < 1e-5
        assert apart(seen.logits, their_logits, "timm, lite0 folded, logits") < 1e-5


def normalised(pixels: Tensor, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Tensor:
    images = F.interpolate(
        channels_first(pixels).float(), (224, 224), mode="bicubic", antialias=True
    )
    middle, scale = torch.tensor(mean).view(3, 1, 1), torch.tensor(deviation).view(3, 1, 1)
    return (images.clamp(0, 255) / 255 - middle) / scale


@pytest.mark.parametrize("of_meta", [True, False])
def test_dinov2_is_timms(of_meta: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the small network of the family, at its file's 518 px, which ours takes to 224."""
    monkeypatch.setattr(dinov2, "ARCHITECTURE", "vit_small_patch14_dinov2")
    theirs = timm.create_model(
        "vit_small_patch14_dinov2", img_size=518, dynamic_img_size=True, num_classes=0
    ).eval()
    state = random_state(theirs)
    for name in state:
        if name.endswith(("norm1.weight", "norm2.weight", "norm.weight")):
            state[name] += 1
    theirs.load_state_dict(state)
    if of_meta:  # Meta's file has one tensor more
        state["mask_token"] = torch.zeros(1, state["cls_token"].shape[-1])
    torch.save(state, tmp_path / "dinov2.pth")
    ours = load_network("dinov2", weights=str(tmp_path / "dinov2.pth"))
    pixels = paintings(96, 128)
    with torch.inference_mode():
        features = theirs(normalised(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert apart(ours(pixels).features, features, "timm, DINOv2, features") < 1e-5
    assert (ours.width, ours.classes) == (384, None)
    assert ours.score_name("fd") == "fd-dinov2"


def test_clip_is_open_clips(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = open_clip.create_model(clip.ARCHITECTURE, pretrained=None).eval()
    state = {f"visual.{name}": tensor for name, tensor in theirs.visual.state_dict().items()}
    torch.save({**state, "logit_scale": torch.tensor(1.0)}, tmp_path / "clip.pth")
    ours = load_network("clip", weights=str(tmp_path / "clip.pth"))
    pixels = paintings(96, 128)
    mean, deviation = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    with torch.inference_mode():
        features = theirs.encode_image(normalised(pixels, mean, deviation))
    assert apart(ours(pixels).features, features, "open_clip, CLIP, features") < 1e-5
    assert (ours.width, ours.classes) == (512, None)


def test_pairs_of_texts_are_open_clips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With a small network; the texts go through the real tokenizer."""
    tower = {"layers": 1, "width": 64}
    config = {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {**tower, "image_size": 224, "patch_size": 32},
        "text_cfg": {**tower, "context_length": 77, "vocab_size": 49408, "heads": 2},
    }
    (tmp_path / "small.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path / "small.json")
    monkeypatch.setattr(clip, "ARCHITECTURE", "small")
    torch.manual_seed(0)
    theirs = open_clip.create_model("small", pretrained=None).eval()
    save_file(theirs.state_dict(), tmp_path / "clip.safetensors")
    caplog.clear()
    weights = str(tmp_path / "clip.safetensors")
    (pair,) = pairs_of([("storm", "a calm sea", "a stormy sea")], weights)
    pixels = paintings(96, 128, 8)
    ours = pair(load_network("clip", weights=weights)(pixels).features)
    assert not caplog.messages  # nothing is said of random weights
    mean, deviation = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    tokens = open_clip.get_tokenizer("small")(["a calm sea", "a stormy sea"])
    with torch.inference_mode():
        images = theirs.encode_image(normalised(pixels, mean, deviation), normalize=True)
        calm, storm = theirs.encode_text(tokens, normalize=True)
        similarities = images @ storm - images @ calm
    assert torch.allclose(ours, similarities / (storm - calm).norm(), atol=1e-6)
    assert float(ours.std()) > 1e-3
    with pytest.raises(ImpastoError, match="too long for CLIP, which reads 77 parts"):
        pairs_of([("storm", "a calm sea", "a stormy sea " * 30)], weights)


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_weights_of_something_else(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dinov2, "ARCHITECTURE", "vit_small_patch14_dinov2")
    torch.save({"visual.conv.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(ImpastoError, match=r"other\.pth does not hold weights of"):
        load_network(name, weights=str(tmp_path / "other.pth"))
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ImpastoError, match=r"downloads are off .*; save https://.* as "):
        load_network(name)
