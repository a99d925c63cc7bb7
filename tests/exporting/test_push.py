"""`impasto push`, against a server on loopback that takes uploads as the hub does, or worse."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard, get_token

import impasto
from impasto.errors import ImpastoError
from impasto.fetching import hub_model, hub_upload
from impasto.sampling.model import Model
from tests.exploring.models import random_model
from tests.helpers.command_line import invoke
from tests.helpers.fetching import wait_for
from tests.helpers.hub import COMMIT, UploadHub, nobodys_environment
from tests.helpers.nasty_server import (
    Behaviour,
    Nasty,
    Request,
    broken_off,
    nasty_server,
    stalls,
    status,
)

TOKEN = "hf_secret"
NAME = "anna/lake"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    nobodys_environment(monkeypatch, tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
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


@pytest.fixture
def hub(nasty: Nasty, storage: Nasty, monkeypatch: pytest.MonkeyPatch) -> UploadHub:
    monkeypatch.setenv("HF_ENDPOINT", nasty.address)
    return UploadHub(nasty, storage, NAME)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_model(tmp_path_factory.mktemp("models") / "own", "dcgan")


def test_what_is_uploaded_opens_as_it_was(hub: UploadHub, model: Path, nasty: Nasty) -> None:
    code, out = invoke("push", model, NAME, "--licence", "cc0-1.0")
    assert code == 0, out
    assert f"uploaded {model} to {nasty.address}/{NAME}\n" in out
    assert f"try it: impasto sample hf:{NAME}@{COMMIT} --seeds" in out
    assert "learned from x: 1 picture" in out
    assert set(hub.files) == {
        *("README.md", "config.json", "model.json", "generator.safetensors", "pictures.png"),
    }
    assert len(hub.commits) == 1
    assert hub.private is False
    card = ModelCard(hub.files["README.md"].decode())
    assert card.data.to_dict()["license"] == "cc0-1.0"
    assert f'Model.load("hf:{NAME}")' in card.text
    expected = Model.load(model).sample([4])
    for loaded in (
        Model.load(f"hf:{NAME}@{COMMIT}"),
        Model.load(f"hf:{NAME}"),
        Model.from_pretrained(NAME),
        Model.from_pretrained(NAME, revision="main"),
        Model.from_pretrained(model),
    ):
        assert (loaded.sample([4]) == expected).all()
    # The token is for the hub alone, and is not printed.
    assert {asked.headers["Authorization"] for asked in nasty.asked} == {f"Bearer {TOKEN}"}
    assert TOKEN not in out
    assert not any(TOKEN.encode() in body for body in hub.files.values())


def test_a_private_repository_and_a_branch(hub: UploadHub, model: Path) -> None:
    name = impasto.push(model, f"hf:{NAME}", private=True, revision="v2")
    assert name == f"hf:{NAME}@{COMMIT}"
    assert hub.private is True
    assert hub.branches == {"main", "v2"}


def test_a_public_repository_does_not_become_private(hub: UploadHub, model: Path) -> None:
    hub.private = False
    with pytest.raises(ImpastoError, match=r"^anna/lake is public on the hub already"):
        impasto.push(model, NAME, private=True)
    assert hub.commits == []
    impasto.push(model, NAME)
    assert len(hub.commits) == 1


def test_a_discriminator_that_is_outdated_is_removed(
    hub: UploadHub, nasty: Nasty, model: Path
) -> None:
    hub.files["discriminator.safetensors"] = b"old"
    headers = {"X_Repo_Commit": COMMIT, "ETag": '"1"', "Content_Length": 3}
    nasty.on(f"/{NAME}/resolve/main/discriminator.safetensors", lambda r: r.start(200, **headers))
    impasto.push(model, NAME)
    assert "discriminator.safetensors" not in hub.files


def test_names_and_options_that_cannot_be(
    hub: UploadHub, nasty: Nasty, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lake", "a/b/c", "anna/la ke", "anna/..", "", "anna/lake\n"):
        with pytest.raises(ImpastoError, match="is no name of a repository on the hub") as caught:
            impasto.push(model, name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ImpastoError, match="a licence is given by its identifier"):
        impasto.push(model, NAME, licence="Public Domain")
    for options, why in (
        ({"form": "hut"}, "form takes folder or onnx or html or hub or space, not 'hut'"),
        ({"licence": "mit"}, "licence is for form hub and space, not for form folder"),
        ({"form": "space", "discriminator": True}, "discriminator is for form folder and hub"),
    ):
        with pytest.raises(ImpastoError, match=why):
            impasto.export(model, "to", **options)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ImpastoError, match=r"^HF_HUB_OFFLINE is set; unset it"):
        impasto.push(model, NAME)
    assert nasty.asked == []


def test_not_logged_in(
    hub: UploadHub, nasty: Nasty, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert get_token() is None
    code, out = invoke("push", model, NAME)
    assert (code, out) == (
        2,
        "you are not logged in to the hub: run hf auth login, or set HF_TOKEN to a token that may write",
    )
    assert nasty.asked == []


@pytest.mark.parametrize(
    ("path", "answer", "why"),
    [
        ("/api/repos/create", status(401), r"does not accept your token \(401\): run hf auth"),
        ("/api/repos/create", status(403), r"your token may not write to anna/lake \(403\)"),
        ("/api/models/anna/lake/commit/main", status(403), "your token may not write to anna/lake"),
        ("/api/models/anna/lake/preupload/main", status(404), r"may not write .* \(404\)"),
        ("/api/models/anna/lake/commit/main", status(400, b"no"), r"refused the upload \(400\)"),
        ("/api/repos/create", status(200, b"<html>"), "cannot upload to anna/lake: "),
        ("/api/repos/create", status(200, b"{}"), "cannot upload to anna/lake: "),
        ("/api/models/anna/lake/preupload/main", status(200, b"[]"), "cannot upload to anna/lake"),
        ("/anna/lake.git/info/lfs/objects/batch", status(200, b"{}"), "cannot upload to anna/lake"),
        ("/api/models/anna/lake/commit/main", broken_off(b"{}", 1), "no connection to"),
        ("/api/models/anna/lake/commit/main", stalls(b"{", 9), "does not answer; the upload"),
        (
            "/api/validate-yaml",
            status(400, b'{"errors": [{"message": "\\"license\\" must be\\n one of"}]}'),
            'Invalid metadata in README.md. - "license" must be one of',
        ),
    ],
)
def test_a_hub_that_refuses_breaks_off_or_lies(
    hub: UploadHub,
    nasty: Nasty,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    answer: Behaviour,
    why: str,
) -> None:
    monkeypatch.setattr(hub_upload, "_TIMEOUT", 0.3)
    assert path in nasty.routes

    def behave(request: Request) -> None:
        request.body()
        answer(request)

    nasty.on(path, behave)
    with pytest.raises(ImpastoError, match=why) as caught:
        impasto.push(model, NAME)
    assert "\n" not in str(caught.value)
    assert hub.commits == []


def test_a_storage_that_stalls_or_fails(
    hub: UploadHub, storage: Nasty, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_upload, "_TIMEOUT", 0.2)
    storage.otherwise = stalls(b"", 9)
    with pytest.raises(ImpastoError, match="does not answer; the upload is there whole"):
        impasto.push(model, NAME)

    def forbidden(request: Request) -> None:
        request.body()
        status(403)(request)

    storage.otherwise = forbidden
    with pytest.raises(ImpastoError, match=r"\(403\)"):
        impasto.push(model, NAME)
    assert hub.commits == []


def test_ctrl_c_in_an_upload_ends_it(hub: UploadHub, storage: Nasty, model: Path) -> None:
    storage.otherwise = stalls(b"", 9)
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", "push", str(model), NAME],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HF_HUB_DISABLE_XET": "1"},
    )
    wait_for(lambda: bool(storage.asked))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "impasto: stopped; the upload is there whole or not at all"
    assert hub.commits == []


def test_a_hub_that_says_the_token_back(hub: UploadHub, nasty: Nasty, model: Path) -> None:
    """In a message and in a header, as a proxy may."""
    body = f'{{"error": "no: Bearer {TOKEN}"}}'.encode()

    def behave(request: Request) -> None:
        request.body()
        status(418, body, X_Error_Message=f"no: Bearer {TOKEN}")(request)

    nasty.on("/api/repos/create", behave)
    code, out = invoke("push", model, NAME)
    assert code == 2
    assert "***" in out
    assert TOKEN not in out


def test_no_hub_there(hub: UploadHub, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with nasty_server() as gone:
        monkeypatch.setenv("HF_ENDPOINT", gone.address)
    with pytest.raises(
        ImpastoError, match=r"^no connection to http.*; the upload is there whole or not"
    ):
        impasto.push(model, NAME)


def test_without_huggingface_hub_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    code, out = invoke("push", model, NAME)
    why = "files of the hub take huggingface_hub: pip install 'impasto[hub]'"
    assert (code, out) == (2, why)
