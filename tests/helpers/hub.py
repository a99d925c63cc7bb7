"""Repositories of the Hugging Face hub on a server of loopback, and an environment of nobody's."""

import hashlib
import json
import time
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
    nasty.on(f"{api}/revision/refs%2Fconvert%2Fparquet", nasty.routes[f"{api}/revision/main"])
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
