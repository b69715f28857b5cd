"""Studies: proposal, execution, recording and selection of trials.

This module sets Ray's environment variables, which Ray reads when it is imported: every module that
imports Ray is imported through this package. Variables that the user has set are kept.
"""

import os

_RAY_VARIABLES = {
    # under `uv run` Ray rebuilds the environment in every worker, and hangs without uv
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # no result files of Tune
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # the executor handles Ctrl-C, and distinguishes a stopped study from a finished one
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # balpoe prints each failure once
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Tune's newer console output prints a table even if it is silenced
    "RAY_AIR_NEW_OUTPUT": "0",
    # relative paths in a study file are the same in a worker
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # no usage statistics are sent
    "RAY_USAGE_STATS_ENABLED": "0",
    # workers without a GPU see none: Ray's future default, and a warning until then
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}

for _name, _value in _RAY_VARIABLES.items():
    os.environ.setdefault(_name, _value)
