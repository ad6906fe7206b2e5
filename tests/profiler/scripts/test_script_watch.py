"""Loops as people write them, which know nothing of being watched."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, Sampler, TensorDataset

from clary.formats.profiler_configuration import ProfilerConfiguration, StepWindow
from clary.formats.timeline import PHASES, Mode
from clary.formats.timeline.reader import Timeline
from clary.profiler.scripts import loader_watch, script_watch
from clary.profiler.scripts.script_steps import MOST_ROUNDS
from clary.profiler.scripts.script_watch import stop_watching, watch_script

PICTURES, BATCH = 24, 4
BATCHES = PICTURES // BATCH
DATA, TRANSFER, FORWARD, BACKWARD, OPTIMIZER = range(len(PHASES))


@pytest.fixture
def watched(tmp_path):
    """Runs a loop while it is watched; gives what was recorded of its process."""

    def run(loop, configuration=None):
        watch_script(tmp_path, configuration)
        try:
            loop()
        finally:
            stop_watching()
        timeline = Timeline(tmp_path)
        timeline.refresh()
        (worker,) = timeline.workers.values()
        assert worker.failures == ()
        for steps in (worker.steps(Mode.TRAIN), worker.steps(Mode.EVAL)):
            assert (np.diff(steps["step"]) == steps["merged"][:-1]).all()
        steps = worker.steps()
        measured = np.nan_to_num(steps["phases_s"]).sum(axis=1)
        assert (measured <= steps["seconds"] * 1.001 + 1e-6).all()
        ends = steps["start_us"] + steps["seconds"] * 1e6
        assert (ends[:-1] <= steps["start_us"][1:] + 100).all()
        return worker

    yield run
    stop_watching()


class Training:
    """A small network and what it is trained with."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.data = TensorDataset(torch.randn(PICTURES, 3, 4, 4), torch.arange(PICTURES) % 3)

    def loader(self, **options):
        return DataLoader(self.data, **{"batch_size": BATCH, **options})

    def loss(self, batch):
        pictures, labels = batch
        return nn.functional.cross_entropy(self.model(pictures), labels)

    def learn(self, batch):
        self.optimizer.zero_grad()
        self.loss(batch).backward()
        self.optimizer.step()


def count(worker, mode=Mode.TRAIN):
    return int(worker.steps(mode)["merged"].sum())


def measured(worker, mode=Mode.TRAIN):
    """Which phases were measured in all records."""
    return np.isfinite(worker.steps(mode)["phases_s"]).all(axis=0).tolist()


def test_training_evaluation_and_checkpoints_are_told_apart(watched, tmp_path):
    training = Training()

    def loop():
        train, valid = training.loader(shuffle=True), training.loader(batch_size=8)
        for _ in range(2):
            training.model.train()
            for batch in train:
                training.learn(batch)
            training.model.eval()
            with torch.no_grad():
                for pictures, _ in valid:
                    training.model(pictures)
            torch.save(torch.zeros(4_000_000), tmp_path / "model.pt")

    worker = watched(loop)
    assert count(worker) == 2 * BATCHES
    assert count(worker, Mode.EVAL) == 2 * 3
    assert worker.steps(Mode.TRAIN)["pictures"].sum() == 2 * PICTURES
    assert worker.steps(Mode.EVAL)["pictures"].sum() == 2 * PICTURES
    assert measured(worker) == [True, False, True, True, True]
    assert measured(worker, Mode.EVAL) == [True, False, True, False, False]
    kinds = [span.kind for span in worker.spans]
    assert kinds == ["initialization", *["evaluation", "checkpoint"] * 2]
    assert worker.spans[2].label == "model.pt, 16.0 MB"
    facts = worker.facts
    assert (facts.batch_size, facts.steps_per_epoch, facts.device) == (BATCH, BATCHES, "cpu")
    assert (facts.train_loading.workers, facts.valid_loading.batch_size) == (0, 8)
    assert facts.precision == "fp32"
    assert facts.train_loading.decode_s > 0
    loads = worker.loads()
    assert loads["pictures"].sum() == 4 * PICTURES
    assert set(loads["worker"]) == {-1}
    assert np.isfinite(loads["cpu_s"]).all()


