from __future__ import annotations

import hashlib
import http.server
import threading
import zipfile
from collections.abc import Callable

import pytest

from clary.errors import DownloadError, StorageError
from clary.vision.datasets.downloads import RemoteFile, fetch
from clary.vision.datasets.known import CIFAR10, check_member

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT on the loopback, with the faults that a test asks for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.cut_after: list[int] = []
        self.ranges = True
        self.status = 200
        self.failures = 0
        self.content = CONTENT
        self.announce_length = True
        self.requests: list[str | None] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        if server.failures:
            server.failures -= 1
            self.send_error(503)
            return
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start and start >= len(server.content):
            self.send_error(416)
            return
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            last, size = len(server.content) - 1, len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{last}/{size}")
        if server.announce_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after:
            body = body[: server.cut_after.pop(0)]
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def remote(server) -> Callable[..., RemoteFile]:
    def describe(**changes: object) -> RemoteFile:
        facts = {
            "what": "The test pictures",
            "url": f"http://127.0.0.1:{server.server_port}/data.zip",
            "file_name": "data.zip",
            "size": len(CONTENT),
            "sha256": SHA256,
        }
        return RemoteFile(**{**facts, **changes})

    return describe


def test_a_file_is_fetched_once_with_progress(server, remote, tmp_path):
    seen = []
    folder = tmp_path / "new" / "folder"
    path = fetch(remote(), folder, lambda *report: seen.append(report))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("fetching data.zip", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert fetch(remote(), folder) == path
    assert server.requests == [None]
    assert not (folder / "data.zip.part").exists()


def test_a_cut_connection_is_taken_up_where_it_ended(server, remote, tmp_path):
    server.cut_after = [300_000, 400_000]
    assert fetch(remote(), tmp_path, pause_s=0).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-", "bytes=700000-"]


def test_a_later_process_goes_on(server, remote, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT[:1000])
    assert fetch(remote(), tmp_path).read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-"]


def test_a_server_without_ranges_starts_again(server, remote, tmp_path):
    server.ranges = False
    server.cut_after = [300_000]
    assert fetch(remote(), tmp_path, pause_s=0).read_bytes() == CONTENT
    assert server.requests == [None, "bytes=300000-"]


def test_a_part_of_another_file_is_given_up(server, remote, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT + b"more")
    assert fetch(remote(), tmp_path).read_bytes() == CONTENT
    assert server.requests == [None]


def test_a_busy_server_is_asked_again(server, remote, tmp_path):
    server.failures = 2
    assert fetch(remote(), tmp_path, pause_s=0).read_bytes() == CONTENT
    server.failures = 3
    with pytest.raises(DownloadError, match="Service Unavailable"):
        fetch(remote(file_name="other.zip"), tmp_path, pause_s=0)


def test_a_wrong_checksum_leaves_nothing_behind(server, remote, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DownloadError, match=r"has the SHA-256 .*: run again to fetch it anew"):
        fetch(remote(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".data.zip.lock"]
    server.content = CONTENT
    assert fetch(remote(), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("length", [10, len(CONTENT) + 10])
def test_a_file_of_another_size_is_refused_at_once(server, remote, tmp_path, length):
    server.content = (CONTENT * 2)[:length]
    with pytest.raises(DownloadError, match=f"it has {length:,} bytes there, not the 1,024,000"):
        fetch(remote(), tmp_path, pause_s=0)
    assert len(server.requests) == 1


def test_a_file_that_turns_out_larger_is_refused(server, remote, tmp_path):
    server.announce_length = False
    server.content = CONTENT * 3
    with pytest.raises(DownloadError, match="larger there than the 1,024,000 bytes expected"):
        fetch(remote(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".data.zip.lock"]


def test_a_file_of_no_announced_length_is_fetched(server, remote, tmp_path):
    server.announce_length = False
    assert fetch(remote(), tmp_path).read_bytes() == CONTENT


def test_a_server_that_always_cuts_is_given_up(server, remote, tmp_path):
    server.ranges = False
    server.cut_after = [10] * 9
    with pytest.raises(DownloadError, match="ended after 10 of 1,024,000 bytes"):
        fetch(remote(), tmp_path, pause_s=0)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_is_said_at_once(server, remote, tmp_path, status):
    server.status = status
    with pytest.raises(DownloadError, match=f"server answered {status}"):
        fetch(remote(), tmp_path)
    assert len(server.requests) == 1


def test_without_a_network_one_sentence_says_all(remote, server, tmp_path):
    url = "http://127.0.0.1:9/data.zip"
    with pytest.raises(DownloadError) as caught:
        fetch(remote(url=url), tmp_path, pause_s=0)
    assert str(caught.value) == (
        f"The test pictures (1 MB) could not be fetched from {url} (Connection refused): connect "
        f"to the network, or fetch it elsewhere and put it at {tmp_path / 'data.zip'}"
    )


def test_a_file_put_there_by_hand_is_used(server, remote, tmp_path):
    (tmp_path / "data.zip").write_bytes(CONTENT)
    assert fetch(remote(), tmp_path) == tmp_path / "data.zip"
    assert server.requests == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(CONTENT[:-1], "has 1,023,999 bytes, not the 1,024,000"), (CONTENT[::-1], "has the SHA-256")],
)
def test_a_wrong_file_put_there_by_hand_is_named(remote, tmp_path, content, sentence):
    (tmp_path / "data.zip").write_bytes(CONTENT)
    fetch(remote(), tmp_path)
    (tmp_path / "data.zip").write_bytes(content)
    with pytest.raises(DownloadError, match=f"{sentence}.*: remove it to fetch"):
        fetch(remote(), tmp_path)
    assert (tmp_path / "data.zip").read_bytes() == content


def test_two_that_want_the_same_file_fetch_it_once(server, remote, tmp_path):
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(fetch(remote(), tmp_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == CONTENT for path in results] == [True] * 4
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_written_is_said(remote, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        fetch(remote(), tmp_path / "file" / "datasets")


def test_a_zip_of_other_content_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dogImages/train/001.A/1.jpg", b"")
    check_member(path, "dogImages/train/")
    with pytest.raises(DownloadError, match="holds no cats/"):
        check_member(path, "cats/")
    path.write_bytes(b"no")
    with pytest.raises(DownloadError, match="is no zip"):
        check_member(path, "cats/")


def test_a_known_name_reads_the_file_put_there_by_hand(opened, settings):
    settings.datasets_dir.mkdir(parents=True)
    path = settings.datasets_dir / CIFAR10.file_name
    path.write_bytes(b"short")
    with pytest.raises(DownloadError, match="has 5 bytes, not the 170,498,071 expected"):
        opened("cifar10")
