"""The command line. Imports are lazy: verbs that neither train nor evaluate start in well under a second."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from harness.cli import cluster, look, show, train
from harness.errors import BadInput, RunFailed, unknown


def main() -> None:
    """Exit status: 0 done, 1 something failed while running, 2 bad input (one paragraph, no traceback)."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        verb = getattr(getattr(error, "ctx", None), "command_path", "dreamproof").replace("python -m harness", "dreamproof")
        click.echo(f"dreamproof: {error.format_message()} (see {verb} --help)", err=True)
        code = 2
    except BadInput as error:
        click.echo(f"dreamproof: {error}", err=True)
        code = 2
    except RunFailed as error:
        click.echo(f"dreamproof: {error}", err=True)
        code = 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped at once. The same command continues from the last checkpoint.", err=True)
        code = 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code or 0)


class _Verbs(click.Group):
    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        if args and self.get_command(context, args[0]) is None:
            raise unknown("verb", args[0], (n for n in self.list_commands(context) if n != "work"))
        return super().resolve_command(context, args)

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dreamproof")
def cli() -> None:
    """Robustness studies of world-model agents: train under noise, test under noise, table with honest intervals."""


for _command in (*train.COMMANDS, *show.COMMANDS, *cluster.COMMANDS, *look.COMMANDS):
    cli.add_command(_command)
