"""Two feature networks of another family than those of any recipe: a MobileNetV2 and an Inception-v3
that were trained to sort pictures from the web, from the npm package nsfwjs (MIT).

    npm pack nsfwjs@4.3.0

Its weights have 8 bits and its layers are described in TensorFlow.js' layers format, inside scripts.
Nothing is executed: the description is read as text, and torch's functions compute the layers. For
benchmarks only: a network that no compared method has been trained on.
"""

import base64
import functools
import hashlib
import json
import math
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from impasto.errors import ImpastoError
from impasto.features import FeatureNetwork
from impasto.features._layers import bicubic, bicubic_in_words

SHA256 = "4496790efc9bdc6f3e85a826a8e482c1fa1e9db4b3d18c095e98cc0c73cfb12f"
SIDES = {"mobilenet_v2": 224, "inception_v3": 299}
_POOLED = ("GlobalAveragePooling2D", "AveragePooling2D")


def _as_json(script: str) -> Any:
    """The object that a minified script assigns to its `exports`."""
    start = script.index(".exports={") + len(".exports=")
    depth, end = 0, start
    for end in range(start, len(script)):
        depth += {"{": 1, "}": -1}.get(script[end], 0)
        if depth == 0:
            break
    text = script[start : end + 1]
    text = re.sub(r"([{,])([A-Za-z_]\w*):", r'\1"\2":', text)
    text = re.sub(r"([:\[,])(-?)\.(\d)", r"\1\g<2>0.\3", text)
    text = text.replace("!0", "true").replace("!1", "false").replace("void 0", "null")
    return json.loads(text)


def _words(script: str) -> bytes:
    """The bytes of a script with a part of the weights in base64."""
    found = re.search(r'\.exports="([A-Za-z0-9+/=]*)"', script)
    if found is None:
        raise ImpastoError("a part of nsfwjs's weights has no text")
    return base64.b64decode(found[1])


