"""Sends the AWS clients of any Python process to Clary, and watches its training.

Python imports `sitecustomize` by itself when it starts; `clary.formats.client_environment` puts
this folder ahead on `PYTHONPATH`. Then, with `CLARY_ENDPOINT`,

- a client whose endpoint is AWS's, given explicitly or found by botocore, gets `CLARY_ENDPOINT`;
- an endpoint that is neither, such as somebody's MinIO, is left alone;
- a request that would nevertheless reach AWS is refused before anything is sent;
- SageMaker's SDK asks every second whether what it waits for is there;

and with `CLARY_PROFILER_FOLDER` the profiler watches what torch does, from when it is imported.

Runs in anybody's interpreter: Python 3.8 or later, standard library only. Without these variables
nothing is changed.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from time import perf_counter_ns

# Every interpreter pays for what is imported here: typing and urllib cost more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# Of all partitions, as botocore's partitions.json names them; a test compares.
_AWS_DOMAINS = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.amazonwebservices.com.cn",
    ".api.amazonwebservices.eu",
    ".api.aws",
    ".api.aws.hci.ic.gov",
    ".api.aws.ic.gov",
    ".api.aws.scloud",
    ".api.cloud-aws.adc-e.uk",
    ".c2s.ic.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
    ".on.aws",
    ".sc2s.sgov.gov",
)
# When modules that are changed were imported, of `time.perf_counter_ns`: began, ended.
_imports: dict[str, tuple[int, int]] = {}
_SDK_POLL_S = 1
_CREATE_CLIENT_ENDPOINT = 5  # its place in `create_client(service_name, …)` after self


def is_aws(url: str) -> bool:
    """Whether the host of a URL is one of AWS's."""
    return _host(url).endswith(_AWS_DOMAINS)


def _host(url: str) -> str:
    from urllib.parse import urlsplit

    return (urlsplit(url if "//" in url else "//" + url).hostname or "").rstrip(".")


def redirect() -> None:
    """Send this process's AWS clients to `CLARY_ENDPOINT`, those of libraries loaded later too.

    Clients made earlier keep their endpoint, and are refused if it is AWS's. Does nothing the
    second time, and nothing while `CLARY_ENDPOINT` is not set: the variable is read anew for each
    client, so that taking it out gives AWS back.
    """
    for name, change in _CHANGES.items():
        when_loaded(name, change)


def when_loaded(name: str, change: Callable[[ModuleType], None]) -> None:
    """Change a module as soon as it is loaded: now, or when it is imported.

    Does nothing where that module is changed already.
    """
    finders = [finder for finder in sys.meta_path if isinstance(finder, _Finder)]
    finder = finders[0] if finders else _Finder()
    if not finders:
        sys.meta_path.insert(0, finder)
    if name not in finder.changes:
        finder.changes[name] = change
        if name in sys.modules:
            change(sys.modules[name])


def _change_sync_session(module: ModuleType) -> None:
    _wrap_create_client(module.Session)


def _change_async_session(module: ModuleType) -> None:
    _wrap_create_client(module.AioSession)


def _change_sync_transport(module: ModuleType) -> None:
    send = module.URLLib3Session.send

    def guarded(self: Any, request: Any) -> Any:
        _refuse_aws(request.url)
        return send(self, request)

    module.URLLib3Session.send = guarded


def _change_async_transport(module: ModuleType) -> None:
    for name in ("AIOHTTPSession", "HttpxSession"):
        transport = getattr(module, name, None)
        if transport is not None and transport.__module__ == module.__name__:
            _guard_coroutine(transport)


def _guard_coroutine(transport: Any) -> None:
    send = transport.send

    async def guarded(self: Any, request: Any) -> Any:
        _refuse_aws(request.url)
        return await send(self, request)

    transport.send = guarded


def _wrap_create_client(session: Any) -> None:
    create_client = session.create_client

    def redirected(self: Any, *args: Any, **kwargs: Any) -> Any:
        target = os.environ.get("CLARY_ENDPOINT")
        if not target:
            return create_client(self, *args, **kwargs)
        if len(args) > _CREATE_CLIENT_ENDPOINT:
            wanted = args[_CREATE_CLIENT_ENDPOINT]
            args = (
                *args[:_CREATE_CLIENT_ENDPOINT],
                _endpoint(wanted, target),
                *args[_CREATE_CLIENT_ENDPOINT + 1 :],
            )
        else:
            kwargs["endpoint_url"] = _endpoint(kwargs.get("endpoint_url"), target)
        return create_client(self, *args, **kwargs)

    redirected.__doc__ = create_client.__doc__
    session.create_client = redirected


def _endpoint(wanted: str | None, target: str) -> str:
    """Without a wish, `target` is passed too: old botocore does not read `AWS_ENDPOINT_URL`."""
    return target if not wanted or is_aws(wanted) else wanted


