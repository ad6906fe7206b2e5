"""Write docs/compatibility.md from the table of operations: `make docs`."""

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

HEAD = """# What of AWS Clary offers

All services answer on one port; requests are parsed and validated by the service models that
botocore ships, and signatures are verified (SigV4 in headers, in presigned URLs and in
aws-chunked uploads; for S3 also presigned URLs of the older scheme, which boto3 makes by
default). An operation that is not listed here answers with its name and what is offered. No
request is ever passed on to AWS.

| what | how it is here |
|---|---|
| account | `000000000000`; account numbers in ARNs of others are accepted |
| region | one, yet clients may name any: notebooks bear the regions of their authors |
| credentials | one key, made at the first start, and temporary ones of STS; they permit all |
| roles | a role of any well-formed name exists |
| addressing of buckets | in the path, or as `BUCKET.localhost` |
| heads | up to 64 KiB, an Authorization header up to 8 KiB |
| bodies | up to 32 MiB, XML up to 4 MiB; PutObject and UploadPart stream and have no such limit |
| clocks | a quarter of an hour apart at most, as on AWS |

This page is written by `make docs`.
"""


def page() -> str:
    """The whole page."""
    lines = [HEAD.rstrip()]
    for name in SERVICES:
        offered = OPERATIONS.get(name, {})
        lines += ["", f"## {TITLES[name]}", ""]
        if not offered:
            lines.append("Known by name, so that requests for it are answered; no operation yet.")
            continue
        lines += ["| operation | what it does here |", "|---|---|"]
        lines += [f"| `{each}` | {summary(offered[each])} |" for each in sorted(offered)]
    return "\n".join(lines) + "\n"


def summary(handler: Handler) -> str:
    """The first paragraph of a handler's docstring, on one line."""
    text = inspect.getdoc(handler) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
