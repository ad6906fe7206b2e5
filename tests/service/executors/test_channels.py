"""Channels in every mode, from real buckets into real processes."""

from __future__ import annotations

import gzip
import json
import os
import struct
from pathlib import Path

import pytest

from clary.errors import ClaryError
from clary.service.executors.channels import place_channels
from clary.service.executors.executor import Ended
from clary.service.executors.local_processes import LocalProcesses
from clary.service.executors.places import HostPlace, host_places
from tests.service.executors.conftest import Bench, MakeExecutor, channel

TREE = """
import json, os
root = os.environ["SM_CHANNEL_TRAINING"]
found = {}
for folder, _, names in os.walk(root):
    for name in names:
        path = os.path.join(folder, name)
        found[os.path.relpath(path, root)] = open(path).read()
print(json.dumps(found))
"""


def seen_tree(bench: Bench, executor: LocalProcesses, name: str, **of_channel: str) -> object:
    job = bench.script(name, TREE, InputDataConfig=[channel("training", **of_channel)])
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    return json.loads(bench.lines(executor, job)[-1])


def two_hosts(bench: Bench, **of_channel: str) -> tuple[list[list[str]], list[HostPlace]]:
    job = bench.job(
        "two",
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 2},
        InputDataConfig=[channel("training", **of_channel)],
    )
    hosts = host_places(job, "namespace")
    for host in hosts:
        host.directory.create()
    placed = place_channels(job, hosts, bench.store)
    names = [sorted(p.name for p in host.folders["training"].iterdir()) for host in placed]
    return names, list(hosts)


def test_a_prefix_that_is_a_folder_is_the_buckets_own_folder(
    bench: Bench, executor: LocalProcesses
) -> None:
    bench.put("data/train/ant/1.jpg", "one")
    bench.put("data/train/bee/2.jpg", "two")
    found = seen_tree(bench, executor, "folder", uri="s3://bench/data/train/", InputMode="FastFile")
    assert found == {"ant/1.jpg": "one", "bee/2.jpg": "two"}
    launch = json.loads((bench.settings.jobs_dir / "folder" / ".launch.json").read_text())
    mounted = {mount["target"]: mount["source"] for mount in launch["mounts"]}
    assert mounted["/opt/ml/input/data/training"].endswith("buckets/bench/data/train")


def test_a_prefix_that_is_the_beginning_of_names(bench: Bench, executor: LocalProcesses) -> None:
    bench.put("data/part-1.csv", "one")
    bench.put("data/part-2.csv", "two")
    bench.put("data/other.csv", "no")
    found = seen_tree(bench, executor, "beginning", uri="s3://bench/data/part-")
    assert found == {"part-1.csv": "one", "part-2.csv": "two"}


def test_a_prefix_that_is_one_key(bench: Bench, executor: LocalProcesses) -> None:
    bench.put("data/train.csv", "rows")
    found = seen_tree(bench, executor, "key", uri="s3://bench/data/train.csv")
    assert found == {"train.csv": "rows"}


def test_a_manifest_names_the_files(bench: Bench, executor: LocalProcesses) -> None:
    bench.put("data/a/1.txt", "one")
    bench.put("data/b/2.txt", "two")
    bench.put("data/c/3.txt", "three")
    manifest = bench.put(
        "lists/m.json", json.dumps([{"prefix": "s3://bench/data/"}, "a/1.txt", "c/3.txt"])
    )
    found = seen_tree(bench, executor, "manifest", uri=manifest, S3DataType="ManifestFile")
    assert found == {"a/1.txt": "one", "c/3.txt": "three"}


def test_sharding_gives_each_host_its_part(bench: Bench) -> None:
    for number in range(5):
        bench.put(f"shards/{number}.txt", "x")
    names, _ = two_hosts(bench, uri="s3://bench/shards/", S3DataDistributionType="ShardedByS3Key")
    assert names == [["0.txt", "2.txt", "4.txt"], ["1.txt", "3.txt"]]


def test_hard_links_need_no_space_and_mounts_keep_the_objects(
    bench: Bench, executor: LocalProcesses
) -> None:
    uri = bench.put("data/only.txt", "before")
    text = (
        "import os\n"
        "path = os.environ['SM_CHANNEL_TRAINING'] + '/only.txt'\n"
        "try:\n    open(path, 'w').write('after')\n"
        "except OSError as error:\n    print(error.strerror)\n"
    )
    source = channel("training", uri, InputMode="FastFile")
    job = bench.script("linked", text, InputDataConfig=[source])
    bench.run(executor, job)
    assert bench.lines(executor, job)[-1] == "Read-only file system"
    placed = job.directory.channel("training") / "only.txt"
    assert placed.stat().st_ino == bench.store.info("bench", "data/only.txt").path.stat().st_ino


def test_copies_where_nothing_can_be_mounted(bench: Bench, make_executor: MakeExecutor) -> None:
    executor = make_executor(warm=False, isolation="none")
    bench.put("data/train/a.txt", "before")
    text = (
        "import os\n"
        "path = os.environ['SM_CHANNEL_TRAINING'] + '/a.txt'\n"
        "open(path, 'w').write('after')\n"
        "print(os.environ['SAGEMAKER_BASE_DIR'], os.environ['SM_MODEL_DIR'], os.getcwd())\n"
    )
    job = bench.script("copied", text, InputDataConfig=[channel("training", "s3://bench/data/")])
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0
    root = job.directory.root
    lines = bench.lines(executor, job)
    assert lines[0].startswith("clary: this system allows no private /opt/ml")
    assert lines[-1] == f"{root} {root}/model {root}/code"
    assert bench.store.info("bench", "data/train/a.txt").path.read_text() == "before"


