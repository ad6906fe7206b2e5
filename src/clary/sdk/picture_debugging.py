"""What `clary train` watches a training for, and how often: `--debug`.

| `--debug`              | saved besides losses and what validation pictures were taken for |
|------------------------|------------------------------------------------------------------|
| not given: `auto`      | statistics of weights, biases and gradients, rarely              |
| some collections       | statistics of these, more often                                  |
| without a value: `all` | statistics of all four, more often                               |
| `off`                  | nothing at all, and no rule runs                                 |

The first steps are saved densely and later ones rarely, so that a training of ten seconds is judged
and one of ten hours costs next to nothing. The rules are those that can judge what is saved: one
that cannot would only say so.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from clary.errors import UsageError
from clary.formats.builtin_algorithm import starts_pretrained, trains_head_alone
from clary.formats.training_options import TrainingOptions
from clary.gpus import count_gpus
from clary.sdk.debugging import Debugging, Rule

AUTO, ALL, OFF = "auto", "all", "off"
ACTIVATIONS = "activations"
COLLECTIONS = ("weights", "biases", "gradients", ACTIVATIONS)
STATISTICS = "min,max,mean,std,l1,l2"
EARLY_STEPS = "0,1,2,3,4,5,6,8,10,12,15,20,25,30,40,50,60,80,100,150"
# Steps between two captures: many where nobody has asked.
_AUTO_INTERVAL, _ASKED_INTERVAL = 200, 20
# A step that is saved takes a third of a millisecond, and steps on a GPU may take ten. Rules want
# many losses early, and all that validation says. SageMaker's bound for a value is 256 characters.
_FIRST_LOSSES = ",".join(map(str, range(80)))
_LOSSES = {
    "train.save_interval": 10,
    "train.save_steps": _FIRST_LOSSES,
    "eval.save_interval": 1,
}
_ANSWERS = {"train.end_step": 0, "eval.save_interval": 1}


def parse_debug(words: Sequence[str] | None) -> tuple[str, ...]:
    """What a person has typed after `--debug`.

    Args:
        words: the values; none at all for a bare `--debug`, None where it was not given.

    Returns:
        `auto`, `all`, or some of COLLECTIONS; nothing where nothing shall be watched.

    Raises:
        UsageError: a word is no collection.
    """
    if words is None:
        return (AUTO,)
    chosen = [word for text in words for word in text.replace(",", " ").split()] or [ALL]
    known = (*COLLECTIONS, ALL, AUTO, OFF)
    for word in chosen:
        if word not in known:
            raise UsageError(_unknown(word, known))
    if len(chosen) > 1 and {ALL, AUTO, OFF}.intersection(chosen):
        raise UsageError(
            f"--debug is {','.join(chosen)!r} but {ALL}, {AUTO} and {OFF} stand alone: give one of "
            "them, or some collections"
        )
    return () if chosen == [OFF] else tuple(dict.fromkeys(chosen))


def picture_debugging(watched: Sequence[str], options: TrainingOptions) -> Debugging | None:
    """What a training of the built-in algorithm is watched for; None where it is not.

    Args:
        watched: what `parse_debug` gives.
        options: of the training.

    Raises:
        UsageError: activations are asked for of a network that no picture passes through.
    """
    if not watched:
        return None
    auto = AUTO in watched
    names = COLLECTIONS[:3] if auto else COLLECTIONS if ALL in watched else tuple(watched)
    if ACTIVATIONS in names and trains_head_alone(options, count_gpus()) and options.feature_cache:
        if ALL not in watched:
            raise UsageError(
                f"--debug is {','.join(watched)!r} but the backbone stays frozen, and what it "
                "gives is computed once: add --trainable-layers all, or leave activations out"
            )
        names = COLLECTIONS[:3]
    interval = _AUTO_INTERVAL if auto else _ASKED_INTERVAL
    saved = {
        "train.save_interval": interval,
        "train.save_steps": EARLY_STEPS,
        "eval.end_step": 0,  # nothing learns then, so that nothing has changed afterwards
        "reductions": STATISTICS,
    }
    collections: dict[str, Mapping[str, object]] = {
        "losses": _LOSSES,
        "labels": _ANSWERS,
        "predictions": _ANSWERS,
    }
    collections |= dict.fromkeys(names, saved)
    return Debugging(collections=collections, rules=_rules(names, starts_pretrained(options)))


def _rules(names: Sequence[str], pretrained: bool) -> tuple[Rule, ...]:
    """The rules that can judge the losses, the validation's answers and these collections."""
    exploding = ["losses", *(name for name in ("gradients", "weights") if name in names)]
    rules = [
        Rule("LossNotDecreasing"),
        Rule("Overfit"),
        Rule("Overtraining"),
        Rule("ClassImbalance"),
        Rule("ExplodingTensor", {"collection_names": exploding}),
    ]
    if "gradients" in names:
        rules.append(Rule("VanishingGradient"))
        if not pretrained:
            rules.append(Rule("PoorWeightInitialization"))
    if "weights" in names:
        rules.append(Rule("WeightUpdateRatio"))
    if ACTIVATIONS in names:
        rules += [Rule("DeadRelu"), Rule("SaturatedActivation")]
    return tuple(rules)


def _unknown(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        hint = f"did you mean {near[0]}?"
    elif "/" in word or "." in word:
        hint = f"write the pictures first, as in `clary train {word} --debug`"
    else:
        hint = "the first four may be joined with commas"
    return f"--debug is {word!r} but must be one of {', '.join(known)}: {hint}"
