"""What a reader of a FIFO gets."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from clary.formats.launch import PipeChannel
from clary.jobs.host.pipes import epoch_blocks, feed_pipes, make_first_pipes, recordio


def pipe(folder: Path, records: list[list[dict[str, str]]], **options: object) -> PipeChannel:
    listing = folder / "records.jsonl"
    listing.write_text("".join(json.dumps(record) + "\n" for record in records))
    return PipeChannel("train", str(folder), str(listing), **options)  # type: ignore[arg-type]


def fail(sentence: str) -> None:
    raise AssertionError(sentence)


def epoch(channel: PipeChannel, number: int = 0) -> bytes:
    return b"".join(epoch_blocks(channel, number))


def test_gzip_of_several_members_is_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress(b"one ") + gzip.compress(b"two"))
    assert epoch(pipe(tmp_path, [[{"path": str(packed)}]], gzip=True)) == b"one two"


def test_each_epoch_is_shuffled_anew_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    records = [[{"text": f"{number:02}"}] for number in range(20)]
    channel = pipe(tmp_path, records, shuffle_seed=3)
    first, second = epoch(channel), epoch(channel, 1)
    plain = epoch(pipe(tmp_path, records))
    assert first == epoch(channel)
    assert len({first, second, plain}) == 3
    assert sorted(first) == sorted(second) == sorted(plain)


@given(st.binary(max_size=100))
def test_recordio_pads_to_four_bytes_and_says_its_length(payload: bytes) -> None:
    record = recordio(payload)
    assert struct.unpack_from("<II", record) == (0xCED7230A, len(payload))
    assert len(record) % 4 == 0
    assert record[8 : 8 + len(payload)] == payload


def test_a_reader_that_leaves_early_gets_the_next_epoch_whole(tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 3_000_000)
    channel = pipe(tmp_path, [[{"path": str(big)}]])
    make_first_pipes([channel])
    feed_pipes([channel], fail)
    with (tmp_path / "train_0").open("rb") as reader:
        assert reader.read(10) == b"x" * 10
    with (tmp_path / "train_1").open("rb") as reader:
        assert len(reader.read()) == 3_000_000


def test_what_cannot_be_read_is_told_before_the_reader_sees_an_end(tmp_path: Path) -> None:
    channel = pipe(tmp_path, [[{"text": "one"}], [{"path": str(tmp_path / "gone")}]])
    said: list[str] = []
    make_first_pipes([channel])
    feed_pipes([channel], said.append)
    with (tmp_path / "train_0").open("rb") as reader:
        assert reader.read() == b"one"
    assert len(said) == 1 and said[0].startswith("the channel train cannot be streamed: ")
