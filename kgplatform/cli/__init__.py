"""The command line: one module a command, each thin: parse, call one function, print.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Heavy imports happen inside the commands, so that
`kgp --help` is quick; those of all commands happen in `main`, so that Ctrl-C is one clear line from the start.
"""

from __future__ import annotations

import os
import re
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from kgplatform import interrupt

if TYPE_CHECKING:
    from kgplatform.errors import KgpError

_CHOICE = re.compile(r"'(?P<value>[^']*)' is not one of (?P<choices>'.*)")
_QUOTED = re.compile(r"'([^']*)'")


def main() -> None:
    """Run `kgp`; every deliberate error ends as one clear line, or as a JSON document under ``--json``."""
    as_json = "--json" in sys.argv
    interrupt.install(end=lambda: os._exit(_interrupted(as_json)))
    try:
        exit_code = _run(as_json)
        interrupt.finish(exit_code)
    except BaseException as error:
        if interrupt.was_interrupted() or isinstance(error, KeyboardInterrupt):
            interrupt.ignore()  # writing the message takes a moment
            exit_code = _interrupted(as_json, error if isinstance(error, interrupt.Stopped) else None)
        elif isinstance(error, BrokenPipeError):  # `kgp … | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            exit_code = 0
        else:
            raise
    sys.exit(exit_code)


def _interrupted(as_json: bool, stopped: interrupt.Stopped | None = None) -> int:
    from kgplatform.cli import interrupted

    return interrupted.report_interruption(sys.argv[1:], as_json, stopped)


def _run(as_json: bool) -> int:
    import typer
    from typer.exceptions import TyperException

    from kgplatform.cli.commands import app
    from kgplatform.cli.output import fail, log_lines
    from kgplatform.errors import KgpError, UsageError

    if isinstance(sys.stdout, TextIOWrapper):  # a file's name that is not UTF-8 is printed, and is valid JSON
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with log_lines():
            result_code = app(standalone_mode=False)
        sys.stdout.flush()
        if result_code == interrupt.EXIT_CODE:  # typer turns a KeyboardInterrupt into this
            raise KeyboardInterrupt
        return result_code if isinstance(result_code, int) else 0
    except (BrokenPipeError, interrupt.Stopped):
        raise
    except (KgpError, TyperException, OSError, typer.Abort) as error:
        if interrupt.was_interrupted():  # whatever it caused: a failed import, a lost connection
            raise KeyboardInterrupt from None
        if type(error).__name__ == "NoArgsIsHelpError" and isinstance(error, TyperException):
            sys.stderr.write(error.format_message() + "\n")
            return UsageError.exit_code
        return fail(_as_ours(error), as_json)


def _as_ours(error: Exception) -> KgpError:
    """An error as one of the platform's, with what to do next."""
    from typer.exceptions import TyperException

    from kgplatform.errors import KgpError

    if isinstance(error, KgpError):
        return error
    if isinstance(error, OSError):  # a folder that does not exist, a full disk
        from kgplatform.files import final_name

        description = (
            f"{final_name(Path(error.filename))}: {error.strerror}" if error.filename else error.strerror or str(error)
        )
        return KgpError(description, "Check the path, its permissions and the space on the disk.")
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        return _usage(error.format_message(), f"See `{context.command_path} --help`." if context else "")
    if isinstance(error.__cause__, EOFError):  # typer reports it like an unanswered question
        hint = "Remove the folders __pycache__ of this Python environment: a full disk can leave cut-off files there."
        return KgpError(f"a file of the installation ends too early: {error.__cause__}", hint)
    return KgpError("not confirmed; nothing was done")


def _usage(message: str, hint: str) -> KgpError:
    """Typer's message as ours: the value nearly right is named where a choice was wrong."""
    from kgplatform.errors import UsageError
    from kgplatform.suggest import did_you_mean

    message = message.replace("Value error, ", "")
    choice_match = _CHOICE.search(message)
    if choice_match is None:
        return UsageError(message, hint)
    return UsageError(message, did_you_mean(choice_match["value"], _QUOTED.findall(choice_match["choices"]), hint))
