"""The hook of SageMaker's debugger, over Clary's.

A step is one forward pass of a module that was registered. The mode is GLOBAL until a
script sets one. Losses are found whether they are registered or not.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clary.debugger.configuration import (
    CONFIGURATION_VARIABLE,
    DEFAULT_FOLDER,
    DEFAULT_PATH,
    HookConfiguration,
)
from clary.debugger.hook import Hook as Watcher
from clary.errors import UsageError

from ..core.collection import CollectionKeys
from ..core.logger import get_logger
from ..core.modes import ModeKeys, checked_mode
from ..core.reduction_config import ReductionConfig
from ..core.save_config import SaveConfig
from ..exceptions import (
    SMDebugError,
    SMDebugTypeError,
    SMDebugValueError,
)
from . import capturing, current, tensorboard
from .arguments import flat, number, of_this_job, output_folder
from .attached import Attached
from .collection import Collection, CollectionManager
from .custom_tensors import CustomTensors
from .job_metrics import JobMetrics


class Hook:
    """Saves what a training does; owned by the thread that trains.

    Args:
        out_dir: the folder that is written; it must not hold a training that has ended. Within a
            job, a hook goes on behind the one before.
        export_tensorboard: write event files for TensorBoard, too, when the hook is closed.
        tensorboard_dir: their folder; `out_dir`/tensorboard otherwise.
        dry_run: save nothing.
        reduction_config: what is kept of tensors; None the whole.
        save_config: when; None every 500 steps.
        include_regex: tensors in whose names one of these is found are saved, as `default`.
        include_collections: the names of collections that are saved; losses always are.
        save_all: save everything.
        include_workers: `one` saves from the first of several processes, `all` from each.

    Raises:
        SMDebugRuntimeError: the folder holds a training that has ended, or is missing.
        SMDebugNotImplementedError: the folder is on S3.
        SMDebugTypeError: `save_config` is none.
        UsageError: `include_workers` is something else.
    """

    def __init__(  # noqa: PLR0917 - as scripts call it
        self,
        out_dir: str | None = None,
        export_tensorboard: bool = False,
        tensorboard_dir: str | None = None,
        dry_run: bool = False,
        reduction_config: ReductionConfig | None = None,
        save_config: SaveConfig | Mapping[ModeKeys, Any] | None = None,
        include_regex: str | Iterable[str] | None = None,
        include_collections: Iterable[str] | None = None,
        save_all: bool = False,
        include_workers: str = "one",
    ) -> None:
        folder = output_folder(out_dir, written=not dry_run)
        self.out_dir = str(folder)
        self.tensorboard_dir = tensorboard_dir or (
            str(folder / "tensorboard") if export_tensorboard else None
        )
        self._writes_board = self.tensorboard_dir is not None
        self.dry_run = dry_run
        self.save_config = SaveConfig.parse(save_config)
        self.reduction_config = reduction_config
        self.include_regex = include_regex
        self.collection_manager = CollectionManager()
        self.include_collections = list(flat(include_collections or ()))
        self.save_all = save_all
        if include_regex:
            self._include(CollectionKeys.DEFAULT, flat([include_regex]))
        if save_all:
            self._include(CollectionKeys.ALL, (".*",))
        self.logger = get_logger()
        self.has_registered_module = False
        self.has_registered_loss_module = False
        self._modules: dict[nn.Module, str] = {}
        self._parsed = capturing.from_script(
            folder, dry_run=dry_run, include_workers=include_workers
        )
        self._watcher = Watcher(folder, self._parsed)
        self._watcher.mode = ModeKeys.GLOBAL
        self._custom = CustomTensors(self._watcher)
        self._metrics = JobMetrics()
        self._closed = False
        self._asked_again = False
        current.hold(self)
        # Before the watcher's own: what comes last is called first.
        atexit.register(self.close)

    @classmethod
    def create_from_json_file(cls, json_file_path: str | None = None) -> Hook:
        """A hook as `debughookconfig.json` says; where a job has none, one that saves nothing.

        Args:
            json_file_path: of the file; None takes the job's own.

        Raises:
            FileNotFoundError: the file was named, and is not there.
            UsageError: it says what cannot be used.
            FormatError: it is damaged.
        """
        hook = cls.create_if_configured(json_file_path) if current.enabled() else None
        if hook is not None:
            return hook
        if json_file_path is not None and not Path(json_file_path).exists():
            raise FileNotFoundError(f"{json_file_path} is not there: name a debughookconfig.json")
        get_logger().debug("there is no debughookconfig.json: this hook saves nothing")
        return cls(str(of_this_job(DEFAULT_FOLDER)), dry_run=True)

    @classmethod
    def create_if_configured(cls, json_file_path: str | None = None) -> Hook | None:
        """A hook as `debughookconfig.json` says; None where there is none.

        Where this process has one for that folder already, it is that one.

        Raises:
            UsageError: it says what cannot be used.
            FormatError: it is damaged.
        """
        named = json_file_path or os.environ.get(CONFIGURATION_VARIABLE)
        path = Path(named) if named else of_this_job(DEFAULT_PATH)
        if not path.exists():
            return None
        parsed = HookConfiguration.read(path)
        folder = of_this_job(parsed.folder or DEFAULT_FOLDER)
        held = current.held()
        if isinstance(held, Hook) and not held._closed and Path(held.out_dir) == folder:
            held._asked_again = True
            return held
        board = tensorboard.board_of_job(path)
        hook = cls(
            str(folder),
            tensorboard_dir=None if board is None else str(of_this_job(board.folder)),
            dry_run=parsed.dry_run,
        )
        hook._writes_board = board is not None and board.by_hook
        hook._take(parsed)
        return hook

    @property
    def mode(self) -> ModeKeys:
        """What the model is doing."""
        return self._watcher.mode

    @property
    def mode_steps(self) -> Mapping[ModeKeys, int]:
        """The step that each mode is at; -1 before its first."""
        return self._watcher.steps

    @property
    def step(self) -> int:
        """The step over all modes; -1 before the first."""
        return self._watcher.steps[ModeKeys.GLOBAL]

    @property
    def worker(self) -> str:
        """Who writes: `worker_0`, or another one of several processes that train together."""
        return self._watcher.worker or "worker_0"

    def set_mode(self, mode: ModeKeys) -> None:
        """Say what the model does from now on.

        Raises:
            SMDebugValueError: it is no mode.
        """
        self._watcher.mode = checked_mode(mode)

    def register_module(self, module: nn.Module) -> None:
        """Watch a module and all modules in it.

        Raises:
            SMDebugError: it is no module.
            AssertionError: it is registered already, as it is or within another one.
        """
        if not isinstance(module, nn.Module):
            raise SMDebugError(
                f"{type(module).__name__} is no torch.nn.Module: register the model itself"
            )
        bare = getattr(module, "_orig_mod", module)
        paths = {part: path or type(bare).__name__ for path, part in bare.named_modules()}
        if self._modules.keys() & paths.keys():
            if self._asked_again:
                return
            raise AssertionError(f"{type(module).__name__} is registered already: register it once")
        if self._asked_again and self.has_registered_module:
            self._begin_anew()
        self._modules.update(paths)
        if not self.has_registered_module:
            first = Attached(self._first_forward, once=True)
            first.handle = module.register_forward_pre_hook(first)
        else:
            module.register_forward_pre_hook(Attached(self._begin_step))
        self._watcher.watch(module)
        self._custom.follow(module)
        self.has_registered_module = True

    def register_hook(self, module: nn.Module) -> None:
        """The same as `register_module`.

        Raises:
            SMDebugError: it is no module.
            AssertionError: it is registered already, as it is or within another one.
        """
        self.register_module(module)

    def register_loss(self, loss_module: nn.Module) -> None:
        """Save what a module gives as a loss.

        Raises:
            SMDebugTypeError: it is no module.
        """
        if not isinstance(loss_module, nn.Module):
            raise SMDebugTypeError(
                f"{loss_module!r} is no module: functions such as F.cross_entropy are found by "
                "themselves"
            )
        self._watcher.watch_loss(loss_module)
        self._custom.follow_loss(loss_module)
        self.has_registered_loss_module = True

    def record_tensor_value(self, tensor_name: str, tensor_value: torch.Tensor) -> None:
        """Save a loss that a function has computed, as `<name>_output_0`."""
        self._watcher.record_loss(tensor_name, tensor_value)

    def save_tensor(
        self,
        tensor_name: str,
        tensor_value: Any,
        collections_to_write: str | Iterable[str] = CollectionKeys.DEFAULT,
    ) -> None:
        """Save a tensor of the script's own, whole, if the step is one that is saved.

        Args:
            tensor_name: its name.
            tensor_value: a tensor, an array or numbers.
            collections_to_write: the collection that it belongs to, or several.
        """
        names = list(flat([collections_to_write]))
        for name in names:
            self.get_collection(name).add_tensor_name(tensor_name)
        self._custom.add(tensor_name, tensor_value, names)

    def save_scalar(
        self, name: str, value: Any, sm_metric: bool = False, timestamp: float | None = None
    ) -> None:
        """Save a number as `scalar/<name>`, at whatever step.

        Args:
            name: without the prefix.
            value: a number, or a tensor or an array of one.
            sm_metric: also a metric of the training job's, `<name>_<MODE>`.
            timestamp: when it was, in seconds since 1970; None now.

        Raises:
            SMDebugTypeError: it is no single number.
        """
        held = number(name, value)
        self._watcher.record_scalar(name, held)
        if sm_metric:
            self._metrics.add(f"{name}_{self.mode.name}", held, max(0, self.step), timestamp)

    def get_collection(self, name: str, create: bool = True) -> Collection:
        """A collection; made when it is missing.

        Raises:
            SMDebugError: it is missing, and shall not be made.
        """
        return self.collection_manager.get(name, create)

    def get_collections(self) -> dict[str, Collection]:
        """All collections, by name."""
        return self.collection_manager.collections

    def add_collection(self, collection: Collection) -> None:
        """Take a collection in place of one of the same name.

        Raises:
            SMDebugTypeError: it is none.
        """
        if not isinstance(collection, Collection):
            raise SMDebugTypeError(f"{collection!r} is no collection: give a smd.Collection")
        self.collection_manager.add(collection)

    def close(self) -> None:
        """Write the rest and let go; also done at the end of the process."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        self._custom.flush()
        self._watcher.close()
        self._metrics.close()
        if self.tensorboard_dir is not None and self._writes_board and not self.dry_run:
            tensorboard.export(Path(self.out_dir), Path(self.tensorboard_dir))

    def _begin_step(self) -> None:
        self._watcher.begin_step(self.mode)

    def _begin_anew(self) -> None:
        """Go on with another model, as scripts do that train several one after another."""
        self._custom.flush()
        mode = self._watcher.mode
        self._watcher.close()
        self._watcher = Watcher(self.out_dir, self._parsed)
        self._watcher.mode = mode
        self._custom = CustomTensors(self._watcher)
        self._modules.clear()
        self.has_registered_module = False

    def _include(self, name: str, expressions: Iterable[str]) -> None:
        self.get_collection(name).include(list(expressions))
        if name not in self.include_collections:
            self.include_collections.append(name)

    def _take(self, parsed: HookConfiguration) -> None:
        self._parsed = parsed
        self.save_config = SaveConfig.of(parsed.schedule)
        for captured in parsed.collections:
            self.get_collection(captured.name).take(captured)
            self.include_collections.append(captured.name)

    def _first_forward(self) -> None:
        """Scripts change collections until here."""
        try:
            self._watcher.configure(
                capturing.configuration(
                    self.get_collections(),
                    self.include_collections,
                    self._modules,
                    save_config=self.save_config,
                    reduction_config=self.reduction_config,
                    parsed=self._parsed,
                    histograms=self.tensorboard_dir is not None,
                )
            )
        except UsageError as error:
            raise SMDebugValueError(str(error)) from error

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __repr__(self) -> str:
        return (
            f"Hook(out_dir={self.out_dir!r}, step={self.step}, mode={self.mode.name}, "
            f"include_collections={self.include_collections})"
        )
