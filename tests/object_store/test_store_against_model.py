"""Any sequence of changes, through the store and by hand, leaves what a dictionary would hold."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from clary.object_store.errors import NoSuchKey
from clary.object_store.names import natural_path
from clary.object_store.store import ObjectStore

SEGMENTS = st.sampled_from(["a", "b", "a b", "é", "..", ".", "", "ab", "\U0001f600", "x" * 256])
KEYS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join).filter(bool)
BODIES = st.binary(max_size=40)
BUCKET = "bucket"


class Changes(RuleBasedStateMachine):
    """The model is `expected`: what was put last, by key."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.store = ObjectStore(self.folder / "root")
        self.store.create_bucket(BUCKET)
        self.expected: dict[str, tuple[bytes, dict[str, str]]] = {}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(key=KEYS, body=BODIES)
    def put(self, key: str, body: bytes) -> None:
        metadata = {"size": str(len(body))}
        self.store.put(BUCKET, key, io.BytesIO(body), metadata=metadata)
        self.expected[key] = (body, metadata)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.store.delete(BUCKET, key) == (key in self.expected)
        self.expected.pop(key, None)

    @rule(key=KEYS, body=BODIES)
    def drop_in(self, key: str, body: bytes) -> None:
        if natural_path(key.encode()) is None:
            return
        path = self.folder / "root" / BUCKET / key
        with suppress(FileExistsError, NotADirectoryError, IsADirectoryError):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = self.folder / "dropped"
            beside.write_bytes(body)
            beside.replace(path)
            self.expected[key] = (body, {})

    @rule(key=KEYS)
    def take_out(self, key: str) -> None:
        path = self.folder / "root" / BUCKET / key
        if natural_path(key.encode()) is not None and path.is_file():
            path.unlink()
            del self.expected[key]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = ObjectStore(self.folder / "root")

    @rule()
    def lose_the_index(self) -> None:
        self.store.close()
        for file in (self.folder / "root" / ".clary").glob("index.sqlite*"):
            file.unlink()
        self.store = ObjectStore(self.folder / "root")
        self.expected = {key: (body, {}) for key, (body, _) in self.expected.items()}

    @rule(
        prefix=st.one_of(st.just(""), KEYS),
        delimiter=st.sampled_from(["", "/", "b"]),
        limit=st.integers(1, 4),
    )
    def list(self, prefix: str, delimiter: str, limit: int) -> None:
        wanted: list[str] = []
        for key in sorted(self.expected, key=str.encode):
            if key.startswith(prefix):
                at = key.find(delimiter, len(prefix)) if delimiter else -1
                entry = key if at < 0 else key[: at + len(delimiter)] + "\0common"
                if entry not in wanted:
                    wanted.append(entry)
        found: list[str] = []
        after = ""
        while True:
            page = self.store.list(BUCKET, prefix, delimiter, after, limit, continued=bool(after))
            assert len(page.objects) + len(page.prefixes) <= limit
            entries = [info.key for info in page.objects]
            entries += [common + "\0common" for common in page.prefixes]
            found += sorted(entries, key=lambda entry: entry.removesuffix("\0common").encode())
            if page.next is None:
                break
            after = page.next
        assert found == wanted

    @rule(prefix=KEYS)
    def look_for_a_folder(self, prefix: str) -> None:
        folder = self.store.folder(BUCKET, prefix)
        if folder is not None:
            held = {
                os.path.relpath(Path(at) / name, self.folder / "root" / BUCKET)
                for at, _, names in os.walk(folder)
                for name in names
            }
            assert held == {
                key for key in self.expected if key.startswith(prefix) and not key.endswith("/")
            }

    @invariant()
    def every_object_is_what_was_put(self) -> None:
        if not hasattr(self, "store"):
            return
        for key, (body, metadata) in self.expected.items():
            opened = self.store.open(BUCKET, key)
            with opened.file as file:
                assert file.read() == body
            assert opened.info.size == len(body)
            assert dict(opened.info.metadata) == metadata
            assert opened.info == self.store.info(BUCKET, key)
        with pytest.raises(NoSuchKey):
            self.store.info(BUCKET, "never put")


Changes.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestChanges = Changes.TestCase
