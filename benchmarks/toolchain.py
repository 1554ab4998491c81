"""The needs of a run: a C compiler, tree-kill, a cgroup, room for processes."""

import os
import platform
import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent
KIB_A_SLEEPER = 120  # measured: 2.0 GB for 20,000 of them


def build(name: str, folder: Path) -> Path:
    """Compile a C program of this folder into another folder."""
    program = folder / name
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        message = "the benchmarks need a C compiler (gcc or cc)"
        raise SystemExit(message)
    subprocess.run([compiler, "-O2", "-o", program, SOURCES / f"{name}.c"], check=True)
    return program


def find_npm_prefix() -> Path | None:
    """Return the folder of the npm package: PROCTREE_NPM_PREFIX, or a parent of this one."""
    named = os.environ.get("PROCTREE_NPM_PREFIX")
    folders = [Path(named)] if named else [Path.cwd(), *SOURCES.parents]
    return next(
        (folder for folder in folders if (folder / "node_modules" / "tree-kill").is_dir()), None
    )


def find_cgroup() -> Path | None:
    """Return our cgroup in version 2, which may be mounted beside version 1."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    own = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    path = next((line.removeprefix("0::/") for line in own if line.startswith("0::/")), None)
    for line in mounts:
        before, _, after = line.partition(" - ")
        if path is not None and after.startswith("cgroup2 "):
            return Path(before.split()[4]) / path
    return None


@contextmanager
def empty_cgroup() -> "Iterator[Path | None]":
    """Make an empty cgroup below ours; None if that cannot be, or has no ``cgroup.kill``."""
    above = find_cgroup()
    cgroup = above / f"proctree-benchmarks-{os.getpid()}" if above else None
    try:
        if cgroup is not None:
            cgroup.mkdir()
    except OSError:
        cgroup = None
    try:
        yield cgroup if cgroup is not None and (cgroup / "cgroup.kill").exists() else None
    finally:
        if cgroup is not None:
            cgroup.rmdir()


def describe() -> str:
    """Describe the machine."""
    return (
        f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, {_count_processes()} other processes, "
        f"load {os.getloadavg()[0]:.1f}, "
        f"{resource.getrlimit(resource.RLIMIT_NOFILE)[0]:,} descriptors"
    )


def _count_processes() -> int:
    return sum(entry.name.isdigit() for entry in Path("/proc").iterdir())


def missing_room(count: int) -> str | None:
    """Return why this machine has no room for more processes, or None."""
    present = _count_processes()
    largest = int(Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii"))
    free_kib = next(
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        if line.startswith("MemAvailable:")
    )
    if present + count > largest * 9 // 10:
        return f"pid_max is {largest}"
    if count * KIB_A_SLEEPER > free_kib // 2:
        return f"only {free_kib // 1024} MiB of memory are available"
    return None
