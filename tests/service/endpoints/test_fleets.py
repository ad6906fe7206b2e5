"""Endpoints of picture models: up, asked, killed, updated, scaled, deleted."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from botocore.exceptions import ClientError

from tests.service.endpoints.conftest import BUCKET, ROLE, Hosting, runs


def test_a_model_answers_until_it_is_deleted(hosting: Hosting) -> None:
    hosting.serve("single", hosting.colour_model("single"))
    row = hosting.ask("single", "blue")
    assert row[2] > 0.9
    processes = hosting.processes("single")
    assert len(processes) >= 3
    hosting.delete("single")
    assert [process for process in processes if runs(process)] == []
    assert not (hosting.service.settings.endpoints_dir / "single").exists()


def test_a_killed_replica_is_replaced_and_the_others_answer_meanwhile(hosting: Hosting) -> None:
    hosting.serve("pair", hosting.colour_model("pair"), count=2)
    before = hosting.hosts("pair")
    assert len(before) == 2
    victim = next(iter(before))
    os.kill(before[victim], signal.SIGKILL)
    hosting.eventually(lambda: len(hosting.hosts("pair").keys() - {victim}) == 2)
    for _ in range(20):
        assert hosting.ask("pair")[1] > 0.9
    described = hosting.sagemaker.describe_endpoint(EndpointName="pair")
    assert described["EndpointStatus"] == "InService"


def test_an_update_under_load_loses_nothing(hosting: Hosting) -> None:
    hosting.serve("updated", hosting.colour_model("updated"), count=1)
    hosting.configuration("updated-next", hosting.colour_model("updated-next"), count=2)
    answers: list[object] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            try:
                answers.append(hosting.ask("updated")[1] > 0.9)
            except ClientError as error:
                answers.append(error)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    before = hosting.hosts("updated").keys()
    try:
        hosting.sagemaker.update_endpoint(EndpointName="updated", EndpointConfigName="updated-next")
        described = hosting.reach("updated")
        hosting.eventually(lambda: not before & hosting.hosts("updated").keys())
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert described["EndpointConfigName"] == "updated-next"
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert len(answers) > 5
    assert set(answers) == {True}
    folder = hosting.service.settings.endpoints_dir / "updated" / "1"
    hosting.eventually(lambda: not (folder / "models").exists())


def test_an_update_that_cannot_come_up_is_rolled_back(hosting: Hosting) -> None:
    hosting.serve("kept", hosting.colour_model("kept"))
    before = hosting.hosts("kept")
    # Of the image for models of Clary's, but none.
    model = hosting.model("kept-next", {"weights.bin": b"1"}, "clary/image-classification")
    hosting.configuration("kept-next", model)
    hosting.sagemaker.update_endpoint(EndpointName="kept", EndpointConfigName="kept-next")
    described = hosting.reach("kept")
    assert "model.json" in described["FailureReason"]
    assert described["EndpointConfigName"] == "kept-config"
    assert hosting.ask("kept")[1] > 0.9
    assert hosting.hosts("kept") == before


def test_it_grows_and_shrinks(hosting: Hosting) -> None:
    hosting.serve("scaled", hosting.colour_model("scaled"))
    for count in (3, 1):
        hosting.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName="scaled",
            DesiredWeightsAndCapacities=[
                {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
            ],
        )
        described = hosting.reach("scaled")
        assert described["ProductionVariants"][0]["CurrentInstanceCount"] == count
        hosting.eventually(lambda count=count: len(hosting.hosts("scaled")) == count)
        assert hosting.ask("scaled")[1] > 0.9


def test_an_archive_that_is_none_fails_it_with_awss_words(hosting: Hosting) -> None:
    hosting.s3.put_object(Bucket=BUCKET, Key="damaged.tar.gz", Body=b"no archive")
    hosting.sagemaker.create_model(
        ModelName="damaged",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": "clary/image-classification",
            "ModelDataUrl": f"s3://{BUCKET}/damaged.tar.gz",
        },
    )
    hosting.create("damaged", "damaged")
    described = hosting.reach("damaged", "Failed")
    assert "Failed to extract model data archive" in described["FailureReason"]


def test_its_log_is_in_cloudwatch_and_outlives_the_replica(hosting: Hosting) -> None:
    hosting.serve("logged", hosting.colour_model("logged"))
    hosting.ask("logged")
    ((first, pid),) = hosting.hosts("logged").items()
    logs = hosting.service.client("logs")

    def lines() -> str:
        events = logs.get_log_events(
            logGroupName="/aws/sagemaker/Endpoints/logged",
            logStreamName=f"AllTraffic/{first}",
            startFromHead=True,
        )["events"]
        return "\n".join(event["message"] for event in events)

    hosting.eventually(lambda: "/invocations 200" in lines())
    os.kill(pid, signal.SIGKILL)
    hosting.eventually(lambda: first not in hosting.hosts("logged"))
    assert "/invocations 200" in lines()
    folder = next(Path(hosting.service.settings.endpoints_dir / "logged").glob(f"*/{first}"))
    hosting.eventually(lambda: [entry.name for entry in folder.iterdir()] == ["logs"])
