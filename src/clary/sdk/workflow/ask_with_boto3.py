"""Asks an endpoint about pictures as any program of AWS does: with boto3, and nothing of Clary's.

    clary exec -- python ask.py ENDPOINT PICTURE…

Prints a JSON list with what was answered about each picture: the probabilities of all classes, in
their order. Keys, region and address are the environment's, here by `clary exec`.
"""

from __future__ import annotations

import json
import mimetypes
import sys
from pathlib import Path

import boto3


def main(endpoint: str, *pictures: str) -> None:
    """Ask about each picture, and print the answers."""
    runtime = boto3.client("sagemaker-runtime")
    answers = []
    for picture in pictures:
        kind, _ = mimetypes.guess_type(picture)
        answer = runtime.invoke_endpoint(
            EndpointName=endpoint,
            Body=Path(picture).read_bytes(),
            ContentType=kind or "application/x-image",
            Accept="application/json",
        )
        answers.append(json.loads(answer["Body"].read()))
    print(json.dumps(answers))


if __name__ == "__main__":
    main(*sys.argv[1:])
