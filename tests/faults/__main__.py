"""`python -m tests.faults`: plant all faults and print what is found; `--write` puts it into TABLE.md."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.faults.table import TABLE, every, table


def main() -> None:
    parser = ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--write", action="store_true")
    made = table(every())
    if parser.parse_args().write:
        TABLE.write_text(made)
    else:
        print(made)


if __name__ == "__main__":
    main()
