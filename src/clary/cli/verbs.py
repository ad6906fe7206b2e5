"""The verbs, in the order in which a person meets them: one list for help, parser and tests."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A command: its name, the function behind it, one line of help."""

    name: str
    function: str
    help: str


VERBS = (
    Verb("run", "clary.cli.run:run", "do it all: check, tune, train, judge, report, deploy, ask"),
    Verb("check", "clary.cli.check:check", "find what is wrong with pictures before training"),
    Verb("train", "clary.cli.train:train", "fine-tune a classifier on your pictures"),
    Verb("tune", "clary.cli.tune:tune", "find better hyperparameters by many trainings"),
    Verb("debug", "clary.cli.debug:debug", "see why a training goes wrong: findings and curves"),
    Verb("profile", "clary.cli.profile:profile", "see where a training's time goes"),
    Verb("report", "clary.cli.report:report", "write one HTML page about a training"),
    Verb("explain", "clary.cli.explain:explain", "show what in a picture a model looked at"),
    Verb("predict", "clary.cli.predict:predict", "classify pictures with a model or an endpoint"),
    Verb("export", "clary.cli.export:export", "convert a model to ONNX, OpenVINO or TorchScript"),
    Verb("deploy", "clary.cli.deploy:deploy", "serve a model: an endpoint that answers requests"),
    Verb("endpoints", "clary.cli.endpoints:app", "list, show, ask, change and delete endpoints"),
    Verb("jobs", "clary.cli.jobs:app", "list, show, follow, stop and compare trainings"),
    Verb("data", "clary.cli.data:app", "put data where training jobs find it, in S3"),
    Verb("env", "clary.cli.client:env", "make this machine the AWS of a shell"),
    Verb(
        "exec", "clary.cli.client:exec_", "run a program: profiled, or with this machine as its AWS"
    ),
    Verb("kernel", "clary.cli.client:kernel", "install a Jupyter kernel of that kind"),
    Verb("start", "clary.cli.service:start", "start the service: SageMaker and S3 on one port"),
    Verb("stop", "clary.cli.service:stop", "stop the service"),
    Verb("status", "clary.cli.service:status", "say whether the service runs, and where"),
    Verb("logs", "clary.cli.service:logs", "show what the service has said"),
    Verb("doctor", "clary.cli.doctor:doctor", "say what this machine offers, and what is amiss"),
)