def test_an_evaluation_without_no_grad_around_its_loader_is_one(watched):
    training = Training()

    def loop():
        for batch in training.loader():
            training.learn(batch)
        for pictures, _ in training.loader():
            with torch.inference_mode():
                torch.randn(400, 400) @ torch.randn(400, 4000)
                training.model(pictures)

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (BATCHES, BATCHES)


def test_accumulated_batches_are_one_step(watched):
    training = Training()

    def loop():
        for _epoch in range(3):
            for number, batch in enumerate(training.loader(), 1):
                training.loss(batch).backward()
                if number % 3 == 0:
                    training.optimizer.step()
                    training.optimizer.zero_grad()

    worker = watched(loop)
    # Only from the first call of an optimizer on is it known that one comes.
    assert count(worker) == 2 + 3 * 2
    assert worker.steps(Mode.TRAIN)["pictures"].sum() == 3 * PICTURES


def test_batches_that_are_left_when_an_epoch_ends_are_a_step(watched):
    training = Training()

    def loop():
        for _ in range(3):
            for number, batch in enumerate(training.loader(), 1):
                training.loss(batch).backward()
                if number % 4 == 0:
                    training.optimizer.step()

    worker = watched(loop)
    assert count(worker) == 3 + 3 * 2
    assert worker.steps(Mode.TRAIN)["pictures"].sum() == 3 * PICTURES


def test_two_networks_that_learn_from_one_batch_are_one_step(watched):
    training, other = Training(), Training()

    def loop():
        for batch in training.loader():
            training.learn(batch)
            other.learn(batch)

    worker = watched(loop)
    assert count(worker) == BATCHES
    assert measured(worker) == [True, False, True, True, True]


def test_loaders_that_are_read_together_are_one_step(watched):
    training = Training()

    def loop():
        for _ in range(2):
            for batch, _ in zip(training.loader(), training.loader(), strict=True):
                training.learn(batch)

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (2 * BATCHES, 0)
    assert worker.steps(Mode.TRAIN)["pictures"].sum() == 2 * PICTURES


def test_an_evaluation_within_an_epoch_ends_the_step_before_it(watched):
    training = Training()

    def loop():
        for number, batch in enumerate(training.loader()):
            training.learn(batch)
            if number % 3 == 0:
                with torch.no_grad():
                    for pictures, _ in training.loader(batch_size=12):
                        training.model(pictures)

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (BATCHES, 2 * 2)
    assert [span.kind for span in worker.spans].count("evaluation") == 2


def test_a_loop_without_a_loader_has_steps_of_its_optimizer(watched):
    training = Training()

    def loop():
        batch = training.data[:BATCH]
        for _ in range(7):
            training.learn(batch)

    worker = watched(loop)
    assert count(worker) == 7
    assert np.isnan(worker.steps()["phases_s"][:, DATA]).all()
    assert np.isfinite(worker.steps()["phases_s"][:, [BACKWARD, OPTIMIZER]]).all()


def test_a_loop_that_is_a_batch_ahead_of_itself_has_no_step_more(watched):
    training = Training()

    def ahead(loader):
        batches = iter(loader)
        current = next(batches)
        for following in batches:
            yield current
            current = following
        yield current

    def loop():
        for _ in range(2):
            for batch in ahead(training.loader()):
                training.learn(batch)

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (2 * BATCHES, 0)
    assert worker.steps()["pictures"].sum() == 2 * PICTURES


def test_a_loader_that_another_thread_reads_is_not_the_training(watched):
    training = Training()

    def loop():
        batches = queue.Queue(2)

        def read():
            for batch in training.loader():
                batches.put(batch)
            batches.put(None)

        reader = threading.Thread(target=read)
        reader.start()
        while (batch := batches.get()) is not None:
            training.learn(batch)
        reader.join()

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (BATCHES, 0)
    assert worker.loads()["pictures"].sum() >= PICTURES - BATCH


