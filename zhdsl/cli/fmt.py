"""`zh fmt`: .zh files in the one layout; the meaning and the comments stay."""

from __future__ import annotations

import codecs
import difflib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from zhdsl.cli.terminal import printable
from zhdsl.errors import Diagnostic, SpecError
from zhdsl.source import Source

STDIN = "-"


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILES...")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is not formatted.")
@click.option("--diff", is_flag=True, help="Write nothing; print what would change.")
def fmt(files: tuple[str, ...], check: bool, diff: bool) -> int:
    """Format .zh files.

    A folder stands for all .zh files in it, at any depth; '-' formats standard
    input to standard output. A file that has errors is left as it is.
    """
    errors: list[Diagnostic] = []
    changed = 0
    for path in expand(files):
        try:
            changed += one(path, check, diff)
        except SpecError as error:
            errors.extend(error.diagnostics)
    if errors:
        raise SpecError(errors)
    return int(check and changed > 0)


def expand(files: tuple[str, ...]) -> Iterator[str]:
    """The files meant: folders give their .zh files, in order of name.

    Raises:
        click.UsageError: a folder has none.
    """
    for name in files:
        if name == STDIN or not os.path.isdir(name):
            yield name
            continue
        found = sorted(str(path) for path in Path(name).rglob("*.zh"))
        if not found:
            raise click.UsageError(f"there is no .zh file in {name}", click.get_current_context())
        yield from found


def one(path: str, check: bool, diff: bool) -> bool:
    """Formats one file, or says what would change; true if it is (or was) not formatted."""
    from zhdsl.lang.format import format
    from zhdsl.lang.parser import parse

    source = standard_input() if path == STDIN else read(path)
    text = format(parse(source))
    changed = text != source.text
    if diff and changed:
        click.echo(printable(difference(source, text)), nl=False)
    if check and changed:
        click.echo(f"{printable(source.name)} is not formatted", err=True)
    if not (check or diff):
        put(path, text, changed)
    return changed


def put(path: str, text: str, changed: bool) -> None:
    """Writes the formatted text to where it belongs."""
    if path == STDIN:
        sys.stdout.buffer.write(text.encode())  # a .zh text is UTF-8, whatever the terminal speaks
    elif changed:
        from zhdsl.runtime.files import SHARED, write_whole

        # the file that a link names is meant, not the link
        write_whole(os.path.realpath(path), text, mode=SHARED)
        click.echo(f"formatted {printable(path)}")


def read(path: str) -> Source:
    """The text of a file (see `zhdsl.lang.parser.read`)."""
    from zhdsl.lang.parser import read

    return read(path)


def standard_input() -> Source:
    """The text of standard input.

    Raises:
        SpecError: it is not UTF-8.
    """
    from zhdsl.lang import limits

    data = sys.stdin.buffer.read(limits.SIZE + 1).removeprefix(codecs.BOM_UTF8)
    try:
        # one that is too long is cut, perhaps inside a character: the parser will say that it is too long
        return Source("<stdin>", data.decode(errors="replace" if len(data) > limits.SIZE else "strict"))
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the standard input is not UTF-8"
        raise SpecError(Diagnostic("Z0005", message, None, help="convert the text to UTF-8")) from None


def difference(source: Source, text: str) -> str:
    """A unified diff from a text to the formatted one."""
    old, new = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, source.name, f"{source.name} (formatted)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
