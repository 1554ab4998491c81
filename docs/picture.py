"""Take the picture of the demo: ``python docs/picture.py`` (on Linux, with rich)."""

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH, HEIGHT = 98, 40
PICTURE = Path(__file__).with_name("images") / "demo.svg"
PROGRESS = re.compile("\x1b\\[K\x1bD.*?\x1b8", re.DOTALL)
"""The line that counts down, and what erases it."""
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Run the demo in a terminal of its own, and draw its output."""
    os.environ.update(COLUMNS=str(WIDTH), LINES=str(HEIGHT), TERM="xterm-256color")
    output = bytearray()

    def read(terminal: int) -> bytes:
        output.extend(part := os.read(terminal, 1 << 16))
        return part

    pty.spawn([sys.executable, "-m", "proctree_kill", "demo"], read)
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    text = PROGRESS.sub("", output.decode().replace("\r\n", "\n"))
    console.print(Text.from_ansi(text.rstrip()))
    # no font from another site: every system has a monospaced one
    svg = FONT_FACE.sub("", console.export_svg(title="proctree-kill demo"))
    PICTURE.write_text(svg.replace("Fira Code", "ui-monospace"), encoding="utf-8")


if __name__ == "__main__":
    main()
