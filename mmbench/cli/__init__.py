"""The command line. What is slow to import, torch first of all, is imported inside the verbs that need it, so that
`--help` and `list` answer at once."""

from __future__ import annotations

import errno
import io
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from ..errors import MmbenchError
from ..interrupt import Interrupted, interruptible
from .cache import cache_app
from .doctor import doctor
from .listing import list_
from .look import check, data_app
from .report import report
from .run import evaluate, run
from .sample import sample
from .terminal import hold_open, lead_nowhere, say, tell

__all__ = ["app", "main"]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""Why a stream takes no more; of a file that is written by its name the store tells."""


class Verbs(TyperGroup):
    """The verbs; one that is interrupted says so and ends with the code of its signal. What is wrong with a word that
    was typed is said as a setting's is."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            from ..mistakes import refusal

            if isinstance(error.__cause__, ValidationError):
                error.message = refusal(error.__cause__)
            raise
        except KeyboardInterrupt as asked:
            by = f" by {asked.signal.name}" if isinstance(asked, Interrupted) else ""
            goes_on = "; the same command goes on from here" if ctx.invoked_subcommand in ("run", "evaluate") else ""
            say(f"mmbench: interrupted{by}{goes_on}")
            raise typer.Exit(asked.code if isinstance(asked, Interrupted) else 130) from None


app = typer.Typer(
    cls=Verbs,
    help="Multi-modal generative models on equal terms: train, generate, evaluate, report.\n\n"
    "Start with: mmbench run, then mmbench report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        tell(f"mmbench {version('mmbench')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """What stands before a verb."""


for verb in (run, evaluate, sample, report, check, doctor):
    app.command()(verb)
app.command(name="list")(list_)
app.add_typer(data_app, name="data")
app.add_typer(cache_app, name="cache")


def main() -> NoReturn:
    """The console script: errors a user can meet are one sentence and an exit code, never a traceback."""
    hold_open()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no UTF-8
    try:
        with interruptible():
            app()
    except MmbenchError as error:
        say(f"mmbench: {error}")
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            raise
        lead_nowhere(sys.stdout)
        say(f"mmbench: standard output takes no more ({error.strerror}): free some space or write elsewhere")
        sys.exit(1)
    sys.exit(0)
