"""Sources in S3 through s3fs, against moto's server on loopback."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from impasto.collection import PackOptions, pack
from impasto.errors import ImpastoError
from impasto.sources.remote import store
from tests.helpers.remote import by_class, on_disk, picture, tarred, zipped

OPTIONS = PackOptions(resolution=16, name="x", duplicates="none", workers=1)
FLAT = {f"{n}.png": picture(n) for n in range(40)}
TABLE = "file,style\n" + "".join(f"{n}.png,style {n % 2}\n" for n in range(40))
SOURCES: dict[str, dict[str, bytes]] = {
    "folders": by_class(40),
    "table": {**FLAT, "metadata.csv": TABLE.encode()},
    "archives": {"cats.zip": zipped(by_class(8)), "dogs.tar": tarred({"x/1.png": picture(50)})},
}


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The bucket `art` of a server on loopback, which the environment names."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    for name, value in {
        "AWS_ACCESS_KEY_ID": "mine",
        "AWS_SECRET_ACCESS_KEY": "geheim",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        made = boto3.resource("s3").Bucket("art")
        made.create()
        yield made
        made.objects.all().delete()
        made.delete()
    finally:
        server.stop()


def put(bucket: Any, files: Mapping[str, bytes]) -> str:
    for name, content in files.items():
        bucket.put_object(Key=f"some/folder/{name}", Body=content)
    bucket.put_object(Key="some/folder/empty/", Body=b"")  # As consoles make folders.
    return "s3://art/some/folder"


@pytest.mark.parametrize("name", SOURCES)
def test_packed_as_from_a_copy_on_disk(name: str, bucket: Any, tmp_path: Path) -> None:
    expected = pack(on_disk(tmp_path / "disk", SOURCES[name]), tmp_path / "a", OPTIONS)
    report = pack(put(bucket, SOURCES[name]), tmp_path / "b", OPTIONS)
    assert report.collection.content_hash == expected.collection.content_hash
    assert report.left_out == expected.left_out
    assert all(
        row["source"].startswith("s3://art/some/folder") for row in report.collection.source_table()
    )
    written = [path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()]
    assert not any(b"geheim" in content for content in written)


def test_only_what_is_new_is_read_again(bucket: Any, tmp_path: Path) -> None:
    address = put(bucket, FLAT)
    pack(address, tmp_path / "b", OPTIONS)
    put(bucket, {"3.png": picture(99), "new.png": picture(100)})
    report = pack(f"{address}/", tmp_path / "b", OPTIONS)
    assert (report.known, report.source_count) == (39, 41)


def test_an_archive_alone(bucket: Any, tmp_path: Path) -> None:
    address = put(bucket, SOURCES["archives"])
    assert pack(f"{address}/cats.zip", tmp_path / "b", OPTIONS).source_count == 8


@pytest.mark.parametrize("address", ["s3://none-such/x", "s3://art/nothing", "s3://art/no.zip"])
def test_what_is_not_there(address: str, bucket: Any, tmp_path: Path) -> None:
    with pytest.raises(ImpastoError, match=f"there is no {address} .*check the address"):
        pack(address, tmp_path / "b", OPTIONS)


def test_without_credentials(
    bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    address = put(bucket, FLAT)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with (
        caplog.at_level(logging.INFO, "impasto"),
        pytest.raises(
            ImpastoError, match=r"access to .* is refused \(not allowed \(403\)\); set AWS_"
        ),
    ):
        pack(address, tmp_path / "b", OPTIONS)
    assert "there are no credentials for s3://art; going on without" in caplog.text
    for each in bucket.objects.all():
        each.Acl().put(ACL="public-read")
    assert pack(address, tmp_path / "b", OPTIONS).source_count == 40


def test_nobody_answers(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "FIRST_PATIENCE", 0.1)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(ImpastoError, match=r"cannot be read .*check the address"):
            pack("s3://art/some", tmp_path / "b", OPTIONS)
