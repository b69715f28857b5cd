"""The command `balpoe`, and how it ends.

0 done, 1 a study ended without a COMPLETE trial or `doctor` found something, 2 the user's error,
70 ours or a driver's sudden death, 130 and 143 stopped by SIGINT and SIGTERM.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import traceback

import click

from balpoe.cli.check import check
from balpoe.cli.clean import clean
from balpoe.cli.data import data
from balpoe.cli.doctor import doctor
from balpoe.cli.evaluate import evaluate
from balpoe.cli.export import export
from balpoe.cli.onnx import onnx
from balpoe.cli.predict import predict
from balpoe.cli.run import run
from balpoe.cli.status import status
from balpoe.cli.stop import stop
from balpoe.cli.submit import submit
from balpoe.cli.sync import sync
from balpoe.cli.train import train
from balpoe.cli.ui import ui
from balpoe.errors import UserError
from balpoe.exit_status import INTERNAL_ERROR, SIGNALLED, USER_ERROR

_ALLOCATIONS_PER_COLLECTION = 50_000


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="balpoe")
def cli() -> None:
    """Studies of calibrated expert ensembles (BalPoE) for long-tailed image classes."""


VERBS = (
    *(run, submit, export, train, evaluate, predict, onnx, data),
    *(status, stop, sync, check, doctor, clean, ui),
)
for command in VERBS:
    cli.add_command(command)


def spare_the_collector() -> None:
    """Keep the garbage collector from the modules of PyTorch, Ray and MLflow while they are loaded.

    Going through their objects, which all stay, again and again took an eighth of the time (README
    of benchmarks).
    """
    gc.set_threshold(_ALLOCATIONS_PER_COLLECTION)


def main() -> None:
    """Run the command line and end the process with its status."""
    spare_the_collector()
    # Threads that wait for each other must not burn the time slices of those they wait for:
    # beside one other busy process the digits trained ten times faster (README of benchmarks).
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
        click.echo("interrupted; the same command goes on from what was saved", err=True)
        sys.exit(SIGNALLED + signal.SIGINT)
    except Exception:
        traceback.print_exc()
        click.echo("error: this is a fault of balpoe, please report it", err=True)
        sys.exit(INTERNAL_ERROR)
