"""Programs that listen on a port, and programs with a name of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from .planter import Planter, python
from .trees import Tree
from .users import Account

# Listens, and reports the port when all of its processes have started. Arguments: family, type,
# port, what the root does with its socket, and how many workers it forks.
SERVER = """\
import ctypes, os, signal, socket, sys
family, kind, port, way, workers = sys.argv[1:6]
listener = socket.socket(getattr(socket, family), getattr(socket, kind))
if way == "shares":
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("", int(port)))
if kind == "SOCK_STREAM":
    listener.listen()
port = listener.getsockname()[1]
if way == "gives up root":
    os.setgid(int(sys.argv[6])), os.setuid(int(sys.argv[6]))
for _ in range(int(workers)):
    if not os.fork():
        if way == "workers give up root":
            os.setgid(int(sys.argv[6])), os.setuid(int(sys.argv[6]))
        signal.pause()
if way == "closes":
    listener.close()
os.write(1, b"%d\\n" % port)
if way == "ends main thread":
    import _thread
    _thread.start_new_thread(signal.sigwait, ([signal.SIGUSR1],))
    ctypes.CDLL(None).pthread_exit(None)
signal.pause()
"""
STAY = "import os, signal; os.write(1, b'1\\n'); signal.pause()"


class Server(NamedTuple):
    """A program that listens, and its port."""

    tree: Tree
    port: int

    @property
    def pid(self) -> int:
        return self.tree.root.pid

    def lives(self) -> bool:
        return self.tree.root.poll() is None


def serve(
    plant: Planter,
    way: str = "",
    *,
    family: str = "AF_INET",
    kind: str = "SOCK_STREAM",
    port: int = 0,
    workers: int = 0,
    account: Account | None = None,
    uid: int = 0,
) -> Server:
    """Plant a program that listens; return it when all of its processes have started."""
    options = [family, kind, str(port), way, str(workers), str(uid)]
    return plant_program(plant, [*python(account), "-c", SERVER, *options], account=account)


def plant_program(plant: Planter, argv: list[str], **options: Any) -> Server:
    """Plant a program that writes a number once it has started."""
    tree = plant.program(argv, stdout=subprocess.PIPE, **options)
    assert tree.root.stdout
    return Server(tree, int(tree.root.stdout.readline()))


def script(folder: Path, name: str, text: str = STAY) -> str:
    """Write a script of Python that is a program of this name."""
    path = folder / name
    path.write_text(f"#!{sys.executable} -IS\n{text}\n")
    path.chmod(0o755)
    return str(path)


def unique_name(length: int = 12) -> str:
    """Return a name that no other program has."""
    return f"t{os.urandom(length).hex()}"[:length]
