"""The table of operations, and the page that is made from it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from clary.service.operations.table import OPERATIONS, PATIENT
from clary.service.protocol.models import SERVICES, service_model

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("service", OPERATIONS)
def test_every_operation_is_one_of_aws(service: str) -> None:
    assert set(OPERATIONS[service]) <= set(service_model(service).operation_names)


def test_every_patient_operation_is_offered() -> None:
    assert all(name in OPERATIONS[service] for service, name in PATIENT)


def test_every_service_is_told_from_the_others() -> None:
    for name, service in SERVICES.items():
        metadata = service_model(name).metadata
        assert service.target_prefix in {None, metadata.get("targetPrefix")}
        assert service.signing_name == metadata.get("signingName", metadata["endpointPrefix"])
        assert service.version in {None, metadata["apiVersion"]}
    assert set(OPERATIONS) <= set(SERVICES)


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("page", DOCS / "write_compatibility_page.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    written = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    assert written == writer.page(written), "make docs"
    for service, operations in OPERATIONS.items():
        for name, handler in operations.items():
            assert writer.summary(handler), f"{service} {name} has no docstring"