def test_a_scaler_that_leaves_an_update_out_still_ends_its_step(watched):
    training = Training()

    def loop():
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
        for batch in training.loader():
            training.optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                loss = training.loss(batch)
            scaler.scale(loss).backward()
            scaler.step(training.optimizer)
            scaler.update()

    worker = watched(loop)
    assert count(worker) == BATCHES
    assert measured(worker) == [True, False, True, True, True]
    assert worker.facts.precision == "bf16"


def test_an_optimizer_that_computes_gradients_itself(watched):
    training = Training()
    training.optimizer = torch.optim.LBFGS(training.model.parameters(), max_iter=3)

    def loop():
        for batch in training.loader():

            def closure(batch=batch):
                training.optimizer.zero_grad()
                loss = training.loss(batch)
                loss.backward()
                return loss

            training.optimizer.step(closure)

    worker = watched(loop)
    assert count(worker) == BATCHES
    assert measured(worker) == [True, False, True, True, True]


def test_checkpointed_layers_are_computed_within_the_backward_pass(watched):
    training = Training()
    layers = training.model

    def loop():
        for pictures, labels in training.loader():
            pictures.requires_grad_()
            answers = torch.utils.checkpoint.checkpoint(layers, pictures, use_reentrant=True)
            nn.functional.cross_entropy(answers, labels).backward()
            training.optimizer.step()

    assert count(watched(loop)) == BATCHES


def test_compiled_networks_and_optimizers_are_watched_without_breaking_their_graphs(watched):
    training = Training()
    compiled = torch.compile(training.model, backend="eager", fullgraph=True)
    update = torch.compile(training.optimizer.step, backend="eager")

    def loop():
        for pictures, labels in training.loader():
            nn.functional.cross_entropy(compiled(pictures), labels).backward()
            update()

    worker = watched(loop)
    assert count(worker) == BATCHES
    torch.compiler.reset()


@pytest.mark.parametrize("workers", [0, 2])
def test_an_iterable_data_set_and_batches_of_any_form(watched, workers):
    class Stream(IterableDataset):
        def __iter__(self):
            yield from ({"x": torch.randn(48), "y": 1} for _ in range(10))

    training = Training()

    def loop():
        for batch in DataLoader(Stream(), batch_size=4, num_workers=workers):
            training.learn((batch["x"], batch["y"]))

    worker = watched(loop)
    assert count(worker) == 3 * max(1, workers)
    assert worker.steps()["pictures"].sum() == 10 * max(1, workers)
    assert worker.facts.steps_per_epoch is None
    loads = worker.loads()
    assert set(loads["worker"]) == (set(range(workers)) or {-1})
    assert set(loads["pictures"]) == {4, 2}


@pytest.mark.parametrize("persistent", [False, True])
def test_processes_of_a_loader_write_what_they_load(watched, persistent):
    training = Training()

    def loop():
        loader = training.loader(num_workers=2, persistent_workers=persistent)
        for _ in range(2):
            for batch in loader:
                training.learn(batch)

    worker = watched(loop)
    assert count(worker) == 2 * BATCHES
    loads = worker.loads()
    assert sorted(set(loads["worker"])) == [0, 1]
    assert loads["pictures"].sum() == 2 * PICTURES
    loading = worker.facts.train_loading
    assert (loading.workers, loading.persistent_workers) == (2, persistent)
    assert loading.decode_s > 0
    started = [span for span in worker.spans if span.kind == "loader_start"]
    assert len(started) <= (0 if persistent else 1)  # the first belongs to the initialization


def test_what_a_loop_raises_is_raised_and_the_next_one_is_recorded(watched):
    training = Training()

    class Broken(TensorDataset):
        def __getitem__(self, index):
            if index == 9:
                raise KeyError("no such picture")
            return super().__getitem__(index)

    def loop():
        with pytest.raises(KeyError, match="no such picture"):
            for batch in DataLoader(Broken(*training.data.tensors), batch_size=4):
                training.learn(batch)
        with pytest.raises(RuntimeError, match="does not require grad"):
            torch.zeros(()).backward()
        for batch in training.loader():
            training.learn(batch)

    assert count(watched(loop)) == 2 + BATCHES