def _refuse_aws(url: str) -> None:
    if os.environ.get("CLARY_ENDPOINT") and is_aws(url):
        from botocore.exceptions import BotoCoreError

        class RefusedByClary(BotoCoreError):  # type: ignore[misc]
            """A request for AWS itself, in a process whose AWS is this machine."""

            fmt = (
                "Clary does not let requests reach AWS, and this one is for {host}: make its "
                'client anew, or give AWS back by `eval "$(clary env --unset)"`'
            )

        raise RefusedByClary(host=_host(url))


def _change_sagemaker_sdk(module: Any) -> None:
    """Have version 2 of SageMaker's SDK ask every second: it sleeps half a minute before it asks
    for an endpoint at all, and Clary's are there by then.
    """
    wait_until = getattr(module, "_wait_until", None)
    if wait_until is None:
        return

    def soon(callable_fn: Callable[[], Any], poll: float = 5) -> Any:
        here = os.environ.get("CLARY_ENDPOINT")
        return wait_until(callable_fn, min(poll, _SDK_POLL_S) if here else poll)

    module._wait_until = soon


_CHANGES: dict[str, Callable[[ModuleType], None]] = {
    "botocore.session": _change_sync_session,
    "botocore.httpsession": _change_sync_transport,
    "aiobotocore.session": _change_async_session,
    "aiobotocore.httpsession": _change_async_transport,
    "aiobotocore.httpxsession": _change_async_transport,
    "sagemaker.session": _change_sagemaker_sdk,
}


def watch_training() -> None:
    """Let the profiler watch what torch does in this process, as `CLARY_PROFILER_FOLDER` says."""
    when_loaded("torch", _watch_torch)


def _watch_torch(module: ModuleType) -> None:
    """Arm the profiler; a training that cannot be watched goes on unwatched."""
    try:
        if sys.version_info < (3, 10):  # noqa: UP036 - anybody's interpreter
            raise RuntimeError("it needs Python 3.10 or later")
        source = _source()
        others = source.others_clary()
        if others is not None:
            raise RuntimeError(f"it would hide this script's own clary, {others}: rename that")
        source.find_clary()
        # By its name: whoever loads this file for the redirect has nothing to do with torch.
        watch = importlib.import_module("clary.profiler.scripts.script_watch")
        watch.watch_from_environment(importing_ns=_imports.get(module.__name__))
    except Exception as error:  # noqa: BLE001 - the training goes on unwatched
        sys.stderr.write(
            f"clary profiler: steps are not recorded: {type(error).__name__}: {error}\n"
        )


def _source() -> Any:
    """The module that makes `clary` importable where this interpreter has none."""
    from importlib.util import module_from_spec, spec_from_file_location

    path = os.path.join(os.path.dirname(__file__), "smdebug", "source.py")  # noqa: PTH118, PTH120
    spec = spec_from_file_location("clary_source", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Finder:
    """Changes modules as soon as they are loaded."""

    def __init__(self) -> None:
        self.changes: dict[str, Callable[[ModuleType], None]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the finders behind this one find."""
        if name not in self.changes:
            return None
        for finder in sys.meta_path:
            if isinstance(finder, _Finder) or not hasattr(finder, "find_spec"):
                continue
            spec: ModuleSpec | None = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    loader: Any = _ChangingLoader(spec.loader, self.changes[name])
                    spec.loader = loader
                return spec
        return None


class _ChangingLoader:
    """Another loader, for one module: some, such as that of zip files, serve several."""

    def __init__(self, loader: Any, change: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, empty; None for an ordinary one."""
        create = getattr(self._loader, "create_module", None)
        module: ModuleType | None = None if create is None else create(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Load the module, and change it."""
        # Nobody who asks how the module was loaded is to find this loader.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        began = perf_counter_ns()
        execute = getattr(self._loader, "exec_module", None)
        if execute is None:  # zip files before Python 3.10
            exec(self._loader.get_code(module.__name__), module.__dict__)
        else:
            execute(module)
        _imports[module.__name__] = (began, perf_counter_ns())
        self._change(module)


def _run_hidden_sitecustomize() -> None:
    """Run the `sitecustomize` that Python would have found without this one."""
    here = os.path.realpath(os.path.dirname(__file__))  # noqa: PTH120
    others = [entry for entry in sys.path if os.path.realpath(entry) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec

        spec.loader.exec_module(module_from_spec(spec))


if __name__ == "sitecustomize":
    if os.environ.get("CLARY_ENDPOINT"):
        redirect()
    if os.environ.get("CLARY_PROFILER_FOLDER"):
        watch_training()
    _run_hidden_sitecustomize()
