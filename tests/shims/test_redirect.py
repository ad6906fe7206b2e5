"""The redirect in real interpreters: every AWS client goes to Clary, and nothing reaches AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import botocore
import pytest

from clary.formats.client_environment import SHIMS
from clary.shims.sitecustomize import is_aws
from tests.clients.environments import ClientEnvironment, client_environment


@pytest.fixture(scope="module")
def s3fs() -> ClientEnvironment:
    return client_environment("s3fs")


@pytest.fixture(scope="module")
def notebook() -> ClientEnvironment:
    return client_environment("notebook")


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[str]]]:
    """A server in Clary's place, and the requests that reach it."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(f"{self.command} {self.path}")
            body = b"<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


def run(
    script: str, endpoint: str, python: Path | str = sys.executable, **more: str
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "AWS" not in name}
    environment |= {
        "CLARY_ENDPOINT": endpoint,
        "PYTHONPATH": str(SHIMS),
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        **more,
    }
    return subprocess.run(
        [str(python), "-c", script], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "'s3'",
        "'s3', endpoint_url='https://s3.eu-west-1.amazonaws.com'",
        "'s3', 'eu-west-1', None, True, None, 'https://s3.amazonaws.com'",
    ],
)
def test_a_client_goes_to_clary(endpoint: tuple[str, list[str]], arguments: str) -> None:
    url, seen = endpoint
    ended = run(f"import boto3; print(boto3.client({arguments}).list_buckets()['Buckets'])", url)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
    assert seen == ["GET /"]


@pytest.mark.parametrize("name", ["sts", "runtime.sagemaker", "sagemaker-metrics", "logs"])
def test_every_service_has_the_endpoint(endpoint: tuple[str, list[str]], name: str) -> None:
    url, _ = endpoint
    ended = run(f"import boto3; print(boto3.client({name!r}).meta.endpoint_url)", url)
    assert ended.stdout.strip() == url


def test_somebody_s_own_endpoint_is_left_alone() -> None:
    script = "import boto3; print(boto3.client('s3', endpoint_url='http://minio:9000').meta.endpoint_url)"
    assert run(script, "http://127.0.0.1:1").stdout == "http://minio:9000\n"


def test_nothing_reaches_aws_from_a_client_that_was_made_before() -> None:
    script = (
        "import os; target = os.environ.pop('CLARY_ENDPOINT'); import boto3\n"
        "client = boto3.client('s3'); os.environ['CLARY_ENDPOINT'] = target\n"
        "client.list_buckets()"
    )
    ended = run(script, "http://127.0.0.1:1")
    assert "RefusedByClary: Clary does not let requests reach AWS" in ended.stderr
    assert "s3.eu-west-1.amazonaws.com" in ended.stderr


def test_without_the_variable_nothing_changes() -> None:
    script = "import boto3; print(boto3.client('s3').meta.endpoint_url)"
    assert run(script, "").stdout == "https://s3.eu-west-1.amazonaws.com\n"


def test_asynchronous_clients_too(endpoint: tuple[str, list[str]], s3fs: ClientEnvironment) -> None:
    url, seen = endpoint
    script = "import s3fs\nprint(s3fs.S3FileSystem(endpoint_url='https://s3.amazonaws.com').ls(''))"
    ended = run(script, url, s3fs.python)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
    assert seen == ["GET /"]


def test_libraries_that_are_loaded_already_are_changed_too() -> None:
    script = (
        "import boto3, os; os.environ['CLARY_ENDPOINT'] = 'http://127.0.0.1:9'\n"
        "from sitecustomize import redirect; redirect(); redirect()\n"
        "print(boto3.client('s3', endpoint_url='https://s3.amazonaws.com').meta.endpoint_url)"
    )
    assert run(script, "").stdout == "http://127.0.0.1:9\n"


def test_the_hidden_sitecustomize_runs(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('hidden')\n")
    ended = run("print('main')", "http://x", PYTHONPATH=f"{SHIMS}{os.pathsep}{tmp_path}")
    assert (ended.stdout, ended.stderr) == ("hidden\nmain\n", "")


def test_it_is_light() -> None:
    script = "import sys; print(sorted({'typing', 'urllib', 'botocore'} & set(sys.modules)))"
    assert run(script, "http://x").stdout == "[]\n"


def test_a_library_in_a_zip_file_is_changed_too(tmp_path: Path) -> None:
    archive = tmp_path / "libraries.zip"
    with ZipFile(archive, "w") as libraries:
        libraries.writestr("botocore/__init__.py", "")
        source = (
            "class Session:\n    def create_client(self, name, **k): return k['endpoint_url']\n"
        )
        libraries.writestr("botocore/session.py", source)
        sender = "class URLLib3Session:\n    def send(self, request): return 'sent'\n"
        libraries.writestr("botocore/httpsession.py", sender)
        libraries.writestr("botocore/other.py", "")
    script = (
        "import inspect, botocore.session, botocore.httpsession, botocore.other\n"
        "print(botocore.__file__.startswith(%r), inspect.getsource(botocore.session)[:5])\n"
        "print(botocore.session.Session().create_client('s3'))"
    )
    path = f"{SHIMS}{os.pathsep}{archive}"
    ended = run(script % str(archive), "http://127.0.0.1:9", PYTHONPATH=path)
    assert (ended.stdout, ended.stderr) == ("True class\nhttp://127.0.0.1:9\n", "")


def suffixes(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name.lower().endswith("dnssuffix"):
                yield value
            else:
                yield from suffixes(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from suffixes(item)


@pytest.mark.parametrize("name", ["partitions", "endpoints"])
def test_the_hosts_of_every_partition_are_aws_s(name: str) -> None:
    data = Path(botocore.__file__).parent / "data" / f"{name}.json"
    partitions = json.loads(data.read_bytes())
    found = set(suffixes(partitions))
    assert "amazonaws.com" in found
    assert [suffix for suffix in found if not is_aws(f"https://s3.some-region.{suffix}")] == []


@pytest.mark.parametrize(
    ("url", "aws"),
    [
        ("https://sts.eu-west-1.amazonaws.com", True),
        ("https://bucket.s3.amazonaws.com:443/key?x=1", True),
        ("sts.amazonaws.com", True),
        ("https://s3.cn-north-1.amazonaws.com.cn/", True),
        ("https://s3.dualstack.us-east-1.api.aws", True),
        ("http://127.0.0.1:7788/amazonaws.com", False),
        ("http://amazonaws.com.example.org", False),
        ("http://notamazonaws.com", False),
    ],
)
def test_hosts_of_aws_are_known(url: str, aws: bool) -> None:
    assert is_aws(url) is aws


def test_the_sagemaker_sdk_does_not_sleep_for_half_a_minute(notebook: ClientEnvironment) -> None:
    script = (
        "import os, time, sagemaker.session as module\n"
        "slept = []; time.sleep = slept.append\n"
        "answers = iter([None, None, 'InService'])\n"
        "found = module._wait_until(lambda: next(answers), 30)\n"
        "del os.environ['CLARY_ENDPOINT']\n"
        "module._wait_until(lambda: 'on AWS', 30)\n"
        "print(found, slept)"
    )
    ended = run(script, "http://127.0.0.1:1", notebook.python)
    assert ended.stdout.splitlines()[-1] == "InService [1, 1, 1, 30]"
