"""The command line. Imports are lazy: verbs that neither train nor evaluate start in well under a second."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import click

from harness.cli import _options, cluster, look, show, train
from harness.errors import BadInput, RunFailed, printable, unknown
from harness.names import PlainStream


def main() -> None:
    """Exit status: 0 done, 1 something failed while running, 2 bad input (one paragraph, no traceback)."""
    sys.stdout = PlainStream(sys.stdout)  # text of others never steers the terminal
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        verb = getattr(getattr(error, "ctx", None), "command_path", "dreamproof").replace("python -m harness", "dreamproof")
        _print_error(error, f"{error.format_message()} (see {verb} --help)")
        code = 2
    except BadInput as error:
        _print_error(error, str(error))
        code = 2
    except RunFailed as error:
        _print_error(error, str(error))
        code = 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped at once.", err=True)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        _print_error(error, _explain_unexpected(error))
        code = 1
    sys.exit(code or 0)


def _print_error(error: Exception, message: str) -> None:
    """One paragraph on stderr; with --debug the traceback before it, causes included."""
    if os.environ.get(_options.DEBUG):
        cause: BaseException | None = error
        while cause is not None:
            cause.__suppress_context__ = False
            cause = cause.__cause__ or cause.__context__
        click.echo(printable("".join(traceback.format_exception(error))), err=True, nl=False)
    click.echo(f"dreamproof: {printable(message)}", err=True)


def _explain_unexpected(error: Exception) -> str:
    """What is printed of an exception that nobody foresaw: where it was raised, what it says, the file with its traceback."""
    root = Path(__file__).parents[2]
    frames = traceback.extract_tb(error.__traceback__)
    paths = [Path(frame.filename) for frame in frames]
    ours = [path.is_relative_to(root) and "site-packages" not in path.parts[len(root.parts) :] for path in paths]
    own_frames = [frame for frame, is_ours in zip(frames[1:], ours[1:], strict=True) if is_ours]  # the first is main's
    frame = (own_frames or frames)[-1]
    place = os.path.relpath(frame.filename, root) if own_frames else frame.filename
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(": ")
    message = f"an error that dreamproof does not expect, in {place}, line {frame.lineno} ({frame.name}): {text}."
    try:
        handle, name = tempfile.mkstemp(prefix="dreamproof-error-", suffix=".txt")
        with open(handle, "w", errors="backslashreplace") as file:
            file.write(f"{sys.argv}\n{''.join(traceback.format_exception(error))}")
    except OSError:
        return f"{message} --debug prints the traceback."
    return f"{message} The traceback is in {name}; --debug prints it. Please report it with the command."


class _Verbs(click.Group):
    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args and self.get_command(context, args[0]) is None:
            raise unknown("verb", args[0], (n for n in self.list_commands(context) if n != "work"))
        return super().resolve_command(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dreamproof")
@_options.debug
def cli() -> None:
    """Robustness studies of world-model agents: train under noise, test under noise, table with honest intervals."""


for _command in (*train.COMMANDS, *show.COMMANDS, *cluster.COMMANDS, *look.COMMANDS):
    cli.add_command(_options.debug(_command))
