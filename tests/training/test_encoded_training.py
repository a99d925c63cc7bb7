"""Training on an autoencoder's latents: encoded once, resumed bit for bit, sampled as pictures."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.kill_resume import fingerprint
from impasto.collection import Collection
from impasto.config import RunConfig
from impasto.errors import ImpastoError, StoppedError
from impasto.networks import autoencoder_of, latent_dim_of, learned_shape
from impasto.networks._latent import LatentGenerator
from impasto.sampling import Model
from impasto.sampling.tensors import read_tensors
from impasto.settings import change
from impasto.training import encoding, resume, train
from impasto.training.encoded_pictures import EncodedPictures
from impasto.training.encoding import load_latents, with_scale
from impasto.training.resolve import resolve
from impasto.training.run_folder import read_run
from impasto.training.session import Session
from tests.helpers.autoencoders import write_weights
from tests.helpers.command_line import Say
from tests.helpers.stopping import StoppedByTest, stop_after
from tests.helpers.training import CPU, small


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, with files of 4 pictures."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(encoding, "_PICTURES", 4)
    return tmp_path / "cache"


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, Any]:
    return write_weights(tmp_path / "weights")


def on_latents(autoencoder: dict[str, Any], **settings: Any) -> RunConfig:
    flow: dict[str, Any] = {
        "labels": ["style", "genre"],
        "autoencoder": autoencoder,
        "latent": {"distribution": "normal"},
        "generator": {"network": "flow", "patch": 1, "blocks": 1, "steps": 2},
        "discriminator": None,
        "discriminator_optimiser": None,
        "objective": [{"term": "flow"}],
        "training.hide_labels": 0.3,
        "training.mirror": True,
        "training.ema_half_life": 20,
        "training.images": 32,
        "training.samples_every": 16,
    }
    more = {name.replace("__", "."): value for name, value in settings.items()}
    return change(small(), {**flow, **more})


def settled(config: RunConfig, collection: Collection) -> RunConfig:
    return with_scale(resolve(config, collection), collection, CPU)


def files_of(cache: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cache.glob("latents/*/[0-9]*.npy")}


def test_a_run_that_died_ends_as_one_that_did_not(
    weights: dict[str, Any], labelled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = on_latents(weights, training__accumulate=2)
    whole = train(config, labelled, out=tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(StoppedByTest):
            train(config, labelled, out=tmp_path / "died", device="cpu")
    (died,) = (tmp_path / "died").iterdir()
    resume(died)
    assert fingerprint(died) == fingerprint(whole)
    assert len(list((whole / "samples").glob("*.png"))) >= 3
    pictures = Model.load(whole).sample([3, 4], {"genre": "marina"})
    assert pictures.shape == (2, 32, 32, 3)
    assert not np.array_equal(pictures[0], pictures[1])
    guide = sorted((whole / "checkpoints").iterdir())[0]
    changed = Model.load(whole, steps=3, guidance=2, guide=guide).sample(
        [3, 4], {"genre": "marina"}
    )
    assert not np.array_equal(pictures, changed)
    # The same command goes on with it: the settings that were measured are measured the same again.
    assert train(config, labelled, run=whole, device="cpu") == whole


def test_the_decoder_is_in_no_checkpoint_and_its_digest_is(
    weights: dict[str, Any], labelled: Collection, cache: Path, tmp_path: Path, say: Say
) -> None:
    run = train(on_latents(weights), labelled, out=tmp_path / "runs", device="cpu")
    model = tmp_path / "model"
    code, out, _ = say("export", str(run), str(model))
    assert code == 0
    assert "to open it one also needs the decoder of the autoencoder 'taesd'" in out
    tensors = read_tensors(model / "generator.safetensors")
    assert not [name for name in tensors if "decoder" in name]
    options = json.loads((run / "run.json").read_text())["config"]["autoencoder"]
    # A model goes to other machines: it does not say where files lie on this one.
    known = {**options, "encoder": None, "decoder": None}
    assert json.loads((model / "model.json").read_text())["autoencoder"] == known
    assert str(tmp_path) not in (model / "model.json").read_text()
    for half in ("encoder", "decoder"):
        assert len(options[f"{half}_sha256"]) == 64
    shutil.rmtree(tmp_path / "weights")
    command = ["sample", str(model), "--out", str(tmp_path / "pictures"), "--seeds", "1"]
    assert say(*command)[0] == 0  # by the copy in the cache
    shutil.rmtree(cache / "weights")
    code, _, err = say(*command)
    assert code == 2
    err = err.strip().splitlines()[-1]  # before it are the lines of training
    assert "the decoder of taesd" in err
    assert "save its weights as" in err
    with pytest.raises(ImpastoError, match="coder of taesd with the SHA-256"):
        resume(run, images=64)
    write_weights(tmp_path / "weights", seed=1)
    with pytest.raises(ImpastoError, match="holds other weights"):
        resume(run, images=64)
    write_weights(tmp_path / "weights")
    resume(run, images=48)


def test_pictures_are_encoded_once(
    weights: dict[str, Any], labelled: Collection, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settled(on_latents(weights), labelled)
    before = files_of(cache)
    assert len(before) == 7  # of 27 pictures, 4 in each
    (entry,) = (cache / "latents").iterdir()
    assert entry.name.startswith("labelled-32-mirrored-")
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "_encode", None)
        pictures = Session(config, labelled, CPU).pictures
        assert settled(on_latents(weights), labelled) == config
    assert isinstance(pictures, EncodedPictures)
    # Without mirrored ones, with other weights, or of other pictures they are others.
    for other in (
        on_latents(weights, training__mirror=False),
        on_latents(write_weights(cache / "others", seed=1)),
    ):
        settled(other, labelled)
    part = labelled.only("genre = 'marina'")
    settled(on_latents(weights, labels=[]), part)
    assert len(list((cache / "latents").iterdir())) == 4
    assert {name: files_of(cache)[name] for name in before} == before


def test_what_is_shown_are_the_latents_of_the_pictures(
    weights: dict[str, Any], labelled: Collection
) -> None:
    config = settled(on_latents(weights), labelled)
    pictures, encoder = Session(config, labelled, CPU).pictures, autoencoder_of(config).encoder()
    mirrored = torch.arange(27) % 3 == 1
    shown, labels = pictures.shown(27, 27, mirrored)
    assert shown.shape == (27, 4, 4, 4)
    rows = pictures.rows[pictures.order.places(27, 27)]
    pixels = torch.from_numpy(labelled.images(rows)).permute(0, 3, 1, 2) / 127.5 - 1
    images = torch.stack(
        [each.flip(2) if m else each for each, m in zip(pixels, mirrored, strict=True)]
    )
    assert config.autoencoder is not None
    scale = config.autoencoder.options["scale"]
    torch.testing.assert_close(shown, scale * encoder(images), atol=2e-3 * scale, rtol=2e-3)
    assert torch.equal(labels, pictures.labels[rows])
    both = torch.cat([pictures.shown(27, 27, torch.full((27,), way))[0] for way in (True, False)])
    assert both.std(correction=0).item() == pytest.approx(0.5, abs=0.001)
    # Grids and terms of frozen features get pictures.
    assert pictures.fixed(4)[0].shape == (4, 3, 32, 32)
    assert next(pictures.once()).shape == (27, 3, 32, 32)


def test_larger_pictures_are_averaged_before(weights: dict[str, Any], labelled: Collection) -> None:
    whole = {"network": "flow", "body": "transformer", "patch": 1}
    settings = {"resolution": 16, "training__mirror": False, "generator": whole}
    config = settled(on_latents(weights, **settings), labelled)
    latents = load_latents(config, labelled, CPU).read(np.array([5]))
    assert latents.shape == (1, 1, 4, 2, 2)
    pixels = labelled.images(labelled.train_indices[[5]]).astype(np.float32)
    means = pixels.reshape(1, 16, 2, 16, 2, 3).mean(axis=(2, 4)) / 127.5 - 1
    expected = autoencoder_of(config).encoder()(torch.from_numpy(means).permute(0, 3, 1, 2))
    torch.testing.assert_close(latents[:, 0].float(), expected, atol=2e-3, rtol=2e-3)


def test_encoding_goes_on_where_it_stopped_and_mends_what_is_damaged(
    weights: dict[str, Any], labelled: Collection, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = resolve(on_latents(weights), labelled)
    made: list[list[int]] = []
    original = encoding._encode

    def counted(*given: Any) -> Any:
        made.append(given[2].tolist())
        if len(made) == 4:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(encoding, "_encode", counted)
    with pytest.raises(StoppedError, match="of 12 of 27 pictures are kept, and the same command"):
        load_latents(config, labelled, CPU)
    assert len(files_of(cache)) == 3
    load_latents(config, labelled, CPU)
    assert [row for rows in made[:3] + made[4:] for row in rows] == labelled.train_indices.tolist()
    whole = files_of(cache)
    assert len(whole) == 7
    del made[:]
    one, another, third = sorted(cache.glob("latents/*/[0-9]*.npy"))[1:4]
    one.write_bytes(one.read_bytes()[:500])
    content = bytearray(another.read_bytes())
    content[-3] ^= 1
    another.write_bytes(content)
    third.unlink()
    load_latents(config, labelled, CPU)
    assert len(made) == 3
    assert files_of(cache) == whole


def test_processes_that_encode_at_once_encode_once(
    weights: dict[str, Any],
    labelled: Collection,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    told: None,
) -> None:
    config = resolve(on_latents(weights), labelled)
    begun, go_on = threading.Event(), threading.Event()
    parts: list[int] = []
    original = encoding._encode

    def slow(*given: Any) -> Any:
        parts.append(len(given[2]))
        begun.set()
        assert go_on.wait(60)
        return original(*given)

    monkeypatch.setattr(encoding, "_encode", slow)
    monkeypatch.setattr("impasto.training.encoding.time.sleep", lambda _: go_on.set())
    # A lock is of an open file, so threads stand for processes here.
    first = threading.Thread(target=load_latents, args=(config, labelled, CPU))
    first.start()
    assert begun.wait(60)
    latents = load_latents(config, labelled, CPU)
    first.join()
    assert latents.count == 27
    assert sum(parts) == 27
    assert "another process encodes these pictures; waiting for it" in capsys.readouterr().err


def test_a_dry_run_encodes_a_few_and_keeps_nothing(
    weights: dict[str, Any], labelled: Collection, cache: Path, tmp_path: Path, say: Say
) -> None:
    written = tmp_path / "config.yaml"
    written.write_text(json.dumps(on_latents(weights).model_dump(mode="json")))
    command = ["train", "--config", str(written), "--data", str(labelled.path)]
    command += ["--device", "cpu", "--out", str(tmp_path / "runs")]
    code, out, err = say(*command, "--dry-run")
    assert code == 0, err
    assert "\nencoding:      " in out
    assert not files_of(cache)
    assert say(*command)[0] == 0
    code, out, _ = say(*command, "--dry-run")
    assert code == 0
    assert "encoding:" not in out


def test_a_start_from_a_model_keeps_its_scale(
    weights: dict[str, Any], labelled: Collection, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"training__images": 8, "training__samples_every": 64}
    first = on_latents(weights, **settings)
    model = train(first, labelled, out=tmp_path / "runs", device="cpu")
    part = labelled.only("genre != 'marina'")
    assert settled(first, part).autoencoder != settled(first, labelled).autoencoder
    more = train(first, part, run=tmp_path / "more", device="cpu", start_from=model)
    assert read_run(more)[0].autoencoder == read_run(model)[0].autoencoder
    others = on_latents(write_weights(tmp_path / "others", seed=1), **settings)
    with pytest.raises(ImpastoError, match=r"it makes latents of another autoencoder \(taesd, dec"):
        train(others, labelled, out=tmp_path / "runs", device="cpu", start_from=model)
    pictures = change(first, {"autoencoder": None})
    with pytest.raises(ImpastoError, match="makes latents, and this run's makes pictures"):
        train(pictures, labelled, out=tmp_path / "runs", device="cpu", start_from=model)


def test_it_makes_pictures_of_latents(weights: dict[str, Any], labelled: Collection) -> None:
    config = settled(on_latents(weights), labelled)
    assert latent_dim_of(change(config, {"latent.dim": None})) == 4 * 4 * 4
    generator = Session(config, labelled, CPU).state.generator
    assert isinstance(generator, LatentGenerator)
    latents, labels = torch.randn(3, 64), torch.tensor([[0, 1], [2, -1], [-1, -1]])
    inner, seen = generator.generator, []
    torch.nn.init.normal_(inner.body.last.weight, 0, 3)  # type: ignore[union-attr,arg-type]
    generator.decoder.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    with torch.inference_mode():
        images = generator(latents, labels)
        made = inner(latents, labels)
    assert images.shape == (3, 3, 32, 32)
    assert images.abs().max() <= 1
    assert made.shape == (3, 4, 4, 4)
    assert made.abs().max() > 1.5  # latents have no bounds
    assert config.autoencoder is not None
    torch.testing.assert_close(seen[0], made / config.autoencoder.options["scale"])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"resolution": 20}, "pictures of 8, 16, 24, ... pixels, not 20"),
        (
            {"generator": {"network": "dcgan"}, "latent": {"dim": 4}},
            "network 'dcgan' makes pictures, not an autoenc",
        ),
        ({"objective__flow__augment": 0.1}, "objective.flow.augment changes pictures"),
        ({"autoencoder__variant": "taesd9"}, "'autoencoder.variant' cannot be 'taesd9'"),
        ({"autoencoder__depth": 2}, "unknown setting 'autoencoder.depth'; there is decoder, "),
        ({"autoencoder__network": "flow"}, "network 'flow' has no autoencoder"),
        ({"first_stage": "itself"}, "first_stage is made for pictures: --set first_stage=null"),
    ],
)
def test_what_it_cannot_be(
    weights: dict[str, Any], labelled: Collection, settings: dict[str, Any], reason: str
) -> None:
    if settings.get("first_stage"):
        settings = {"first_stage": small().model_dump()}
    # `resolve` refuses the resolution that the collection does not have, before it comes to this one.
    check = (lambda config, _: learned_shape(config)) if "resolution" in settings else resolve
    with pytest.raises(ImpastoError) as caught:
        check(on_latents(weights, **settings), labelled)
    assert reason in str(caught.value)


def test_with_a_discriminator_it_is_refused(weights: dict[str, Any], labelled: Collection) -> None:
    config = change(small(), {"autoencoder": weights})
    with pytest.raises(ImpastoError, match="discriminator is made for pictures: --set discrim"):
        resolve(config, labelled)
