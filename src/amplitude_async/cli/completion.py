"""``completion``: the script by which a shell completes commands and options."""

from typing import Literal

from amplitude_async.cli.printing import print_json, print_lines
from amplitude_async.cli.program import make_app


def completion(shell: Literal["bash", "zsh", "fish"], /, *, json: bool = False) -> None:
    """Print the completion script of a shell.

    bash: `amplitude-async completion bash > ~/.local/share/bash-completion/completions/amplitude-async`;
    zsh: into a file `_amplitude-async` on the `fpath`; fish: `~/.config/fish/completions/amplitude-async.fish`.

    Args:
        shell: Whose.
        json: Print JSON: the shell and its script.
    """
    script = make_app().generate_completion(shell=shell)
    if json:
        print_json({"shell": shell, "script": script})
    else:
        print_lines(script)
