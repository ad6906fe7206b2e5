"""A service that is killed: its endpoints answer on, and the next one finds them."""

from __future__ import annotations

import os
import signal

from tests.service.endpoints.conftest import Hosting, runs


def test_replicas_outlive_the_service_and_are_found_again(own_hosting: Hosting) -> None:
    own_hosting.serve("e", own_hosting.colour_model("m"), count=2)
    before = own_hosting.hosts("e")
    own_hosting.service.kill()
    assert own_hosting.hosts("e") == before
    victim = next(iter(before))
    os.kill(before[victim], signal.SIGKILL)
    own_hosting.service.restart()
    own_hosting.again()
    own_hosting.eventually(lambda: len(own_hosting.hosts("e").keys() - {victim}) == 2)
    assert own_hosting.hosts("e").keys() & before.keys() == before.keys() - {victim}
    own_hosting.eventually(lambda: own_hosting.status("e") == "InService")
    assert own_hosting.ask("e")[1] > 0.9
    processes = own_hosting.processes("e")
    own_hosting.delete("e")
    assert [process for process in processes if runs(process)] == []


def test_one_that_was_being_created_comes_up_once(own_hosting: Hosting) -> None:
    own_hosting.create("e", own_hosting.colour_model("m"), count=2)
    own_hosting.service.kill()
    own_hosting.service.restart()
    own_hosting.again()
    own_hosting.reach("e")
    assert own_hosting.ask("e")[1] > 0.9
    assert len(own_hosting.hosts("e")) == 2


def test_one_that_was_being_deleted_goes(own_hosting: Hosting) -> None:
    own_hosting.serve("e", own_hosting.colour_model("m"))
    processes = own_hosting.processes("e")
    own_hosting.sagemaker.delete_endpoint(EndpointName="e")
    own_hosting.service.kill()
    own_hosting.service.restart()
    own_hosting.again()
    own_hosting.eventually(lambda: own_hosting.is_gone("e"))
    own_hosting.made.remove("e")
    assert [process for process in processes if runs(process)] == []
    assert not (own_hosting.service.settings.endpoints_dir / "e").exists()
