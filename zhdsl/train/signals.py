"""Interrupts: the step that is running is finished, then the run saves itself and ends."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What has been received so far."""

    def __init__(self) -> None:
        self.received: int | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Remembers the first signal; another Ctrl-C ends the process at once, even inside a long kernel."""
        self.received = self.received or number
        interactive = hasattr(sys, "ps1") or "ipykernel" in sys.modules
        signal.signal(signal.SIGINT, signal.default_int_handler if interactive else signal.SIG_DFL)

    def end(self) -> NoReturn:
        """Ends the run as the signal would have: Ctrl-C raises `KeyboardInterrupt`, others exit with 128 + number."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + (self.received or 0))


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Listens inside the block; only the main thread can, elsewhere nothing is ever received."""
    heard = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return
    before = {number: signal.getsignal(number) for number in HEARD}
    for number in HEARD:
        if before[number] is not signal.SIG_IGN:  # nohup
            signal.signal(number, heard.receive)
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
