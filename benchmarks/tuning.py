"""How fast Clary tunes: against the usual script run per trial, and per trial of its own.

    python benchmarks/tuning.py [--parts tune overhead] [--data DIR] [--rounds 3] [--quick]

| part     | what is measured                                                                 |
|----------|----------------------------------------------------------------------------------|
| tune     | 20 trials × 10 epochs on a frozen ResNet-50, 976 photographs: `clary tune`, whole,  |
|          | in an empty home, its service started by it, with one view and with four; against   |
|          | the usual script, of which ONE epoch is measured and the rest is computed: every    |
|          | epoch of every trial is the same work                                              |
| overhead | what the service takes between two trials, one at a time: from the end of one's     |
|          | process to the start of the next one's code (its objective, the next suggestion, the |
|          | next job with its data and its process), for scripts and for heads in a lane         |
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from measuring import Spread, conditions
from photographs import SHARED_DATA, photographs, repeated
from rows import Rows, add_rows_option

HERE = Path(__file__).resolve().parent
TRIALS, EPOCHS, PHOTOGRAPHS = 20, 10, 976
MODEL = "resnet50"
GOALS = {1: 600, 4: 150}
GAP_GOAL_MS = 100
ROLE = "arn:aws:iam::000000000000:role/ClaryRole"
BUCKET = "overhead"
SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--point", type=float)
print(f"objective={(parser.parse_known_args()[0].point - 0.3) ** 2}")
"""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED_DATA, help="photographs or archives")
    parser.add_argument("--parts", nargs="+", default=["tune", "overhead"])
    parser.add_argument("--rounds", type=int, help="of the part tune")
    parser.add_argument("--warm-up", type=float, default=40, help="seconds for the warm parent")
    parser.add_argument("--quick", action="store_true", help="few photographs, epochs and trials")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    add_rows_option(parser)
    return parser.parse_args()


class Home:
    """An empty home with a port of its own; what runs there is stopped and deleted at the end."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.folder = folder
        self._environment = {**os.environ, "CLARY_HOME": str(folder), "CLARY_PORT": str(port)}

    def __enter__(self) -> Home:
        return self

    def __exit__(self, *_: object) -> None:
        self.clary("stop", check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def clary(self, *words: str, check: bool = True) -> str:
        """Run a command and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "clary", *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(f"clary {words[0]} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def client(self, name: str) -> Any:
        """A boto3 client of its service."""
        import boto3

        exports = dict(
            re.findall(r"export (\w+)='?([^'\n;]*)'?", self.clary("env", "--shell", "bash"))
        )
        return boto3.client(
            name,
            endpoint_url=exports["AWS_ENDPOINT_URL"],
            aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
            region_name=exports.get("AWS_DEFAULT_REGION") or exports.get("AWS_REGION"),
        )


def tune(args: argparse.Namespace, work: Path) -> None:
    """`clary tune` against the usual script."""
    source, about = photographs(args.data, work)
    count, epochs, trials = (128, 2, 4) if args.quick else (PHOTOGRAPHS, EPOCHS, TRIALS)
    rounds = 1 if args.quick else args.rounds or 3
    data = repeated(source, work / "tuned", count)
    weights = work / "weights.pth"
    code = (
        "import sys, torch, torchvision; torch.manual_seed(0); "
        "model = getattr(torchvision.models, sys.argv[1])(weights=None); "
        "torch.save(model.state_dict(), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, MODEL, str(weights)], check=True)
    print(f"\n## {trials} trials × {epochs} epochs, frozen {MODEL}, {count} photographs of {about}")
    script: list[float] = []
    seconds: dict[int, list[float]] = {views: [] for views in GOALS}
    ratios: dict[int, list[float]] = {views: [] for views in GOALS}
    for number in range(rounds):
        script.append(trials * _usual_trial(work, data, weights, epochs))
        for views in GOALS:
            with Home(work / f"home-{number}-{views}") as home:
                began = time.perf_counter()
                home.clary(
                    *("tune", str(data), "--trials", str(trials), "--model", MODEL),
                    *("--weights", str(weights), "--epochs", str(epochs), "--batch-size", "32"),
                    *("--trainable-layers", "0", "--class-balance", "off", "--test-fraction", "0"),
                    *("--space", "lr=1e-4..1e-1:log", "weight_decay=1e-4..1:log"),
                    *("--views", str(views), "--no-report", "--skip-check"),
                )
                seconds[views].append(time.perf_counter() - began)
            ratios[views].append(script[-1] / seconds[views][-1])
    print(f"n = {rounds} rounds; median (min–max); whole processes, the service's start included")
    print("| contestant | seconds | ratio | goal |\n|---|---|---|---|")
    computed = f"{trials} × (start + {epochs} × one measured epoch), computed"
    print(f"| usual script, {computed} | {Spread(script)} | 1 | |")
    for views, goal in GOALS.items():
        row = f"clary tune, {views} view(s) | {Spread(seconds[views])} | {Spread(ratios[views])}"
        print(f"| {row} | {'–' if args.quick else goal} |")
        Rows.of("tuning", args).add(
            f"{trials} trials × {epochs} epochs, frozen {MODEL}, {count} photographs",
            f"clary tune, {views} view(s)",
            ratios[views],
            against="usual script, computed",
            goal=goal,
        )
    sys.stdout.flush()


def _usual_trial(work: Path, data: Path, weights: Path, epochs: int) -> float:
    """Seconds of one trial of the script, computed from its start and one epoch."""
    usual = [str(data), "--model", MODEL, "--weights", str(weights), "--freeze", "--epochs", "1"]
    given = work / "given.json"
    given.write_text(json.dumps({"arguments": usual}))
    done = subprocess.run(
        [sys.executable, str(HERE / "contestants.py"), "usual-epochs", str(given)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return float(told["start"] + epochs * told["epochs"][0])


def overhead(args: argparse.Namespace, work: Path) -> None:
    """What lies between two trials."""
    trials = 4 if args.quick else TRIALS
    print(f"\n## between two trials, one at a time, ms; n = {trials - 1} gaps; median (min–max)")
    print("| trials | TPE | random |\n|---|---|---|")
    with Home(work / "home-overhead") as home:
        home.clary("start")
        time.sleep(args.warm_up)
        sagemaker, s3 = home.client("sagemaker"), home.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        _upload_script(s3)
        weights = _small_backbone(work)
        for kind, definition in (
            ("scripts", _script_definition()),
            ("heads in a lane", _head_definition(weights)),
        ):
            cells = []
            for strategy in ("Bayesian", "Random"):
                name = f"{kind.split()[0]}-{strategy}"
                _create(sagemaker, name, strategy, trials, definition)
                gaps = _gaps(home, sagemaker, name)
                cells.append(str(Spread(gaps)))
                Rows.of("tuning", args).add(
                    f"from one trial to the next, {kind}",
                    "TPE" if strategy == "Bayesian" else "random",
                    gaps,
                    unit="ms",
                    goal=GAP_GOAL_MS,
                    less=True,
                )
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)
    print(f"goal: {GAP_GOAL_MS} ms")


def _upload_script(s3: Any) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        about = tarfile.TarInfo("trial.py")
        about.size = len(SCRIPT)
        tar.addfile(about, io.BytesIO(SCRIPT.encode()))
    s3.put_object(Bucket=BUCKET, Key="code.tar.gz", Body=archive.getvalue())


def _small_backbone(work: Path) -> Path:
    """Random weights of a network that timm keeps for tests."""
    path = work / "small.pth"
    code = (
        "import sys, timm, torch; "
        "torch.save(timm.create_model('test_resnet').state_dict(), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    return path


def _script_definition() -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "x/pytorch-training:2.0-cpu-py310",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "objective", "Regex": "objective=([0-9.e-]+)"}],
        },
        "StaticHyperParameters": {
            "sagemaker_program": '"trial.py"',
            "sagemaker_submit_directory": f'"s3://{BUCKET}/code.tar.gz"',
        },
    }


