"""Write the operations of docs/compatibility.md from their table: `make docs`."""

from __future__ import annotations

import inspect
from pathlib import Path

from clary.service.office import Handler
from clary.service.operations.table import OPERATIONS
from clary.service.protocol.models import SERVICES

PAGE = Path(__file__).parent / "compatibility.md"

TITLES = {
    "sagemaker": "SageMaker",
    "sagemaker-runtime": "SageMaker Runtime",
    "sagemaker-metrics": "SageMaker Metrics",
    "s3": "S3",
    "sts": "STS",
    "iam": "IAM",
    "application-autoscaling": "Application Auto Scaling",
    "cloudwatch": "CloudWatch",
    "logs": "CloudWatch Logs",
}

# What stands above it is written by hand.
BEGINNING = "The rest of this page is written by `make docs`.\n"


def page(written: str) -> str:
    """The whole page.

    Args:
        written: the page as it is.

    Raises:
        ValueError: the words are gone that stand between the two parts.
    """
    by_hand, words, _ = written.partition(BEGINNING)
    if not words:
        raise ValueError(f"{PAGE.name} has lost the line {BEGINNING.strip()!r}")
    lines = []
    for name in SERVICES:
        offered = OPERATIONS.get(name, {})
        lines += ["", f"### {TITLES[name]}", ""]
        if not offered:
            lines.append("Known by name, so that requests for it are answered; no operation yet.")
            continue
        lines += ["| operation | what it does here |", "|---|---|"]
        lines += [f"| `{each}` | {summary(offered[each])} |" for each in sorted(offered)]
    return by_hand + words + "\n".join(lines) + "\n"


def summary(handler: Handler) -> str:
    """The first paragraph of a handler's docstring, on one line."""
    text = inspect.getdoc(handler) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
