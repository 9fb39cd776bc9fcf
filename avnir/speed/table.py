"""What was measured as rows to read, and as the table of the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avnir.errors import DataError
from avnir.files import atomic_path
from avnir.speed.machine import Machine
from avnir.speed.results import CEILINGS, ENGINE, EVENTS, ROWS, Result, Timing, size_text
from avnir.speed.turns import Spread

HEAD = (
    "program",
    "run by",
    "a step of a sample",
    "times the engine's",
    "goal",
    "spikes as the integers'",
    "run",
)
BEGIN = "<!-- speed: made by `avnir bench engine --readme README.md` -->\n"
END = "<!-- end of speed -->\n"


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """A row for each program and who ran it, as `HEAD`; the program's name in its first row alone."""
    return [
        (result.name if timing is result.timings[0] else "", *_cells(result, timing))
        for result in results
        for timing in result.timings
    ]


def _cells(result: Result, timing: Timing) -> tuple[str, ...]:
    goal = result.goals.get(timing.name)
    ratio = "1" if timing.name == ENGINE else _ratio(timing)
    met = "" if goal is None else f"{_goal(timing, goal[0])}, {'reached' if goal[1] else 'not reached'}"
    return (timing.title, _times(timing.seconds), ratio, met, _agreement(timing), timing.how)


def _times(seconds: Spread) -> str:
    """The median in microseconds, and the quartiles."""
    return (
        f"{_figure(seconds.median * 1e6)} us ({_figure(seconds.low * 1e6)} to {_figure(seconds.high * 1e6)})"
    )


def _ratio(timing: Timing) -> str:
    """The median multiple of the engine's time and the quartiles; of a ceiling as a share."""
    ratio = timing.ratio
    if timing.name in CEILINGS:
        return f"{100 * ratio.median:.0f} % ({100 * ratio.low:.0f} to {100 * ratio.high:.0f})"
    return f"{_figure(ratio.median)} ({_figure(ratio.low)} to {_figure(ratio.high)})"


def _goal(timing: Timing, goal: float) -> str:
    return f"{100 * goal:.0f} %" if timing.name in CEILINGS else f"{goal:,.0f}"


def _figure(value: float) -> str:
    """Three digits, or all those before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _agreement(timing: Timing) -> str:
    if timing.agreement is None:
        return "-"
    return "all" if timing.agreement == 1 else f"{100 * timing.agreement:.3f} %"


def activity(results: Sequence[Result]) -> list[str]:
    """A line for each program: what it is, and how many of its slots spike."""
    return [
        f"{result.name}: {result.title}, {size_text(result.samples, result.steps)}; "
        f"spikes in {_shares(list(result.activity.values()))} of the slots of its layers"
        for result in results
    ]


def _shares(shares: Sequence[float]) -> str:
    """Of a few layers each share, of many the range."""
    if len(shares) > 4:
        return f"{100 * min(shares):.1f} to {100 * max(shares):.1f} %"
    return ", ".join(f"{100 * share:.1f} %" for share in shares)


def distances(results: Sequence[Result]) -> list[str]:
    """A line for each ceiling: how near the engine comes to it, and to row additions event by event too."""
    return [
        f"{result.name}: the engine{how} is at {100 * timing.ratio.median / ratio:.0f} % of the ceiling, "
        f"the same {timing.title} alone"
        for result in results
        for timing in result.timings
        if timing.name in CEILINGS
        for how, ratio in _ways(result, timing)
    ]


def _ways(result: Result, ceiling: Timing) -> list[tuple[str, float]]:
    """The ways of the engine that a ceiling is one of, and the multiples of the engine's time."""
    by_events = [t.ratio.median for t in result.timings if t.name == EVENTS and ceiling.name in ROWS]
    return [("", 1.0), *((", event by event,", ratio) for ratio in by_events)]


def left_out(results: Sequence[Result]) -> list[str]:
    """Who was left out, and why, each once."""
    reasons = {name: why for result in results for name, why in result.absent.items()}
    return [f"left out: {name}, {why}" for name, why in reasons.items()]


def conditions(machine: Machine, repeats: int) -> list[str]:
    """The machine, and how the figures were taken."""
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return [
        f"{machine.processor}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB; {machine.system}; "
        f"Python {machine.python}, {packages}; others kept {machine.load:.1f} processors busy at the start",
        f"medians of {repeats} rounds in which everybody had a turn, after one run that does not count, "
        "with the quartiles; every spike of every timed run of the engine was compared with the integer "
        "interpreter's",
        "who takes samples one by one ran one; `less 4`: what the run takes longer than one of 4 steps, so "
        "that Lava's start does not count",
    ]


def markdown(machine: Machine, results: Sequence[Result], repeats: int) -> str:
    """The table of the README, with what is to be known about it."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows(results)]
    notes = [*distances(results), *activity(results), *conditions(machine, repeats), *left_out(results)]
    notes += [machine.warning] if machine.warning else []
    return "\n".join([*lines, "", *(f"- {note}" for note in notes), ""])


def check_marks(file: Path) -> None:
    """DataError where a file has no place for the table."""
    _parts(file)


def write(file: Path, table: str) -> None:
    """Put a table between its marks in a file; DataError where they are missing."""
    before, after = _parts(file)
    with atomic_path(file) as temporary:
        temporary.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _parts(file: Path) -> tuple[str, str]:
    """What stands before and behind the marks."""
    try:
        before, rest = file.read_text().split(BEGIN)
        _, after = rest.split(END)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{file} has no place for the table; put these two lines into it:\n{BEGIN}{END}"
        ) from error
    return before, after