def _read(package: Path, name: str) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The layers of a network, and its weights by name."""
    if not package.is_file():
        raise ImpastoError(f"there is no {package}; get it with npm pack nsfwjs@4.3.0")
    if hashlib.sha256(package.read_bytes()).hexdigest() != SHA256:
        raise ImpastoError(f"{package} is not nsfwjs 4.3.0 (its SHA-256 differs)")
    with tarfile.open(package) as archive:

        def script(file: str) -> str:
            member = archive.extractfile(f"package/dist/models/{name}/{file}")
            assert member is not None
            return member.read().decode()

        description = _as_json(script("model.min.js"))
        (group,) = description["weightsManifest"]
        blob = b"".join(_words(script(f"{Path(path).name}.min.js")) for path in group["paths"])
    weights, place = {}, 0
    for each in group["weights"]:
        count = math.prod(each["shape"])
        scaled = each["quantization"]
        values = np.frombuffer(blob, scaled["dtype"], count, place).astype(np.float32)
        place += count * np.dtype(scaled["dtype"]).itemsize
        values = values * scaled["scale"] + scaled["min"]
        weights[each["name"]] = torch.from_numpy(values.reshape(each["shape"]))
    assert place == len(blob)
    return description["modelTopology"]["model_config"]["config"]["layers"], weights


def _same(maps: Tensor, kernel: tuple[int, int], stride: tuple[int, int], value: float) -> Tensor:
    """TensorFlow's SAME padding: what is left over goes to the right and the bottom."""
    pads: list[int] = []
    for side, size, step in reversed(list(zip(maps.shape[2:], kernel, stride, strict=True))):
        total = max((math.ceil(side / step) - 1) * step + size - side, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(maps, pads, value=value)


class Network:
    """A network of the package: images [B, 3, H, W] in [0, 1] to features [B, D]."""

    def __init__(self, package: Path, name: str) -> None:
        self.layers, self.weights = _read(package, name)

    def _weight(self, layer: str, kind: str) -> Tensor | None:
        return self.weights.get(f"{layer}/{kind}")

    def _convolution(self, layer: dict[str, Any], maps: Tensor) -> Tensor:
        config, name = layer["config"], layer["name"]
        depthwise = layer["class_name"] == "DepthwiseConv2D"
        kernel = self._weight(name, "depthwise_kernel" if depthwise else "kernel")
        assert kernel is not None
        # [h, w, inputs, outputs], or [h, w, channels, 1].
        weight = kernel.permute(2, 3, 0, 1) if depthwise else kernel.permute(3, 2, 0, 1)
        stride = tuple(config["strides"])
        if config["padding"] == "same":
            maps = _same(maps, (weight.shape[2], weight.shape[3]), stride, 0.0)
        groups = len(weight) if depthwise else 1
        maps = F.conv2d(maps, weight, self._weight(name, "bias"), stride, groups=groups)
        return _activated(config.get("activation", "linear"), maps)

    def _layer(self, layer: dict[str, Any], inputs: list[Tensor]) -> Tensor:
        kind, config, name = layer["class_name"], layer["config"], layer["name"]
        maps = inputs[0]
        if kind in ("Conv2D", "DepthwiseConv2D"):
            return self._convolution(layer, maps)
        if kind == "BatchNormalization":
            mean, variance = (
                self.weights[f"{name}/moving_mean"],
                self.weights[f"{name}/moving_variance"],
            )
            gamma, beta = self._weight(name, "gamma"), self._weight(name, "beta")
            return F.batch_norm(maps, mean, variance, gamma, beta, eps=config["epsilon"])
        if kind == "ReLU":
            return maps.clamp(0, config.get("max_value") or math.inf)
        if kind == "Activation":
            return _activated(config["activation"], maps)
        if kind == "ZeroPadding2D":
            (top, bottom), (left, right) = config["padding"]
            return F.pad(maps, (left, right, top, bottom))
        if kind == "Add":
            return torch.stack(inputs).sum(0)
        if kind == "Concatenate":
            return torch.cat(inputs, dim=1)
        if kind == "Dropout":
            return maps
        size, stride = tuple(config["pool_size"]), tuple(config["strides"])
        if kind == "MaxPooling2D":
            if config["padding"] == "same":
                maps = _same(maps, size, stride, -math.inf)
            return F.max_pool2d(maps, size, stride)
        assert kind == "AveragePooling2D"
        if config["padding"] == "valid":
            return F.avg_pool2d(maps, size, stride)
        # Padding does not count in a mean.
        count = F.avg_pool2d(_same(torch.ones_like(maps), size, stride, 0.0), size, stride)
        return F.avg_pool2d(_same(maps, size, stride, 0.0), size, stride) / count

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        found: dict[str, Tensor] = {}
        for layer in self.layers:
            if layer["class_name"] in ("Flatten", "Dense"):
                break  # the classifier
            if layer["class_name"] == "InputLayer":
                found[layer["name"]] = images
                continue
            inputs = [found[node[0]] for node in layer["inbound_nodes"][0]]
            found[layer["name"]] = self._layer(layer, inputs)
            last = found[layer["name"]]
        return last.mean((2, 3))


def _activated(name: str, maps: Tensor) -> Tensor:
    assert name in ("linear", "relu"), name
    return maps.relu() if name == "relu" else maps


@functools.cache
def load(package: Path, name: str) -> FeatureNetwork:
    """One of the networks of the package's file.

    Raises:
        ImpastoError: the file is missing or another.
    """
    network, side = Network(package, name), SIDES[name]

    def extract(pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        return network(bicubic(pixels, side) / 255), None

    width = network(torch.zeros(1, 3, side, side)).shape[1]
    return FeatureNetwork(
        name=name.replace("_", ""),
        width=width,
        classes=None,
        resize=bicubic_in_words(side),
        weights_sha256=SHA256,
        standard=False,
        device=torch.device("cpu"),
        extract=extract,
    )
