"""Weights files: found, fetched, checked, and never executed; and Inception-v3 from such a file."""

import dataclasses
import hashlib
import http.server
import os
import pickle
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from impasto.errors import ImpastoError
from impasto.features import _weights, inception, load_network
from impasto.features._inception_v3 import InceptionV3, resize
from impasto.features._weights import Published, fill, find_weights, read_tensors
from impasto.files import cache_folder, sha256_of_file
from tests.helpers.random_inception import random_tensors

CONTENT = b"weights, in a manner of speaking" * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path != "/unmeasured.pth":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        body = {"/truncated.pth": CONTENT[:100], "/wrong.pth": CONTENT[::-1]}
        self.wfile.write(body.get(self.path.partition("?")[0], CONTENT))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server on this machine."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def published(url: str, sha256: str | None = SHA256) -> Published:
    return Published("Test", "test.pth", url, sha256, elsewhere=("other-name.pth",))


def left_behind() -> list[str]:
    folder = cache_folder() / "weights"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_downloaded_once(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path, found = find_weights(None, published(f"{server}/test.pth"))
    assert (path, found) == (cache_folder() / "weights" / "test.pth", SHA256)
    assert path.read_bytes() == CONTENT
    monkeypatch.setattr(_weights, "_download", None)
    assert find_weights(None, published(f"{server}/test.pth")) == (path, SHA256)
    assert left_behind() == ["test.pth"]


def test_a_damaged_copy_is_fetched_again(server: str) -> None:
    path = cache_folder() / "weights" / "test.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:50])
    assert find_weights(None, published(f"{server}/test.pth")) == (path, SHA256)


@pytest.mark.parametrize("name", ["test.pth", "other-name.pth"])
def test_what_other_tools_have_fetched_is_taken(tmp_path: Path, name: str) -> None:
    path = tmp_path / "torch" / "hub" / "checkpoints" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    assert find_weights(None, published("http://127.0.0.1:9/test.pth")) == (path, SHA256)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("missing.pth", "answers 404 Not Found"),
        ("truncated.pth", "broke off after 100 of 128,000 bytes"),
        ("wrong.pth", "gave another file than the published one"),
    ],
)
def test_failed_downloads(server: str, file: str, reason: str) -> None:
    url = f"{server}/{file}"
    with pytest.raises(ImpastoError, match=reason) as caught:
        find_weights(None, published(url))
    said = str(caught.value)
    assert "\n" not in said
    for needed in (url, str(cache_folder() / "weights" / "test.pth"), SHA256, "no Test weights"):
        assert needed in said
    assert left_behind() == []


def test_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:9/test.pth"
    with pytest.raises(ImpastoError, match=r"cannot be reached.*; save that file as"):
        find_weights(None, published(nobody))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImpastoError, match="downloads are off"):
        find_weights(None, published(nobody))
    with pytest.raises(ImpastoError, match="downloads are off"):
        find_weights("https://127.0.0.1:9/own.pth", published(nobody))


def test_an_address_of_ones_own(server: str) -> None:
    mine = published("http://127.0.0.1:9/test.pth")
    path, found = find_weights(f"{server}/own.pth", mine)
    assert found == SHA256
    assert path.name.endswith("-own.pth")
    other, found = find_weights(f"{server}/wrong.pth?version=2", mine)
    assert found == hashlib.sha256(CONTENT[::-1]).hexdigest()
    assert other.name.endswith("-wrong.pth")
    unmeasured, found = find_weights(f"{server}/unmeasured.pth", mine)
    assert found == SHA256
    assert left_behind() == sorted([path.name, other.name, unmeasured.name])
    with pytest.raises(ImpastoError, match="broke off"):
        find_weights(f"{server}/truncated.pth", mine)


def test_the_published_address_is_held_to_its_hash(server: str) -> None:
    url = f"{server}/wrong.pth"
    with pytest.raises(ImpastoError, match="another file than the published one"):
        find_weights(url, published(url))
    assert find_weights(url, published(url, sha256=None))[1] != SHA256


