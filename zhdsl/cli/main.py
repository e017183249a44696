"""`zh`: finds the command, loads its file, runs it, and turns every error into a message and an exit code.

Exit codes: 0 done; 1 the spec is wrong or a claim in it does not hold; 2 wrong use of the command line; 3 the machine
(no device, no compiler, no memory, no disk); 4 a training run could not go on; 5 a bug in zhdsl;
130 interrupted, 141 the reader of the output went away, 143 terminated.

What a command returns, if it is a number, is its exit code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from zhdsl import __version__
from zhdsl.cli.terminal import complain, prepare_streams, settle_streams
from zhdsl.errors import BackendError, SpecError, TrainingError

DONE, WRONG, USAGE, MACHINE, TRAINING, BUG, INTERRUPTED, READER_GONE = 0, 1, 2, 3, 4, 5, 130, 141


class Entry(NamedTuple):
    """A command that is not loaded yet."""

    place: str  # module:function
    help: str  # one line, as in the function's docstring


COMMANDS = {
    "check": Entry("zhdsl.cli.check:check", "Check specs and the claims they make."),
    "show": Entry("zhdsl.cli.show:show", "Show a model's layers and sizes, or a definition's source."),
    "emit": Entry("zhdsl.cli.emit:emit", "Print what a compiler stage made of a model."),
    "graph": Entry("zhdsl.cli.graph:graph", "Draw a model, its derivative or its kernels."),
    "grad": Entry("zhdsl.cli.grad:grad", "Print the derivative of a model as a .zh program."),
    "train": Entry("zhdsl.cli.train:train", "Train a model by its recipe."),
    "report": Entry("zhdsl.cli.report:report", "Write a page about a run, or about a spec."),
    "eval": Entry("zhdsl.cli.eval:evaluate", "Measure trained weights on a split of the data."),
    "predict": Entry("zhdsl.cli.predict:predict", "Run a trained model on inputs."),
    "fmt": Entry("zhdsl.cli.fmt:fmt", "Format .zh files."),
    "explain": Entry("zhdsl.cli.explain:explain", "Explain an error code."),
    "new": Entry("zhdsl.cli.new:new", "Write a starter model."),
    "doctor": Entry("zhdsl.cli.doctor:doctor", "Report on this machine, or on what hinders a model's training."),
}

EPILOG = """\b
Exit codes:
  0  done                              4  training could not go on
  1  the spec or a claim is wrong      5  a bug in zhdsl
  2  wrong use of the command line   130  interrupted
  3  the machine: device, memory,    141  the output's reader went away
     compiler, disk                  143  terminated
"""


class LazyGroup(click.Group):
    """A group that knows its commands from `COMMANDS` and imports one only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return load(COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(unknown(name), ctx)
        return super().resolve_command(ctx, args)


def load(entry: Entry) -> click.Command:
    """Imports the file of a command of the table and returns the command."""
    import importlib

    module, function = entry.place.split(":")
    command = getattr(importlib.import_module(module), function)
    assert isinstance(command, click.Command), entry.place
    return command


def unknown(name: str) -> str:
    """What to say of a command that is none."""
    if name.endswith(".zh"):
        return f"'{name}' is a file, not a command. Did you mean 'zh check {name}'?"
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=1)
    return f"No such command '{name}'." + (f" Did you mean '{close[0]}'?" if close else "")


@click.command(cls=LazyGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="zh", message="%(prog)s %(version)s")
def cli() -> None:
    """Neural networks written as formulas: check, differentiate, compile and train .zh files."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code; never raises.

    Args:
        args: the words after `zh`; those of the process if left out.
    """
    prepare_streams()
    try:
        code = run(list(sys.argv[1:] if args is None else args))
        sys.stdout.flush()
    except BaseException as error:
        code = report(error)
    settle_streams()
    return code


def run(args: list[str]) -> int:
    """Completes the line for a shell that asks, or runs the command."""
    if instruction := os.environ.get("_ZH_COMPLETE"):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "zh", "_ZH_COMPLETE", instruction)
    with cli.make_context("zh", args) as context:
        result = cli.invoke(context)
    return result if isinstance(result, int) else DONE


def report(error: BaseException) -> int:
    """Says what went wrong, in the fewest words that help, and gives the exit code."""
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else DONE
        case BrokenPipeError():
            return READER_GONE
    message, code = describe(error)
    complain(message)
    return code


def describe(error: BaseException) -> tuple[str, int]:
    """The message for an error that is the user's to read, and the exit code."""
    match error:
        case KeyboardInterrupt() | click.Abort():
            return "interrupted", INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            return error.format_message(), USAGE
        case click.UsageError(ctx=click.Context() as context):
            usage = f"{context.get_usage()}\nTry '{context.command_path} --help' for help."
            return f"{usage}\n\nerror: {error.format_message()}", USAGE
        case click.ClickException():
            return f"error: {error.format_message()}", USAGE
        case SpecError():
            return str(error), WRONG
        case BackendError():
            return f"error: {error}", MACHINE
        case TrainingError():
            return f"error: {error}", TRAINING
        case MemoryError():
            return "error: not enough memory", MACHINE
        case OSError():
            return f"error: {error.strerror or error}" + (f": {error.filename}" if error.filename else ""), MACHINE
    return bug(error), BUG


def bug(error: BaseException) -> str:
    """The message for an error that is ours: everything needed to report it."""
    import platform
    import traceback

    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{trace}\n\nThis is a bug in zhdsl {__version__} (Python {platform.python_version()}). Please report it."


if __name__ == "__main__":
    sys.exit(main())
