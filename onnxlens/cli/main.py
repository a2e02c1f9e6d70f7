"""The ``onnxlens`` command: its verbs, and what an error looks like to a user."""

from __future__ import annotations

import os
import sys
import traceback

import click

from onnxlens.cli.analysis import check, profile
from onnxlens.cli.annotating import annotate
from onnxlens.cli.benching import bench
from onnxlens.cli.cutting import extract
from onnxlens.cli.exporting import export, graphs
from onnxlens.cli.ledger import ledger
from onnxlens.cli.pictures import render, view
from onnxlens.cli.reconciling import reconcile
from onnxlens.cli.running import run as run_verb
from onnxlens.errors import OnnxlensError

BAD_INPUT = 2
FAULT = 3
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="onnxlens")
def cli() -> None:
    """Export PyTorch models to ONNX and see what every module of them costs on a chip.

    TARGET is a graph of the catalog ('onnxlens graphs' lists them), an .onnx file, or PACKAGE.MODULE:FACTORY,
    a function that returns an onnxlens.GraphSpec.

    Exit codes: 0 done, 1 a check did not hold, 2 wrong use or bad input, 3 a fault of the program.
    """


for verb in (
    run_verb, graphs, export, extract, profile, ledger, reconcile, check, bench, render, view, annotate,
):  # fmt: skip
    cli.add_command(verb)


def main() -> None:
    """Run the command line and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; the exit code. Bad input is one line on stderr, a fault a traceback."""
    try:
        return int(cli.main(arguments, prog_name="onnxlens", standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as help_page:
        help_page.show()
        return BAD_INPUT
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "onnxlens"
        return _refuse(f"{error.format_message()} (see '{command} --help')")
    except click.ClickException as error:
        return _refuse(error.format_message())
    except OnnxlensError as error:
        return _refuse(str(error))
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except SystemExit:
        # The reader has gone, as in `onnxlens graphs | head`: click takes that for an error. The interpreter
        # must not flush into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        traceback.print_exc()
        print("onnxlens: this is a fault of the program; please report the lines above", file=sys.stderr)
        return FAULT


def _refuse(message: str) -> int:
    print(f"onnxlens: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT
