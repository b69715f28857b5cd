"""Studies: what is tried, who runs it, what is recorded and what is chosen.

Ray reads its switches when it is imported, and every module that imports it is reached
through this package: so they are set here. A value that the user has set stays.
"""

import os

_RAY_SWITCHES = {
    # under `uv run` Ray would build the environment anew in every worker, and hang without uv
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    # Tune's own result files: the records are ours
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C is handled by the executor, which can tell a stopped study from a finished one
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # failures are told in our words, once
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Tune's newer console output prints a table even when it is told to be silent
    "RAY_AIR_NEW_OUTPUT": "0",
    # relative paths in a study file mean the same in a worker
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # nobody is told what is run here
    "RAY_USAGE_STATS_ENABLED": "0",
    # workers without a GPU see none; what Ray will do by default, and warns about until then
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}

for _name, _value in _RAY_SWITCHES.items():
    os.environ.setdefault(_name, _value)
