"""`python -m tests.conformance`: print operations by backends; `--write` puts the table into the README."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.conformance.table import README, readme, table


def main() -> None:
    """The suite itself runs in `test_backends`."""
    parser = ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        README.write_text(readme())
    else:
        print(table())


if __name__ == "__main__":
    main()
