"""The autoencoder: against the layers written out by hand, its weights wherever they may come from,
and decoding in tiles."""

import http.server
import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features import _weights
from impasto.files import cache_folder, sha256_of_file
from impasto.networks import autoencoder_of, taesd
from impasto.networks._tiles import in_tiles
from impasto.networks.taesd import CHANNELS, Autoencoder, Half, Variant
from impasto.sampling.records import ModelRecord
from tests.exploring.models import random_model
from tests.helpers.autoencoders import HALVES, random_tensors, write_weights


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def autoencoder(settings: dict[str, Any]) -> Autoencoder:
    return Autoencoder(**{name: value for name, value in settings.items() if name != "network"})


def by_hand(tensors: dict[str, Tensor], layers: list[str], maps: Tensor) -> Tensor:
    """The published layers one after another: `c` a convolution, `s` one of stride 2, `b` a block, `u` a
    doubling, `r` a ReLU, `t` the soft clamp."""
    w = {name: tensor.float() for name, tensor in tensors.items()}

    def convolution(name: str, maps: Tensor, stride: int = 1) -> Tensor:
        return F.conv2d(maps, w[f"{name}.weight"], w.get(f"{name}.bias"), stride, padding=1)

    for place, layer in enumerate(layers):
        if layer in "cs":
            maps = convolution(str(place), maps, 2 if layer == "s" else 1)
        elif layer == "u":
            maps = maps.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif layer == "r":
            maps = maps.clamp(min=0)
        elif layer == "t":
            maps = (maps / 3).tanh() * 3
        else:
            if f"{place}.pool.0.weight" in w:
                wide = F.conv2d(maps, w[f"{place}.pool.0.weight"])
                groups = wide.reshape(len(wide), 4, -1)
                variance = groups.var(dim=2, keepdim=True, unbiased=False)
                groups = (groups - groups.mean(dim=2, keepdim=True)) / (variance + 1e-5).sqrt()
                wide = groups.reshape(wide.shape) * w[f"{place}.pool.1.weight"][:, None, None]
                wide = (wide + w[f"{place}.pool.1.bias"][:, None, None]).clamp(min=0)
                maps = maps + F.conv2d(wide, w[f"{place}.pool.3.weight"])
            inside = maps
            for step in (0, 2, 4):
                inside = convolution(f"{place}.conv.{step}", inside)
                inside = inside if step == 4 else inside.clamp(min=0)
            maps = (maps + inside).clamp(min=0)
    return maps


@pytest.mark.parametrize("variant", ["taesd3", "taef2"])
def test_both_halves_by_hand(variant: Variant, tmp_path: Path) -> None:
    built = autoencoder(write_weights(tmp_path, variant))
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    tensors = {half: random_tensors(variant, half) for half in HALVES}
    expected = by_hand(tensors["encoder"], list("cb" + 3 * "sbbb" + "c"), (images + 1) / 2)
    latents = built.encoder()(images)
    assert latents.shape == (2, CHANNELS[variant], 2, 3)
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-4)
    expected = by_hand(tensors["decoder"], list("tcr" + 3 * "bbbuc" + "bc"), 4 * latents)
    images = built.decoder()(4 * latents)
    assert images.shape == (2, 3, 16, 24)
    torch.testing.assert_close(images, expected.clamp(0, 1) * 2 - 1, atol=1e-5, rtol=1e-4)
    assert images.std() > 0.01


def test_the_published_names_and_sizes() -> None:
    """As in the files of the commit that `taesd.py` names."""
    encoder, decoder = (random_tensors("taef2", half) for half in HALVES)
    assert (len(encoder), len(decoder)) == (79, 79)
    assert sum(tensor.numel() for tensor in encoder.values()) == 1_338_528
    assert sum(tensor.numel() for tensor in decoder.values()) == 1_338_499
    for tensors, name, shape in (
        (encoder, "0.weight", (64, 3, 3, 3)),
        (encoder, "10.weight", (64, 64, 3, 3)),
        (encoder, "13.pool.1.bias", (256,)),
        (encoder, "14.bias", (32,)),
        (decoder, "1.weight", (64, 32, 3, 3)),
        (decoder, "3.pool.3.weight", (64, 256, 1, 1)),
        (decoder, "17.weight", (64, 64, 3, 3)),
        (decoder, "18.conv.4.bias", (64,)),
        (decoder, "19.weight", (3, 64, 3, 3)),
    ):
        assert tuple(tensors[name].shape) == shape
    assert not {"2.bias", "6.bias", "10.bias"} & set(encoder)
    assert not {"7.bias", "12.bias", "17.bias"} & set(decoder)
    plain = random_tensors("taesd", "decoder")
    assert not [name for name in plain if "pool" in name]
    assert plain["1.weight"].shape == (64, 4, 3, 3)


def in_the_form_of_diffusers(variant: Variant) -> dict[str, Tensor]:
    found = {}
    for half in HALVES:
        for name, tensor in random_tensors(variant, half).items():
            place, _, rest = name.partition(".")
            number = int(place) - (half == "decoder")
            found[f"{half}.layers.{number}.{rest}"] = tensor
    return found


