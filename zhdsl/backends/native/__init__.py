"""Programs as compiled C: kernels in shared objects, walked through by a small run-time."""
