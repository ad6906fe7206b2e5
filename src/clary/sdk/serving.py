"""A model as a server of this terminal's: the replica of an endpoint, without endpoint or service.

It takes `POST /invocations` with the body and the types that an endpoint takes, unsigned.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast, get_args

from clary.errors import UsageError
from clary.formats.replica import Precision, ReplicaSettings
from clary.sdk.converting import convert
from clary.sdk.endpoint import DEFAULT_VARIANT
from clary.sdk.model_sources import opened_servable
from clary.sdk.processes import run_job_program
from clary.settings import Settings

HOST = "127.0.0.1"
_REQUIREMENTS = Path("code") / "requirements.txt"
DEFAULT_PORT = 8080  # SageMaker's containers'


def serve(
    location: Path,
    settings: Settings,
    *,
    name: str,
    port: int = DEFAULT_PORT,
    precision: str = "auto",
    pictures: Path | None = None,
) -> int:
    """Serve a model until Ctrl-C; returns the exit code.

    Args:
        location: a model folder or an archive.
        settings: whose cache has the converted networks.
        name: what the server calls itself.
        port: where it listens, on loopback; 0 for any that is free.
        precision: of Clary's models.
        pictures: what int8 is calibrated on.

    Raises:
        UsageError: the port is taken or out of bounds, there is no model, or the precision does
            not fit it.
        FormatError: the model is damaged.
        ProgramFailed: it cannot be converted; the program has said why.
    """
    require_port(port)
    conversion = convert(location, settings, precision=precision, pictures=pictures)
    with opened_servable(location) as folder, TemporaryDirectory(prefix="clary-serve-") as place:
        assert precision in get_args(Precision)
        ReplicaSettings(
            endpoint=name,
            variant=DEFAULT_VARIANT,
            instance="foreground",
            kind="script" if conversion is None else "pictures",
            model=str(folder.absolute()),
            converted=None if conversion is None else conversion.folder,
            precision=cast("Precision", precision),
            address=HOST,
            port=port,
        ).write(Path(place))
        if conversion is None and (folder / _REQUIREMENTS).exists():
            print(
                f"clary: {_REQUIREMENTS} is not installed for a server of this terminal's: what it "
                "lists must be in this Python already",
                file=sys.stderr,
                flush=True,
            )
        address = f"http://{HOST}:{port}/invocations" if port else "ADDRESS/invocations"
        print(
            "Once it serves, from another terminal:\n"
            f"curl -H 'Content-Type: image/jpeg' --data-binary @picture.jpg {address}\n"
            "Ctrl-C ends it, once it has answered what it was asked",
            flush=True,
        )
        code = run_job_program("serve", [place])
    print(f"{name} has ended", flush=True)
    return code


def require_port(port: int) -> None:
    """Be sure that a server can listen there.

    Raises:
        UsageError: the port is out of bounds, or another program has it.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port is {port} but must be 0 to 65535")
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise UsageError(
                f"--port is {port} but {error.strerror}: choose another, or 0 for any free one"
            ) from error
