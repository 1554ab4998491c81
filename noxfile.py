"""The project's chores: `nox -l` lists them, `nox -s NAME` does one."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
WHEEL = f"dist/proctree_kill-{PROJECT['project']['version']}-py3-none-any.whl"
CODE = ("proctree_kill", "tests", "benchmarks", "noxfile.py", "docs")
PLATFORMS = ("linux", "darwin", "win32")
WINDOWS_FILES = "*/_systems/windows/*.py"
"""What no other system executes."""

nox.needs_version = ">=2025.11"
nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.download_python = "never"


def needs(*groups: str) -> tuple[str, ...]:
    """Expand dependency groups: an older pip does not know them."""
    return nox.project.dependency_groups(PROJECT, *groups)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite with coverage, on the Python that runs nox; arguments go to pytest."""
    session.install("-e", ".[cli,trio]", *needs("test"))
    session.run("pytest", "--cov", *session.posargs)


@nox.session(python=PYTHONS)
def pythons(session: nox.Session) -> None:
    """Run the suite on every supported Python that this machine has."""
    session.install("-e", ".[cli,trio]", *needs("test"))
    session.run("pytest", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run the long tests, twenty minutes at most; a test that hangs ends the session."""
    session.install("-e", ".[cli,trio]", *needs("test"))
    limits = ("--timeout=460", "--session-timeout=1200")
    session.run("pytest", "-m", "soak", "--durations=0", *limits, *session.posargs)


@nox.session(venv_backend="none")
def windows(session: nox.Session) -> None:
    """Run the suite on the Windows Python that PROCTREE_WINDOWS_PYTHON names: Wine's.

    On Windows itself, where nox runs, it is the session ``tests`` that does it.
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
        coverage("combine", "--quiet", success_codes=(0, 1), silent=True)  # some died midway
        coverage("report", f"--include={WINDOWS_FILES}")


def _on_drive_z(path: str) -> str:
    """Name a file as Wine does: its drive Z is /."""
    return "Z:" + str(Path(path).absolute()).replace("/", "\\")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the floors."""
    session.install(*needs("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache", "--no-logo")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types on every platform, and the public ones as a user would."""
    session.install("-e", ".[cli,trio]", *needs("type", "bench"))
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform, "proctree_kill")
    session.run("mypy", *CODE)
    session.run("pyright")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages, where a warning is an error, and run their examples."""
    session.install("-e", ".[cli,trio]", *needs("docs"))
    for builder in ("html", "doctest"):
        session.run("sphinx-build", "-W", "-n", "-b", builder, "docs", f"docs/_build/{builder}")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel and the source distribution, and check what a registry would."""
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", "dist")
    session.run("twine", "check", "--strict", WHEEL, WHEEL.replace("-py3-none-any.whl", ".tar.gz"))


@nox.session(requires=["wheel"])
def demo(session: nox.Session) -> None:
    """Install the wheel as a user would, into an environment of its own, and run the demo."""
    session.install(f"{WHEEL}[cli]")
    session.run("proctree-kill", "demo")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against the peers; arguments go to the harness."""
    session.install("-e", ".", *needs("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)
