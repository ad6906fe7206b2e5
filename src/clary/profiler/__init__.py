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