def test_operators_and_functions_of_chosen_steps(watched):
    training = Training()
    window = StepWindow(first=2, steps=3)

    def loop():
        for batch in itertools.chain(training.loader(), training.loader()):
            training.learn(batch)

    worker = watched(loop, ProfilerConfiguration(operators=window, functions=window))
    assert count(worker) == 2 * BATCHES
    (operators,), (functions,) = worker.operators, worker.functions
    assert (operators.first, operators.last) == (functions.first, functions.last) == (2, 4)
    calls = {one.name: one.calls for one in operators.operators}
    assert calls["aten::cross_entropy_loss"] == 3
    assert (worker.folder / operators.trace).exists()
    named = {one.name: one.calls for one in functions.functions}
    assert next(calls for name, calls in named.items() if name.endswith("learn")) == 3
    assert [span.kind for span in worker.spans].count("operators") == 4


def test_torch_is_as_it_was_when_nobody_watches_any_more(watched):
    from torch.optim import optimizer
    from torch.utils.data import dataloader

    places = [
        (torch.autograd, "backward"),
        (torch, "save"),
        (torch.serialization, "save"),
        (torch.Tensor, "to"),
        (dataloader._BaseDataLoaderIter, "__next__"),
        (dataloader._BaseDataLoaderIter, "__init__"),
        (dataloader._MultiProcessingDataLoaderIter, "__init__"),
    ]
    before = [getattr(owner, name) for owner, name in places]
    training = Training()

    def loop():
        for batch in training.loader():
            training.learn(batch)
        assert torch.save is torch.serialization.save
        assert torch.save is not before[1]

    watched(loop)
    assert [getattr(owner, name) for owner, name in places] == before
    assert "to" not in vars(torch.Tensor)
    assert not optimizer._global_optimizer_pre_hooks
    assert script_watch._watch is None


def test_a_folder_that_cannot_be_written_is_told_once_and_hinders_nobody(tmp_path, capfd):
    taken = tmp_path / "file"
    taken.write_text("")
    training = Training()
    watch_script(taken)
    for batch in training.loader():
        training.learn(batch)
    stop_watching()
    lines = [line for line in capfd.readouterr().err.splitlines() if "clary profiler" in line]
    assert len(lines) == 1
    assert "cannot be written" in lines[0]


def pause():
    """Longer than what is recorded together."""
    time.sleep(0.021)


class UnsizedSampler(Sampler):
    """One of no length, which says so in its own way."""

    def __iter__(self):
        return iter(range(PICTURES))

    def __len__(self):
        raise NotImplementedError("endless")


def nested(batch):
    return torch.nested.nested_tensor([picture for picture, _ in batch])


class Lazy(Mapping):
    """A batch that is made when it is asked for."""

    def __getitem__(self, key):
        raise AssertionError("nobody asked")

    def __iter__(self):
        raise AssertionError("nobody asked")

    def __len__(self):
        return 1


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": UnsizedSampler()},
        {"collate_fn": nested},
        {"collate_fn": lambda batch: Lazy()},
        {"collate_fn": lambda batch: [Lazy(), torch.zeros(len(batch))]},
        {"num_workers": np.int64(0)},
    ],
)
def test_loaders_and_batches_that_cannot_be_asked_break_nothing(watched, options):
    training = Training()

    def loop():
        for _ in training.loader(**options):
            training.learn(training.data[:BATCH])

    worker = watched(loop)
    assert count(worker) == BATCHES
    assert worker.loads()["pictures"].tolist() == [BATCH] * BATCHES


def test_what_only_looks_like_a_loader_is_watched_without_facts(watched):
    from torch.utils.data.dataloader import _DatasetKind, _SingleProcessDataLoaderIter

    class Fake:
        _IterableDataset_len_called = generator = multiprocessing_context = None
        _auto_collation = drop_last = pin_memory = persistent_workers = False
        _dataset_kind = _DatasetKind.Iterable
        _index_sampler = itertools.count()
        collate_fn = staticmethod(lambda rows: rows)
        prefetch_factor, num_workers, timeout, pin_memory_device = 2, 0, 0, ""
        worker_init_fn, in_order, dataset = None, True, [torch.zeros(4)] * 3

        def _get_shared_seed(self):
            return None

    training = Training()

    def loop():
        for _ in _SingleProcessDataLoaderIter(Fake()):
            training.learn(training.data[:BATCH])

    worker = watched(loop)
    assert count(worker) == 3
    assert worker.facts.train_loading.batch_size is None


