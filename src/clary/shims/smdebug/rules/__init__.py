"""One's own rules: subclass `Rule`, and call it over the steps by `invoke_rule`."""

from __future__ import annotations

import sys

from . import required_tensors
from .required_tensors import RequiredTensors
from .rule import Rule
from .rule_invoker import invoke_rule

__all__ = ["RequiredTensors", "Rule", "invoke_rule"]

# AWS's name of the module.
req_tensors = required_tensors
sys.modules[f"{__name__}.req_tensors"] = required_tensors
