"""From words to a verb's function: a cyclopts app that loads a verb when it is used."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Parameter,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from clary.cli.verbs import VERBS
from clary.errors import UsageError

# An option without a value, off by default, and without an opposite.
Switch = Annotated[bool, Parameter(negative=(), show_default=False)]

# What other tools call the same things, so that a habit is answered with the word used here.
SYNONYMS = {
    "--arch": "--model",
    "--backbone": "--model",
    "--bs": "--batch-size",
    "--img-size": "--image-size",
    "--imgsz": "--image-size",
    "--input-size": "--image-size",
    "--learning-rate": "--lr",
    "--num-epochs": "--epochs",
    "--num-workers": "--workers",
    "--opt": "--optimizer",
    "--output-dir": "--output",
    "--pretrained": "--weights",
    "--scheduler": "--schedule",
    "--val-fraction": "--valid-fraction",
    "--warmup": "--warmup-epochs",
    "--wd": "--weight-decay",
}


def build_app() -> App:
    """The parser over all verbs; their modules are not imported yet."""
    app = App(
        name="clary",
        help_flags=["--help", "-h"],
        version_flags=[],
        help_format="markdown",
        result_action="return_value",
    )
    for verb in VERBS:
        app.command(verb.function, name=verb.name)
    return app


def run_verb(words: Sequence[str]) -> int:
    """Parse a command line and run what it names; returns the exit code.

    Raises:
        UsageError: a word is unknown, missing, or not what is expected there.
        ClaryError: what the verb raises.
    """
    app = build_app()
    names = [verb.name for verb in VERBS]
    if words[0] not in names:
        raise UsageError(_unknown_verb(words[0], names))
    try:
        result = app(list(words), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise UsageError(_mistake(error, words)) from error
    return int(result or 0)


def _unknown_verb(word: str, names: Sequence[str]) -> str:
    if word.startswith("-"):
        return f"there is no option {word} before a command: `clary --help` lists the commands"
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean `clary {near[0]}`?" if near else "`clary --help` lists the commands"
    return f"there is no command {word}: {hint}"


def _mistake(error: CycloptsError, words: Sequence[str]) -> str:
    command = " ".join(("clary", *(error.command_chain or words[:1])))
    see = f"`{command} --help` lists what it takes"
    if isinstance(error, UnknownOptionError):
        word = (error.token.keyword or error.token.value or "").split("=", 1)[0]
        names = [name for argument in error.argument_collection for name in argument.names]
        return _unknown_option(word, command, [name for name in names if name.startswith("-")])
    if isinstance(error, UnknownCommandError):
        word = next((word for word in words[1:] if not word.startswith("-")), words[-1])
        return f"`{command}` does not know {word}: {see}"
    if isinstance(error, UnusedCliTokensError):
        extra = " ".join(error.unused_tokens or ())
        return f"`{command}` has no use for {extra}: {see}"
    argument = error.argument
    name = argument.name if argument is not None else ""
    if isinstance(error, MissingArgumentError):
        what = f"a value for {error.keyword or name}" if name.startswith("-") else name
        return f"`{command}` needs {what}: {see}"
    if isinstance(error, RepeatArgumentError):
        return f"{error.token.keyword} is given twice: once is enough"
    if isinstance(error, CoercionError) and argument is not None and error.token is not None:
        choices = argument.get_choices()
        expected = f"one of {', '.join(choices)}" if choices else _kind(error.target_type)
        return f"{error.token.keyword or name} is {error.token.value!r} but must be {expected}"
    error.verbose = False
    return f"{' '.join(str(error).split()).rstrip('.')}: {see}"


def refuse_options(verb: str, words: Iterable[str], known: Sequence[str]) -> None:
    """Refuse what looks like an option where a lone - is allowed, so that the parser lets all by.

    Raises:
        UsageError: a word begins with a hyphen and has more to it.
    """
    for word in words:
        if word.startswith("-") and word != "-":
            raise UsageError(_unknown_option(word, f"clary {verb}", known))


def _unknown_option(word: str, command: str, known: Iterable[str]) -> str:
    near = nearest_option(word, known)
    hint = f"did you mean {near}?" if near else f"`{command} --help` lists what it takes"
    return f"`{command}` has no option {word}: {hint}"


def nearest_option(word: str, known: Iterable[str]) -> str | None:
    """The option that was probably meant, or None."""
    known = sorted(known)
    synonym = SYNONYMS.get(word.replace("_", "-"))
    if synonym in known:
        return synonym
    near = difflib.get_close_matches(word.replace("_", "-"), known, n=1, cutoff=0.5)
    return near[0] if near else None


def _kind(target: object) -> str:
    kinds: dict[object, str] = {int: "a whole number", float: "a number", bool: "true or false"}
    return kinds.get(target, "something else")
