"""What this package raises.

SMDebugError
├── StepUnavailable                 the step was passed without anything being saved
├── StepNotYetAvailable             the step has not been reached
├── NoMoreData                      the training has ended before the step
├── TensorUnavailable               no tensor has that name
├── TensorUnavailableForStep        the tensor was not saved at the step, or not whole
├── ShapeUnavailableForStep         nothing tells its shape
├── InvalidWorker                   no worker has that name
├── MissingCollectionFiles          the training has ended, and nothing was saved
├── RuleEvaluationConditionMet      a rule has found what it looks for
├── InvalidCollectionConfiguration  a collection that could hold nothing
└── SMDebugTypeError, SMDebugValueError, SMDebugRuntimeError, SMDebugNotImplementedError
"""

from __future__ import annotations

from clary.formats.tensor_log.entries import Mode as ModeKeys


class SMDebugError(Exception):
    """The root of all."""


class SMDebugTypeError(SMDebugError, TypeError):
    """An argument is of another type."""


class SMDebugValueError(SMDebugError, ValueError):
    """An argument has a value that cannot be used."""


class SMDebugRuntimeError(SMDebugError, RuntimeError):
    """Something cannot be done now."""


class SMDebugNotImplementedError(SMDebugError, NotImplementedError):
    """Something is not offered."""


class InvalidCollectionConfiguration(SMDebugError):
    """A collection has neither expressions nor tensors."""

    def __init__(self, c_name: str) -> None:
        super().__init__(c_name)
        self.c_name = c_name

    def __str__(self) -> str:
        return (
            f"the collection {self.c_name!r} could hold nothing: give it an include_regex or names "
            "of tensors"
        )


class _AboutStep(SMDebugError):
    def __init__(self, step: int, mode: ModeKeys = ModeKeys.GLOBAL) -> None:
        super().__init__(step, mode)
        self.step = step
        self.mode = mode


class StepUnavailable(_AboutStep):
    """Nothing was saved at the step, nor will be."""

    def __str__(self) -> str:
        return f"nothing was saved at step {self.step} of mode {self.mode.name}"


class StepNotYetAvailable(_AboutStep):
    """The training has not come to the step."""

    def __str__(self) -> str:
        return f"step {self.step} of mode {self.mode.name} has not been reached yet"


class NoMoreData(SMDebugError):
    """The training has ended, and the step is behind its end."""

    def __init__(self, step: int, mode: ModeKeys, last_step: int) -> None:
        super().__init__(step, mode, last_step)
        self.step = step
        self.mode = mode
        self.last_step = last_step

    def __str__(self) -> str:
        return (
            f"the training has ended before step {self.step} of mode {self.mode.name}: "
            f"the last step saved is {self.last_step}"
        )


class TensorUnavailable(SMDebugError):
    """No tensor of that name was saved."""

    def __init__(self, tname: str) -> None:
        super().__init__(tname)
        self.tname = tname

    def __str__(self) -> str:
        return (
            f"tensor {self.tname!r} was not saved: trial.tensor_names() lists those that were, and "
            "the collections of the hook decide on them"
        )


class _AboutTensor(SMDebugError):
    def __init__(self, tname: str, step: int, mode: ModeKeys = ModeKeys.GLOBAL) -> None:
        super().__init__(tname, step, mode)
        self.tname = tname
        self.step = step
        self.mode = mode

    @property
    def place(self) -> str:
        """Where it is missing, in words."""
        return f"at step {self.step} of mode {self.mode.name}"


class TensorUnavailableForStep(_AboutTensor):
    """The tensor was not saved at that step, or only what was computed of it."""

    def __init__(
        self,
        tname: str,
        step: int,
        mode: ModeKeys = ModeKeys.GLOBAL,
        has_reductions: bool = False,
    ) -> None:
        super().__init__(tname, step, mode)
        self.has_reductions = has_reductions

    def __str__(self) -> str:
        if self.has_reductions:
            return (
                f"tensor {self.tname!r} was not saved whole {self.place}, only reductions of it: "
                "read them by reduction_value(), or set save_raw_tensor for its collection"
            )
        return f"tensor {self.tname!r} was not saved {self.place}: its steps() lists where it was"


class ShapeUnavailableForStep(_AboutTensor):
    """Neither the tensor nor its shape was saved at that step."""

    def __str__(self) -> str:
        return (
            f"the shape of tensor {self.tname!r} was not saved {self.place}: set save_shape for "
            "its collection"
        )


class InvalidWorker(SMDebugError):
    """A worker has not saved the tensor at that step."""

    def __init__(self, worker: str) -> None:
        super().__init__(worker)
        self.worker = worker

    def __str__(self) -> str:
        return (
            f"worker {self.worker!r} has not saved it: tensor.workers(step) lists those that have"
        )


class MissingCollectionFiles(SMDebugError):
    """A training has ended, and its place holds nothing that a hook has written."""

    def __init__(self, place: str = "") -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return (
            f"the training has ended, and {self.place or 'its place'} holds no tensors: look into "
            "its log for what the hook says, and whether its script registers one"
        )


class RuleEvaluationConditionMet(SMDebugError):
    """A rule has fired. The sentence is what SageMaker shows as StatusDetails."""

    def __init__(self, rule_name: str, step: int, end_of_rule: bool = False) -> None:
        super().__init__(rule_name, step, end_of_rule)
        self.rule_name = rule_name
        self.step = step
        self.end_of_rule = end_of_rule

    def __str__(self) -> str:
        return (
            f"Evaluation of the rule {self.rule_name} at step {self.step} resulted in the "
            "condition being met"
        )
