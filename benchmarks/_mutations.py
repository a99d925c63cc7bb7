"""Damaged and hostile files of models: small originals, and one mutation of them for each number."""

import copy
import hashlib
import json
import math
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from torch import nn

from impasto.config import LatentConfig, NetworkConfig
from impasto.exporting.onnx_file import export_onnx
from impasto.networks import generator_of
from impasto.sampling import Model
from impasto.sampling.model import MODEL_FILE, WEIGHTS_FILE
from impasto.sampling.painter import Painter
from impasto.sampling.point_text import TEXT_KEY
from impasto.sampling.records import CollectionRecord, LabelRecord, ModelRecord

ESCAPES = "\x1b]0;owned\x07\x1b[2J\r\n<script>alert(1)</script> [x](javascript:y) \u202e\x9b31m"
"""What a terminal, a page or Markdown would act on."""
_STYLES = ("Cubism", "Rococo", "Ukiyo-e")
_NETWORKS: dict[str, dict[str, Any]] = {
    "fastgan": {
        "network": "fastgan",
        "width": 4,
        "embedding": 6,
        "self_modulation": True,
        "spectral_norm": False,
    },
    "dcgan": {"network": "dcgan", "width": 4},
    "flow": {"network": "flow", "patch": 4, "steps": 2, "blocks": 1},
    "stacked": {
        "network": "stacked",
        "base": {"network": "artgan", "width": 4},
        "base_resolution": 16,
        "width": 8,
    },
    "r3gan": {"network": "r3gan", "width": 16, "blocks": 1, "embedding": 4},
}
_RAW = {
    "\0infinite": "1e999",
    "\0nan": "NaN",
    "\0digits": "7" * 5000,
    "\0deep": "[" * 3000 + "]" * 3000,
}
"""Texts that stand for JSON that Python would not write."""
_NASTY: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        -1,
        0,
        1,
        2,
        7,
        1.5,
        -0.0,
        1e308,
        5e-324,
        2**16,
        2**31,
        2**53,
        2**63,
        10**30,
    ),
    *("", "x", "a\nb", ESCAPES, "../../../etc/passwd", "/dev/zero", "\ud800", "x" * 100_000),
    *([], {}, [[]], [None], {"network": "flow"}, {"network": "stacked"}, [0] * 50_000, {"": {}}),
    *_RAW,
)


@dataclass(frozen=True)
class Case:
    """One mutation: what was done, and the arguments of impasto that read it."""

    what: str
    arguments: list[str]
    out: Path
    """Where its pictures go."""


@dataclass
class Originals:
    """The models that are mutated, and files that belong to them."""

    folder: Path
    models: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def kept(cls, folder: Path) -> "Originals":
        """Those in a folder, which are made if it does not exist."""
        if not folder.exists():
            made = cls.make(folder)
            made.export("fastgan", "flow")
            return made
        return cls(folder, {path.name: path for path in folder.iterdir() if path.is_dir()})

    @classmethod
    def make(cls, folder: Path, names: tuple[str, ...] = tuple(_NETWORKS)) -> "Originals":
        """Models of random weights in `folder`, with points."""
        made = cls(folder)
        for name in names:
            made.models[name] = made._model(name)
        return made

    def _model(self, name: str) -> Path:
        fields = () if name == "dcgan" else (LabelRecord(name="style", classes=_STYLES),)
        record = ModelRecord(
            recipe=name,
            resolution=32,
            latent=LatentConfig(dim=3 * 32 * 32 if name == "flow" else 16),
            generator=NetworkConfig.model_validate(_NETWORKS[name]),
            discriminator=None,
            labels=fields,
            label_rows=((0,), (1,), (2,)) if fields else ((),),
            label_counts=(3, 2, 1) if fields else (1,),
            collection=CollectionRecord(
                name="originals",
                hash="0" * 64,
                count=6,
                sources=2,
                fit="crop",
                licences={"public domain": 2},
                artists={"Nobody": 2},
            ),
            parameters=1,
            images_seen=1,
        )
        torch.manual_seed(0)
        generator = generator_of(record, record.label_sizes)
        for parameter in generator.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, 0.0, 0.1)
        folder = self.folder / name
        folder.mkdir(parents=True)
        Model.write(folder, generator.state_dict(), record)
        model = Model.load(folder)
        painter = Painter.of(model)
        points = painter.points([1, 2], painter.labels([1, 2], {}))
        points.save(self.folder / f"{name}.safetensors")
        info = PngInfo()
        info.add_text(TEXT_KEY, points.changed(origins=points.origins).text(0), zip=True)
        Image.fromarray(model.sample([1])[0]).save(self.folder / f"{name}.png", pnginfo=info)
        return folder

    def export(self, *names: str) -> None:
        """Write these models as ONNX files, too."""
        for name in names:
            export_onnx(Model.load(self.models[name]), self.folder / f"{name}.onnx")


