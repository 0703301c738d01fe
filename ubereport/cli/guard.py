"""From an exception to one sentence on stderr and the documented exit code."""

from __future__ import annotations

import errno
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

from ubereport.cli.console import warn
from ubereport.core.errors import UbereportError, UsageError
from ubereport.language.languages import (
    LANGUAGES,
    SETTINGS_NAME,
    VARIABLE,
    chosen_language,
    language_in_settings,
)
from ubereport.language.speaking import _, speaking, told_as_typed
from ubereport.language.translator import Translator, translator

EXIT_BUG = 1
EXIT_INTERRUPTED = 130
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})

P = ParamSpec("P")
R = TypeVar("R")

LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="TAG",
        help=f"Language of reports and messages: {', '.join(x.code for x in LANGUAGES)}, also with "
        "a territory (es-MX); default: the settings' (language in the file of --config or in "
        f"{SETTINGS_NAME} here), else {VARIABLE}, the locale's, English. Files for machines stay "
        "as they are.",
    ),
]


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that it ends with one sentence and the documented exit code.

    The command gets one option more, ``--language``, in which it and what it renders speak. A bug
    is named by its type and place only: messages and values may hold names of patients.
    The whole traceback is shown where the environment sets ``UBEREPORT_DEBUG``.
    """

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        asked = kwargs.pop("language", None)
        try:
            # Chosen before the command runs: its errors are told in that language as well.
            language = language_asked(str(asked or "") or None, kwargs.get("config"), os.environ)
        except UbereportError as error:
            raise _told_exit(error) from None
        with speaking(language):
            if language.problem:
                warn(language.problem)
            try:
                return command(*args, **kwargs)
            except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
                raise  # nobody reads any more: typer ends without a word
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- every bug ends here
                raise _told_exit(error) from None

    return _with_language(wrapper, command)


def language_asked(asked: str | None, config: object, environment: Mapping[str, str]) -> Translator:
    """Return the language of a command: that of ``--language``, of settings, of the environment.

    Raises
    ------
    UsageError
        If the language is unknown, or the settings that name it cannot be read.
    """
    named = None if asked else _named_in_settings(config)
    return translator(chosen_language(asked, environment, named))


def _named_in_settings(config: object) -> str | None:
    """Return the language that the file of ``--config`` names, else that of this folder.

    What is wrong with the file of ``--config`` is told by the command, which reads all of it.
    """
    if isinstance(config, Path):
        with suppress(UsageError):
            return language_in_settings(config)
    settings = Path(SETTINGS_NAME)
    return language_in_settings(settings) if settings.is_file() else None


def _with_language(wrapper: Callable[P, R], command: Callable[P, R]) -> Callable[P, R]:
    """Let typer see the option that the wrapper takes for itself."""
    signature = inspect.signature(command, eval_str=True)
    option = inspect.Parameter(
        "language", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LanguageOption
    )
    parameters = [*signature.parameters.values(), option]
    wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {**command.__annotations__, "language": LanguageOption}
    return wrapper


def _told_exit(error: BaseException) -> typer.Exit:
    """Tell an error in one sentence and return the exit that says which kind it is."""
    if isinstance(error, UbereportError):
        typer.echo(f"ubereport: {told_as_typed(str(error))}", err=True)
        return typer.Exit(error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        words = _("interrupted. What was done is kept; run the same command to go on.")
        typer.echo(f"ubereport: {words}", err=True)
        return typer.Exit(EXIT_INTERRUPTED)
    # Met where nobody made it an error of ours: still no bug, and whoever reads it can mend it.
    if isinstance(error, OSError) and error.errno in FULL:
        words = _(
            "the disk cannot take more ({reason}). Free space or name another folder with --out; "
            "what was done is kept.",
            reason=os.strerror(error.errno or 0),
        )
        typer.echo(f"ubereport: {words}", err=True)
        return typer.Exit(UbereportError.exit_code)
    _tell_bug(error)
    return typer.Exit(EXIT_BUG)


def _tell_bug(error: BaseException) -> None:
    if os.environ.get("UBEREPORT_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
        return
    # Function and line are enough to find a bug; the text of a foreign error may hold a path, and a
    # path a name.
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.name}, line {frame.lineno}"
    words = _(
        "this is a bug ({kind} in {place}). Set UBEREPORT_DEBUG=1 and run again for details; they "
        "may hold file names.",
        kind=type(error).__name__,
        place=place,
    )
    typer.echo(f"ubereport: {words}", err=True)
