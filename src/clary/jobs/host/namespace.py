"""A private view of the disk: the host's directory at /opt/ml, its channels inside.

    root                       a mount namespace
    anybody, where allowed     a user namespace with a mount namespace in it
    else                       bubblewrap, where it is installed
    else                       nothing: variables say where things lie

Nothing is made in the machine's own /opt: where /opt/ml does not exist, /opt becomes a folder in
memory with everything in it that was there. `python -m clary.jobs.host.namespace` prints which of
them this machine allows.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clary.errors import ClaryError
from clary.formats.launch import BASE, Isolation, Launch, Mount

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# What a mount keeps in a user namespace: taking it away would be refused.
_KEPT_FLAGS = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
_HOSTS = Path("/etc/hosts")


def enter(launch: Launch) -> list[str]:
    """Give this process its own view. It must have one thread.

    Returns:
        Sentences about what this system does not allow.

    Raises:
        ClaryError: the system refuses.
    """
    unshare()
    root = os.open(launch.root, os.O_PATH | os.O_CLOEXEC)
    try:
        if not Path(BASE).is_dir():
            _private_folder(Path(BASE).parent)
            Path(BASE).mkdir()
        _mount(f"/proc/self/fd/{root}", BASE, _MS_BIND | _MS_REC)
    finally:
        os.close(root)
    refused = [mount for mount in (*launch.mounts, *_hosts_mount(launch)) if not _show(mount)]
    return [f"clary: {mount.target} is read-only: no overlay is possible" for mount in refused]


def bubblewrapped(launch: Launch, command: Sequence[str]) -> list[str]:
    """The command inside bubblewrap, with the same view.

    Raises:
        ClaryError: bubblewrap is not installed any more.
    """
    program = shutil.which("bwrap")
    if program is None:
        raise ClaryError("bubblewrap (bwrap) is gone: install it again or start the job again")
    words = [program, "--die-with-parent", "--dev-bind", "/", "/"]
    if not Path(BASE).is_dir():
        parent = Path(BASE).parent
        words += ["--tmpfs", str(parent)]
        for entry in sorted(parent.iterdir()) if parent.is_dir() else ():
            if entry.is_symlink():
                words += ["--symlink", str(entry.readlink()), str(entry)]
            else:
                words += ["--dev-bind", str(entry), str(entry)]
    words += ["--bind", launch.root, BASE]
    for mount in (*launch.mounts, *_hosts_mount(launch)):
        words += ["--ro-bind", mount.source, mount.target]
    return [*words, "--chdir", launch.working_directory, "--", *command]


def unshare() -> None:
    """Leave the machine's mount namespace, with a user namespace where root's is not allowed.

    Raises:
        ClaryError: the system refuses.
    """
    uid, gid = os.geteuid(), os.getegid()
    if _libc().unshare(_CLONE_NEWNS) != 0:
        if _libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNS) != 0:
            raise ClaryError(f"no mount namespace: {os.strerror(ctypes.get_errno())}")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            Path("/proc/self", name).write_text(text)
    _mount(None, "/", _MS_REC | _MS_PRIVATE)


def allowed_isolation() -> Isolation:
    """The best that this machine allows, by trying it in processes of their own."""
    trial = [sys.executable, "-m", "clary.jobs.host.namespace", "--try"]
    if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
        return "namespace"
    program = shutil.which("bwrap")
    if program is not None:
        wrapped = [program, "--die-with-parent", "--dev-bind", "/", "/", "--tmpfs", "/tmp", "true"]
        if subprocess.run(wrapped, capture_output=True, check=False).returncode == 0:
            return "bubblewrap"
    return "none"


def _hosts_mount(launch: Launch) -> list[Mount]:
    if not _HOSTS.is_file():
        return []
    own = Path(launch.root, ".hosts")
    text = _HOSTS.read_text(encoding="utf-8", errors="replace").rstrip("\n")
    own.write_text(f"{text}\n127.0.0.1 {' '.join(launch.hosts)}\n", encoding="utf-8")
    return [Mount(str(own), str(_HOSTS))]


def _private_folder(folder: Path) -> None:
    """Put a folder in memory over `folder`, with all its entries in it."""
    if not folder.is_dir():
        raise ClaryError(f"{folder} is not a folder: make it, so that jobs can see {BASE}")
    before = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        inside = Path(f"/proc/self/fd/{before}")
        entries = sorted(inside.iterdir())
        _mount("tmpfs", str(folder), 0, kind="tmpfs")
        for entry in entries:
            target = folder / entry.name
            if entry.is_symlink():
                target.symlink_to(entry.readlink())
                continue
            if entry.is_dir():
                target.mkdir()
            else:
                target.touch()
            _mount(str(entry), str(target), _MS_BIND | _MS_REC)
    finally:
        os.close(before)


def _show(mount: Mount) -> bool:
    """Mount one thing; False where it is read-only and should not be."""
    if mount.changes is not None and _overlay(mount, Path(mount.changes)):
        return True
    _mount(mount.source, mount.target, _MS_BIND | _MS_REC)
    kept = os.statvfs(mount.target).f_flag & _KEPT_FLAGS
    _mount(None, mount.target, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept)
    return mount.changes is None


def _overlay(mount: Mount, changes: Path) -> bool:
    """Let writes go to `changes`. Descriptors stand for paths, which may hold commas."""
    folders = [Path(mount.source), changes / "upper", changes / "work"]
    handles = [os.open(folder, os.O_PATH | os.O_CLOEXEC) for folder in folders]
    try:
        lower, upper, work = (f"/proc/self/fd/{handle}" for handle in handles)
        options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr"
        _mount("overlay", mount.target, 0, kind="overlay", options=options)
    except ClaryError:
        return False
    finally:
        for handle in handles:
            os.close(handle)
    return True


def _mount(
    source: str | None,
    target: str,
    flags: int,
    kind: str | None = None,
    options: str | None = None,
) -> None:
    done = _libc().mount(
        None if source is None else os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if options is None else options.encode(),
    )
    if done != 0:
        reason = os.strerror(ctypes.get_errno())
        raise ClaryError(f"{source or 'the root'} cannot be mounted at {target}: {reason}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _try() -> None:
    unshare()
    _private_folder(Path(BASE).parent)
    Path(BASE).mkdir(exist_ok=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--try"]:
        _try()
    else:
        sys.stdout.write(allowed_isolation())