def test_tensors_that_are_saved_for_the_backward_pass_are_left_alone(watched):
    training = Training()
    stored = {}

    def pack(tensor):
        number = len(stored) + 1000 * pack.calls
        pack.calls += 1
        stored[number] = tensor
        return number

    pack.calls = 0

    def loop():
        for batch in training.loader():
            with torch.autograd.graph.saved_tensors_hooks(pack, stored.pop):
                loss = training.loss(batch)
            loss.backward()
            training.optimizer.step()

    worker = watched(loop)
    assert count(worker) == BATCHES
    assert worker.facts.precision == "fp32"
    assert not stored


def test_losses_that_come_from_a_generator_are_left_to_torch(watched):
    training = Training()

    def loop():
        for batch in training.loader():
            torch.autograd.backward(training.loss(batch) for _ in range(1))
            training.optimizer.step()
        assert training.model[1].weight.grad is not None

    assert count(watched(loop)) == BATCHES


def test_a_checkpoint_that_is_gone_at_once_ends_no_watching(watched, tmp_path):
    training = Training()

    class Vanishing:
        def __init__(self, path):
            self.path = path

        def __fspath__(self):
            if self.path.exists():
                raise FileNotFoundError("moved away")
            return str(self.path)

    def loop():
        for batch in training.loader():
            training.learn(batch)
            torch.save(torch.zeros(4_000_000), Vanishing(tmp_path / "gone.pt"))
            (tmp_path / "gone.pt").unlink()

    worker = watched(loop)
    assert count(worker) == BATCHES
    assert {span.label for span in worker.spans if span.kind == "checkpoint"} == {""}


def test_a_row_of_batches_that_are_fetched_for_one_update_is_one_step(watched):
    training = Training()

    def loop():
        batches = iter(training.loader())
        for _ in range(2):
            for batch in [next(batches) for _ in range(3)]:
                training.loss(batch).backward()
            training.optimizer.step()
            pause()

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (2, 0)
    assert worker.steps()["pictures"].tolist() == [3 * BATCH] * 2


def test_batches_that_are_left_out_are_no_evaluation(watched):
    training = Training()

    def loop():
        for number, batch in enumerate(training.loader()):
            if number >= 3:
                training.learn(batch)

    worker = watched(loop)
    assert (count(worker), count(worker, Mode.EVAL)) == (BATCHES - 3, 0)


def test_gradients_without_an_optimizer_are_steps_of_their_own(watched):
    training = Training()

    def loop():
        for batch in training.loader():
            training.learn(batch)
        for batch in training.loader():
            training.loss(batch).backward()
            pause()

    worker = watched(loop)
    # Of the first ones it was possible that an update comes.
    assert count(worker) >= 2 * BATCHES - 1
    assert worker.steps()["pictures"].sum() == 2 * PICTURES
    assert worker.steps()["pictures"].max() <= 2 * BATCH or worker.steps()["merged"].max() > 1


def test_an_evaluation_while_gradients_are_accumulated_is_one(watched):
    training = Training()

    def loop():
        for number, batch in enumerate(training.loader()):
            training.loss(batch).backward()
            if number % 3 == 1:
                with torch.no_grad():
                    for pictures, _ in training.loader():
                        training.model(pictures)
                        pause()
            if number % 3 == 2:
                training.optimizer.step()

    worker = watched(loop)
    assert count(worker, Mode.EVAL) == 2 * BATCHES
    assert worker.steps(Mode.EVAL)["pictures"].sum() == 2 * PICTURES
    assert worker.steps(Mode.TRAIN)["pictures"].sum() == PICTURES


