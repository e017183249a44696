"""Errors end as a message and the documented exit code, never as a traceback; broken streams end in silence."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from zhdsl.cli import main as entry
from zhdsl.errors import BackendError, CompilerError, Diagnostic, SpecError, TrainingError
from zhdsl.source import Source, Span


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[BaseException], None]]:
    """`failing(error)`: from now on `zh check` raises it."""

    def fail(error: BaseException) -> None:
        @click.command()
        def check() -> None:
            raise error

        monkeypatch.setattr(entry, "load", lambda _: check)

    yield fail


SPAN = Span(Source("a.zh", "model M\n"), 6, 7)
SPEC_ERROR = SpecError([Diagnostic("Z0001", "first", SPAN), Diagnostic("Z0002", "second", SPAN, help="do this")])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (SPEC_ERROR, 1, "second"),
        (click.UsageError("two of them"), 2, "error: two of them\n"),
        (click.FileError("a.zh", "gone"), 2, "error: Could not open file 'a.zh': gone\n"),
        (BackendError("no device"), 3, "error: no device\n"),
        (MemoryError(), 3, "error: not enough memory\n"),
        (FileNotFoundError(2, "No such file or directory", "x.zh"), 3, "error: No such file or directory: x.zh\n"),
        (TrainingError("loss is nan"), 4, "error: loss is nan\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (click.Abort(), 130, "interrupted\n"),
        (BrokenPipeError(), 141, ""),
        (SystemExit(143), 143, ""),
        (click.exceptions.Exit(7), 7, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_error_ends_in_a_message_and_its_exit_code(
    error: BaseException, code: int, says: str, zh: Callable, failing: Callable
) -> None:
    failing(error)
    result = zh("check")
    assert (result.code, result.out) == (code, "")
    assert result.err.endswith(says) if code == 2 else says in result.err
    assert "Traceback" not in result.err
    assert bool(result.err) == bool(says)


@pytest.mark.parametrize("error", [CompilerError("lower: a node without a type"), ZeroDivisionError("by zero")])
def test_a_bug_is_reported_as_one_with_everything_needed(error: BaseException, zh: Callable, failing: Callable) -> None:
    failing(error)
    result = zh("check")
    assert result.code == 5
    assert "Traceback" in result.err
    assert str(error) in result.err
    assert "This is a bug in zhdsl" in result.err


def test_all_diagnostics_of_a_spec_are_printed(zh: Callable, failing: Callable) -> None:
    failing(SPEC_ERROR)
    err = zh("check").err
    assert err.count("a.zh:1:7") == 2
    assert all(text in err for text in ("Z0001", "first", "Z0002", "second", "do this"))


def test_an_escape_sequence_in_an_error_does_not_reach_the_terminal(zh: Callable, failing: Callable) -> None:
    failing(TrainingError("tensor \x1b[2J\x9b31m \u202egnp.exe\nnext line"))
    assert zh("check").err == "error: tensor \\x1b[2J\\x9b31m \\u202egnp.exe\nnext line\n"


def test_what_a_command_returns_is_its_exit_code(zh: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def check() -> int:
        return 1

    monkeypatch.setattr(entry, "load", lambda _: check)
    assert zh("check") == (1, "", "")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["chekc"], "No such command 'chekc'. Did you mean 'check'?"),
        (["xyzzy"], "No such command 'xyzzy'."),
        (["model.zh"], "'model.zh' is a file, not a command. Did you mean 'zh check model.zh'?"),
        (["--versoin"], "Did you mean '--version'?"),
        (["fmt", "--chekc", "a.zh"], "'--check'"),
        (["fmt"], "Missing argument 'FILES...'."),
        (["\x1b[31mred"], "No such command '\\x1b[31mred'."),
    ],
)
def test_wrong_use_is_told_what_was_meant(args: list[str], says: str, zh: Callable) -> None:
    result = zh(*args)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Usage: zh ")
    assert says in result.err


def test_no_command_prints_the_help_and_is_wrong_use(zh: Callable) -> None:
    result = zh()
    assert result.code == 2
    assert "Commands:" in result.err


def test_completion_offers_the_commands(zh: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_ZH_COMPLETE": "bash_complete", "COMP_WORDS": "zh e", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    assert zh().out.split() == ["plain,emit", "plain,eval", "plain,explain"]


# ---------------------------------------------------------------- real processes and their streams
def test_a_reader_that_goes_away_is_not_an_error_message(process: Callable) -> None:
    read, write = os.pipe()
    os.close(read)
    with process("--help", stdout=write, stderr=subprocess.PIPE) as ran:
        os.close(write)
        assert ran.stderr.read() == ""
    assert ran.returncode == 141


@pytest.mark.parametrize("closed", [1, 2])
@pytest.mark.parametrize("args", [["--help"], ["chekc"]])
def test_a_closed_stream_is_no_error(closed: int, args: list[str], process: Callable) -> None:
    other = {"stderr": subprocess.PIPE} if closed == 1 else {"stdout": subprocess.PIPE}
    with process(*args, preexec_fn=lambda: os.close(closed), **other) as ran:
        text = (ran.stderr or ran.stdout).read()
    assert ran.returncode == (0 if args == ["--help"] else 2)
    assert "Traceback" not in text
    assert "Exception" not in text


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full, which Linux has")
def test_a_full_disk_under_the_output_is_the_machines_fault(process: Callable) -> None:
    with open("/dev/full", "w") as full, process("--help", stdout=full, stderr=subprocess.PIPE) as ran:
        assert ran.stderr.read() == "error: No space left on device\n"
    assert ran.returncode == 3


def test_an_encoding_without_the_character_does_not_stop_the_output(process: Callable) -> None:
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "LANG": "C"}
    with process("--help", stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as ran:
        assert ran.stdout.read().startswith("Usage: zh ")
        assert ran.stderr.read() == ""
    assert ran.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_a_command_without_a_traceback(number: signal.Signals, code: int, process: Callable) -> None:
    # a shell that starts the tests in the background has them, and their children, ignore interrupts
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with process("fmt", "-", preexec_fn=lambda: signal.signal(number, signal.SIG_DFL), **pipes) as ran:
        ran.stdin.write("# a comment\n")
        ran.stdin.flush()
        wait_until_it_waits(ran)
        ran.send_signal(number)
        out, err = ran.stdout.read(), ran.stderr.read()
    assert (out, err) == ("", "interrupted\n" if code == 130 else "")
    assert ran.returncode == code


def wait_until_it_waits(ran: subprocess.Popen[str]) -> None:
    """Until the process has taken all of its input and sleeps, which it can only do to wait for more."""
    for _ in range(1000):
        time.sleep(0.01)
        left = fcntl.ioctl(ran.stdin, termios.FIONREAD, bytes(4))
        state = Path(f"/proc/{ran.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if left == bytes(4) and state == "S":
            return
    raise AssertionError("it never waited for its input")
