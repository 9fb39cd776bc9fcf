"""The README's table of operations and backends is the suite's."""

from tests.conformance.table import README, readme


def test_the_table_in_the_readme_is_fresh() -> None:
    assert README.read_text() == readme(), "run python -m tests.conformance --write"