def _nasty(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(_NASTY))


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths to all values of a tree of JSON, the root left out."""
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated_tree(tree: Any, chance: random.Random, times: int = 1) -> Any:
    """A copy of a tree of JSON with values replaced, removed, added, doubled or made larger."""
    tree = copy.deepcopy(tree)
    for _ in range(times):
        found = list(places(tree))
        if not found:
            return _nasty(chance)
        path = chance.choice(found)
        node = tree
        for key in path[:-1]:
            node = node[key]
        old = node[path[-1]]
        act = chance.choice(("replace", "replace", "remove", "add", "scale", "scale", "swap"))
        if act == "remove":
            del node[path[-1]]
        elif act == "add" and isinstance(node, dict):
            node[chance.choice(("new", ESCAPES, "steps", "width", "network", "x" * 9999))] = _nasty(
                chance
            )
        elif act == "add":
            node[:] = node * chance.choice((2, 1000))
        elif act == "scale" and isinstance(old, int) and not isinstance(old, bool):
            node[path[-1]] = chance.choice((2 * old, -old, old + 1, 64 * old, 10**6 * old, old - 1))
        elif act == "swap":
            other = tree
            for key in chance.choice(found):
                if not isinstance(other, dict | list) or (
                    isinstance(other, list) and not isinstance(key, int)
                ):
                    break
                try:
                    other = other[key]
                except (KeyError, IndexError):
                    break
            node[path[-1]] = copy.deepcopy(other)
        else:
            node[path[-1]] = _nasty(chance)
    return tree


def as_json(tree: Any) -> bytes:
    """A tree as JSON, with what stands for other JSON in its place."""
    text = json.dumps(tree)
    for name, raw in _RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text.encode()


def mutated_bytes(content: bytes, chance: random.Random, within: int | None = None) -> bytes:
    """Bytes with some flipped, removed, inserted or repeated, among the first `within`."""
    data = bytearray(content)
    act = chance.choice(("flip", "flip", "flip", "cut", "insert", "remove", "repeat", "zero"))
    end = min(within or len(data), len(data))
    at = chance.randrange(max(1, end))
    size = chance.choice((1, 2, 8, 100))
    if act == "flip":
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            data[chance.randrange(end)] ^= 1 << chance.randrange(8)
    elif act == "cut":
        del data[at:]
    elif act == "insert":
        data[at:at] = chance.randbytes(size)
    elif act == "remove":
        del data[at : at + size]
    elif act == "repeat":
        data[at:at] = data[at : at + size] * chance.choice((1, 1000))
    else:
        data[at : at + size] = bytes(size)
    return bytes(data)


def _header(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The header of a safetensors file, and what follows it."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def _with_header(header: Any, data: bytes) -> bytes:
    text = as_json(header)
    return struct.pack("<Q", len(text)) + text + data


def _mutated_safetensors(content: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return mutated_bytes(content, chance)
    header, data = _header(content)
    if chance.random() < 0.3:
        return mutated_bytes(content, chance, within=len(content) - len(data))
    return _with_header(mutated_tree(header, chance, chance.choice((1, 1, 3))), data)


def _sign(folder: Path) -> None:
    """Name the weights file's SHA-256 in model.json, as whoever made it on purpose would."""
    record = json.loads((folder / MODEL_FILE).read_bytes())
    content = (folder / WEIGHTS_FILE).read_bytes()
    record["weights_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / MODEL_FILE).write_bytes(as_json(record))


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def _mutate_record(folder: Path, chance: random.Random) -> str:
    times = chance.choice((1, 1, 1, 2, 4))
    tree = mutated_tree(json.loads((folder / MODEL_FILE).read_bytes()), chance, times)
    (folder / MODEL_FILE).write_bytes(as_json(tree))
    return f"{times} values of model.json"


def _mutate_network(folder: Path, chance: random.Random) -> str:
    """Change settings of the generator, the latent and the resolution only."""
    record = json.loads((folder / MODEL_FILE).read_bytes())
    part = {name: record[name] for name in ("generator", "latent", "resolution")}
    record |= mutated_tree(part, chance, chance.choice((1, 2)))
    if chance.random() < 0.2 and isinstance(record["resolution"], int):
        record["latent"] = {"dim": 3 * record["resolution"] ** 2}
    (folder / MODEL_FILE).write_bytes(as_json(record))
    return "settings of the network"


def _mutate_record_bytes(folder: Path, chance: random.Random) -> str:
    _rewrite(folder / MODEL_FILE, lambda content: mutated_bytes(content, chance))
    return "bytes of model.json"


def _mutate_weights(folder: Path, chance: random.Random) -> str:
    _rewrite(folder / WEIGHTS_FILE, lambda content: _mutated_safetensors(content, chance))
    signed = chance.random() < 0.6
    if signed:
        _sign(folder)
    return f"the weights file{', signed' * signed}"


def _flood(folder: Path, chance: random.Random) -> str:
    """Millions of wrong values, in a file of some megabytes."""
    record = json.loads((folder / MODEL_FILE).read_bytes())
    count, what = (
        chance.choice((10**5, 10**6)),
        chance.choice(("rows", "counts", "classes", "keys", "names")),
    )
    if what == "rows":
        record["label_rows"] = [["a"]] * count
    elif what == "counts":
        record["label_counts"] = ["a"] * count
    elif what == "classes":
        record["labels"] = [{"name": "style", "classes": [0] * count}]
    elif what == "keys":
        record |= {f"k{number}": 0 for number in range(count)}
    else:
        record["collection"]["licences"] = {str(number): "a" for number in range(count)}
    (folder / MODEL_FILE).write_bytes(as_json(record))
    return f"{count:,} wrong {what}"


def _replace(path: Path, chance: random.Random, other: Path) -> str:
    """Put something else in a file's place."""
    content = path.read_bytes()
    path.unlink()
    act = chance.choice(
        (
            "nothing",
            "folder",
            "pipe",
            "loop",
            "zeros",
            "link",
            "other",
            "empty",
            "sparse",
            "longer",
            "pickle",
            "memory",
        )
    )
    if act == "folder":
        path.mkdir()
    elif act == "pipe":
        os.mkfifo(path)
    elif act == "loop":
        path.symlink_to(path.name)
    elif act == "zeros":
        path.symlink_to("/dev/zero")
    elif act == "memory":
        path.symlink_to("/proc/self/mem")
    elif act == "link":
        path.symlink_to(other)
    elif act == "other":
        shutil.copyfile(other, path)
    elif act == "pickle":
        path.write_bytes(b"\x80\x04\x95" + content)
    elif act != "nothing":
        path.write_bytes(content if act == "longer" else b"")
        if act != "empty":
            os.truncate(path, chance.choice((2**24 + 1, 2**31, 2**36, 2**40)))
    return f"{act} in place of {path.name}"


def _huge(folder: Path, chance: random.Random) -> str:
    """A sparse weights file whose header is that of a network far wider than any memory."""
    header, data = _header((folder / WEIGHTS_FILE).read_bytes())
    del data
    times, start = chance.choice((1_000, 30_000)), 0
    for about in header.values():
        if "shape" in about:
            about["shape"] = [
                size * times if place == 0 else size for place, size in enumerate(about["shape"])
            ]
            size = 4 * math.prod(about["shape"])
            about["data_offsets"] = [start, start + size]
            start += size
    path = folder / WEIGHTS_FILE
    path.write_bytes(_with_header(header, b""))
    os.truncate(path, path.stat().st_size + start)
    return f"a sparse file of tensors {times:,} times as large"


def _mutate_onnx(path: Path, chance: random.Random) -> str:
    act = chance.choice(("bytes", "record", "constants", "attributes", "outside"))
    if act == "bytes":
        _rewrite(path, lambda content: mutated_bytes(content, chance))
        return "bytes of an ONNX file"
    graph = onnx.load(path)
    if act == "record":
        about = next(each for each in graph.metadata_props if each.key == "impasto.model")
        tree = mutated_tree(json.loads(about.value), chance, chance.choice((1, 1, 3)))
        about.value = as_json(tree).decode("utf-8", "replace")
        if chance.random() < 0.2:
            about.key = "other"
    elif act == "constants":
        small = [
            each for each in graph.graph.initializer if each.data_type == onnx.TensorProto.INT64
        ]
        tensor = chance.choice(small or list(graph.graph.initializer))
        values = onnx.numpy_helper.to_array(tensor).copy()
        flat = values.reshape(-1)
        if flat.size:
            flat[chance.randrange(flat.size)] = chance.choice((-1, 0, 2**20, 2**31 - 1, 3))
        if values.dtype == "int64" and flat.size and chance.random() < 0.5:
            flat[chance.randrange(flat.size)] = chance.choice((2**40, 2**62, -(2**62)))
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    elif act == "attributes":
        whole = [
            a
            for node in graph.graph.node
            for a in node.attribute
            if a.ints or a.type == onnx.AttributeProto.INT
        ]
        chosen = chance.choice(whole)
        value = chance.choice((0, -1, 2, 2**20, 2**40, 2**62))
        if chosen.ints:
            chosen.ints[chance.randrange(len(chosen.ints))] = value
        else:
            chosen.i = value
    else:
        tensor = chance.choice(list(graph.graph.initializer))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        place = tensor.external_data.add()
        place.key, place.value = (
            "location",
            chance.choice(("/etc/passwd", "../../../etc/passwd", "/dev/zero")),
        )
    path.write_bytes(graph.SerializeToString())
    return f"{act} of an ONNX file"


def _mutate_points(path: Path, chance: random.Random) -> str:
    """A file of points, or a PNG with one."""
    if path.suffix == ".safetensors":
        header, data = _header(path.read_bytes())
        about = json.loads(header["__metadata__"][TEXT_KEY])
        if chance.random() < 0.5:
            header["__metadata__"][TEXT_KEY] = as_json(mutated_tree(about, chance)).decode(
                "utf-8", "replace"
            )
            path.write_bytes(_with_header(header, data))
            return "the text of a file of points"
        _rewrite(path, lambda content: _mutated_safetensors(content, chance))
        return "a file of points"
    if chance.random() < 0.4:
        _rewrite(path, lambda content: mutated_bytes(content, chance))
        return "bytes of a PNG"
    with Image.open(path) as picture:
        pixels, text = picture.copy(), picture.text  # type: ignore[attr-defined]
    about = json.loads(text[TEXT_KEY])
    latents = chance.choice((None, "AAAA", "eJz7/x8AAv8B/g==", "!", "x" * 10**6))
    if latents is not None:
        about |= {"latents": latents, "levels": chance.choice((None, 1, 3, 0, -1, 10**30))}
    tree = mutated_tree(about, chance, chance.choice((0, 1, 1)))
    info = PngInfo()
    info.add_text(TEXT_KEY, as_json(tree).decode("utf-8", "replace"), zip=True)
    pixels.save(path, pnginfo=info)
    return "the text of a PNG"


_FOLDER: tuple[tuple[float, Callable[[Path, random.Random], str]], ...] = (
    (0.24, _mutate_record),
    (0.16, _mutate_network),
    (0.12, _mutate_record_bytes),
    (0.20, _mutate_weights),
    (0.01, _flood),
    (0.01, _huge),
)


def mutated(originals: Originals, number: int, seed: int, work: Path) -> Case:
    """The case of this number: its files are made in the new folder `work`."""
    chance = random.Random(f"{seed} {number}")
    work.mkdir(parents=True)
    name = chance.choice(sorted(originals.models))
    out = work / "out"
    folder = work / "model"
    shutil.copytree(originals.models[name], folder)
    arguments = [str(folder), "--seeds", "0", "--device", "cpu", "--out", str(out)]
    draw = chance.random()
    for share, change in _FOLDER:
        draw -= share
        if draw < 0:
            return Case(f"{name}: {change(folder, chance)}", ["sample", *arguments], out)
    if draw < 0.08:
        target = folder / chance.choice((MODEL_FILE, WEIGHTS_FILE))
        other = (
            originals.folder
            / chance.choice(sorted(originals.models))
            / chance.choice((MODEL_FILE, WEIGHTS_FILE))
        )
        return Case(f"{name}: {_replace(target, chance, other)}", ["sample", *arguments], out)
    graphs = sorted(originals.folder.glob("*.onnx"))
    if draw < 0.16 and graphs:
        path = work / "model.onnx"
        shutil.copyfile(chance.choice(graphs), path)
        what = (
            _replace(path, chance, graphs[0])
            if chance.random() < 0.1
            else _mutate_onnx(path, chance)
        )
        return Case(f"{name}: {what}", ["sample", str(path), *arguments[1:]], out)
    points = work / f"points{chance.choice(('.safetensors', '.png'))}"
    shutil.copyfile(originals.folder / f"{name}{points.suffix}", points)
    what = (
        _replace(points, chance, folder / MODEL_FILE)
        if chance.random() < 0.1
        else _mutate_points(points, chance)
    )
    arguments = [str(folder), "--points", str(points), "--device", "cpu", "--out", str(out)]
    return Case(f"{name}: {what}", ["sample", *arguments], out)
