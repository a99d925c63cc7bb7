"""Small autoencoders of pictures, for generators that make latents (`autoencoder` in a config).

TAESD by Ollin Boer Bohan (github.com/madebyollin/taesd, MIT licence): 1.2 to 1.3 million weights a
half. Each variant imitates the autoencoder of a latent diffusion model:

| variant | imitates that of | channels |
|---|---|---|
| `taesd` | Stable Diffusion 1 and 2 | 4 |
| `taesdxl` | Stable Diffusion XL | 4 |
| `taesd3` | Stable Diffusion 3 | 16 |
| `taef1` | FLUX.1 | 16 |
| `taef2` | FLUX.2 | 32 |

A latent has an eighth of the picture's side. The layers are 3x3 convolutions of 64 channels in blocks
of three. In `taef2`, the blocks of the lowest level also normalise over the whole picture.

The weights are not part of impasto, of checkpoints or of models. They come from a file or an address of
the config, from where they are copied into the cache; from the cache; or from their author's repository.
A run and its model keep the SHA-256 of the weights' values, which is the same for a .pth and a
safetensors file of the same weights. No place that a model names is read: it may come from anybody.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from impasto.config import Count, Positive
from impasto.errors import ImpastoError
from impasto.features._layers import hold
from impasto.features._weights import Published, fill, find_weights, read_tensors
from impasto.files import cache_folder, write_bytes
from impasto.networks._tiles import in_tiles

Variant = Literal["taesd", "taesdxl", "taesd3", "taef1", "taef2"]
Half = Literal["encoder", "decoder"]

CHANNELS: dict[Variant, int] = {"taesd": 4, "taesdxl": 4, "taesd3": 16, "taef1": 16, "taef2": 32}
REDUCTION = 8
_WIDTH = 64
_NORMALISING = ("taef2",)
_MOST_BYTES = 2**26  # of a file with one half or both, which are 5 MB each
_OVERLAP = 16  # of tiles, in positions of a latent

_COMMIT = "5cccb12dc72074a4be35680c3b108548a7c69978"
_URL = f"https://github.com/madebyollin/taesd/raw/{_COMMIT}"
# The commit determines the other files too; of these two the digests are known.
_SHA256 = {
    "taef2_encoder": "10a4e1021e89d7551eaf161352da8dbd0b1aa83872ae28b150c1df1ce2f147b6",
    "taef2_decoder": "0a44a31e1ae59eb9dbf9359d24942fd3ef5928162c1800d97a28c61d51be0ab5",
}


def _portions(maps: Tensor, pixels: int) -> tuple[Tensor, ...]:
    """Maps in batches that pass a half at a time: on a CPU one picture of 256 pixels, which is a fifth
    faster than four. In an exported graph (ONNX), whose batch size is free, all at once.

    Args:
        maps: [B, C, h, w], pictures or latents.
        pixels: of each.
    """
    if torch.compiler.is_exporting():
        return (maps,)
    most = 2**16 if maps.device.type == "cpu" else 2**22
    return maps.split(max(1, most // pixels))


def _convolution(inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)


class _SoftClamp(nn.Module):
    """Values softly limited to -3..3."""

    def forward(self, maps: Tensor) -> Tensor:
        return 3 * torch.tanh(maps / 3)


class _Block(nn.Module):
    """Residual block of three convolutions, after a branch with group normalisation if it has one."""

    def __init__(self, normalising: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(_WIDTH, _WIDTH)]
        for _ in range(2):
            layers += [nn.ReLU(), _convolution(_WIDTH, _WIDTH)]
        self.conv = nn.Sequential(*layers)
        self.pool = None
        if normalising:
            self.pool = nn.Sequential(
                nn.Conv2d(_WIDTH, 4 * _WIDTH, 1, bias=False),
                nn.GroupNorm(4, 4 * _WIDTH),
                nn.ReLU(),
                nn.Conv2d(4 * _WIDTH, _WIDTH, 1, bias=False),
            )

    def forward(self, maps: Tensor) -> Tensor:
        if self.pool is not None:
            maps = maps + self.pool(maps)
        return torch.relu(maps + self.conv(maps))


# The order of the layers gives the names of the published weights.


def _encoder_layers(channels: int, normalising: bool) -> nn.Sequential:
    layers: list[nn.Module] = [_convolution(3, _WIDTH), _Block(False)]
    for level in (1, 2, 3):
        layers.append(_convolution(_WIDTH, _WIDTH, stride=2, bias=False))
        layers += [_Block(normalising and level == 3) for _ in range(3)]
    return nn.Sequential(*layers, _convolution(_WIDTH, channels))


def _decoder_layers(channels: int, normalising: bool) -> nn.Sequential:
    layers: list[nn.Module] = [_SoftClamp(), _convolution(channels, _WIDTH), nn.ReLU()]
    for level in (3, 2, 1):
        layers += [_Block(normalising and level == 3) for _ in range(3)]
        layers += [nn.Upsample(scale_factor=2), _convolution(_WIDTH, _WIDTH, bias=False)]
    return nn.Sequential(*layers, _Block(False), _convolution(_WIDTH, 3))


class Encoder(nn.Module):
    """Pictures [B, 3, H, W] in [-1, 1] to latents [B, C, H/8, W/8], of a deviation of about 1."""

    def __init__(self, channels: int, normalising: bool) -> None:
        super().__init__()
        self.layers = _encoder_layers(channels, normalising)

    def forward(self, images: Tensor) -> Tensor:
        parts = _portions(images, images.shape[2] * images.shape[3])
        return torch.cat([self.layers((part + 1) / 2) for part in parts])


class Decoder(nn.Module):
    """Latents [B, C, h, w] to pictures [B, 3, 8 h, 8 w] in [-1, 1].

    Args:
        channels: C.
        normalising: whether the blocks of the lowest level normalise.
        tile: see `Autoencoder`.
    """

    def __init__(self, channels: int, normalising: bool, tile: int) -> None:
        super().__init__()
        self.layers = _decoder_layers(channels, normalising)
        self.tile = max(2 * _OVERLAP, tile // REDUCTION)

    def forward(self, latents: Tensor) -> Tensor:
        side = min(self.tile, max(latents.shape[2:])) * REDUCTION
        images = torch.cat(
            [
                in_tiles(self.layers, part, tile=self.tile, overlap=_OVERLAP, factor=REDUCTION)
                for part in _portions(latents, side**2)
            ]
        )
        return images.clamp(0, 1) * 2 - 1


def _own_names(tensors: Mapping[str, Tensor], half: Half) -> dict[str, Tensor]:
    """The tensors of one half by the published names, also of a file in the form of the package
    diffusers. That holds both halves, and its decoder has no layer for the soft clamp."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        theirs = re.fullmatch(rf"{half}\.layers\.(\d+)\.(.+)", name)
        if theirs:
            found[f"{int(theirs[1]) + (half == 'decoder')}.{theirs[2]}"] = tensor
    return found or dict(tensors)


