"""Settings for all tests."""

import os

# One thread: on two cores that other tests share, the threads of an OpenMP team wait for each
# other's time slices, and small tensors train ten times slower. Children inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
