"""The command line that trains with some hyperparameters, parsed by the command itself."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from clary.cli.parser import build_app
from clary.cli.training_parameters import given_options
from clary.formats.builtin_algorithm import TrainingRequest
from clary.formats.training_options import TrainingOptions
from clary.sdk.training_command import training_command

finite = st.floats(1e-12, 10, allow_nan=False)
chosen = st.fixed_dictionaries(
    {},
    optional={
        "lr": finite,
        "weight_decay": finite,
        "batch_size": st.integers(1, 65536),
        "hidden": st.lists(st.integers(1, 100), max_size=2).map(tuple),
        "feature_cache": st.booleans(),
        "trust_pickle": st.booleans(),
        "optimizer": st.sampled_from(["adamw", "sgd"]),
        "group_by": st.none() | st.text("ab '\"$\\()+", min_size=1),
        "trainable_layers": st.sampled_from(["auto", "all", 3]),
        "model": st.sampled_from(["resnet18", "my model"]),
    },
)


@given(values=chosen, data=st.text("ab '\"$/", min_size=1).filter(lambda text: text[0] != "-"))
def test_the_command_trains_with_the_same_options(values: dict[str, object], data: str) -> None:
    options = TrainingOptions.parse(values)
    request = TrainingRequest(options, dataset="elsewhere", skip_check=True, no_report=True)
    given = {**request.to_hyperparameters(), "_tuning_objective_metric": '"loss"'}
    words = shlex.split(training_command(data, given))
    assert words[:2] == ["clary", "train"]
    _, bound, _ = build_app().parse_args(words[1:], exit_on_error=False, print_error=False)
    assert bound.args == (data,)
    typed = {name: v for name, v in bound.kwargs.items() if name in TrainingOptions.model_fields}
    assert TrainingOptions.parse(given_options(typed)) == options  # type: ignore[arg-type]


def test_only_what_was_given_is_typed() -> None:
    given = {"lr": "0.0031", "batch_size": "64", "no_report": "true"}
    assert training_command("photos", given) == "clary train photos --batch-size 64 --lr 0.0031"
