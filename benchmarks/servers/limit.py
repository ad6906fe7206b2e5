"""What the same work brings without HTTP: threads that decode, crop and ask the network.

    python benchmarks/servers/limit.py FOLDER PICTURES SECONDS

FOLDER holds a `replica.json`. Each thread takes eight pictures at once. The last line is JSON:
pictures and seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from clary.endpoint.codecs import Cropper, Limits, decode_request
from clary.endpoint.invocation import Invocation
from clary.endpoint.runtimes import open_runtime
from clary.formats.replica import ReplicaSettings


def main(folder: Path, pictures: Path, seconds: float) -> None:
    """Work on all threads for so long, then print how much was done."""
    settings = ReplicaSettings.read(folder)
    runtime = open_runtime(settings)
    crop, limits = Cropper(runtime.preprocessing), Limits()
    bodies = [file.read_bytes() for file in sorted(pictures.glob("*.jpg"))]
    done = []

    def work(stream: object, first: int, until: float) -> None:
        turns, made = cycle(bodies[first:] + bodies[:first]), 0
        while time.perf_counter() < until:
            crops = []
            for body in islice(turns, 8):
                asked = Invocation(body, "image/jpeg", "", deadline=until + 60)
                (picture,) = decode_request(asked, limits)
                crops.append(crop(picture))
            made += len(stream.probabilities(np.stack(crops)))
        done.append(made)

    streams = runtime.streams(settings.workers or runtime.streams_wanted)
    for stream in streams:
        work(stream, 0, time.perf_counter() + 0.5)
    done.clear()
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=work, args=(stream, number, begun + seconds))
        for number, stream in enumerate(streams)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"pictures": sum(done), "seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
