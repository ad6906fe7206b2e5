"""A contestant of `debugger.py`: trains on made pictures, watched in one way or another.

Runs in Clary's environment and in the one of the original library, so it imports only what its
way of watching needs. The sections' clock covers what every script does: forward, backward, step.
SIGTERM ends it with what its way of watching does at the end of a script.
"""

from __future__ import annotations

import contextlib
import json
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path

# By its file, for smdebug's environment has no Clary: all contestants are set up alike, as
# Clary's own training is.
BEFORE_TORCH = Path(__file__).parents[1] / "src" / "clary" / "vision" / "before_torch.py"
runpy.run_path(str(BEFORE_TORCH))["prepare_process"]()

import torch  # noqa: E402
import torchvision  # noqa: E402
from torch import nn  # noqa: E402

from sections import Sections  # noqa: E402

COLLECTIONS = ("weights", "gradients", "biases")
EVERY = 5


def watched_by_clary(folder: str, model: nn.Module, *, names: tuple[str, ...], raw: bool) -> None:
    from clary.debugger import Collection, Hook, Reductions, Schedule

    kept = Reductions(raw=raw)
    hook = Hook(
        folder,
        collections=[Collection(name, reductions=kept) for name in names],
        schedule=Schedule(interval=EVERY),
    )
    hook.watch(model)


def watched_by_smdebug(
    folder: str, model: nn.Module, loss: nn.Module, *, names: tuple[str, ...]
) -> None:
    import smdebug.pytorch as smd

    hook = smd.Hook(
        out_dir=folder,
        include_collections=["losses", *names],
        save_config=smd.SaveConfig(save_interval=EVERY if names else 500),
    )
    hook.register_module(model)
    hook.register_loss(loss)


def main() -> None:
    given = json.loads(Path(sys.argv[1]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = getattr(torchvision.models, given["model"])(num_classes=100)
    model = model.to(device, memory_format=torch.channels_last)
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    shape = (given["batch_size"], 3, given["image_size"], given["image_size"])
    images = torch.randn(shape, device=device).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 100, (given["batch_size"],), device=device)

    watch: dict[str, Callable[[], None]] = {
        "nothing": lambda: None,
        "default": lambda: watched_by_clary(given["folder"], model, names=(), raw=False),
        "statistics": lambda: watched_by_clary(
            given["folder"], model, names=COLLECTIONS, raw=False
        ),
        "raw": lambda: watched_by_clary(given["folder"], model, names=COLLECTIONS, raw=True),
        "smdebug default": lambda: watched_by_smdebug(
            given["folder"], model, loss_function, names=()
        ),
        "smdebug": lambda: watched_by_smdebug(
            given["folder"], model, loss_function, names=COLLECTIONS
        ),
    }
    sections = Sections(warm_up=given["warm_up"], batches=given["batches"])
    # What the original prints goes where its log goes.
    with contextlib.redirect_stdout(sys.stderr):
        watch[given["watched"]]()
    model.train()
    sections.epoch_started()
    while True:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            loss = loss_function(model(images), labels)
        loss.backward()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        sections.batch_done(given["batch_size"])


if __name__ == "__main__":
    main()