def _digest(network: nn.Module) -> str:
    """SHA-256 of the names and the float32 values of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.float().contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()


class Autoencoder:
    """The settings of an autoencoder. Weights are read only where a half is asked for.

    Args:
        variant: see above.
        encoder: a file with the encoder's weights (safetensors or .pth), or an http(s) address of one;
            null: the published file, from the cache or downloaded.
        decoder: the same for the decoder. Either file may hold both halves, as on the Hugging Face hub.
        encoder_sha256: SHA-256 of the encoder's weights; null: set when a run begins.
        decoder_sha256: the same of the decoder.
        scale: factor from the encoder's values to those that a generator learns; null: measured when a
            run begins, so that their standard deviation is 0.5, as that of pictures in [-1, 1] is.
        tile: larger pictures are decoded in overlapping tiles of this side in pixels, at least 256.
    """

    reduction = REDUCTION

    def __init__(
        self,
        *,
        variant: Variant = "taef2",
        encoder: str | None = None,
        decoder: str | None = None,
        encoder_sha256: str | None = None,
        decoder_sha256: str | None = None,
        scale: Positive | None = None,
        tile: Count = 512,
    ) -> None:
        self.variant = variant
        self.channels = CHANNELS[variant]
        self.scale = scale
        self.tile = tile
        self._given = {"encoder": encoder, "decoder": decoder}
        self._expected = {"encoder": encoder_sha256, "decoder": decoder_sha256}
        for half, digest in self._expected.items():
            if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
                raise ImpastoError(f"autoencoder.{half}_sha256 is no SHA-256: '{digest}'")

    def encoder(self) -> nn.Module:
        """The encoder, frozen; its weights are not in the state dict.

        Raises:
            ImpastoError: there are no such weights.
        """
        return self._loaded("encoder")[0]

    def decoder(self) -> nn.Module:
        """The decoder, in the same way."""
        return self._loaded("decoder")[0]

    def identified(self) -> dict[str, str]:
        """The settings that determine the weights, with absolute paths.

        Raises:
            ImpastoError: there are no such weights.
        """
        found: dict[str, str] = {}
        halves: tuple[Half, Half] = ("encoder", "decoder")
        for half in halves:
            given = self._given[half]
            if given is not None and "://" not in given:
                found[half] = str(Path(given).expanduser().absolute())
            found[f"{half}_sha256"] = self._loaded(half)[1]
        return found

    def _place(self, half: Half, digest: str) -> Path:
        """The path in the cache of weights with this SHA-256."""
        return cache_folder() / "weights" / f"{self.variant}_{half}-{digest[:12]}.safetensors"

    def _kept(self, half: Half, digest: str) -> list[Path]:
        """The files in the cache that may hold these weights: those named by their digest, or else
        those from addresses, which earlier versions kept by the address only. Of these, files that
        are too large for a half are passed over unread; one that is read gets its digest's name."""
        place = self._place(half, digest)
        named = sorted(place.parent.glob(f"{place.stem}.*"))
        by_address = sorted(place.parent.glob(f"{'[0-9a-f]' * 12}-*"))
        return named + [path for path in by_address if path.stat().st_size <= _MOST_BYTES]

    def _loaded(self, half: Half) -> tuple[nn.Module, str]:
        """One half, and the SHA-256 of its weights."""
        network = self._built(half)
        if torch.get_default_device().type == "meta":
            return hold(network, persistent=False), ""
        expected = self._expected[half]
        found = self._fill(network, half) if expected is None else self._search(network, half)
        return hold(network.eval(), persistent=False), found

    def _built(self, half: Half) -> Encoder | Decoder:
        normalising = self.variant in _NORMALISING
        if half == "encoder":
            return Encoder(self.channels, normalising)
        return Decoder(self.channels, normalising, self.tile)

    def _fill(self, network: Encoder | Decoder, half: Half, given: str | None = None) -> str:
        """Load the weights of `given`, or else of the setting; gives their SHA-256. A file from
        elsewhere is copied into the cache, where models find it.
        """
        path, _ = find_weights(given or self._given[half], self._published(half))
        tensors = _own_names(read_tensors(path), half)
        fill(network.layers, tensors, path, f"the {half} of {self.variant}")
        digest = _digest(network.layers)
        place = self._place(half, digest)
        published = path == place.parent / self._published(half).file
        other = not published or self._given[half] is not None
        if other and not any(place.parent.glob(f"{place.stem}.*")):
            write_bytes(place.with_suffix(path.suffix or ".pth"), path.read_bytes())
        return digest

    def _search(self, network: Encoder | Decoder, half: Half) -> str:
        """Load the weights of the SHA-256 that is expected, wherever they are."""
        expected, given = self._expected[half], self._given[half]
        assert expected is not None
        places = [] if given is None else [given]
        places += [str(path) for path in self._kept(half, expected)]
        wrong = []
        for place in [*places, self._published(half).url]:
            try:
                found = self._fill(network, half, place)
            except ImpastoError as error:
                wrong.append(str(error))
                continue
            if found == expected:
                return found
            wrong.append(f"{place} holds other weights (SHA-256 {found[:12]}...)")
        raise ImpastoError(
            f"the {half} of {self.variant} with the SHA-256 {expected[:12]}... is needed: "
            f"{'; '.join(wrong)}; save its weights as {self._place(half, expected)}"
        )

    def _published(self, half: Half) -> Published:
        name = f"{self.variant}_{half}"
        return Published(
            what=f"{self.variant} {half}",
            file=f"{name}.pth",
            url=f"{_URL}/{name}.pth",
            sha256=_SHA256.get(name),
            option=f"--set autoencoder.{half}=FILE",
        )