def test_every_form_of_the_same_weights_is_the_same(tmp_path: Path) -> None:
    known = autoencoder(write_weights(tmp_path, "taef1")).identified()
    images = torch.rand(1, 3, 16, 16)
    latents = autoencoder(write_weights(tmp_path, "taef1")).encoder()(images)
    both = tmp_path / "diffusion_pytorch_model.safetensors"
    safetensors.torch.save_file(in_the_form_of_diffusers("taef1"), both)
    pickles = {half: tmp_path / f"{half}.pth" for half in HALVES}
    for half, path in pickles.items():
        torch.save(random_tensors("taef1", half), path)
    for files in (dict.fromkeys(HALVES, both), pickles):
        encoder, decoder = str(files["encoder"]), str(files["decoder"])
        built = Autoencoder(variant="taef1", encoder=encoder, decoder=decoder)
        assert {**known, "encoder": encoder, "decoder": decoder} == built.identified()
        assert torch.equal(built.encoder()(images), latents)


def test_its_weights_are_frozen_and_not_in_the_state(tmp_path: Path) -> None:
    built = autoencoder(write_weights(tmp_path))
    for half in (built.encoder(), built.decoder()):
        assert not half.state_dict()
        assert not list(half.parameters())


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server on this machine, for the files of `tmp_path / "served"`."""
    served = tmp_path / "served"
    served.mkdir()
    handler = partial(Files, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_an_address(server: str, tmp_path: Path) -> None:
    known = autoencoder(write_weights(tmp_path / "served")).identified()
    addresses: dict[str, Any] = {half: f"{server}/{half}.safetensors" for half in HALVES}
    found = autoencoder({"variant": "taesd", **addresses}).identified()
    assert found == {name: value for name, value in known.items() if name.endswith("sha256")}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, server: str, tmp_path: Path) -> Path:
    """The folder of a server that has taken the place of the repository."""
    served = tmp_path / "served"
    for half in HALVES:
        torch.save(random_tensors("taef2", half), served / f"taef2_{half}.pth")
        monkeypatch.setitem(
            taesd._SHA256, f"taef2_{half}", sha256_of_file(served / f"taef2_{half}.pth")
        )
    monkeypatch.setattr(taesd, "_URL", server)
    return served


def test_the_published_files_are_fetched_once(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Autoencoder().identified()
    kept = cache_folder() / "weights"
    assert sorted(path.name for path in kept.iterdir()) == [
        "taef2_decoder.pth",
        "taef2_encoder.pth",
    ]
    monkeypatch.setattr(_weights, "_download", None)
    assert Autoencoder().identified() == known
    given = autoencoder(write_weights(tmp_path / "given", "taef2")).identified()
    assert given["decoder_sha256"] == known["decoder_sha256"]


@pytest.mark.parametrize("half", HALVES)
def test_without_the_published_files(
    published: Path, monkeypatch: pytest.MonkeyPatch, half: Half
) -> None:
    for path in published.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    load: Callable[[], Any] = getattr(Autoencoder(), half)
    with pytest.raises(ImpastoError, match="another file than the published one") as caught:
        load()
    words = str(caught.value)
    assert f"no taef2 {half} weights" in words
    assert str(cache_folder() / "weights" / f"taef2_{half}.pth") in words
    assert f"or say where it is with --set autoencoder.{half}=FILE" in words
    assert "\n" not in words
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImpastoError, match="downloads are off"):
        load()


def test_weights_that_are_known_are_found_wherever_they_are(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model names its decoder by its digest: the file may have moved, or hold others by now."""
    settings = write_weights(tmp_path / "mine", "taef2")
    settings |= autoencoder(settings).identified()
    latents = torch.randn(1, 32, 2, 2)
    expected = autoencoder(settings).decoder()(latents)
    write_weights(tmp_path / "mine", "taef2", seed=1)  # others in their place
    (copy,) = (cache_folder() / "weights").glob("taef2_decoder-*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(_weights, "_download", None)
        assert torch.equal(autoencoder(settings).decoder()(latents), expected)
    copy.unlink()
    assert torch.equal(autoencoder(settings).decoder()(latents), expected)  # the published ones
    shutil.rmtree(tmp_path / "mine")
    assert torch.equal(autoencoder(settings).decoder()(latents), expected)


def test_other_weights_than_the_known_ones_are_refused(published: Path, tmp_path: Path) -> None:
    settings = write_weights(tmp_path / "mine", "taef2", seed=7)
    settings |= autoencoder(settings).identified()
    kept = tmp_path / "kept.safetensors"
    shutil.copy(settings["decoder"], kept)
    write_weights(tmp_path / "mine", "taef2", seed=8)
    shutil.rmtree(cache_folder())
    with pytest.raises(ImpastoError, match=r"SHA-256 .* is needed") as caught:
        autoencoder(settings).decoder()
    words = str(caught.value)
    assert "\n" not in words
    assert f"{settings['decoder']} holds other weights" in words
    place = Path(words.rpartition("save its weights as ")[2])
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(kept, place)
    autoencoder(settings).decoder()


def test_a_digest_is_one() -> None:
    for wrong in ("0" * 63, "*" * 64, "../" * 21 + "x", "A" * 64):
        with pytest.raises(ImpastoError, match=r"autoencoder\.decoder_sha256 is no SHA-256"):
            Autoencoder(decoder_sha256=wrong)


@pytest.mark.parametrize("place", ["file", "address"])
def test_a_model_reads_no_place_that_it_names(
    published: Path, server: str, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whatever its weights are: found in the cache they do, and without them one line asks for them.
    Earlier versions kept weights of addresses in the cache by the address only."""
    settings = write_weights(tmp_path / "served" / "mine", "taef2", seed=5)
    if place == "address":
        settings |= {half: f"{server}/mine/{half}.safetensors" for half in HALVES}
    known = {**settings, **autoencoder(settings).identified()}
    record = json.loads((random_model(tmp_path / "model", "dcgan") / "model.json").read_text())
    record["autoencoder"] = known
    (tmp_path / "model" / "model.json").write_text(json.dumps(record))
    found = ModelRecord.of(tmp_path / "model")
    latents = torch.randn(1, 32, 2, 2)
    expected = autoencoder(known).decoder()(latents)
    assert torch.equal(autoencoder_of(found).decoder()(latents), expected)
    kept = cache_folder() / "weights"
    if place == "address":
        for path in kept.glob("taef2_*"):
            path.unlink()
        large = kept / f"{'a' * 12}-of-something-else.pth"
        with large.open("wb") as file:
            file.truncate(2**27)
        read_files: list[Path] = []

        def read(path: Path) -> dict[str, torch.Tensor]:
            read_files.append(path)
            return _weights.read_tensors(path)

        monkeypatch.setattr(taesd, "read_tensors", read)
        for _ in range(2):
            assert torch.equal(autoencoder_of(found).decoder()(latents), expected)
        assert large not in read_files
        assert re.fullmatch(r"taef2_decoder-[0-9a-f]{12}\.safetensors", read_files[-1].name)
        assert len({*read_files}) == len(read_files)  # the second time by its name
    shutil.rmtree(kept)
    asked = []

    def find(given: str, _: object) -> tuple[Path, str]:
        asked.append(given)
        return Path(), ""

    monkeypatch.setattr(taesd, "find_weights", find)
    monkeypatch.setattr(taesd, "read_tensors", lambda _: {})
    with pytest.raises(ImpastoError, match=r"SHA-256 .* is needed.*save its weights as"):
        autoencoder_of(found).decoder()
    assert asked == [f"{server}/taef2_decoder.pth"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no weights file, is damaged"),
        (b"PK\x03\x04 no archive", "is no weights file, is damaged"),
        (None, "does not hold weights of the decoder of taesd: 1.weight is"),
    ],
)
def test_files_of_something_else(tmp_path: Path, content: bytes | None, reason: str) -> None:
    settings = write_weights(tmp_path, "taesd" if content is not None else "taesd3")
    if content is not None:
        Path(settings["decoder"]).write_bytes(content)
    with pytest.raises(ImpastoError, match=reason):
        Autoencoder(variant="taesd", decoder=settings["decoder"]).decoder()
    with pytest.raises(ImpastoError, match=r"there is no weights file .*nowhere\.pth"):
        Autoencoder(variant="taesd", decoder=str(tmp_path / "nowhere.pth")).decoder()


def test_tiles_equal_the_whole_where_the_network_sees_little() -> None:
    """A network that enlarges 2 times and sees 3 positions far, with tiles that overlap by 12."""
    kernel = torch.randn(5, 3, 7, 7)

    def network(maps: Tensor) -> Tensor:
        return F.interpolate(F.conv2d(maps, kernel, padding=3), scale_factor=2).tanh()

    for shape in ((1, 3, 70, 40), (2, 3, 41, 87), (1, 3, 20, 64), (1, 3, 20, 20)):
        maps = torch.randn(shape)
        tiled = in_tiles(network, maps, tile=32, overlap=12, factor=2)
        torch.testing.assert_close(tiled, network(maps), atol=1e-5, rtol=0)


def test_a_large_picture_is_decoded_in_tiles(tmp_path: Path) -> None:
    """Away from the borders of tiles it is nearly that of the whole, though it sees further."""
    settings = write_weights(tmp_path)
    latents = F.interpolate(torch.randn(1, 4, 10, 4), size=(40, 16), mode="bilinear")
    heights: set[int] = set()
    small: Any = autoencoder({**settings, "tile": 256}).decoder()
    small.layers[1].register_forward_hook(lambda _, given, __: heights.add(given[0].shape[2]))
    with torch.inference_mode():
        tiled = small(latents)
        whole = autoencoder({**settings, "tile": 1024}).decoder()(latents)
    assert heights == {32}
    assert tiled.shape == whole.shape == (1, 3, 320, 128)
    assert (tiled - whole).abs().mean() < 0.01 * whole.std()
