"""The command `balpoe` and its exit status.

0: done. 1: no COMPLETE trial, or a fault found by `doctor`. 2: an error of the user. 70: a bug, or
a driver that died unexpectedly. 130 and 143: stopped by SIGINT and SIGTERM.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
import traceback

import click

from balpoe.errors import UserError
from balpoe.exit_status import INTERNAL_ERROR, SIGNALLED, USER_ERROR

_ALLOCATIONS_PER_COLLECTION = 50_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="balpoe")
def cli() -> None:
    """Studies of calibrated expert ensembles (BalPoE) for long-tailed image classes."""


COMMANDS = (
    *("run", "submit", "try_point", "export", "train", "evaluate", "predict", "onnx", "data"),
    *("status", "show", "report", "stop", "sync", "check", "doctor", "clean", "ui"),
)
for name in COMMANDS:
    cli.add_command(getattr(importlib.import_module(f"balpoe.cli.{name}"), name))


def collect_garbage_rarely() -> None:
    """Raise the threshold of the garbage collector.

    Otherwise an eighth of the start is spent on scanning objects of PyTorch, Ray and MLflow that
    are never freed (tests/benchmarks/README.md).
    """
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)


def main() -> None:
    """Run the command line and exit with its status."""
    collect_garbage_rarely()
    # OpenMP threads that wait must not use the CPU time of the threads they wait for: with one
    # other busy process the digits train ten times faster so (tests/benchmarks/README.md)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        sys.exit(cli.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(USER_ERROR)
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(USER_ERROR)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; the same command continues from the saved state", err=True)
        sys.exit(SIGNALLED + signal.SIGINT)
    except Exception:
        traceback.print_exc()
        click.echo("error: this is a bug in balpoe, please report it", err=True)
        sys.exit(INTERNAL_ERROR)
