"""Takes the pictures of ``docs/cli.md``: the command's own output, in colours, against a sandbox whose clock stands still.

python docs/pictures/cli.py [--png FOLDER]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from amplitude_async.sandbox import Sandbox

HERE = Path(__file__).parent
NOW = 1_780_315_200.0  # 1 June 2026, 12:00 UTC
MAY = ("--range", "2026-05-04..2026-05-31")
PICTURES = {
    "cli-funnel": ("funnel", "signup", "profile_completed", "cart_filled", "purchase", *MAY, "--chart"),
    "cli-segment": ("segment", "app_opened", "--group-by", "platform", *MAY, "--chart"),
    "cli-retention": ("retention", "signup", "app_opened", "--range", "2026-05-18..2026-05-31"),
    "cli-doctor": ("doctor", "--user-id", "ada@example.org", "--device-id", "x1"),
}
# Nothing is loaded from elsewhere: the font is whichever monospaced one the reader has.
TEMPLATE = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def take(arguments: tuple[str, ...], env: dict[str, str], url: str) -> str:
    """Return what a command prints, as an SVG, as if the sandbox listened where it does by default."""
    command = [sys.executable, "-m", "amplitude_async.cli", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - this program's own words
    shown = done.stdout.replace(url, "http://127.0.0.1:8765").replace(url.removeprefix("http://"), "127.0.0.1:8765")
    lines = Text.from_ansi(f"\x1b[2m$ amplitude-async {' '.join(arguments)}\x1b[0m\n\n" + shown.rstrip("\n"))
    width = max(line.cell_len for line in lines.split("\n"))
    console = Console(record=True, width=max(width, 60), file=StringIO())
    console.print(lines)
    return console.export_svg(title="", code_format=TEMPLATE, theme=MONOKAI, unique_id="cli")


def main() -> None:
    """Write the pictures; with ``--png`` also as pixels, for looking at them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--png", type=Path, help="also write PNGs into this folder (needs vl-convert-python)")
    chosen = parser.parse_args()
    with Sandbox(clock=lambda: NOW) as box, TemporaryDirectory() as folder:
        box.seed(users=3000, days=40)
        env = {name: value for name, value in os.environ.items() if not name.startswith("AMPLITUDE_")}
        env |= {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color", "XDG_CONFIG_HOME": folder}
        env |= {"AMPLITUDE_API_KEY": box.api_key, "AMPLITUDE_SECRET_KEY": box.secret_key, "AMPLITUDE_BASE_URL": box.url}
        for name, arguments in PICTURES.items():
            picture = take(arguments, env, box.url)
            (HERE / f"{name}.svg").write_text(picture, "utf-8")
            if chosen.png is not None:
                chosen.png.mkdir(parents=True, exist_ok=True)
                (chosen.png / f"{name}.png").write_bytes(import_module("vl_convert").svg_to_png(picture))


if __name__ == "__main__":
    main()
