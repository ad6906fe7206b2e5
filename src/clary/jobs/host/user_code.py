"""The child of a host: the user's program.

A fresh interpreter by exec; or this one, forked with torch loaded, where the launch allows it. In
both the program sees what `python script.py …` would show it: arguments, search path, folder,
environment, `__main__`, and an exit code that means the same.
"""

from __future__ import annotations

import atexit
import builtins
import importlib.machinery
import importlib.util
import io
import os
import runpy
import signal
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType, TracebackType
from typing import NoReturn

from clary.errors import ClaryError
from clary.formats.launch import InProcess, Launch
from clary.jobs.host import namespace
from clary.jobs.program import end_with

_EXIT_NOT_FOUND = 127
_EXIT_NOT_EXECUTABLE = 126
_EXIT_BROKEN = 1
# What the interpreter ends with when the last lines cannot be written.
_EXIT_UNFLUSHED = 120
_FIRST_FREE_HANDLE = 3
_ABOVE_USER_CODE = frozenset({__file__, runpy.__file__, "<frozen runpy>"})


def run_user_code(launch: Launch, output: int, parent: int, *, here: bool) -> NoReturn:
    """Become the user's program.

    Args:
        launch: what to run.
        output: where stdout and stderr go.
        parent: the host; this process dies with it.
        here: this process is a fork that has torch loaded.
    """
    try:
        _detach(output, parent)
        _run(launch, here=here)
    except BaseException:  # noqa: BLE001 - this is a fork: nobody above may go on in it
        os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(_EXIT_BROKEN)


def _detach(output: int, parent: int) -> None:
    """Let go of everything that is the host's."""
    end_with(parent)
    os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    nothing = os.open(os.devnull, os.O_RDONLY)
    for target, source in ((0, nothing), (1, output), (2, output)):
        os.dup2(source, target)
    os.closerange(_FIRST_FREE_HANDLE, os.sysconf("SC_OPEN_MAX"))


def _run(launch: Launch, *, here: bool) -> NoReturn:
    try:
        os.chdir(_outside_bubblewrap(launch))
        if here and launch.in_process is not None and not _is_shadowed(launch.in_process):
            _run_here(launch, launch.in_process)
        command = list(launch.command)
        if launch.isolation == "bubblewrap":
            command = namespace.bubblewrapped(launch, command)
        # Python ignores them, and what it runs would, too.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(command[0], command, dict(launch.environment))
    except (OSError, ClaryError) as error:
        missing = isinstance(error, FileNotFoundError)
        os.write(2, f"clary: {launch.command[0]} cannot be run: {error}\n".encode())
        os._exit(_EXIT_NOT_FOUND if missing else _EXIT_NOT_EXECUTABLE)


def _outside_bubblewrap(launch: Launch) -> str:
    return "/" if launch.isolation == "bubblewrap" else launch.working_directory


def _is_shadowed(program: InProcess) -> bool:
    """Whether the user brings a module of a name that is loaded already, such as `timm`."""
    loaded = {name for name in sys.modules if "." not in name} - set(sys.builtin_module_names)
    brought: set[str] = set()
    for folder in map(Path, program.search_path):
        if folder.is_dir():
            brought.update(entry.name.partition(".")[0] for entry in folder.iterdir())
    return bool(loaded & brought - {"sitecustomize", "usercustomize", "__pycache__", "__main__"})


def _run_here(launch: Launch, program: InProcess) -> NoReturn:
    os.environ.clear()
    os.environ.update(launch.environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = io.TextIOWrapper(
            open(number, "wb", closefd=False),  # noqa: SIM115 - a descriptor
            encoding="utf-8",
            errors="surrogateescape" if name == "stdout" else "backslashreplace",
            line_buffering=True,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = [launch.command[-1 - len(program.arguments)], *program.arguments]
    added = [*program.search_path, *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    sys.path[:] = [*added, *(path for path in sys.path if path not in added)]
    importlib.invalidate_caches()
    _customise(added)
    start_anew(program.threads)
    code = _exit_code(program)
    # As the interpreter ends, but for its own dismantling: libraries of the parent complain there.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    os._exit(code if _flush() else _EXIT_UNFLUSHED)


def _flush() -> bool:
    """Write out what is buffered, as the interpreter does: a closed stream is none."""
    flushed = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:  # noqa: BLE001 - streams may be of the script's own making
            flushed = False
    return flushed


def _exit_code(program: InProcess) -> int:
    """Run the program; what ends it is printed, and counted, as the interpreter does."""
    try:
        if program.module is not None:
            runpy.run_module(program.module, run_name="__main__", alter_sys=True)
        else:
            _run_script(str(program.script))
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        _complain(str(error.code) + "\n")
        return 1
    except BaseException as error:  # noqa: BLE001 - whatever the script raises
        error.__traceback__ = _below(error.__traceback__)
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except BaseException:  # noqa: BLE001 - the hook may be of the script's own making
            _complain("".join(traceback.format_exception(error)))
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _complain(text: str) -> None:
    """Write to stderr, also where the script has closed it or put something in its place."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - streams may be of the script's own making
        os.write(2, text.encode("utf-8", "backslashreplace"))


def _customise(search_path: list[str]) -> None:
    """Load the `sitecustomize` that a fresh interpreter with this search path would have."""
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", search_path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def start_anew(threads: int) -> None:
    """Undo what forks of one process would share: sequences of random numbers, threads.

    Args:
        threads: for torch, where `OMP_NUM_THREADS` asks for no other number.
    """
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.seed()
        # A fresh interpreter would read it when it loads OpenMP, and compute the same figures.
        asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
        torch.set_num_threads(int(asked) if asked.isdigit() and int(asked) else threads)


def _run_script(script: str) -> None:
    main = ModuleType("__main__")
    main.__dict__.update(
        __file__=script,
        __builtins__=builtins,
        __loader__=importlib.machinery.SourceFileLoader("__main__", script),
        __cached__=None,
    )
    sys.modules["__main__"] = main
    code = compile(Path(script).read_bytes(), script, "exec", dont_inherit=True)
    exec(code, main.__dict__)


def _below(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame of the user's on."""
    while trace is not None and trace.tb_frame.f_code.co_filename in _ABOVE_USER_CODE:
        trace = trace.tb_next
    return trace
