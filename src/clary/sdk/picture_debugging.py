"""What `clary train` watches a training for, and how often: `--debug`.

| `--debug`             | saved besides the losses              | by whom judged                |
|-----------------------|---------------------------------------|-------------------------------|
| not given: `auto`     | statistics of weights, biases and     | all rules that need no more   |
|                       | gradients, rarely                     |                               |
| some collections      | statistics of these, more often       | the rules that need no more   |
| without a value: `all`| statistics of all four, more often    | DeadRelu and others, too      |
| `off`                 | nothing                               | nobody                        |

The first steps are saved densely and the later ones rarely, so that a training of ten seconds is
judged and one of ten hours costs nothing that can be measured (`benchmarks/debugger.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from clary.errors import UsageError
from clary.sdk.debugging import Debugging, Rule

AUTO, ALL, OFF = "auto", "all", "off"
COLLECTIONS = ("weights", "biases", "gradients", "activations")
STATISTICS = "min,max,mean,std,l1,l2"
EARLY_STEPS = "0,1,2,3,4,5,6,8,10,12,15,20,25,30,40,50,60,80,100,150"
_LOSS_INTERVAL = 5
# Between two captures: rarely where nobody has asked.
_AUTO_INTERVAL, _ASKED_INTERVAL = 200, 20


def parse_debug(words: Sequence[str] | None) -> Debugging | None:
    """What a person has typed after `--debug`; None where nothing shall be watched.

    Args:
        words: the values; none at all for a bare `--debug`, None where it was not given.

    Raises:
        UsageError: a word is no collection.
    """
    if words is None:
        return picture_debugging(AUTO)
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
    return None if chosen == [OFF] else picture_debugging(*chosen)


def picture_debugging(*watched: str) -> Debugging:
    """What a training of the built-in algorithm is watched for.

    Args:
        watched: `auto`, `all`, or some of COLLECTIONS.
    """
    auto = watched == (AUTO,)
    names = COLLECTIONS[:3] if auto else COLLECTIONS if watched == (ALL,) else watched
    often = {"save_interval": _AUTO_INTERVAL if auto else _ASKED_INTERVAL}
    saved = {**often, "save_steps": EARLY_STEPS, "reductions": STATISTICS}
    collections: dict[str, dict[str, object]] = {"losses": {"save_interval": _LOSS_INTERVAL}}
    for name in (*names, "input_image"):
        collections[name] = dict(saved)
    return Debugging(collections=collections, rules=_rules(names))


def _rules(names: Sequence[str]) -> tuple[Rule, ...]:
    """The rules that can judge the losses and these collections."""
    rules = [Rule("LossNotDecreasing"), Rule("Overfit"), Rule("Overtraining")]
    exploding = ["losses", *(name for name in ("gradients", "weights") if name in names)]
    rules.append(Rule("ExplodingTensor", {"collection_names": exploding}))
    if "gradients" in names:
        rules.append(Rule("VanishingGradient"))
    if "weights" in names:
        rules.append(Rule("WeightUpdateRatio"))
    if "gradients" in names and "weights" in names:
        rules.append(Rule("PoorWeightInitialization"))
    if "activations" in names:
        rules += [Rule("DeadRelu"), Rule("SaturatedActivation")]
    rules += [Rule("ClassImbalance"), Rule("CheckInputImages")]
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
