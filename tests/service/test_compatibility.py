"""The table of operations, and the page that is made from it."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from clary.formats.profiler_rule_parameters import NOT_OFFERED as RULES_NOT_OFFERED
from clary.service.operations.table import OPERATIONS, PATIENT
from clary.service.protocol.models import SERVICES, service_model

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# A member of a request, such as CoreDumpConfig or startFromHead.
MEMBER = r"[A-Za-z][a-z0-9]*[A-Z]\w*"


def refused_members(source: str) -> set[str]:
    """The members of requests that a module refuses by name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if node.value is not None and any("NOT_OFFERED" in name for name in names):
                words = [one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant)]
                found |= {
                    word for word in words if isinstance(word, str) and re.fullmatch(MEMBER, word)
                }
        elif isinstance(node, ast.JoinedStr):
            found |= _refused_by(
                "".join(str(v.value) if isinstance(v, ast.Constant) else "…" for v in node.values)
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= _refused_by(node.value)
    return found


def _refused_by(sentence: str) -> set[str]:
    """The member with which a sentence begins that says what is not offered."""
    begins = re.match(rf"({MEMBER}) (?:[^.:]* )?is not offered by Clary", sentence)
    return {begins[1]} if begins else set()


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


def test_the_page_names_all_that_is_refused() -> None:
    page = (DOCS / "compatibility.md").read_text(encoding="utf-8")
    refused = set(RULES_NOT_OFFERED)
    for path in (ROOT / "src" / "clary" / "service").rglob("*.py"):
        refused |= refused_members(path.read_text(encoding="utf-8"))
    assert {"CoreDumpConfig", "ServerlessJobConfig", "SessionId", "TreeDepth"} <= refused
    assert sorted(name for name in refused if name not in page) == []
