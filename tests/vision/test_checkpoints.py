"""Checkpoints come back as they went in, and a damaged one says so."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.errors import FormatError
from clary.vision.checkpoints import load_tree, save_tree

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.builds(lambda n: torch.arange(n, dtype=torch.float32), st.integers(0, 4)),
)
KEYS = st.text(st.characters(exclude_characters="$"), min_size=1, max_size=5)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(st.integers(0, 9), inner, min_size=1, max_size=3),
    ),
    max_leaves=12,
)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return type(a) is type(b) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return (
            type(a) is type(b)
            and len(a) == len(b)
            and all(same(x, y) for x, y in zip(a, b, strict=True))
        )
    return a == b and type(a) is type(b)


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_round_trip(tmp_path_factory, tree):
    path = tmp_path_factory.mktemp("checkpoints") / "tree.safetensors"
    save_tree(path, tree)
    assert same(tree, load_tree(path))


def test_optimizer_state_round_trips(tmp_path):
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([weight], lr=0.1)
    weight.sum().backward()
    optimizer.step()
    save_tree(tmp_path / "o", optimizer.state_dict())
    other = torch.optim.AdamW([torch.nn.Parameter(torch.ones(3))], lr=0.7)
    other.load_state_dict(load_tree(tmp_path / "o"))
    assert same(optimizer.state_dict(), other.state_dict())


def test_tensors_that_share_memory_are_kept_apart(tmp_path):
    whole = torch.arange(4.0)
    save_tree(tmp_path / "t", {"a": whole, "b": whole[:2]})
    loaded = load_tree(tmp_path / "t")
    assert torch.equal(loaded["b"], whole[:2])


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_damage_is_named(tmp_path, content):
    path = tmp_path / "last.safetensors"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"last\.safetensors cannot be read .* start anew"):
        load_tree(path)


def test_truncation_is_named(tmp_path):
    path = tmp_path / "last.safetensors"
    save_tree(path, {"weights": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="cannot be read"):
        load_tree(path)
