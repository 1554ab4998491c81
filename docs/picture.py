"""Take the picture of the demo: ``python docs/picture.py`` (on Linux, with the extra cli)."""

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
PROGRESS = re.compile("\x1b\\[\\?25l.*?\x1b\\[1A\x1b\\[2K", re.DOTALL)
"""What moves while the demo waits, until it is wiped away."""
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Run the demo in a terminal of its own, and draw what it shows."""
    os.environ.update(COLUMNS=str(WIDTH), LINES=str(HEIGHT), TERM="xterm-256color")
    said = bytearray()

    def read(terminal: int) -> bytes:
        said.extend(part := os.read(terminal, 1 << 16))
        return part

    pty.spawn([sys.executable, "-m", "proctree_kill", "demo"], read)
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    shown = PROGRESS.sub("", said.decode().replace("\r\n", "\n"))
    console.print(Text.from_ansi(shown.rstrip()))
    # Without fonts from elsewhere: every system has a monospaced one.
    drawn = FONT_FACE.sub("", console.export_svg(title="proctree-kill demo"))
    PICTURE.write_text(drawn.replace("Fira Code", "ui-monospace"), encoding="utf-8")


if __name__ == "__main__":
    main()