def test_a_cache_that_cannot_be_written(server: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(ImpastoError, match=r"cannot write .*weights"):
        find_weights(None, published(f"{server}/test.pth"))


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


def test_code_in_a_pickle_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "code.pth"
    torch.save({"fc.weight": Malicious()}, path)
    with pytest.raises(ImpastoError, match="more than tensors, which is never loaded"):
        read_tensors(path)
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(ImpastoError, match="never loaded"):
        read_tensors(path)
    assert not (tmp_path / "executed").exists()


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.randn(1000)}, path)
    whole = path.read_bytes()
    assert read_tensors(path)["a"].shape == (1000,)
    for content in (b"", whole[:1000], whole[:-1000], b"{}", b"<html>not found</html>", CONTENT):
        path.write_bytes(content)
        with pytest.raises(ImpastoError, match=r"w\.pth .*damaged") as caught:
            read_tensors(path)
        assert "\n" not in str(caught.value)
    for value in ([torch.zeros(1)], {"epoch": 3}, torch.zeros(2)):
        torch.save(value, path)
        with pytest.raises(ImpastoError, match="no named tensors"):
            read_tensors(path)
    safetensors.torch.save_file({"a": torch.ones(3)}, path)
    assert read_tensors(path)["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weight": None}, "no weight is in it"),
        ({"gain": torch.ones(1)}, "gain has no place"),
        ({"weight": torch.ones(2, 3)}, r"weight is \[2, 3\], not \[2, 2\]"),
        ({"bias": torch.tensor([1.0, float("nan")])}, "bias holds values that are not finite"),
    ],
)
def test_tensors_that_do_not_fit(change: dict[str, Tensor | None], reason: str) -> None:
    network = nn.Linear(2, 2)
    given = {"weight": torch.ones(2, 2), "bias": torch.ones(2), **change}
    tensors = {name: tensor for name, tensor in given.items() if tensor is not None}
    with pytest.raises(ImpastoError, match=rf"w\.pth does not hold weights of a line: {reason}"):
        fill(network, tensors, Path("w.pth"), "a line")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file like the published one, of random numbers."""
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(random_tensors(), path)
    return path


def test_inception_from_a_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_network("inception", weights=str(weights))
    assert not network.standard
    assert network.score_name("fd") == "fd-inception"
    assert network.weights_sha256 == sha256_of_file(weights)
    pictures = torch.randint(0, 256, (2, 40, 32, 3), dtype=torch.uint8)
    seen = network(pictures)
    assert seen.features.shape == (2, network.width) == (2, 2048)
    assert seen.logits is not None
    assert seen.logits.shape == (2, network.classes) == (2, 1008)
    assert seen.features.std() > 0.1
    # Unbiased: the last layer without its bias.
    tensors = random_tensors()
    torch.testing.assert_close(
        seen.logits, seen.features @ tensors["fc.weight"].T, rtol=1e-4, atol=1e-4
    )

    known = dataclasses.replace(inception.PUBLISHED, sha256=network.weights_sha256)
    monkeypatch.setattr(inception, "PUBLISHED", known)
    standard = load_network("inception", weights=str(weights))
    assert standard.standard
    assert standard.score_name("fd") == "fid"
    assert standard.identity == network.identity


def test_inception_folded_is_inception(weights: Path) -> None:
    plain = InceptionV3().eval()
    plain.load_state_dict(read_tensors(weights), strict=False)
    pictures = torch.randint(0, 256, (1, 299, 299, 3), dtype=torch.uint8)
    with torch.inference_mode():
        features, logits = plain(((pictures.float() - 128) / 128).permute(0, 3, 1, 2))
    seen = load_network("inception", weights=str(weights))(pictures)
    torch.testing.assert_close(seen.features, features, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(seen.logits, logits, rtol=1e-4, atol=1e-4)


def test_inception_needs_its_own_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.ones(1)}, path)
    with pytest.raises(ImpastoError, match="does not hold weights of the Inception-v3 of FID"):
        load_network("inception", weights=str(path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImpastoError, match=inception.PUBLISHED.sha256):
        load_network("inception")


def test_resize_is_that_of_tensorflow_1() -> None:
    # By hand: places 0, 2/3, 4/3 between pixels 0 and 30; after the last, it is repeated.
    row = torch.tensor([0, 30], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 2, 2, 3)
    shown = resize(row, 3)
    assert shown.shape == (1, 3, 3, 3)
    torch.testing.assert_close(shown[0, 0, :, 0], torch.tensor([0.0, 20.0, 30.0]))
    # Shrinking takes pixels and averages none.
    column = torch.tensor([0, 10, 50, 90], dtype=torch.uint8).view(1, 4, 1, 1).expand(1, 4, 4, 3)
    assert resize(column, 2)[0, :, 0, 0].tolist() == [0, 50]


class Mean(nn.Module):
    """A stand-in for a vision transformer: linear features of the mean colour."""

    output_dim = num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.mean((2, 3)))


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("clip", (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ("dinov2", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_networks_of_other_packages_see_standardised_pixels(
    name: str,
    mean: tuple[float, ...],
    deviation: tuple[float, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """tests_peers compare them with the packages themselves."""
    whole = SimpleNamespace(
        get_model_config=lambda _: {}, CLIP=lambda: SimpleNamespace(visual=Mean())
    )
    monkeypatch.setitem(sys.modules, "open_clip", whole)
    transformer = SimpleNamespace(checkpoint_filter_fn=lambda tensors, _: tensors)
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=lambda *_, **__: Mean()))
    monkeypatch.setitem(sys.modules, "timm.models", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "timm.models.vision_transformer", transformer)
    weight, bias = torch.randn(4, 3), torch.randn(4)
    prefix = "visual." if name == "clip" else ""
    tensors = {f"{prefix}head.weight": weight, f"{prefix}head.bias": bias}
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(tensors, file)
    network = load_network(name, weights=str(file))
    assert (network.name, network.width, network.weights_sha256) == (name, 4, sha256_of_file(file))
    pixels = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8)
    colours = (pixels.numpy() / 255.0).mean((1, 2))
    expected = ((colours - mean) / deviation) @ weight.numpy().T + bias.numpy()
    torch.testing.assert_close(network(pixels).features, torch.tensor(expected).float())


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_the_extra_is_named_where_it_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("timm", "open_clip"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImpastoError, match=r"pip install 'impasto\[vision\]'"):
        load_network(name)
