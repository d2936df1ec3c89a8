"""The command line: `fastapi-stackauth`, or `python -m fastapi_stackauth`. Its packages come with the `cli` extra."""

import sys

_EXTRA = ("typer", "click", "rich")


def main() -> None:
    """Run the command line, which ends the process with an exit code (docs/cli.md)."""
    try:
        from fastapi_stackauth.cli.app import app  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print("fastapi-stackauth: pip install 'fastapi-stackauth[cli]' brings what this needs.", file=sys.stderr)  # noqa: T201 - it is a command
        sys.exit(2)
    app(prog_name="fastapi-stackauth")
