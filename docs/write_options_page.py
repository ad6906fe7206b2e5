"""Write docs/formats/training_options.md from the model itself: `make docs`."""

from __future__ import annotations

from pathlib import Path

from clary.formats.training_options import GROUPS, TrainingOptions

PAGE = Path(__file__).parent / "formats" / "training_options.md"

HEAD = """# The options of a training

One flat list, `clary.formats.training_options.TrainingOptions`, behind three doors:

| door | how the option `batch_size` is written |
|---|---|
| command line | `clary train photos/ --batch-size 64` |
| Python | `clary.vision.finetune(..., batch_size=64)` |
| a job's `input/config/hyperparameters.json` | `{"batch_size": "64"}` |

In `hyperparameters.json` every value is a string: a JSON value, or plain text where that is not
JSON, as SageMaker writes it. Only what differs from a default is stored. A name that is not in
this list, a value out of bounds and a combination that cannot work are refused before anything
else happens, all at once, with one sentence each. On the command line a switch that is on by
default is turned off by `--no-` before its name (`--no-feature-cache`).

This page is written by `make docs`.
"""


def main() -> None:
    """Write the page."""
    lines = [HEAD.rstrip()]
    for name, field in TrainingOptions.model_fields.items():
        if name in GROUPS:
            lines += ["", f"## {GROUPS[name]}", ""]
            lines += ["| option | default | meaning |", "|---|---|---|"]
        default = "" if field.default in {None, ()} else f"`{str(field.default).lower()}`"
        lines.append(f"| `{name}` | {default} | {field.description} |")
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
