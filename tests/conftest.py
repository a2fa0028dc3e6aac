"""What all tests share."""

import os

# One thread per process, here and in the processes that tests start: workers share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
