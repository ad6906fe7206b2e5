"""IAM as notebooks use it: a role of any well-formed name exists, and permits everything.

Notebooks name the roles of their authors. Nothing here grants or denies: whoever holds the home's
keys may do all that Clary offers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

from clary.service.call import Call
from clary.service.faults import Fault
from clary.service.keys import ROLE_ARN
from clary.service.office import Handler, Office
from clary.service.operations.sts import role_id

ROLE_NAME = ROLE_ARN.rpartition("/")[2]
# Roles have no history here; this one is older than any job.
_CREATED = datetime(2020, 1, 1, tzinfo=timezone.utc)
_TRUST = quote(
    json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sagemaker.amazonaws.com"},
                    "Action": "sts:AssumeRole",
                }
            ],
        }
    )
)
_FULL_ACCESS = "AmazonSageMakerFullAccess"


def get_role(office: Office, call: Call) -> Mapping[str, Any]:
    """The role of a name."""
    return {"Role": _role(office, call.parameters["RoleName"])}


def list_roles(office: Office, call: Call) -> Mapping[str, Any]:
    """The one role that Clary itself names; others need not be listed to be used."""
    prefix = call.parameters.get("PathPrefix", "/")
    roles = [_role(office, ROLE_NAME)] if "/".startswith(prefix) else []
    return {"Roles": roles, "IsTruncated": False}


def create_role(office: Office, call: Call) -> Mapping[str, Any]:
    """Refused like a second creation: every role exists already."""
    name = call.parameters["RoleName"]
    raise Fault("EntityAlreadyExists", f"Role with name {name} already exists.", 409)


def list_attached_role_policies(office: Office, call: Call) -> Mapping[str, Any]:
    """Every role may do what SageMaker's own policy allows."""
    policy = {
        "PolicyName": _FULL_ACCESS,
        "PolicyArn": f"arn:aws:iam::aws:policy/{_FULL_ACCESS}",
    }
    return {"AttachedPolicies": [policy], "IsTruncated": False}


def list_role_policies(office: Office, call: Call) -> Mapping[str, Any]:
    """No role has a policy inside it."""
    return {"PolicyNames": [], "IsTruncated": False}


def attach_role_policy(office: Office, call: Call) -> Mapping[str, Any]:
    """Nothing changes: a role that permits everything permits this too."""
    return {}


def simulate_principal_policy(office: Office, call: Call) -> Mapping[str, Any]:
    """Every action is allowed, by the policy that every role has."""
    policy = {"SourcePolicyId": _FULL_ACCESS, "SourcePolicyType": "IAM Policy"}
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed",
            "MatchedStatements": [policy],
            "MissingContextValues": [],
        }
        for action in call.parameters["ActionNames"]
        for resource in call.parameters.get("ResourceArns") or ("*",)
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def get_user(office: Office, call: Call) -> Mapping[str, Any]:
    """Refused as AWS refuses it to a role: the caller is no user."""
    if "UserName" in call.parameters:
        name = call.parameters["UserName"]
        raise Fault("NoSuchEntity", f"The user with name {name} cannot be found.", 404)
    raise Fault(
        "ValidationError",
        "Must specify userName when calling with non-User credentials",
    )


def _role(office: Office, name: str) -> Mapping[str, Any]:
    return {
        "Path": "/",
        "RoleName": name,
        "RoleId": role_id(name),
        "Arn": f"arn:aws:iam::{office.account}:role/{name}",
        "CreateDate": _CREATED,
        "AssumeRolePolicyDocument": _TRUST,
        "MaxSessionDuration": 43200,
    }


OPERATIONS: dict[str, Handler] = {
    "GetRole": get_role,
    "ListRoles": list_roles,
    "CreateRole": create_role,
    "ListAttachedRolePolicies": list_attached_role_policies,
    "ListRolePolicies": list_role_policies,
    "AttachRolePolicy": attach_role_policy,
    "SimulatePrincipalPolicy": simulate_principal_policy,
    "GetUser": get_user,
}
