"""TorchServe with its own `image_classifier` handler: makes the archive, then starts the server.

The model's file is what TorchServe's examples have: a class that is the network. It needs Java.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODEL = """
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class Network(ResNet):
    def __init__(self):
        super().__init__({block}, {layers}, num_classes={classes})
"""
SHAPES = {"resnet18": ("BasicBlock", [2, 2, 2, 2]), "resnet50": ("Bottleneck", [3, 4, 6, 3])}


def main(port: int, folder: Path) -> None:
    """Serve until stopped, with files in `folder`."""
    block, layers = SHAPES[os.environ["NETWORK"]]
    model = folder / "model.py"
    model.write_text(MODEL.format(block=block, layers=layers, classes=os.environ["CLASSES"]))
    programs = Path(sys.executable).parent
    subprocess.run(
        [
            *(programs / "torch-model-archiver", "--model-name", "predict", "--version", "1.0"),
            *("--model-file", model, "--serialized-file", os.environ["WEIGHTS"]),
            *("--handler", "image_classifier", "--export-path", folder, "--force"),
        ],
        check=True,
    )
    settings = folder / "config.properties"
    settings.write_text(
        f"inference_address=http://127.0.0.1:{port}\n"
        f"management_address=http://127.0.0.1:{port + 1}\n"
        f"metrics_address=http://127.0.0.1:{port + 2}\n"
        "default_workers_per_model=1\njob_queue_size=256\n"
    )
    os.chdir(folder)
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    command = [
        *(str(programs / "torchserve"), "--foreground", "--disable-token-auth", "--ncs"),
        *("--model-store", str(folder), "--models", "predict.mar"),
        *("--ts-config", str(settings)),
    ]
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
