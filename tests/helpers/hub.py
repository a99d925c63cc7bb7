"""Repositories of the Hugging Face hub on a server of loopback, and an environment of nobody's."""

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.file_download
import huggingface_hub.utils._http
import pytest
from huggingface_hub import constants

from tests.helpers.fetching import clear_environment
from tests.helpers.nasty_server import Nasty, Request, content, status

COMMIT = "c0ffee" * 6 + "beef"
LARGE = (".parquet", ".safetensors")
"""Endings of files that are on another host, as the hub's large files are."""


def nobodys_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache and a token of nobody's; huggingface_hub reads its variables when it is imported, so
    here its constants are set. It tries again without waiting, and keeps what came piece by piece."""
    clear_environment(monkeypatch, tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf-home" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf-home" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    patient = SimpleNamespace(sleep=lambda seconds: None, time=time.time)
    monkeypatch.setattr(huggingface_hub.file_download, "time", patient)
    monkeypatch.setattr(huggingface_hub.utils._http, "time", patient)


def git_sha1(body: bytes) -> str:
    return hashlib.sha1(f"blob {len(body)}\0".encode() + body).hexdigest()


def serve_repository(
    nasty: Nasty,
    storage: Nasty,
    repository: str,
    files: dict[str, bytes],
    *,
    commit: str = COMMIT,
    sizes: dict[str, int] | None = None,
) -> None:
    """Answer for a repository such as `datasets/OWNER/NAME` as the hub does.

    Args:
        sizes: what the listing says of files in place of their sizes.
    """
    api = f"/api/{repository}"
    nasty.on(f"{api}/revision/main", status(200, json.dumps({"sha": commit}).encode()))
    for name in ("refs%2Fconvert%2Fparquet", commit):
        nasty.on(f"{api}/revision/{name}", nasty.routes[f"{api}/revision/main"])
    place = f"/{repository.removeprefix('models/')}/resolve/{commit}"
    listed: list[dict[str, Any]] = [{"type": "directory", "path": "data", "oid": "0" * 40}]
    for path, body in files.items():
        size = (sizes or {}).get(path, len(body))
        item: dict[str, Any] = {"type": "file", "path": path, "size": size}
        if path.endswith(LARGE):
            digest = hashlib.sha256(body).hexdigest()
            item |= {"oid": "1" * 40, "lfs": {"oid": digest, "size": size, "pointerSize": 130}}
            storage.on(f"/blob/{digest}", content(body, f'"{digest}"'))
            answer = status(
                302,
                Location=f"{storage.address}/blob/{digest}?signed=1",
                X_Repo_Commit=commit,
                X_Linked_Etag=f'"{digest}"',
                X_Linked_Size=len(body),
            )
        else:
            item["oid"] = git_sha1(body)
            answer = content(body, f'"{item["oid"]}"', X_Repo_Commit=commit)
        listed.append(item)
        nasty.on(f"{place}/{path.replace(' ', '%20')}", answer)

    def tree(request: Request) -> None:
        below = request.path.partition("?")[0].removeprefix(f"{api}/tree/{commit}").strip("/")
        fitting = [item for item in listed if not below or item["path"].startswith(f"{below}/")]
        cursor = int(request.query.get("cursor", "0"))
        assert request.query["recursive"] == "true"
        body = json.dumps(fitting[cursor : cursor + 3]).encode()
        more = f"<https://huggingface.co{api}/tree/{commit}?recursive=true&cursor={cursor + 3}>"
        link = f'{more}; rel="next"' if cursor + 3 < len(fitting) else None
        request.start(200, Content_Length=len(body), Link=link)
        request.send(body)

    nasty.on(f"{api}/tree/{commit}", tree)
    nasty.on(f"{api}/tree/{commit}/data", tree)
    nasty.on(f"{api}/tree/{commit}/data/other", tree)


@dataclass
class UploadHub:
    """A hub to which a model repository can be uploaded, by the requests of huggingface_hub, and which
    then answers for it."""

    nasty: Nasty
    storage: Nasty
    repository: str
    private: bool | None = None
    """Of the repository; None: there is none."""
    files: dict[str, bytes] = field(default_factory=dict)
    """Those that were committed."""
    branches: set[str] = field(default_factory=lambda: {"main"})
    commits: list[dict[str, Any]] = field(default_factory=list)
    """The first lines of the commits."""
    large: dict[str, bytes] = field(default_factory=dict)
    """What the storage has, by SHA-256."""

    def __post_init__(self) -> None:
        api, on = f"/api/models/{self.repository}", self.nasty.on
        on("/api/repos/create", self.create)
        on("/api/validate-yaml", self.answer(lambda asked: {}))
        on(api, self.about)
        on(f"/{self.repository}.git/info/lfs/objects/batch", self.answer(self.batch))
        self.storage.otherwise = self.put
        self.branch("main")
        on(f"{api}/branch/v2", self.answer(lambda asked: self.branch("v2")))

    @staticmethod
    def answer(by: Any) -> Any:
        """An answer in JSON to a request in JSON."""

        def behave(request: Request) -> None:
            body = request.body()
            reply = json.dumps(by(json.loads(body) if body else {})).encode()
            request.start(200, Content_Length=len(reply), Content_Type="application/json")
            request.send(reply)

        return behave

    def create(self, request: Request) -> None:
        asked = json.loads(request.body())
        assert f"{asked['organization']}/{asked['name']}" == self.repository
        new = self.private is None
        if new:
            self.private = asked.get("visibility") == "private"
        reply = json.dumps({"url": f"{self.nasty.address}/{self.repository}"}).encode()
        request.start(200 if new else 409, Content_Length=len(reply))
        request.send(reply)

    def about(self, request: Request) -> None:
        reply = json.dumps({"id": self.repository, "private": self.private}).encode()
        request.start(404 if self.private is None else 200, Content_Length=len(reply))
        request.send(reply)

    def branch(self, name: str) -> dict[str, Any]:
        self.branches.add(name)
        api = f"/api/models/{self.repository}"
        self.nasty.on(
            f"/{self.repository}/resolve/{name}/discriminator.safetensors",
            status(404, X_Error_Code="EntryNotFound"),
        )
        self.nasty.on(f"{api}/preupload/{name}", self.answer(self.modes))
        self.nasty.on(f"{api}/commit/{name}", self.commit)
        return {}

    def modes(self, asked: dict[str, Any]) -> dict[str, Any]:
        return {
            "files": [
                {
                    "path": each["path"],
                    "uploadMode": "lfs" if each["path"].endswith((*LARGE, ".png")) else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for each in asked["files"]
            ]
        }

    def batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        assert asked["operation"] == "upload"
        objects = [
            each | {"actions": {"upload": {"href": f"{self.storage.address}/put/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        return {"transfer": "basic", "objects": objects}

    def put(self, request: Request) -> None:
        assert request.command == "PUT"
        assert "Authorization" not in request.headers
        body, digest = request.body(), request.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == digest
        self.large[digest] = body
        request.start(200, Content_Length=0)

    def commit(self, request: Request) -> None:
        header, *lines = map(json.loads, request.body().splitlines())
        self.commits.append(header["value"])
        for line in lines:
            kind, value = line["key"], line["value"]
            if kind == "deletedFile":
                del self.files[value["path"]]
            elif kind == "lfsFile":
                self.files[value["path"]] = self.large[value["oid"]]
            else:
                self.files[value["path"]] = base64.b64decode(value["content"])
        serve_repository(self.nasty, self.storage, f"models/{self.repository}", self.files)
        page = f"{self.nasty.address}/{self.repository}/commit/{COMMIT}"
        reply = json.dumps({"commitUrl": page, "commitOid": COMMIT}).encode()
        request.start(200, Content_Length=len(reply))
        request.send(reply)
