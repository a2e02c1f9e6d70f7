"""The ``onnxlens`` command: its verbs, and what an error looks like to a user."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from keyword import iskeyword
from types import MappingProxyType
from typing import Any

import click

from onnxlens.cli.progress import QUIET_OPTION
from onnxlens.errors import OnnxlensError, UsageError
from onnxlens.specs.text import printable, printable_lines

BAD_INPUT = 2
FAULT = 3
INTERRUPTED = 130
TERMINATED = 143

STDERR = 2

VERBS: Mapping[str, str] = MappingProxyType(
    {
        "run": "Export, count, check, time and draw the reference model.",
        "graphs": "List the graphs of the reference model.",
        "export": "Export TARGET to ONNX: graph, weights, manifest.",
        "extract": "Write one module of TARGET as an ONNX file of its own.",
        "profile": "Count MACs, params and bytes of TARGET.",
        "memory": "Plan the memory of the activations of TARGET.",
        "ledger": "List every cost of every module of TARGET.",
        "traffic": "Say what TARGET moves in memory, fused and on a small chip.",
        "phases": "Say what a language model costs: prompts, steps, caches.",
        "formula": "Give the costs of TARGET as formulas in its dimensions.",
        "schedule": "Say what of TARGET can overlap on several engines.",
        "hardware": "List the chips, and what is published of each.",
        "calibrate": "Measure this machine, for --hardware host.",
        "import": "Lead another tool's report back to modules of a model.",
        "reconcile": "Compare MACs with what onnx-tool, fvcore and thop count.",
        "check": "Compare ONNX Runtime's outputs of TARGET with PyTorch's.",
        "bench": "Time TARGET in ONNX Runtime, by module.",
        "compile": "Compile TARGET with the chips' own tools; say what they say.",
        "render": "Draw the data flow of TARGET, or write it for a viewer.",
        "view": "Show TARGET in Netron, in your browser.",
        "annotate": "Make the control image of a picture.",
        "generate": "Generate a picture with the whole pipeline.",
        "bill": "Say what a picture costs: every graph, its calls, all of it.",
        "training": "Count what a training step of TARGET computes and holds.",
        "add-control": "Add a fresh ControlNet to a checkpoint of Stable Diffusion.",
    }
)
"""The verbs in the order of the help page; each is in a module of its name, loaded when it is called."""


class Verbs(click.Group):
    """The group of verbs: loads a verb when it is called, and lists all from ``VERBS``."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. A model's own code may call ``sys.exit``, which must not pass for success."""
        try:
            return super().invoke(ctx)
        except SystemExit as stop:
            raise UsageError(
                f"the model's own code asked to exit, with {stop.code!r}; remove its call of sys.exit"
            ) from stop

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb, with the options that all verbs have."""
        if name not in VERBS:
            return None
        module = name.replace("-", "_") + "_" * iskeyword(name)
        verb: click.Command = getattr(import_module(f"onnxlens.cli.{module}"), module)
        if QUIET_OPTION not in verb.params:
            verb.params.append(QUIET_OPTION)
        return verb

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="onnxlens")
def cli() -> None:
    """Export PyTorch models to ONNX and see what every module of them costs on a chip.

    TARGET is a graph of the catalog ('onnxlens graphs' lists them), an .onnx file or a folder with one, or
    PACKAGE.MODULE:FACTORY, a function that returns an onnxlens.GraphSpec.

    Exit codes: 0 done, 1 a check did not hold, 2 wrong use or bad input, 3 a fault of the program.
    """


def main() -> None:
    """Run the command line and exit.

    A short command spends its time on imports. They make hardly any garbage, so it is looked for less often;
    and numpy and onnx are not torn down object by object at the end. Handlers registered for the exit run.
    """
    gc.set_threshold(20_000, 10, 10)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell, as in `onnxlens graphs 2>&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the program runs
        getattr(sys, name).reconfigure(errors="backslashreplace")  # names that the encoding lacks
    signal.signal(signal.SIGTERM, _terminate)
    _keep_stderr()
    code = run(sys.argv[1:])
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError as error:  # a full device; where run has met it already, it has said so
        code = code or _refuse(_line_of(error))
    os._exit(code)


def _keep_stderr() -> None:
    """Keep standard error for our own lines: what libraries write to it without Python goes nowhere.

    ONNX Runtime, OpenCV, libpng and others print there what they raise, too. Python's warnings are for
    developers, who ask for them with ``-W`` or PYTHONWARNINGS.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    if sys.stderr.fileno() == STDERR:
        sys.stderr = os.fdopen(os.dup(STDERR), "w", buffering=1, errors="backslashreplace")
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)


class _Terminated(KeyboardInterrupt):
    """The system wants the program to end: what it has begun is removed, as after Ctrl-C."""


def _terminate(*_: object) -> None:
    raise _Terminated


def run(arguments: list[str]) -> int:
    """Run one command line and return the exit code; prints errors: one line, or a fault's traceback."""
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
    except (OnnxlensError, OSError) as error:
        return _refuse(_line_of(error), *getattr(error, "__notes__", ()))
    except MemoryError as error:
        return _refuse(f"there is not enough memory for it ({error or 'none is left'}); take a smaller size")
    except (click.Abort, KeyboardInterrupt) as stop:
        return TERMINATED if isinstance(stop.__cause__, _Terminated) else INTERRUPTED
    except SystemExit:
        # click exits like this when the reader has closed the pipe, as in `onnxlens graphs | head`. The
        # interpreter must not flush into it at its own exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        import traceback

        traceback.print_exc()
        print("onnxlens: this is a fault of the program; please report the lines above", file=sys.stderr)
        return FAULT


def _line_of(error: OnnxlensError | OSError) -> str:
    """The message; of the system's errors also which file it is about: one without a name is the output."""
    if isinstance(error, OSError):
        return f"{error.filename or 'the output'}: {error.strerror or error}"
    return str(error)


def _refuse(message: str, *notes: str) -> int:
    """Say why in one line, and below it what can be pasted to mend it."""
    with suppress(OSError):  # standard error is closed, or on a full device: the exit code says it
        print(f"onnxlens: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
        for note in notes:
            print(f"\n{printable_lines(note)}", file=sys.stderr, flush=True)
    return BAD_INPUT
