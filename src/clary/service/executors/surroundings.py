"""The environment variables of a job's processes.

the service's own           PATH, HOME, TORCH_HOME, … without what speaks to the service alone
what Clary adds             endpoint, credentials, the shims on PYTHONPATH
the request's Environment
SM_*, TRAINING_JOB_NAME     as the platform and the training toolkit set them
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clary.service.executors.executor import TrainingJobSpec

# Another AWS, another Python or another job must not shine through, nor the service's secrets.
_NOT_PASSED_ON = (
    "AWS_",
    "CLARY_PROFILER_",
    "CLARY_RULE_",
    "SAGEMAKER_",
    "SM_",
    "TRAINING_JOB_",
    "PYTHON",
    "VIRTUAL_ENV",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "MASTER_",
)
# What libraries read while they are loaded: too late for a process that has them.
_READ_WHEN_LOADED = (
    "CUBLAS_",
    "CUDA_",
    "CUDNN_",
    "DNNL_",
    "GLIBC_",
    "GOMP_",
    "HF_",
    "HUGGINGFACE_",
    "KMP_",
    "LANG",
    "LC_",
    "LD_",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NPY_",
    "NUMEXPR_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "PYTHON",
    "PYTORCH_",
    "TORCH",
    "TRANSFORMERS_",
    "TZ",
)


def inherited_environment() -> dict[str, str]:
    """What jobs, and the warm parent, take from the service's own environment."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)
    } | {"PYTHONUNBUFFERED": "1"}


def job_environment(job: TrainingJobSpec, python: str, told: Mapping[str, str]) -> dict[str, str]:
    """All variables of a training job's host.

    Args:
        job: whose Environment and additions count.
        python: the interpreter; its folder is first on PATH.
        told: `SM_*` and the like.
    """
    named = {**told, "TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn}
    return host_environment(job.request.get("Environment") or {}, job.environment, python, named)


def host_environment(
    asked: Mapping[str, Any], added: Mapping[str, str], python: str, told: Mapping[str, str]
) -> dict[str, str]:
    """All variables of a host.

    Args:
        asked: the request's Environment.
        added: what Clary adds: endpoint, credentials, search path.
        python: the interpreter; its folder is first on PATH.
        told: what no request may change.
    """
    wanted = {str(name): str(value) for name, value in asked.items()}
    environment = {**inherited_environment(), **added, **wanted, **told}
    paths = (str(Path(python).parent), environment.get("PATH") or os.defpath)
    environment["PATH"] = os.pathsep.join(paths)
    searched = (added.get("PYTHONPATH"), wanted.get("PYTHONPATH"))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, searched))
    # Hyperparameters may have names and values that no environment can hold.
    return {
        name: value.replace("\0", "")
        for name, value in environment.items()
        if name and "=" not in name and "\0" not in name
    }


def wants_fresh_interpreter(asked: Mapping[str, Any]) -> bool:
    """Whether a request's Environment sets what is read while libraries are loaded."""
    return any(str(name).startswith(_READ_WHEN_LOADED) for name in asked)
