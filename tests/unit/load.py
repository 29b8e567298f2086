"""A measured load, set by hand."""

from chatio.throttling.loop_lag import LoopLagMonitor


class Load(LoopLagMonitor):
    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(lag_seconds=0.0)
        self.retry_after_seconds = retry_after_seconds
