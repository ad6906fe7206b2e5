"""Where the time of a training goes, and what to change.

    from clary.profiler import Profiler

    with Profiler("profile", batch_size=32) as profiler:   # the machine is sampled from here on
        for epoch in range(10):
            for images, labels in profiler.loading(loader):   # waiting for data, step after step
                with profiler.phase("forward"):
                    loss = criterion(model(images), labels)
                with profiler.phase("backward"):
                    loss.backward()
                with profiler.phase("optimizer"):
                    optimizer.step()

`watch_script()` sees the same in a script that knows nothing of it. `Profile` reads what was
written, `clary.profiler.rules` judge it, and `clary.profiler.diagnosis` says it in words. Torch is
loaded only by what records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clary.profiler.profile import Profile
    from clary.profiler.profiler import Profiler
    from clary.profiler.scripts.script_watch import watch_script

__all__ = ["Profile", "Profiler", "watch_script"]


def __getattr__(name: str) -> object:
    # Late: one who reads a profile needs nothing of what records, and the other way round.
    if name == "Profile":
        from clary.profiler.profile import Profile

        return Profile
    if name == "Profiler":
        from clary.profiler.profiler import Profiler

        return Profiler
    if name == "watch_script":
        from clary.profiler.scripts.script_watch import watch_script

        return watch_script
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
