"""What may stand in the place of a record that no writer of ours makes."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def as_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("elsewhere")))


def as_dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def as_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def as_huge_file(path: Path) -> None:
    os.truncate(path, 1 << 40)  # sparse: it takes no room


def as_second_name(path: Path) -> None:
    path.with_name("elsewhere").hardlink_to(path)