def test_what_a_script_writes_into_a_file_channel_stays_in_the_job(
    bench: Bench, executor: LocalProcesses
) -> None:
    for number in range(120):
        bench.put(f"large/{number:03}.txt", "before")
    text = (
        "import os\n"
        "os.chdir(os.environ['SM_CHANNEL_TRAINING'])\n"
        "open('000.txt', 'w').write('after')\n"
        "os.chmod('001.txt', 0o755)\n"
        "os.remove('002.txt')\n"
        "os.mkdir('new')\n"
        "print(len(os.listdir()), open('000.txt').read())\n"
    )
    source = channel("training", "s3://bench/large/")
    job = bench.script("writes", text, InputDataConfig=[source])
    ended = bench.run(executor, job)
    lines = bench.lines(executor, job)
    if any("no overlay is possible" in line for line in lines):
        pytest.skip("this system has no overlays")
    assert isinstance(ended, Ended) and ended.exit_code == 0, lines
    assert lines[-1] == "120 after"
    objects = list(bench.store.iterate("bench", "large/"))
    assert len(objects) == 120
    assert {info.path.read_text() for info in objects} == {"before"}
    assert not any(info.path.stat().st_mode & 0o111 for info in objects)
    executor.discard(job)
    assert not job.directory.root.exists()


@pytest.mark.parametrize(
    ("of_channel", "message"),
    [
        ({"uri": "s3://bench/nothing/"}, 'No S3 objects found under S3 URL "s3://bench/nothing/"'),
        ({"uri": "s3://no-such-bucket/x"}, "No S3 objects found under S3 URL"),
        ({"uri": "s3://bench/bad.json", "S3DataType": "ManifestFile"}, "is no manifest"),
        (
            {"uri": "s3://bench/bad.json", "S3DataType": "AugmentedManifestFile"},
            "set its InputMode to Pipe",
        ),
    ],
)
def test_data_that_cannot_be_had(
    bench: Bench, executor: LocalProcesses, of_channel: dict[str, str], message: str
) -> None:
    bench.put("bad.json", "{}")
    job = bench.script("bad", "1", InputDataConfig=[channel("training", **of_channel)])
    with pytest.raises(ClaryError, match=message):
        executor.prepare(job, lambda said: None)


def test_a_channel_of_another_source_is_refused(bench: Bench, executor: LocalProcesses) -> None:
    efs = {"FileSystemDataSource": {"FileSystemId": "fs-1", "DirectoryPath": "/"}}
    job = bench.script("efs", "1", InputDataConfig=[{"ChannelName": "t", "DataSource": efs}])
    with pytest.raises(ClaryError, match="the channel t has no S3DataSource"):
        executor.prepare(job, lambda said: None)


def test_a_pipe_gives_each_epoch_anew(bench: Bench, executor: LocalProcesses) -> None:
    for number in range(3):
        bench.put(f"data/{number}.gz", gzip.compress(f"{number}".encode() * 3))
    text = (
        "import os\n"
        "for epoch in range(3):\n"
        "    with open(f'/opt/ml/input/data/training_{epoch}', 'rb') as pipe:\n"
        "        print(epoch, pipe.read())\n"
    )
    job = bench.script(
        "pipe",
        text,
        AlgorithmSpecification={"TrainingInputMode": "Pipe"},
        InputDataConfig=[channel("training", "s3://bench/data/", CompressionType="Gzip")],
    )
    ended = bench.run(executor, job)
    assert isinstance(ended, Ended) and ended.exit_code == 0, bench.lines(executor, job)
    assert bench.lines(executor, job)[-3:] == [f"{epoch} b'000111222'" for epoch in range(3)]


def test_an_augmented_manifest_streams_records(bench: Bench, executor: LocalProcesses) -> None:
    rows = [
        {"image-ref": bench.put(f"pictures/{number}", f"picture {number}"), "class": number}
        for number in range(2)
    ]
    manifest = bench.put("lists/a.jsonl", "\n".join(json.dumps(row) for row in rows))
    text = "print(open('/opt/ml/input/data/training_0', 'rb').read().hex())\n"
    source = channel(
        "training",
        manifest,
        S3DataType="AugmentedManifestFile",
        AttributeNames=["image-ref", "class"],
        RecordWrapperType="RecordIO",
        InputMode="Pipe",
    )
    job = bench.script("augmented", text, InputDataConfig=[source])
    bench.run(executor, job)
    stream = bytes.fromhex(bench.lines(executor, job)[-1])
    payloads = []
    while stream:
        magic, length = struct.unpack_from("<II", stream)
        assert magic == 0xCED7230A
        payloads.append(stream[8 : 8 + length])
        stream = stream[8 + length + -length % 4 :]
    assert payloads == [b"picture 0", b"0", b"picture 1", b"1"]


def test_a_linked_folder_is_mounted_in_place(
    bench: Bench, executor: LocalProcesses, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    (photos / "ants").mkdir(parents=True)
    (photos / "ants" / "1.jpg").write_text("ant")
    bench.store.link("photos", photos)
    found = seen_tree(bench, executor, "in-place", uri="s3://photos/", InputMode="FastFile")
    assert found == {"ants/1.jpg": "ant"}
    assert os.listdir(bench.settings.jobs_dir / "in-place/input/data/training") == []  # noqa: PTH208
