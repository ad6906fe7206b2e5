"""What `clary tune` searches: spaces that fit, and sentences for those that do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.errors import UsageError
from clary.formats.training_options import TrainingOptions
from clary.sdk.training_space import default_grid, default_space, fit_batches, own_space
from clary.tuner.ranges import CategoricalRange, ContinuousRange, IntegerRange, Space

OPTIMIZERS = ("adamw", "adam", "sgd")
LEARNING = ({}, {"trainable_layers": "all"}, {"weights": "none"})


@given(
    optimizer=st.sampled_from(OPTIMIZERS),
    learning=st.sampled_from(LEARNING),
    gpus=st.integers(0, 2),
    positions=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    grid=st.booleans(),
)
def test_training_takes_every_point_of_a_space_that_was_chosen(
    optimizer: str, learning: dict[str, str], gpus: int, positions: list[float], grid: bool
) -> None:
    given = {"optimizer": optimizer, **learning}
    space = default_space(given, gpus)
    space = default_grid(space) if grid else space
    assert ("momentum" in space.names) == (optimizer == "sgd")
    values = {
        tuned.name: tuned.at(place) for tuned, place in zip(space.ranges, positions, strict=False)
    }
    TrainingOptions.parse({**given, **space.to_text(values)})


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_head_alone_takes_larger_steps_than_a_whole_network(optimizer: str) -> None:
    def highest(gpus: int) -> float:
        rate = default_space({"optimizer": optimizer}, gpus).ranges[0]
        assert isinstance(rate, ContinuousRange)
        assert rate.name == "lr"
        return rate.high

    assert highest(gpus=0) > highest(gpus=1)


def test_what_has_a_value_is_not_tuned() -> None:
    assert default_space({"lr": "0.1"}, 0).names == ("weight_decay", "batch_size")
    with pytest.raises(UsageError, match="has fixed values: leave one out"):
        default_space({"lr": "0.1", "weight_decay": "0", "batch_size": "8"}, 0)


def test_ranges_are_those_of_their_options() -> None:
    space = own_space(
        ["batch-size=8..64", "weight_decay=0..1", "hidden=16,64", "dropout=0..0.5"], {}, 0
    )
    assert space.ranges == (
        IntegerRange("batch_size", 8, 64),
        ContinuousRange("weight_decay", 0.0, 1.0),
        CategoricalRange("hidden", ("16", "64")),
        ContinuousRange("dropout", 0.0, 0.5),
    )


@pytest.mark.parametrize(
    ("texts", "given", "sentence"),
    [
        (["lr=0.1..0.01"], {}, "range of lr is empty"),
        (["lr=0..0.1:log"], {}, "a logarithm needs numbers above 0"),
        (["lr"], {}, "'lr' is not a range: write one as lr=1e-4..1e-1:log"),
        (["lr=1e-3..1e-1", "lr=1,2"], {}, "lr has two ranges"),
        (["epocs=1..3"], {}, "there is no option --epocs: did you mean --epochs?"),
        (["lr=-1..1.0"], {}, "in the range of lr, --lr is '-1.0' but must be greater than 0"),
        (["epochs=1.5..3"], {}, "in the range of epochs, --epochs is '1.5' but must be a whole"),
        (["epochs=1.0..9.0"], {}, "in the range of epochs, --epochs is '4"),
        (["dropout=0..1"], {}, "in the range of dropout, --dropout is '1.0' but must be less"),
        (["batch_size=8,70000"], {}, "--batch-size is '70000' but must be less than or equal"),
        (["optimizer=adamw,sdg"], {}, "--optimizer is 'sdg' but must be 'adamw'"),
        (["lr=1e-3..1e-1"], {"lr": "0.1"}, "lr has the fixed value 0.1 and a range"),
        (["seed=1..9"], {}, "--seed cannot be tuned: it decides on which pictures"),
        (["momentum=0.1..0.9"], {}, "momentum has no effect with --optimizer adamw"),
        (["step_epochs=1..9"], {}, "step_epochs has no effect with --schedule cosine"),
        (["freeze_epochs=1..9", "epochs=5..20"], {}, "--freeze-epochs is 9 of 5 epochs"),
        (["layer_decay=0.5..1"], {}, "layer_decay has no effect while the whole backbone is"),
        (["freeze_epochs=0..3"], {}, "give --trainable-layers all, or leave its range out"),
        (["augmentation=flip,strong"], {}, "augmentation has no effect on one view of a frozen"),
        (["views=1,4"], {"trainable_layers": "all"}, "views has no effect unless the backbone"),
        (["mixup=0..0.5"], {}, "mixup and cutmix blend pictures, but a frozen backbone"),
        (["lr=0.1..1.0"], {"cutmix": "0.2"}, "mixup and cutmix blend pictures"),
        (["trainable_layers=0,1"], {"weights": "none"}, "--trainable-layers is 0 but --weights"),
        (["weights=none,w"], {"weight_path": "job"}, "--weights is none and --weight-path job"),
    ],
)
def test_one_sentence_for_each_mistake(
    texts: list[str], given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(UsageError) as refused:
        own_space(texts, given, 0)
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_has_an_effect_with_another_tuned_option_may_be_tuned() -> None:
    assert own_space(["momentum=0.1..0.9", "optimizer=adamw,sgd"], {}, 0).names
    assert own_space(["momentum=0.1..0.9"], {"optimizer": "sgd"}, 0).names
    assert own_space(["layer_decay=0.5..1", "trainable_layers=0,all"], {}, 0).names
    assert own_space(["augmentation=flip,strong", "views=1,4"], {}, 0).names
    assert own_space(["augmentation=flip,strong"], {"feature_cache": "false"}, 0).names


def test_what_is_trained_depends_on_the_machine() -> None:
    assert own_space(["layer_decay=0.5..1", "mixup=0..0.5"], {}, 1).names
    with pytest.raises(UsageError, match="mixup and cutmix blend pictures"):
        default_space({"mixup": "0.2"}, 0)
    assert default_space({"mixup": "0.2"}, 1).names


def test_batches_fit_the_pictures() -> None:
    chosen = default_space({}, 0)
    assert fit_batches(chosen, 100, own=False).ranges[-1] == CategoricalRange(
        "batch_size", ("16", "32")
    )
    assert fit_batches(chosen, 40, own=False).names == ("lr", "weight_decay")
    own = Space((IntegerRange("batch_size", 8, 64),))
    assert fit_batches(own, 64, own=True) == own
    with pytest.raises(UsageError, match="goes up to 64, but there are 63 pictures to train on"):
        fit_batches(own, 63, own=True)


def test_a_precision_that_this_machine_lacks_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clary.processor.cpu_flags", lambda: {"avx512f"})
    assert own_space(["precision=bf16,fp32"], {}, 1).names == ("precision",)
    with pytest.raises(UsageError, match="in the range of precision, --precision is bf16 but"):
        own_space(["precision=fp32,bf16"], {}, 0)
