"""Names of tensors, as SageMaker's debugger gives them.

ResNet_fc.weight                 a parameter: the watched module's class, then its path
gradient/ResNet_fc.weight        its gradient
ResNet_1_fc.weight               where a second module of the class is watched
layer1.0.relu_output_0, …_1      a module's outputs by its path; a module that is used several
                                 times in a step counts on
ResNet_input_0, ResNet_output_0  the watched module's own
CrossEntropyLoss_output_0        a loss module, by its class
cross_entropy_loss_output_0      a loss function, by its name
scalar/accuracy                  a number that the script records
"""

from __future__ import annotations

from collections import Counter

GRADIENT_PREFIX = "gradient/"
SCALAR_PREFIX = "scalar/"


def parameter_name(root: str, path: str) -> str:
    """Of a parameter, by its module's class and its path in it."""
    return f"{root}_{path}"


def gradient_name(parameter: str) -> str:
    """Of a gradient, by its parameter's name."""
    return GRADIENT_PREFIX + parameter


def function_name(function: str) -> str:
    """Of a loss function, so that the expression of the losses finds it."""
    return function if function.endswith("_loss") else f"{function}_loss"


class Indices:
    """Counts the inputs and outputs of a step, so that each has a name of its own."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    def input_name(self, module: str) -> str:
        """Of the next input of a module."""
        return self._next(f"{module}_input_")

    def output_name(self, module: str) -> str:
        """Of the next output of a module."""
        return self._next(f"{module}_output_")

    def _next(self, stem: str) -> str:
        number = self._used[stem]
        self._used[stem] += 1
        return f"{stem}{number}"
