"""Enlarging by networks of others: spandrel is faked here; tests_peers has the real one."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import impasto
from impasto.cli.enlarge import _is_model
from impasto.enlarging.known import read_known
from impasto.enlarging.network import Enlarger
from impasto.enlarging.tiles import enlarged
from impasto.enlarging.weights import finisher, load_enlarger
from impasto.errors import ImpastoError
from impasto.sampling.point_text import TEXT_KEY
from impasto.sampling.tensors import write_tensors
from tests.helpers.command_line import invoke


class _UnknownError(Exception):
    pass


class _InWindows(nn.Module):
    """Repeats pixels, and adds what depends on their places in windows of 16, as attention in windows
    does."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        rows = torch.arange(images.shape[-2])[:, None] % 16
        columns = torch.arange(images.shape[-1])[None] % 16
        darker = images * (1 - (rows + columns) / 60)
        return F.interpolate(darker * self.weight, scale_factor=self.scale, mode="nearest")


def _description(state: dict[str, Any], **changes: Any) -> SimpleNamespace:
    scale = int(state["scale"])
    network = _InWindows(scale)
    known: dict[str, Any] = {
        "model": network,
        "scale": scale,
        "purpose": "SR",
        "input_channels": 3,
        "output_channels": 3,
        "architecture": SimpleNamespace(name="Windows"),
        "size_requirements": SimpleNamespace(multiple_of=1),
    }

    class Description(SimpleNamespace):
        def __call__(self, image: Tensor) -> Tensor:
            assert image.shape[0] == 1
            assert 0 <= float(image.min()) <= float(image.max()) <= 1
            made: Tensor = network(image)
            return made

    return Description(**{**known, **changes})


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Fakes spandrel; the function given changes what it finds in every file."""
    changes: dict[str, Any] = {}

    class ModelLoader:
        def load_from_state_dict(self, state: dict[str, Any]) -> SimpleNamespace:
            if "scale" not in state:
                raise _UnknownError
            return _description(state, **changes)

    fake = ModuleType("spandrel")
    vars(fake).update(
        __version__="0.4",
        ModelLoader=ModelLoader,
        UnsupportedModelError=_UnknownError,
        canonicalize_state_dict=lambda state: state.get("params", state),
    )
    monkeypatch.setitem(sys.modules, "spandrel", fake)
    return changes.update


def _weights(path: Path, scale: int) -> Path:
    torch.save({"params": {"scale": torch.tensor(scale)}}, path)
    return path


def _random(*size: int) -> Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(random.integers(0, 256, (*size, 3)).astype(np.uint8))


@pytest.mark.parametrize(("scale", "by"), [(2, 2), (4, 4), (4, 2), (8, 4)])
def test_tiles_give_what_the_whole_gives(
    spandrel: Callable[..., None], tmp_path: Path, scale: int, by: int
) -> None:
    """Windows lie in the same places in every tile; factors above `by` are averaged."""
    network = load_enlarger(weights=_weights(tmp_path / "w.pth", scale))
    images = _random(1, 60, 47)
    whole = enlarged(images, network, by, tile=1000)
    tiles = enlarged(images, network, by, tile=19)
    assert whole.shape == (1, by * 60, by * 47, 3)
    assert int((whole.int() - tiles.int()).abs().max()) <= 1


def test_the_pixels_are_those_of_the_network(spandrel: Callable[..., None], tmp_path: Path) -> None:
    finish = finisher(2, torch.device("cpu"), _weights(tmp_path / "w.pth", 2))
    image = np.full((2, 30, 30, 3), 120, np.uint8)
    made = finish(image)
    # The border is 8 mirrored pixels, so the first pixel is the ninth of its window.
    assert made[0, 0, 0, 0] == round(120 * (1 - 16 / 60))
    assert made[1, 14, 0, 0] == round(120 * (1 - (15 + 8) / 60))
    assert made[1, 16, 0, 0] == round(120 * (1 - 8 / 60))


def test_a_scale_that_does_not_fit_is_said(spandrel: Callable[..., None], tmp_path: Path) -> None:
    two, three = _weights(tmp_path / "2.pth", 2), _weights(tmp_path / "3.pth", 3)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    given = ("enlarge", tmp_path / "a.png", "--out", out, "--weights")
    expected = "this network enlarges 2 times, which does not give 4 times: give --by 2"
    assert invoke(*given, two) == (2, expected)
    with pytest.raises(ImpastoError, match=r"enlarges 3 times, .* give another one"):
        impasto.enlarge(np.zeros((4, 4, 3), np.uint8), 2, weights=three)
    assert not out.exists()


def test_networks_that_do_not_enlarge_colour_pictures_are_refused(
    spandrel: Callable[..., None], tmp_path: Path
) -> None:
    weights = _weights(tmp_path / "w.pth", 2)
    spandrel(input_channels=1)
    with pytest.raises(ImpastoError, match=r"w\.pth \(a network Windows\) takes .* 1 channels"):
        read_known(weights)
    spandrel(purpose="Inpainting")
    with pytest.raises(ImpastoError, match="does not enlarge pictures"):
        read_known(weights)
    torch.save({"other": torch.zeros(2)}, weights)
    with pytest.raises(ImpastoError, match=r"no network that spandrel 0\.4 knows"):
        read_known(weights)


class _RunsCode:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_no_code_in_a_file_is_run(spandrel: Callable[..., None], tmp_path: Path) -> None:
    torch.save({"scale": _RunsCode(tmp_path / "ran")}, tmp_path / "zip.pth")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"scale": _RunsCode(tmp_path / "ran")}))
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "zip.pth").read_bytes()[:100])
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    for name in ("zip.pth", "plain.pt", "cut.ckpt"):
        with pytest.raises(ImpastoError, match=f"{name} is damaged, or holds more than tensors"):
            read_known(tmp_path / name)
    with pytest.raises(ImpastoError, match="holds no tensors by name"):
        read_known(tmp_path / "tensor.pth")
    assert not (tmp_path / "ran").exists()


def test_without_spandrel_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    given = ("enlarge", tmp_path / "a.png", "--out", tmp_path / "out", "--weights")
    code, output = invoke(*given, _weights(tmp_path / "w.pth", 4))
    assert (code, output.count("\n")) == (2, 0)
    assert "pip install 'impasto[enlarge]'" in output
    assert invoke(*given, tmp_path / "none")[1].endswith(f"no file of weights {tmp_path / 'none'}")


def test_weights_of_our_own_network_need_no_spandrel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    network = Enlarger(width=4, blocks=1)
    nn.init.normal_(network.last.weight, 0, 0.1)
    file = tmp_path / "w.safetensors"
    write_tensors(file, network.state_dict(), {"enlarger": '{"width": 4, "blocks": 1}'})
    image = _random(9, 9).numpy()
    made = impasto.enlarge(image, 4, weights=file)
    assert (made == enlarged(torch.tensor(image)[None], network)[0].numpy()).all()
    Image.fromarray(image).save(tmp_path / "a.png")
    (path,) = impasto.enlarge_files(tmp_path / "a.png", tmp_path / "out", weights=file)
    assert (np.asarray(Image.open(path)) == made).all()


def test_runs_and_models_paint_their_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    code, output = invoke("enlarge", "masters", "a.png", "--seeds", "3,5", "--by", 2)
    assert code == 0, output
    names = sorted(path.relative_to(tmp_path / "enlarged") for path in tmp_path.rglob("*/*.png"))
    folder = Path("masters")
    assert list(map(str, names)) == [
        "a.png",
        str(folder / "seed-00000003.png"),
        str(folder / "seed-00000005.png"),
    ]
    code, output = invoke("sample", "masters", "--seeds", "3,5", "--enlarge", 2, "--out", "same")
    assert code == 0, output
    with (
        Image.open(tmp_path / "enlarged" / names[2]) as mine,
        Image.open("same/seed-00000005.png") as same,
    ):
        assert mine.size == (128, 128)
        assert (np.asarray(mine) == np.asarray(same)).all()
        assert mine.info[TEXT_KEY] == same.info[TEXT_KEY]
    assert _is_model(Path("hf:owner/name@main"))
    code, output = invoke("enlarge", "a.png", "--seeds", "3")
    assert (code, output) == (2, "--seeds are of a run or model, and none is given: leave them out")
