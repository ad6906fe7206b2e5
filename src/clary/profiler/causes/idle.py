"""Time in which nothing is computed: before the first step, or beside an idle device."""

from __future__ import annotations

from clary.profiler import readings
from clary.profiler.causes.situation import Diagnosis, Situation
from clary.profiler.wording import brief, percent

_LONG_START_S = 30.0
_LONG_START_SHARE = 0.25
_IDLE_GPU = 50.0
UNUSED_GPU = 5.0
"""A GPU that works less than this, in percent, is not used."""
_IDLE_CPU = 0.5
_QUIET_MACHINE = 60.0


def initialization(situation: Situation) -> Diagnosis | None:
    """The first step came after 30 s or more, and a quarter of the job or more.

    Where other programs held a quarter of a busy machine meanwhile, it may be theirs.
    """
    parts = situation.breakdown
    spent = parts.initialization_s
    if not parts.loop_s or spent < _LONG_START_S or spent < _LONG_START_SHARE * parts.job_s:
        return None
    began = situation.stretch[0] - spent
    if situation.is_disturbed_in((began, situation.stretch[0])):
        return None
    longest = max(
        (one for one in situation.profile.spans if one.kind == "initialization" and one.label),
        key=lambda one: one.end_us - one.start_us,
        default=None,
    )
    most = "" if longest is None else f", most of it {longest.label}"
    return Diagnosis(
        "initialization",
        f"the first step came after {brief(spent)}, {percent(spent / parts.job_s)} of the job"
        f"{most}",
        "keep what is prepared (downloads, unpacked archives, lists of files) between jobs, and "
        "import less",
        share=0.0,
        rule="OverallFrameworkMetrics",
    )


def unused_gpu(situation: Situation) -> Diagnosis | None:
    """The training computes on the processor beside GPUs of which none does anything (5 %)."""
    facts, host = situation.facts, situation.host
    if facts is None or facts.device != "cpu" or host is None or not situation.is_enough:
        return None
    means = {
        name: found
        for name, samples in readings.gpus(host, situation.stretch).items()
        if (found := samples.mean()) is not None
    }
    if not means or max(means.values()) >= UNUSED_GPU:
        return None
    idle = f"{min(means)} is" if len(means) == 1 else f"{len(means)} GPUs are"
    change = (
        "install a torch that supports the GPU, and see that CUDA_VISIBLE_DEVICES does not hide it"
        if situation.is_clary
        else "move the model and each batch to the GPU: .to('cuda'); where "
        "torch.cuda.is_available() is False, install a torch that supports it"
    )
    return Diagnosis(
        "device_idle",
        f"the training computes on the processor while {idle} idle",
        change,
        share=1 - max(means.values()) / 100,
        rule="LowGPUUtilization",
    )


def device_idle(situation: Situation) -> Diagnosis | None:
    """A GPU works less than half of the loop; or, without one, the processor's cores do.

    For who has no GPU: the job keeps fewer than half of its cores busy while the machine has room
    (60 % busy at most). The last cause to look for: it explains nothing, it only says where.
    """
    host = situation.host
    if host is None or not situation.is_enough:
        return None
    if situation.on_gpu:
        return _idle_gpu(situation)
    used, busy = situation.cores_used, readings.cpu(host, situation.stretch).mean()
    cores, facts = situation.cores, situation.facts
    if used is None or busy is None or cores < 2:
        return None
    if used >= _IDLE_CPU * cores or busy >= _QUIET_MACHINE:
        return None
    threads = facts.threads if facts is not None else 0
    if threads and threads < cores:
        change = f"let torch use them: torch.set_num_threads({cores}), or OMP_NUM_THREADS={cores}"
    else:
        change = "take larger batches, or run several jobs side by side"
    computing = f", and torch computes in {threads} of them" if threads else ""
    return Diagnosis(
        "device_idle",
        f"the job keeps {used:.1f} of {cores} cores busy{computing}",
        change,
        share=1 - used / cores,
        rule="BatchSize",
    )


def _idle_gpu(situation: Situation) -> Diagnosis | None:
    assert situation.host is not None
    means = {
        name: found
        for name, samples in readings.gpus(situation.host, situation.stretch).items()
        if (found := samples.mean()) is not None
    }
    # Of several GPUs of a machine, those that the job does not use are nobody's loss.
    if not means or max(means.values()) >= _IDLE_GPU:
        return None
    name, mean = max(means.items(), key=lambda one: one[1])
    return Diagnosis(
        "device_idle",
        f"{name} works {percent(mean / 100)} of the time",
        "take larger batches or bf16 (torch.autocast), and give the loader more workers; "
        "--profile full names the operators"
        if situation.is_clary
        else "take larger batches, more num_workers and pin_memory=True, and look at the operators",
        share=1 - mean / 100,
        rule="LowGPUUtilization",
    )
