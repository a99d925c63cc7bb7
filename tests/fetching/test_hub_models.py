"""Models of the hub as `hf:OWNER/NAME`, against a server on loopback that answers as the hub does, or
worse."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants

import impasto
from impasto.api import comparing
from impasto.collection import Collection
from impasto.config import NetworkConfig
from impasto.errors import ImpastoError
from impasto.exploring.directions import usual_path
from impasto.exploring.favourites import favourites_path
from impasto.fetching import hub_model
from impasto.files import cache_folder, sha256_of_file
from impasto.networks import autoencoder_of, discriminator_of, generator_of, taesd
from impasto.reporting.compared import Asked
from impasto.sampling.model import Model, find_model, name_of
from impasto.sampling.records import ModelRecord
from impasto.training.pretrained import PretrainedModel
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke
from tests.helpers.hub import COMMIT, nobodys_environment, serve_repository
from tests.helpers.nasty_server import Nasty, broken_off, endless, nasty_server, stalls, status
from tests.helpers.records import record_of

NAME = "hf:anna/lake"
REPOSITORY = "models/anna/lake"
RESOLVED = f"/anna/lake/resolve/{COMMIT}"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    nobodys_environment(monkeypatch, tmp_path)
    monkeypatch.setattr(hub_model, "_RETRIES", 0)
    hub_model.ask_again()
    yield
    hub_model.ask_again()


@pytest.fixture
def nasty() -> Iterator[Nasty]:
    with nasty_server() as server:
        yield server


@pytest.fixture
def storage() -> Iterator[Nasty]:
    with nasty_server() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of three styles."""
    return random_model(tmp_path_factory.mktemp("models") / "lake", "self-modulated")


@pytest.fixture
def files(folder: Path) -> dict[str, bytes]:
    """Those of its repository, and others that are not to be fetched."""
    return {
        "README.md": b"# lake",
        "app.py": b"raise SystemExit('it was run')",
        "pytorch_model.bin": b"a pickle",
        **{path.name: path.read_bytes() for path in folder.iterdir()},
    }


