"""``completion``: the script by which a shell completes commands and options."""

from typing import Final, Literal

from amplitude_async.cli.printing import print_json, print_lines
from amplitude_async.cli.program import make_app

_ZSH_END: Final = """
if [[ ${funcstack[1]} == _*amplitude-async ]]; then
  _cyclopts_amplitude-async "$@"
else
  compdef _cyclopts_amplitude-async amplitude-async
fi"""
"""The script defines a function and leaves it at that, which would only do in a file that is called like the function."""


def completion(shell: Literal["bash", "zsh", "fish"], /, *, json: bool = False) -> None:
    """Print the completion script of a shell.

    bash: `amplitude-async completion bash > ~/.local/share/bash-completion/completions/amplitude-async`;
    zsh: `source <(amplitude-async completion zsh)` behind `compinit`, or into a file `_amplitude-async` on the `fpath`;
    fish: `amplitude-async completion fish > ~/.config/fish/completions/amplitude-async.fish`.

    Args:
        shell: Whose.
        json: Print JSON: the shell and its script.
    """
    script = make_app().generate_completion(shell=shell).rstrip("\n")
    if shell == "zsh":
        script += _ZSH_END
    if json:
        print_json({"shell": shell, "script": script})
    else:
        print_lines(script)