def _head_definition(weights: Path) -> dict[str, Any]:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": "clary/image-classification",
            "TrainingInputMode": "File",
        },
        "StaticHyperParameters": {
            "dataset": "digits",
            "model": "test_resnet",
            "weights": str(weights),
            "image_size": "32",
            "trainable_layers": "0",
            "epochs": "1",
            "no_report": "true",
            "skip_check": "true",
        },
    }


def _create(
    sagemaker: Any, name: str, strategy: str, trials: int, definition: dict[str, Any]
) -> None:
    scripts = "sagemaker_program" in definition["StaticHyperParameters"]
    varied, metric = ("point", "objective") if scripts else ("lr", "valid:loss")
    sagemaker.create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": strategy,
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": metric},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": trials, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {
                "ContinuousParameterRanges": [
                    {"Name": varied, "MinValue": "0.001", "MaxValue": "1.0"}
                ]
            },
            "RandomSeed": 0,
        },
        TrainingJobDefinition={
            **definition,
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 300},
        },
    )


def _gaps(home: Home, sagemaker: Any, name: str) -> list[float]:
    """Milliseconds from the end of each trial to the start of the next, as their hosts say."""
    _wait(sagemaker, name)
    spans = []
    for job in sorted(home.folder.glob(f"jobs/{name}-*")):
        started, ended = (
            json.loads((job / f).read_text()) for f in (".started.json", ".ended.json")
        )
        spans.append((started["since_ms"], ended["at_ms"]))
    return [after[0] - before[1] for before, after in pairwise(spans)]


def _wait(sagemaker: Any, name: str) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        found = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        if found["HyperParameterTuningJobStatus"] == "Completed":
            return
        if found["HyperParameterTuningJobStatus"] in {"Failed", "Stopped"}:
            raise RuntimeError(f"{name} failed: {_why(sagemaker, name)}")
        time.sleep(0.2)
    raise RuntimeError(f"{name} did not end within ten minutes")


def _why(sagemaker: Any, name: str) -> str:
    """Why its last trial failed."""
    found = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    job = found["TrainingJobSummaries"][0]["TrainingJobName"]
    return str(sagemaker.describe_training_job(TrainingJobName=job).get("FailureReason"))


def main() -> None:
    args = parse_arguments()
    print(conditions(args.date), flush=True)
    with tempfile.TemporaryDirectory(prefix="clary-tuning-") as work:
        if "tune" in args.parts:
            tune(args, Path(work))
        if "overhead" in args.parts:
            overhead(args, Path(work))


if __name__ == "__main__":
    main()
