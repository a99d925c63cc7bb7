"""Reading JSON that other programs have saved, and files that Git has left pointers of."""

import errno
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from impasto.errors import ImpastoError
from impasto.fetching.folder import fetching_into
from impasto.files import PointerError, lock, read_json, read_json_lines
from impasto.training.run_folder import exclusive
from tests.helpers.lfs import POINTER

VALUE: dict[str, Any] = {"name": "Café 浮世絵", "numbers": [1, 2.5, None]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_json_as_editors_save_it(tmp_path: Path, encoding: str, end: str) -> None:
    text = json.dumps(VALUE, indent=2, ensure_ascii=False) + "\n"
    (tmp_path / "a.json").write_bytes(text.replace("\n", end).encode(encoding))
    assert read_json(tmp_path / "a.json", "thing") == VALUE


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{", b"\xc3\x28", b"[" * 200_000])
def test_json_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ImpastoError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json", "thing")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_as_editors_save_them(tmp_path: Path, encoding: str, end: str) -> None:
    rows = [VALUE, {"odd": "one\u2028line\u0085still"}, {"last": 1}]
    text = end.join(json.dumps(row, ensure_ascii=False) for row in rows) + end + '{"cut'
    (tmp_path / "a.jsonl").write_bytes(text.encode(encoding))
    assert read_json_lines(tmp_path / "a.jsonl") == rows
    # A row is appended as UTF-8, whoever saved the file before.
    (tmp_path / "a.jsonl").write_bytes((end.join(text.split(end)[:-1]) + end).encode(encoding))
    with (tmp_path / "a.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"new": 2}\n')
    assert read_json_lines(tmp_path / "a.jsonl") == [*rows, {"new": 2}]


def test_rows_in_utf_16_are_not_silently_none(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"a": 1}\n'.encode("utf-16"))
    with pytest.raises(ImpastoError, match=r"a\.jsonl is in UTF-16; save it as UTF-8"):
        read_json_lines(tmp_path / "a.jsonl")


def test_pointers_of_git_lfs(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(POINTER)
    sentence = r"a\.json is a Git LFS pointer; fetch the files themselves with git lfs pull$"
    with pytest.raises(PointerError, match=sentence):
        read_json(tmp_path / "a.json", "thing")
    with pytest.raises(PointerError, match=sentence):
        read_json_lines(tmp_path / "a.json")


# Locks


def lock_fails(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    fcntl = pytest.importorskip("fcntl")

    def fail(descriptor: int, how: int) -> None:
        raise OSError(number, "as told")

    monkeypatch.setattr(fcntl, "flock", fail)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EINVAL])
@pytest.mark.parametrize("hold", [exclusive, fetching_into])
def test_without_locks_the_work_goes_on_after_a_note(
    hold: Any,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lock_fails(monkeypatch, number)
    reached = []
    with caplog.at_level(logging.INFO, "impasto"), hold(tmp_path):
        reached.append(1)
    assert reached
    (note,) = caplog.messages
    assert f"{tmp_path} is on a file system without locks" in note


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
@pytest.mark.parametrize("hold", [exclusive, fetching_into])
def test_a_lock_that_another_process_holds(
    hold: Any, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_fails(monkeypatch, number)
    with pytest.raises(ImpastoError, match="another"), hold(tmp_path):
        pytest.fail("it was held")


@pytest.mark.parametrize("hold", [exclusive, fetching_into])
def test_an_error_of_the_work_under_a_lock_is_not_taken_for_the_locks(
    hold: Any, tmp_path: Path
) -> None:
    with pytest.raises(BlockingIOError, match="of the work"), hold(tmp_path):
        raise BlockingIOError(errno.EAGAIN, "of the work")


def test_a_lock_holds_until_the_file_is_closed(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with (tmp_path / "a").open("w") as first:
        assert lock(first.fileno())
        with (tmp_path / "a").open("w") as second, pytest.raises(BlockingIOError):
            lock(second.fileno())
    with (tmp_path / "a").open("w") as third:
        assert lock(third.fileno())
