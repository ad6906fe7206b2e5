"""Runs scripts one after another, each in a fork of an interpreter that has torch imported.

A line of JSON on stdin says which: {"script", "words", "folder", "environment"}. The answer, a line
on stdout, is the exit status; what the script prints is in `stdout` and `stderr` in its folder.
"""

import atexit
import gc
import json
import os
import runpy
import sys
import traceback
from pathlib import Path

import smdebug.pytorch  # noqa: F401
import torch
import torch._dynamo  # the optimizers load it when they are first made

torch.set_num_threads(1)


def work(request):
    os.chdir(request["folder"])
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    os.environ.update(request["environment"])
    sys.argv = [request["script"], *request["words"]]
    sys.path.insert(0, str(Path(request["script"]).parent))
    runpy.run_path(request["script"], run_name="__main__")


gc.freeze()
for line in iter(sys.stdin.readline, ""):
    child = os.fork()
    if child == 0:
        status = 0
        try:
            work(json.loads(line))
        except SystemExit as ended:
            status = ended.code or 0
        except BaseException:  # noqa: BLE001 - said as an interpreter would
            traceback.print_exc()
            status = 1
        # What an interpreter does at its end, without the second that it takes to forget torch.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
