"""The command line: one file per command, imported when it is called.

Exit status: 0 good, 1 a gate failed, 2 the input is wrong, 3 a bug in avnir.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module

import click

from avnir import __version__
from avnir.errors import GateError, UserError

COMMANDS = {
    "bench": "Say what a model costs on a chip: cores, latency, synaptic operations, energy.",
    "check": "Say what of a model a chip takes exactly, what is lowered, and what is impossible.",
    "compare": "Compare two runs: where they first differ, how the difference spreads, and what explains it.",
    "data": "List the data sets that avnir reads, and check what a folder holds of one.",
    "diff": "Say what changed between two exports: spikes, operations, cores, energy, accuracy.",
    "doctor": "Say what is installed here and what is missing.",
    "export": "Turn a model into a folder for a chip: NIR, integers, Lava script, report.",
    "lava": "Set up the environment in which Lava runs.",
    "report": "Write the report of a model or an export as one HTML file.",
    "run": "Run an exported folder on a backend and record the spikes.",
    "show": "Print a graph, a program or a recorded run in the terminal.",
    "sweep": "Run one model over bits, thresholds and targets, on many processes or machines.",
    "targets": "List the chips avnir knows, with the source of every figure.",
    "train": "Train one of the models that come with avnir.",
    "verify": "Compare every stage of a deployment with the PyTorch spikes.",
    "why": "Say which approximation of the chip costs which spikes, what mends it, and apply that.",
}


EXTRAS = {
    "torch": "torch",
    "snntorch": "torch",
    "safetensors": "torch",
    "sklearn": "models",
    "PIL": "models",
    "av": "models",
    "lightning_fabric": "models",
    "soundfile": "models",
    "tensorboard": "models",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "dask": "distributed",
    "distributed": "distributed",
}
"""Packages that are optional, and the extra of avnir that brings each."""


class _Lazy(click.Group):
    """A group that imports a command only when it is called; its help comes from the table above."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"avnir.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="avnir")
def group() -> None:
    """Take a spiking network trained in snnTorch to a neuromorphic chip, and prove that nothing changed."""


WAIT_POLICY = ("OMP_WAIT_POLICY", "PASSIVE")
"""Read by OpenMP when torch is loaded. The default lets idle threads spin: beside one other busy process,
that made training on two cores 15 times slower."""


def main(arguments: list[str] | None = None) -> None:
    """The entry point: run a command and turn every error into one message and an exit status."""
    os.environ.setdefault(*WAIT_POLICY)  # read when torch is loaded
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    try:
        group.main(given, prog_name="avnir", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        _fail("stopped", 130, as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except click.ClickException as error:
        where = f"\n{error.ctx.get_usage()}" if isinstance(error, click.UsageError) and error.ctx else ""
        _fail(error.format_message() + where, 2, as_json)
    except GateError as error:
        _fail(str(error), 1, as_json)
    except UserError as error:
        _fail(str(error), 2, as_json)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        _fail(
            f'this needs {error.name}, which is not installed; run: pip install "avnir[{extra}]"', 2, as_json
        )
    except MemoryError:
        _fail(
            "not enough memory for this network and batch; use fewer samples at a time (--samples)",
            2,
            as_json,
        )
    except Exception as error:  # the last resort: whatever else escapes is ours
        traceback.print_exc()
        _fail(f"this is a bug in avnir ({type(error).__name__}: {error}); please report it", 3, as_json)


def _fail(message: str, status: int, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": message, "exit_status": status}))
    click.echo(f"avnir: {message}", err=True)
    sys.exit(status)
