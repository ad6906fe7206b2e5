"""Script mode: what SageMaker's training toolkit makes of a job's configuration.

Hyperparameters become `--name value` arguments and, with everything else, `SM_*` variables. All
functions are pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clary.formats.job_directory import TUNING_OBJECTIVE
from clary.service.executors.places import HostPlace

PROGRAM = "sagemaker_program"
SUBMIT_DIRECTORY = "sagemaker_submit_directory"
MASTER_PORT = 7777
_RESERVED = frozenset({TUNING_OBJECTIVE, "default_user_module_name"})
_LOG_LEVEL = 20


def decoded_hyperparameters(texts: Mapping[str, str]) -> dict[str, Any]:
    """Each value as the SDK meant it: JSON, or the text itself where it is none."""
    return {name: _decoded(text) for name, text in texts.items()}


def is_reserved(name: str) -> bool:
    """Whether a hyperparameter speaks to the toolkit and not to the script."""
    return name.startswith("sagemaker_") or name in _RESERVED


def user_arguments(hyperparameters: Mapping[str, Any]) -> list[str]:
    """The toolkit's command line: sorted by name, a value behind each name.

    Args:
        hyperparameters: decoded.
    """
    words: list[str] = []
    for name in sorted(name for name in hyperparameters if not is_reserved(name)):
        value = hyperparameters[name]
        if name:
            words.append(f"--{name}" if len(name) > 1 else f"-{name}")
        if isinstance(value, Mapping):
            value = ",".join(f"{key}={value[key]}" for key in sorted(value))
        words.append("" if value is None else str(value))
    return words


def as_a_shell_passes(words: Sequence[str]) -> list[str]:
    """The arguments that reach the script: on AWS they go through a shell, which takes quotes off
    and drops what is empty.

    Only quotes around a whole word are taken off: what a shell would do to blanks, backslashes
    and dollar signs has never helped anybody.
    """
    passed = []
    for word in (word.replace("\0", "") for word in words):
        if len(word) >= 2 and word[0] == word[-1] and word[0] in "\"'":
            passed.append(word[1:-1])
        elif word:
            passed.append(word)
    return passed


def variables(
    host: HostPlace,
    hyperparameters: Mapping[str, Any],
    channels: Mapping[str, Mapping[str, Any]],
    resources: Mapping[str, Any],
    counts: tuple[int, int],
) -> dict[str, str]:
    """All `SM_*` variables of one host.

    Args:
        host: which one.
        hyperparameters: decoded, reserved ones too; empty for programs that are no scripts.
        channels: `inputdataconfig.json`.
        resources: `resourceconfig.json`.
        counts: cores and GPUs.
    """
    seen = host.seen
    own = {name: value for name, value in hyperparameters.items() if not is_reserved(name)}
    framework = {name: value for name, value in hyperparameters.items() if is_reserved(name)}
    program = str(hyperparameters.get(PROGRAM) or "")
    output = seen.root / "output"
    data = output / "data" if len(host.names) == 1 else output / "data" / host.name
    groups = resources["instance_groups"]
    by_name = {group["instance_group_name"]: group for group in groups}
    facts: dict[str, Any] = {
        "hosts": list(host.names),
        "current_host": host.name,
        "current_instance_type": resources["current_instance_type"],
        "current_instance_group": resources["current_group_name"],
        "current_instance_group_hosts": by_name[resources["current_group_name"]]["hosts"],
        "instance_groups": list(by_name),
        "instance_groups_dict": by_name,
        "distribution_instance_groups": [],
        "is_hetero": len({group["instance_type"] for group in groups}) > 1,
        "network_interface_name": resources["network_interface_name"],
        "master_addr": host.names[0],
        "master_port": MASTER_PORT,
        "num_cpus": counts[0],
        "num_gpus": counts[1],
        "num_neurons": 0,
        "hps": own,
        "framework_params": framework,
        "user_args": user_arguments(hyperparameters),
        "user_entry_point": program,
        "module_name": program.removesuffix(".py"),
        "module_dir": str(hyperparameters.get(SUBMIT_DIRECTORY) or seen.root / "code"),
        "framework_module": "sagemaker_pytorch_container.training:main",
        "log_level": hyperparameters.get("sagemaker_container_log_level", _LOG_LEVEL),
        "channels": sorted(channels),
        "input_data_config": channels,
        "resource_config": resources,
        "input_dir": str(seen.root / "input"),
        "input_config_dir": str(seen.config),
        "model_dir": str(seen.model),
        "output_dir": str(output),
        "output_data_dir": str(data),
        "output_intermediate_dir": str(output / "intermediate"),
    }
    facts["training_env"] = {
        **facts,
        "channel_input_dirs": {name: str(seen.channel(name)) for name in channels},
        "hyperparameters": own,
        "additional_framework_parameters": framework,
        "job_name": str(hyperparameters.get("sagemaker_job_name") or ""),
        "is_master": host.number == 0,
        "master_hostname": host.names[0],
    }
    facts.update({f"channel_{name}": str(seen.channel(name)) for name in channels})
    facts.update({f"hp_{name}": value for name, value in own.items()})
    return {f"SM_{name.upper()}": _text(value) for name, value in facts.items()}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
