"""`clary.endpoint.hosts`: which names of a Host header are this machine's own."""

from __future__ import annotations

import pytest

from clary.endpoint.hosts import names_this_machine, why_not_local


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.1.2.3",
        "localhost",
        "LOCALHOST:8080",
        "localhost.",
        "api.localhost:80",
        "[::1]:8080",
        "[::1]",
        "host.docker.internal:8080",
    ],
)
def test_names_of_this_machine(host: str) -> None:
    assert names_this_machine(host)


@pytest.mark.parametrize(
    "host",
    [
        "pages.example",
        "pages.example:8080",
        "localhost.pages.example",
        "127.0.0.1.pages.example",
        "notlocalhost",
        "0.0.0.0",
        "192.168.1.7:8080",
        "[2001:db8::1]:80",
        "[localhost.pages.example]",
        "",
        ".",
    ],
)
def test_names_that_lead_here_by_somebody_elses_doing(host: str) -> None:
    assert not names_this_machine(host)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, None),
        ({"host": "localhost:80"}, None),
        ({"host": "localhost:80", "origin": "http://localhost:3000"}, None),
        ({"host": "localhost:80", "origin": "http://[::1]:3000"}, None),
        ({"host": "pages.example"}, 421),
        ({"host": "pages.example", "origin": "http://localhost:3000"}, 421),
        ({"host": "localhost:80", "origin": "https://pages.example"}, 403),
        ({"host": "localhost:80", "origin": "null"}, 403),
        ({"origin": "http://localhost.pages.example"}, 403),
    ],
)
def test_who_may_ask(headers: dict[str, str], status: int | None) -> None:
    refused = why_not_local(headers)
    assert (None if refused is None else refused[0]) == status
