"""Statistics agree with numpy's in double precision, whatever the values and the memory format."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from clary.debugger.device_statistics import BYTES_AT_ONCE, DeviceStatistics
from clary.debugger.distribution import Updates, histogram_of
from clary.debugger.flat import SAMPLE, flat, sample_of
from clary.debugger.small_tensors import statistics_of_small
from clary.debugger.statistics import PLAIN, Wanted, statistics_of
from clary.debugger.summaries import summarize
from clary.debugger.transfer import Transfer

ALL = Wanted(product=True, smallest_absolute=True)
FLOATS = hnp.arrays(
    np.float32,
    st.integers(0, 200),
    elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, math.nan, math.inf, -math.inf]),
)


def on_device(values, wanted=PLAIN):
    """By the kernels that a GPU would run."""
    transfer = Transfer()
    device = DeviceStatistics(transfer)
    device.add("tensor", torch.from_numpy(values), wanted)
    device.add("other", torch.ones(5000), PLAIN)
    device.reduce()
    transfer.send()
    return device.read(transfer.read())["tensor"]


WAYS = {
    "large": lambda values: statistics_of(torch.from_numpy(values)),
    "small": lambda values: statistics_of_small({"a": (values, PLAIN)})["a"],
    "device": on_device,
}


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=60, deadline=None)
@given(values=FLOATS)
def test_each_way_agrees_with_double_precision(way, values):
    found = WAYS[way](values)
    finite = values[np.isfinite(values)].astype(np.float64)
    assert found.size == values.size
    assert found.nans == np.isnan(values).sum()
    assert found.infs == np.isinf(values).sum()
    if not finite.size:
        assert found.mean is None
        return
    assert found.zeros == (finite == 0).sum()
    assert (found.min, found.max) == (finite.min(), finite.max())
    largest = np.abs(finite).max()
    assert found.mean == pytest.approx(finite.mean(), rel=1e-5, abs=1e-6 * largest)
    assert found.l1 == pytest.approx(np.abs(finite).sum(), rel=1e-5)
    assert found.l2 == pytest.approx(np.linalg.norm(finite), rel=1e-5, abs=1e-18)
    assert found.std == pytest.approx(finite.std(), rel=1e-3, abs=1e-4 * largest)


def test_a_device_holds_a_few_blocks_at_a_time_however_large_tensors_are():
    class Held(TorchDispatchMode):
        """Follows what storages hold that operations made."""

        def __init__(self):
            super().__init__()
            self.alive, self.most = {}, 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and made.untyped_storage().data_ptr() not in known:
                storage = made.untyped_storage()
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
            self.alive = {key: told for key, told in self.alive.items() if not told[0].expired()}
            self.most = max(self.most, sum(nbytes for _, nbytes in self.alive.values()))
            return made

    torch.manual_seed(0)
    tensors = {"small": torch.randn(70_001), "large": torch.randn(3 * BYTES_AT_ONCE // 4 + 5)}
    tensors["double"] = torch.randn(300_000, dtype=torch.float64) * 1e50
    known = {tensor.untyped_storage().data_ptr() for tensor in tensors.values()}
    transfer = Transfer()
    device = DeviceStatistics(transfer)
    with Held() as held:
        for name, tensor in tensors.items():
            device.add(name, tensor, PLAIN)
        device.reduce()
    assert held.most < 8 * BYTES_AT_ONCE
    found = device.read(transfer.read())
    for name, tensor in tensors.items():
        expected = summarize(tensor.numpy())
        assert (found[name].size, found[name].zeros) == (tensor.numel(), 0)
        assert (found[name].nans, found[name].infs) == (0, 0)
        assert (found[name].min, found[name].max) == (expected.min, expected.max)
        for kind in ("mean", "std", "l1", "l2"):
            assert getattr(found[name], kind) == pytest.approx(getattr(expected, kind), rel=1e-5)


def test_a_device_tells_no_norm_that_a_double_does_not_hold():
    found = on_device(np.full(10, 1e200))
    assert (found.mean, found.infs) == (pytest.approx(1e200), 0)
    assert (found.l2, found.std) == (None, None)


def test_many_blocks_and_few_give_the_same():
    values = torch.randn(3_000_001)
    found = statistics_of(values)
    assert found.l2 == pytest.approx(float(values.double().norm()), rel=1e-5)
    assert found.std == pytest.approx(float(values.double().std(correction=0)), rel=1e-5)


def test_a_mean_far_from_zero_does_not_cancel_the_variance():
    values = 1000 + torch.randn(50_000) * 0.01
    found = statistics_of(values)
    assert found.std == pytest.approx(float(values.double().std(correction=0)), rel=1e-3)


def test_sums_that_float32_does_not_hold_are_taken_in_double():
    found = statistics_of(torch.full((40_000,), 1e30))
    assert (found.nans, found.infs) == (0, 0)
    assert found.l2 == pytest.approx(1e30 * 200, rel=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("count", [100, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-300, -40, -24, -21, -15, 0, 30, 200, 300])
@pytest.mark.parametrize("way", WAYS)
def test_vanishing_and_huge_values_keep_their_norms(way, exponent, dtype, count):
    if not -45 < exponent < 38 and dtype == np.float32:
        return
    if way == "device" and abs(exponent) > 150:
        return  # squares leave a double's range
    values = (np.random.default_rng(0).standard_normal(count) * 10.0**exponent).astype(dtype)
    exact = values.astype(np.float64) / 10.0**exponent
    found = WAYS[way](values)
    assert (found.nans, found.infs, found.zeros) == (0, 0, (values == 0).sum())
    assert (found.min, found.max) == (values.min(), values.max())
    assert found.mean == pytest.approx(exact.mean() * 10.0**exponent, rel=1e-4)
    assert found.l1 == pytest.approx(np.abs(exact).sum() * 10.0**exponent, rel=1e-5)
    assert found.l2 == pytest.approx(np.linalg.norm(exact) * 10.0**exponent, rel=1e-5)
    assert found.std == pytest.approx(exact.std() * 10.0**exponent, rel=1e-5)


@pytest.mark.parametrize("count", [100, 2_359_296])
@pytest.mark.parametrize("way", WAYS)
def test_equal_values_have_no_spread_and_an_exact_norm(way, count):
    values = np.full(count, 0.1, np.float32)
    found = WAYS[way](values)
    assert (found.mean, found.std) == (values[0], 0.0)
    assert found.l1 == pytest.approx(count * float(values[0]), rel=1e-12)
    assert found.l2 == pytest.approx(math.sqrt(count) * float(values[0]), rel=1e-7)


@pytest.mark.parametrize("count", [100, 20_000])
@pytest.mark.parametrize("way", WAYS)
def test_what_holds_nothing_finite_has_no_zeros_either(way, count):
    found = WAYS[way](np.array([math.nan, math.inf] * count, np.float32))
    assert (found.zeros, found.nans, found.infs, found.l2) == (0, count, count, None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.bool])
def test_other_types_are_counted_as_numbers(dtype):
    values = torch.tensor([0, 1, 1, 0, 1]).to(dtype)
    found = statistics_of(flat(values))
    assert (found.zeros, found.max, found.mean) == (2, 1.0, pytest.approx(0.6))


def test_what_costs_a_pass_more_is_found_where_asked():
    values = torch.tensor([-3.0, 2.0, -0.5])
    assert statistics_of(values, ALL).prod == pytest.approx(3.0)
    assert statistics_of(values, ALL).abs_min == 0.5
    assert statistics_of(values).prod is None
    torn = torch.cat([values, torch.full((600_000,), math.nan)])
    assert statistics_of(torn, ALL).prod == pytest.approx(3.0)
    assert statistics_of(torn, ALL).abs_min == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t,
        lambda t: t.to(memory_format=torch.channels_last),
        lambda t: t.permute(1, 3, 0, 2),
        lambda t: t[:, ::2],
        lambda t: t[1:],
    ],
)
def test_all_elements_are_seen_in_any_memory_format(make):
    tensor = make(torch.arange(4 * 6 * 5 * 7).float().view(4, 6, 5, 7))
    assert sorted(flat(tensor).tolist()) == sorted(tensor.reshape(-1).tolist())


def test_a_sample_tells_the_norm_of_a_change():
    torch.manual_seed(0)
    before = torch.randn(1_000_000)
    change = torch.randn(1_000_000) * torch.linspace(0.1, 2, 1_000_000)
    updates = Updates()
    assert updates.norm("w", sample_of(before).numpy().copy(), before.numel()) is None
    found = updates.norm("w", sample_of(before + change).numpy(), before.numel())
    assert found == pytest.approx(float(change.norm()), rel=0.05)
    assert sample_of(before).numel() == SAMPLE


def test_an_unchanged_tensor_has_moved_by_nothing():
    updates = Updates()
    updates.norm("w", np.ones(10), 10)
    assert updates.norm("w", np.ones(10), 10) == 0.0


@given(values=FLOATS)
def test_a_histogram_counts_all_finite_elements(values):
    found = histogram_of(values)
    finite = np.isfinite(values).sum()
    assert (found is None) == (finite == 0)
    if found is not None:
        assert sum(found.counts) == finite
