"""From an exception to one sentence on stderr and the documented exit code."""

from __future__ import annotations

import errno
import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from ubereport.core.errors import UbereportError

EXIT_BUG = 1
EXIT_INTERRUPTED = 130
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})

P = ParamSpec("P")
R = TypeVar("R")


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that it ends with one sentence and the documented exit code.

    A bug is named by its type and place only: messages and values may hold names of patients.
    The whole traceback is shown where the environment sets ``UBEREPORT_DEBUG``.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except UbereportError as error:
            typer.echo(f"ubereport: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo(
                "ubereport: interrupted. What was done is kept; run the same command to go on.",
                err=True,
            )
            raise typer.Exit(EXIT_INTERRUPTED) from None
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except OSError as error:
            if error.errno not in FULL:
                _tell_bug(error)
                raise typer.Exit(EXIT_BUG) from None
            typer.echo(
                f"ubereport: the disk cannot take more ({os.strerror(error.errno)}). Free space "
                "or name another folder with --out; what was done is kept.",
                err=True,
            )
            raise typer.Exit(UbereportError.exit_code) from None
        except Exception as error:  # noqa: BLE001 -- the outermost frame: every bug ends here
            _tell_bug(error)
            raise typer.Exit(EXIT_BUG) from None

    return wrapper


def _tell_bug(error: Exception) -> None:
    if os.environ.get("UBEREPORT_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
        return
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.name}, line {frame.lineno}"
    typer.echo(
        f"ubereport: this is a bug ({type(error).__name__} in {place}). "
        "Set UBEREPORT_DEBUG=1 and run again for details; they may hold file names.",
        err=True,
    )
