"""An ssh server on loopback, with keys and a configuration of its own."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .ports import free_port
from .times import BOUND

ROOT = Path(__file__).parents[2]
PLACES = os.pathsep.join((os.environ["PATH"], "/usr/local/sbin", "/usr/sbin"))
PRIVILEGE_SEPARATION = Path("/run/sshd")  # where a server of root must have an empty folder
SERVER = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
ClientAliveInterval {alive}
ClientAliveCountMax 1
"""
CLIENT = """\
Host there
HostName 127.0.0.1
Port {port}
IdentityFile {folder}/user
IdentitiesOnly yes
BatchMode yes
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
"""


def can_serve() -> bool:
    """Probe the programs, and a login shell, which nobody(5) has not."""
    programs = [shutil.which(name, path=PLACES) for name in ("sshd", "ssh", "ssh-keygen")]
    if not all(programs):
        return False
    import pwd  # noqa: PLC0415 - not on every system

    shell = pwd.getpwuid(os.geteuid()).pw_shell or "/bin/sh"
    return subprocess.run([shell, "-c", "exit 7"], check=False).returncode == 7


@contextmanager
def serving(folder: Path, *, alive: int = 0) -> Iterator[list[str]]:
    """Run a server, and yield the ssh command to it that lacks options, the host and a command.

    Args:
        folder: where its files are.
        alive: seconds after which it asks a silent client whether it lives, once; 0 is never.
    """
    for name in ("host", "user"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    if not os.geteuid():
        PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)  # it stays: another server may run
    with free_port() as port, _running(folder, port, alive):
        yield ["ssh", "-F", str(folder / "client")]


@contextmanager
def _running(folder: Path, port: int, alive: int) -> Iterator[None]:
    """Run a server on a port, and write the configuration of its client."""
    (folder / "server").write_text(SERVER.format(folder=folder, port=port, alive=alive))
    (folder / "client").write_text(CLIENT.format(folder=folder, port=port))
    program = shutil.which("sshd", path=PLACES)
    assert program
    with subprocess.Popen(
        [program, "-D", "-e", "-f", str(folder / "server")],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as server:
        assert server.stderr
        try:
            assert "listening" in server.stderr.readline()
            yield
        finally:
            server.terminate()
            server.communicate(timeout=BOUND)  # its end is that of the last connection


def over(ssh: Sequence[str], *arguments: str, before: Sequence[str] = ()) -> list[str]:
    """Return the command of a client that runs ``proctree-kill run`` there.

    Args:
        ssh: the command of the client.
        arguments: those of ``run``.
        before: a program that becomes ``run``.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    run = [f"PYTHONPATH={path}", sys.executable, "-m", "proctree_kill", "run", *arguments]
    return [*ssh, "there", shlex.join([*before, "env", *run])]
