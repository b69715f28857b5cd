"""The process that draws tasks from its standard input; see `drawing_process`."""

from __future__ import annotations

import pickle
import sys

from balpoe.reporting.figures.drawing_process import DrawingTask


def main() -> None:
    """Read a list of tasks, and write the list of their pictures."""
    tasks: list[DrawingTask] = pickle.load(sys.stdin.buffer)
    pickle.dump([task.pictures() for task in tasks], sys.stdout.buffer)


if __name__ == "__main__":
    main()