@pytest.fixture
def hub(
    nasty: Nasty, storage: Nasty, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> Nasty:
    monkeypatch.setenv("HF_ENDPOINT", nasty.address)
    serve_repository(nasty, storage, REPOSITORY, files)
    return nasty


@pytest.fixture
def weights(storage: Nasty, folder: Path) -> str:
    """The path of the weights at the storage."""
    return f"/blob/{sha256_of_file(folder / 'generator.safetensors')}"


def cached() -> list[str]:
    """The names of the files in the hub's cache."""
    found = Path(constants.HF_HUB_CACHE).rglob("snapshots/*/*")
    return sorted(path.name for path in found if path.exists())


@pytest.mark.parametrize("name", [NAME, f"{NAME}@main", "hf://anna/lake"])
def test_a_model_of_the_hub_paints_as_its_folder_does(hub: Nasty, folder: Path, name: str) -> None:
    expected = Model.load(folder).sample([1, 2], {"style": "Rococo"})
    assert np.array_equal(impasto.sample(name, [1, 2], {"style": "Rococo"}), expected)
    assert cached() == ["generator.safetensors", "model.json"]


def test_a_process_asks_once_and_says_which_commit_it_is(
    hub: Nasty, storage: Nasty, folder: Path, capsys: pytest.CaptureFixture[str], told: None
) -> None:
    first = find_model(NAME)
    asked = len(hub.asked) + len(storage.asked)
    assert find_model(Path(NAME)) == first
    assert len(hub.asked) + len(storage.asked) == asked
    digest = sha256_of_file(folder / "generator.safetensors")
    assert capsys.readouterr().err == (
        f"models/anna/lake@main is commit {COMMIT}, with weights of SHA-256 {digest}\n"
    )
    hub_model.ask_again()  # what is in the cache is not fetched again
    asked = len(storage.asked)
    assert find_model(NAME) == first
    assert len(storage.asked) == asked


def test_a_discriminator_is_fetched_where_there_is_one(
    hub: Nasty, storage: Nasty, files: dict[str, bytes]
) -> None:
    serve_repository(hub, storage, REPOSITORY, files | {"discriminator.safetensors": b"weights"})
    assert (find_model(NAME) / "discriminator.safetensors").read_bytes() == b"weights"


def test_every_command_that_takes_a_model_takes_one_of_the_hub(
    hub: Nasty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in (
        ("sample", NAME, "--seeds", "0-3", "--keep", "wave"),
        ("sample", NAME, "--favourites", "wave-2", "--grid", "grid.png"),
        ("walk", NAME, "--seeds", "0,1", "--seconds", "0.2", "--out", "walk.gif"),
        ("mix", NAME, "--coarse", "0", "--fine", "1"),
        ("directions", NAME, "--samples", "64", "--components", "0"),
        ("canvas", NAME, "--size", "64x32"),
        ("export", NAME, "own"),
        ("enlarge", NAME, "--seeds", "0", "--out", "large"),
    ):
        code, out = invoke(*command)
        assert code == 0, out
    made = {path.name for path in Path("samples").iterdir()}
    assert made == {"anna-lake", "anna-lake-mix.png", "anna-lake-canvas.png"}
    assert Path("grid.png").is_file()
    assert Path("walk.gif").is_file()
    assert {path.name for path in Path("own").iterdir()} == {"model.json", "generator.safetensors"}
    assert cached() == ["generator.safetensors", "model.json"]  # nothing is written to it
    found = find_model(NAME)
    for path in (favourites_path(found), usual_path(found)):
        assert path.is_file()
        assert cache_folder() in path.parents
    code, out = invoke("evaluate", NAME)
    assert (code, out) == (2, f"{NAME} is no run; say which pictures to name with --data")
    code, out = invoke("compare", NAME, NAME, "--data", "masters")
    assert code == 2
    assert "\n" not in out
    compared = comparing._Runs.read([Path(NAME), Path("own")], best=True)
    assert compared.homes == [Path("evaluations/anna-lake"), Path("evaluations/own")]
    assert compared.checkpoints == [found, Path("own")]
    assert [each.name for each in compared.for_page(Asked())] == ["lake", "own"]
    assert PretrainedModel.load(Path(NAME)).name == NAME
    assert name_of(Path(f"{NAME}@refs/pr/1")) == "anna-lake@refs-pr-1"


def test_a_discriminator_of_the_hub_classifies(
    nasty: Nasty,
    storage: Nasty,
    labelled: Collection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", nasty.address)
    network = NetworkConfig.model_validate({"network": "gangogh", "width": 4})
    record = record_of({field.name: field.classes for field in labelled.fields}, [(0, 0)], [1])
    record = record.model_copy(
        update={"resolution": 32, "generator": network, "discriminator": network}
    )
    generator = generator_of(record, record.label_sizes)
    discriminator = discriminator_of(record, record.label_sizes)
    Path("own").mkdir()
    Model.write(Path("own"), generator.state_dict(), record, discriminator.state_dict())
    own = {path.name: path.read_bytes() for path in Path("own").iterdir()}
    serve_repository(nasty, storage, REPOSITORY, own)
    code, out = invoke("classify", NAME, "--data", labelled.path)
    assert code == 0, out
    assert len(list(Path("evaluations/anna-lake").glob("*-heldout-classify-*.json"))) == 2
    assert cached() == sorted(own)  # nothing is written to it


def test_a_commit_that_is_in_the_cache_needs_no_hub(hub: Nasty) -> None:
    first = find_model(NAME)
    asked = len(hub.asked)
    assert find_model(f"{NAME}@{COMMIT}") == first
    assert len(hub.asked) == asked


@pytest.mark.parametrize("switch", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "IMPASTO_OFFLINE"])
def test_without_a_network(hub: Nasty, monkeypatch: pytest.MonkeyPatch, switch: str) -> None:
    monkeypatch.setenv(switch, "1")
    with pytest.raises(
        ImpastoError, match=f"^{switch} is set, and models/anna/lake@main is not in"
    ):
        find_model(NAME)
    assert hub.asked == []
    monkeypatch.delenv(switch)
    first = find_model(NAME)
    hub_model.ask_again()
    asked = len(hub.asked)
    monkeypatch.setenv(switch, "1")
    assert find_model(NAME) == first
    assert len(hub.asked) == asked


def test_a_hub_that_cannot_be_reached_leaves_what_is_in_the_cache(
    nasty: Nasty,
    hub: Nasty,
    monkeypatch: pytest.MonkeyPatch,
    told: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = find_model(NAME)
    hub_model.ask_again()
    with nasty_server() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.address)
    capsys.readouterr()
    assert find_model(NAME) == first
    note = capsys.readouterr().err.splitlines()[0]
    assert note.startswith("note: cannot ask http")
    assert note.endswith("; used as it is in the hub's cache")
    shutil.rmtree(constants.HF_HUB_CACHE)
    hub_model.ask_again()
    with pytest.raises(ImpastoError, match=r"cannot ask .* no connection"):
        find_model(NAME)


@pytest.mark.parametrize(
    "name", ["hf:lake", "hf:datasets/anna/lake", "hf:anna/lake/sub", "hf:", "hf:../../etc/passwd"]
)
def test_what_is_no_model_of_the_hub(hub: Nasty, name: str) -> None:
    with pytest.raises(ImpastoError, match="is no model of the hub; write hf:OWNER/NAME") as caught:
        find_model(name)
    assert "\n" not in str(caught.value)
    assert hub.asked == []


def test_a_repository_of_something_else(
    hub: Nasty, storage: Nasty, files: dict[str, bytes]
) -> None:
    del files["generator.safetensors"]
    serve_repository(hub, storage, REPOSITORY, files)
    with pytest.raises(ImpastoError, match="is no model of impasto: it has no model"):
        find_model(NAME)
    assert cached() == []


@pytest.mark.parametrize(
    ("path", "size"),
    [("model.json", 50_000_001), ("generator.safetensors", 2_000_000_001), ("model.json", -1)],
)
def test_files_that_are_too_large_are_not_fetched(
    hub: Nasty, storage: Nasty, files: dict[str, bytes], path: str, size: int
) -> None:
    serve_repository(hub, storage, REPOSITORY, files, sizes={path: size})
    with pytest.raises(ImpastoError, match=f"^{path} of models/anna/lake@main has {size:,} bytes"):
        find_model(NAME)
    assert storage.asked == []
    assert cached() == []


@pytest.mark.parametrize("path", ["model.json", "generator.safetensors"])
def test_a_file_that_never_ends_is_cut_off(
    hub: Nasty, storage: Nasty, files: dict[str, bytes], weights: str, path: str
) -> None:
    """A server that sends other bytes than it lists, without end."""
    if path == "model.json":
        known = hub.routes[f"{RESOLVED}/{path}"]
        hub.on(
            f"{RESOLVED}/{path}",
            lambda request: (known if request.command == "HEAD" else endless(b"{"))(request),
        )
    else:
        storage.on(weights, endless(b"\0"))
    size = len(files[path])
    with pytest.raises(ImpastoError, match=f"more than the {size:,} bytes of the hub's listing"):
        find_model(NAME)
    assert path not in cached()


def test_a_hub_that_lies_about_the_weights(
    hub: Nasty, storage: Nasty, files: dict[str, bytes], weights: str
) -> None:
    body = files["generator.safetensors"]
    storage.on(weights, status(200, body[:-1] + b"?"))
    with pytest.raises(ImpastoError, match="another SHA-256"):
        find_model(NAME)
    assert cached() == ["model.json"]


def test_weights_of_another_model_are_refused(
    hub: Nasty, storage: Nasty, files: dict[str, bytes], tmp_path: Path
) -> None:
    """The listing is of them, so only the record's digest tells."""
    other = random_model(tmp_path / "other", "self-modulated", seed=1)
    files["generator.safetensors"] = (other / "generator.safetensors").read_bytes()
    serve_repository(hub, storage, REPOSITORY, files)
    with pytest.raises(ImpastoError, match=r"generator\.safetensors"):
        Model.load(NAME)


def test_a_record_does_not_make_anything_else_be_fetched(
    hub: Nasty, storage: Nasty, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No place that a record names for its autoencoder's weights is read; their author's is asked."""
    monkeypatch.setattr(taesd, "_URL", f"{storage.address}/author")
    monkeypatch.setattr(taesd, "read_tensors", None)  # nothing is read
    record = json.loads(files["model.json"])
    digests = {"encoder_sha256": "0" * 64, "decoder_sha256": "0" * 64}
    for half, place in (("decoder", f"{storage.address}/evil"), ("encoder", "/etc/passwd")):
        record["autoencoder"] = {"network": "taesd", half: place, **digests}
        files["model.json"] = json.dumps(record).encode()
        serve_repository(hub, storage, REPOSITORY, files)
        shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)
        hub_model.ask_again()
        found = autoencoder_of(ModelRecord.of(find_model(NAME)))
        with pytest.raises(ImpastoError, match=r"the decoder of taef2 with the SHA-256 0+\.\.\."):
            found.decoder()
    assert "/evil" not in storage.paths()
    assert "/author/taef2_decoder.pth" in storage.paths()
    files["model.json"] = b"[" * 100_000
    serve_repository(hub, storage, REPOSITORY, files)
    shutil.rmtree(constants.HF_HUB_CACHE)
    hub_model.ask_again()
    with pytest.raises(ImpastoError, match=r"model\.json"):
        Model.load(NAME)


def test_weights_that_break_off_or_stall(
    hub: Nasty,
    storage: Nasty,
    files: dict[str, bytes],
    weights: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = files["generator.safetensors"]
    storage.on(weights, broken_off(body, 5_000))
    with pytest.raises(ImpastoError, match=r"^cannot fetch .*generator.safetensors") as caught:
        find_model(NAME)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    storage.on(weights, stalls(body[:5_000], len(body)))
    with pytest.raises(ImpastoError, match=r"^cannot fetch .*generator.safetensors"):
        find_model(NAME)
    assert cached() == ["model.json"]


def test_a_damaged_cache(hub: Nasty, storage: Nasty, monkeypatch: pytest.MonkeyPatch) -> None:
    blob = (find_model(NAME) / "generator.safetensors").resolve()
    whole = blob.read_bytes()
    blob.write_bytes(whole[::-1])
    hub_model.ask_again()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImpastoError, match=r"generator.safetensors is damaged \(another SHA-256"):
        find_model(NAME)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub_model, "_RETRIES", 1)
    assert (find_model(NAME) / "generator.safetensors").read_bytes() == whole


def test_a_private_model(hub: Nasty, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.on(f"/api/{REPOSITORY}/revision/main", status(401))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(ImpastoError, match="private or gated repository that needs HF_TOKEN") as no:
        find_model(NAME)
    assert "hf_secret" not in str(no.value)


def test_without_huggingface_hub_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    code, out = invoke("export", NAME, "lake")
    why = "files of the hub take huggingface_hub: pip install 'impasto[hub]'"
    assert (code, out) == (2, why)
