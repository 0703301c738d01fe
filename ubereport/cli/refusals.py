"""What the parser of a command line refuses, told in the language of whoever typed it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from ubereport.cli.guard import language_asked
from ubereport.core.errors import UbereportError
from ubereport.language.speaking import _, speaking, told_as_typed
from ubereport.language.translator import Translator

_Refusal: type[Any] = typer.BadParameter.__mro__[1]
"""What all refusals of the parser are; typer gives no public name to it."""


class SpokenGroup(TyperGroup):
    """The commands of a program whose parser speaks the language that its commands speak.

    Catalogs are read when something is refused, not before: `--help` stays quick, and English.
    """

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:  # noqa: ANN401 -- as typer has it
        """Parse what stands before a command's name, and remember the whole line."""
        words = tuple(args)
        with _told(words):
            context = super().make_context(info_name, args, *rest, **extra)
        # The options of a command are parsed in `invoke`, when this line is used up; the one that
        # names the language may stand anywhere in it.
        context.meta[__name__] = words
        return context

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- as typer has it
        """Parse the command and what follows it, and run it."""
        with _told(ctx.meta[__name__]):
            return super().invoke(ctx)


@contextmanager
def _told(words: Sequence[str]) -> Iterator[None]:
    """Tell a refusal in another language than English; English ones are typer's own to show."""
    try:
        yield
    except _Refusal as refusal:
        # The line did not parse, so no command has chosen a language yet: it is looked up in the
        # words that were typed.
        language = _language_of(words)
        if language.language.is_english:
            raise
        with speaking(language):
            if refusal.ctx is not None:
                # Without the word before it, which is the parser's and English.
                usage = refusal.ctx.get_usage().partition(" ")[2].strip()
                typer.echo(_("Usage: {usage}", usage=usage), err=True)
                help_line = _("{command} --help tells more.", command=refusal.ctx.command_path)
                typer.echo(f"{help_line}\n", err=True)
            typer.echo(f"ubereport: {told_as_typed(refusal.format_message())}", err=True)
        raise typer.Exit(refusal.exit_code) from None


def _language_of(words: Sequence[str]) -> Translator:
    """Return the language of a command line that could not be parsed; English where it is wrong."""
    asked, config = (_value_of(option, words) for option in ("--language", "--config"))
    try:
        return language_asked(asked, Path(config) if config else None, os.environ)
    except UbereportError:
        return Translator()


def _value_of(option: str, words: Sequence[str]) -> str | None:
    # Looked for by hand: the parser has just refused the line and gives back nothing of it.
    for place, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and place + 1 < len(words):
            return words[place + 1]
    return None
