"""`zh explain`: what an error code means, why it is an error and what to do about it."""

from __future__ import annotations

import click


@click.command()
@click.argument("code", required=False)
def explain(code: str | None) -> None:
    """Explain an error code.

    CODE is what stands in an error message, such as Z0312. Without one, all
    codes are listed.
    """
    from zhdsl.lang import codes

    if code is None:
        click.echo("\n".join(f"{known.code}  {known.title}" for known in codes.CODES.values()))
        return
    try:
        click.echo(codes.explain(code))
    except KeyError as error:
        raise click.UsageError(str(error.args[0]), click.get_current_context()) from None
