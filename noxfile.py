"""The tasks of the project: `nox -l` lists them, `nox -s NAME` runs one."""

from __future__ import annotations

import functools
import os
import re
import tempfile
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
PACKAGE = Path("proctree_kill/__init__.py").read_text(encoding="utf-8")
VERSION = re.findall(r'^__version__ = "(.+)"$', PACKAGE, re.MULTILINE)[0]
WHEEL = f"dist/proctree_kill-{VERSION}-py3-none-any.whl"
CODE = ("proctree_kill", "tests", "benchmarks", "noxfile.py", "hatch_build.py", "docs")
PLATFORMS = ("linux", "darwin", "win32")
WINDOWS_FILES = "*/_systems/windows/*.py"  # no other system executes them
# The kernels of the lab, and what their machines must have, so that no test of it is skipped.
KERNELS = {
    "5.10": "pidfd",
    "6.1": "pidfd,cgroup,limits",
    "6.12": "pidfd,cgroup,limits,pidfd inode,next pid",
}

nox.needs_version = ">=2025.11"
nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.download_python = "never"


def needs(*groups: str) -> tuple[str, ...]:
    """Expand dependency groups, which an older pip does not know."""
    return nox.project.dependency_groups(PROJECT, *groups)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite with coverage on the Python that runs nox. Arguments go to pytest."""
    session.install("-e", ".[cli,trio]", *needs("test"))
    session.run("pytest", "--cov", *session.posargs)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the suite on every supported Python that this machine has."""
    session.install("-e", ".[cli,trio]", *needs("test"))
    session.run("pytest", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the long tests: 20 minutes at most, and a test that hangs ends the session."""
    session.install("-e", ".[cli,trio]", *needs("test"))
    limits = ("--timeout=460", "--session-timeout=1500")
    session.run("pytest", "-m", "soak", "--durations=0", *limits, *session.posargs)


@nox.session(venv_backend="none")
def windows(session: nox.Session) -> None:
    """Run the suite on the Windows Python (in Wine) that PROCTREE_WINDOWS_PYTHON names.

    On Windows itself the session ``tests`` does it.
    """
    python = os.environ.get("PROCTREE_WINDOWS_PYTHON")
    if not python:
        session.skip("PROCTREE_WINDOWS_PYTHON names no Windows Python")
    # It takes its import path from WPYTHONPATH; nothing is installed there.
    env = {"WPYTHONPATH": _on_drive_z("."), "PYTHONDONTWRITEBYTECODE": "1"}
    pytest = ("pytest", "-p", "no:cacheprovider", "-p", "proctree_kill._pytest_plugin")
    coverage = functools.partial(session.run, python, "-m", "coverage", env=env, external=True)
    with tempfile.TemporaryDirectory() as folder:
        env["COVERAGE_FILE"] = _on_drive_z(f"{folder}/coverage")
        coverage("run", "-m", *pytest, *session.posargs)
        # killed processes leave incomplete data
        coverage("combine", "--quiet", success_codes=(0, 1), silent=True)
        coverage("report", f"--include={WINDOWS_FILES}")


def _on_drive_z(path: str) -> str:
    """Return the path of a file in Wine, where drive Z is /."""
    return "Z:" + str(Path(path).absolute()).replace("/", "\\")


@nox.session
@nox.parametrize("kernel", list(KERNELS))
def kernels(session: nox.Session, kernel: str) -> None:
    """Run tests with real processes on each kernel of the lab that PROCTREE_KERNLAB names.

    Arguments go to pytest, instead of ``tests/kernels.txt``. Our own ``run`` ends the machine.
    """
    lab = os.environ.get("PROCTREE_KERNLAB")
    if not lab:
        session.skip("PROCTREE_KERNLAB names no lab of emulated machines")
    session.install("-e", ".[cli]")
    boot = (f"{lab}/bin/kernlab", "-c", "1", "-t", "1500", kernel)  # one processor; seconds
    machine = ("proctree-kill", "run", "--", *boot, "--")
    env = (f"PROCTREE_MUST_HAVE={KERNELS[kernel]}", "PROCTREE_TEST_BOUND=120")
    pytest = ("python3", "-m", "pytest", "--timeout=150", "-p", "proctree_kill._pytest_plugin")
    command = ("env", "--unset=PYTHONDONTWRITEBYTECODE", *env, *pytest)
    tests = session.posargs or ["@tests/kernels.txt"]
    patience = 10  # seconds; the tool needs three
    session.run(*machine, *command, *tests, interrupt_timeout=patience, terminate_timeout=patience)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the layers of imports."""
    session.install(*needs("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types for every platform, the public ones as a user, the examples of the pages."""
    session.install("-e", ".[cli,trio]", *needs("type", "bench"))
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform, "proctree_kill")
    session.run("mypy", *CODE)
    session.run("pyright")
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "tests/support/snippets.py", folder)
        session.run("mypy", folder)
        session.run("pyright", folder)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages and run their examples; a warning is an error."""
    session.install("-e", ".[cli,trio]", *needs("docs"))
    for builder in ("html", "doctest"):
        session.run("sphinx-build", "-W", "-n", "-b", builder, "docs", f"docs/_build/{builder}")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build and check the wheel and the source distribution."""
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", "dist")
    session.run("twine", "check", "--strict", WHEEL, WHEEL.replace("-py3-none-any.whl", ".tar.gz"))


@nox.session(requires=["wheel"])
def demo(session: nox.Session) -> None:
    """Install the wheel into an environment of its own, as a user does, and run the demo."""
    session.install(f"{WHEEL}[cli]")
    session.run("proctree-kill", "demo")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against other tools. Arguments go to the harness."""
    session.install("-e", ".", *needs("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
