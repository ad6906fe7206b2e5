"""What a rule needs before it can judge a step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


class RequiredTensors:
    """Tensors and steps by trial; they are waited for and checked before the rule is called."""

    def __init__(self, base_trial: Any, other_trials: Sequence[Any] | None = None) -> None:
        self.base_trial = base_trial
        self.other_trials = other_trials
        self._trials = [base_trial, *(other_trials or ())]
        self._needed: list[dict[str, list[int]]] = [{} for _ in self._trials]

    def add(
        self,
        name: str,
        steps: Iterable[int] | None = None,
        trial: Any = None,
        should_match_regex: bool = False,
    ) -> None:
        """Require a tensor at some steps.

        Args:
            name: of the tensor, or an expression that finds the names of several.
            steps: counted over all modes; None requires no step.
            trial: whose tensor; None the one that is judged.
            should_match_regex: whether `name` is an expression.

        Raises:
            TensorUnavailable: no tensor has the name.
            ValueError: the trial is none of the rule's.
        """
        trial = self.base_trial if trial is None else trial
        names = trial.tensor_names(regex=name) if should_match_regex else [name]
        needed = self._of(trial)
        for one in names:
            trial.tensor(one)
            held = needed.setdefault(one, [])
            held.extend(step for step in steps or () if step not in held)

    def get_names(self, trial: Any = None) -> list[str]:
        """The names that were required of a trial."""
        return list(self._of(trial))

    def get_tensor_steps(self, name: str, trial: Any = None) -> list[int]:
        """The steps at which a tensor was required."""
        return list(self._of(trial).get(name, ()))

    def get(self, trial: Any = None) -> list[Any]:
        """The tensors that were required of a trial."""
        held = self.base_trial if trial is None else trial
        return [held.tensor(name) for name in self._of(trial)]

    def clear(self) -> None:
        """Require nothing."""
        for needed in self._needed:
            needed.clear()

    def fetch(self) -> None:
        """Wait for the steps, and check that the tensors are there.

        Raises:
            TensorUnavailableForStep: a tensor was not saved at a step, or not whole.
            StepUnavailable: nothing was saved at a step.
            NoMoreData: the training has ended before a step.
        """
        for trial, needed in zip(self._trials, self._needed, strict=True):
            steps = sorted({step for steps in needed.values() for step in steps})
            if steps:
                trial.wait_for_steps(steps)
            for name, wanted in needed.items():
                tensor = trial.tensor(name)
                for step in wanted:
                    tensor.value(step)

    def _of(self, trial: Any) -> dict[str, list[int]]:
        if trial is None:
            return self._needed[0]
        for one, needed in zip(self._trials, self._needed, strict=True):
            if one is trial:
                return needed
        raise ValueError(f"{trial!r} is no trial of this rule: give it to the rule's constructor")