@pytest.mark.parametrize("fetches", [True, False])
def test_what_a_closure_computes_is_the_forward_pass(watched, fetches):
    training = Training()

    def loop():
        batches = training.loader() if fetches else [training.data[:BATCH]] * BATCHES
        for batch in batches:

            def closure(batch=batch):
                pause()
                loss = training.loss(batch)
                training.optimizer.zero_grad()
                loss.backward()
                return loss

            training.optimizer.step(closure)

    worker = watched(loop)
    assert count(worker) == BATCHES
    phases = worker.steps()["phases_s"]
    assert (phases[:, FORWARD] >= 0.02).all()
    assert (phases[:, OPTIMIZER] >= 0).all()
    assert np.median(phases[:, OPTIMIZER]) < 0.02


def test_a_batch_that_is_trained_on_for_good_has_a_step_for_each_update(watched):
    training = Training()

    def loop():
        batch = next(iter(training.loader()))
        for _ in range(30):
            training.learn(batch)
            pause()

    worker = watched(loop)
    # The first ones might be of several networks that learn from one batch.
    assert 30 - MOST_ROUNDS <= count(worker) < 30
    assert worker.steps()["pictures"][1:].max() == BATCH


def test_a_loop_of_neither_a_loader_nor_an_optimizer_has_steps_of_gradients(watched):
    training = Training()

    def loop():
        for _ in range(7):
            training.loss(training.data[:BATCH]).backward()
            pause()

    worker = watched(loop)
    assert count(worker) == 7
    assert np.isnan(worker.steps()["phases_s"][:, FORWARD]).all()


def test_what_happens_between_steps_without_a_loader_is_no_forward_pass(watched, tmp_path):
    training = Training()

    def loop():
        for _ in range(3):
            training.learn(training.data[:BATCH])
            torch.save(torch.zeros(4_000_000), tmp_path / "model.pt")

    worker = watched(loop)
    assert np.isnan(worker.steps()["phases_s"][:, FORWARD]).all()


def test_an_optimizer_that_calls_its_parent_is_called_once(watched):
    class Own(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            pause()

    training = Training()
    torch.optim.SGD(nn.Linear(2, 2).parameters())
    training.optimizer = Own(training.model.parameters(), lr=0.1)

    def loop():
        for _ in range(5):
            training.learn(training.data[:BATCH])

    worker = watched(loop)
    assert count(worker) == 5
    assert (worker.steps()["phases_s"][:, OPTIMIZER] >= 0.02).all()


def test_an_optimizer_that_has_failed_may_be_called_again(watched):
    class Failing(torch.optim.SGD):
        failures = 3

        def step(self, closure=None):
            if Failing.failures:
                Failing.failures -= 1
                raise RuntimeError("not yet")
            super().step(closure)

    training = Training()
    training.optimizer = Failing(training.model.parameters(), lr=0.1)

    def loop():
        for _ in range(8):
            with contextlib.suppress(RuntimeError):
                training.learn(training.data[:BATCH])

    assert count(watched(loop)) >= 5


def test_loaders_are_told_apart_after_they_are_gone(watched):
    training = Training()

    def loop():
        for epoch in range(100):
            for _ in training.loader(batch_size=12 + epoch % 2):
                pass
        assert len(script_watch._watch._loaders) <= script_watch.KEPT_LOADERS
        assert len(loader_watch._numbered) < 10
        for batch in training.loader():
            training.learn(batch)

    worker = watched(loop)
    assert worker.facts.batch_size == BATCH


def test_nothing_of_the_watching_is_compiled(watched):
    from torch._dynamo.utils import counters

    def frames():
        training = Training()

        @torch.compile(backend="eager")
        def update():
            training.optimizer.step()

        torch.compiler.reset()
        counters.clear()
        for _ in range(3):
            training.loss(training.data[:BATCH]).backward()
            update()
        return dict(counters["frames"]), str(counters["graph_break"])

    frames()
    plain, _ = frames()
    seen = []
    watched(lambda: seen.append(frames()))
    ((compiled, breaks),) = seen
    torch.compiler.reset()
    assert compiled["total"] <= 3 * plain["total"], breaks
    assert "script_steps" not in breaks
    assert "script_watch" not in breaks
    assert "step_recorder" not in breaks
