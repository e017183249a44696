"""`zh train --live`: the page of the run, served to this machine alone while the run goes on.

The server listens on 127.0.0.1, answers requests for a host of that name only (so no name that was rebound reaches it),
and only below a random path that is told on the terminal; it gives nothing to pages of other origins. There is nothing
to be changed through it: GET is all it knows, and it reads what the trainer said, in threads of its own.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

from zhdsl.train.report import Silent

if TYPE_CHECKING:
    from zhdsl.train.trainable import Trainable

QUIET = 0.1  # seconds: points of steps come no faster, but for the first
BEAT = 10.0  # seconds after which a silent connection is looked at
PATIENCE = 30.0  # seconds for a request to be made
FAREWELL = 2.0  # seconds that the end of a run may take to be told
CLIENTS = 16  # pages that listen at the same time


class Live(Silent):
    """Serves a page and tells it what it is told; a reporter of a run, used as a context.

    Attributes:
        address: of the page.
    """

    def __init__(self, page: str):
        self.page = page.encode("utf-8", "replace")
        self.token = secrets.token_urlsafe(24)
        self._events: list[bytes] = []
        self._news = Condition()
        self._over = False
        self._at = float("-inf")
        self._step = 0
        self.clients = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.live = self
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}/{self.token}/"

    def __enter__(self) -> Live:
        Thread(target=self._server.serve_forever, name="zhdsl-live", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tell("end", {})
        with self._news:
            self._over = True
            self._news.notify_all()
            self._news.wait_for(lambda: self.clients == 0, FAREWELL)
        self._server.shutdown()
        self._server.server_close()

    # ------------------------------------------------------------ what the trainer says
    def step(self, epoch: int, batch: int, loss: float) -> None:
        self._step += 1
        now = time.monotonic()
        if now - self._at >= QUIET:
            self._at = now
            self._tell("step", {"step": self._step, "epoch": epoch + 1, "loss": loss})

    def epoch(self, record: Mapping[str, Any], last: bool) -> None:
        self._step = record["step"]
        self._tell("epoch", record)

    def recorded(self, record: Mapping[str, Any]) -> None:
        """A record of the run's recorder."""
        from zhdsl.cli.report_data import layer_rows

        if record.get("layers"):
            rows = layer_rows([record])
            told = {"step": record["step"], "names": list(record["layers"])}
            self._tell("layers", told | {name: values[0] for name, values in rows.items()})

    def _tell(self, kind: str, value: Mapping[str, Any]) -> None:
        event = f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()
        with self._news:
            self._events.append(event)
            self._news.notify_all()

    def after(self, count: int) -> tuple[list[bytes], bool]:
        """The events after the first `count`, waiting for some; and whether no more will come."""
        with self._news:
            self._news.wait_for(lambda: len(self._events) > count or self._over, BEAT)
            return self._events[count:], self._over

    def join(self, by: int) -> bool:
        """One listener more or less. Whether there is room for it."""
        with self._news:
            if self.clients + by > CLIENTS:
                return False
            self.clients += by
            self._news.notify_all()
            return True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    live: Live


class _Handler(BaseHTTPRequestHandler):
    """One request. Everything but a GET of the page or its events, from this machine, is refused."""

    server: _Server
    timeout = PATIENCE
    server_version, sys_version = "zhdsl", ""

    def do_GET(self) -> None:
        live = self.server.live
        hosts = {f"{name}:{live.port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts or (origin and origin not in {f"http://{h}" for h in hosts}):
            self._answer(403, b"this page is for the machine that trains\n")
        elif self._is("") or self._is("index.html"):
            self._answer(200, live.page, "text/html; charset=utf-8")
        elif self._is("events"):
            self._stream(live)
        else:
            self._answer(404, b"there is nothing here\n")

    def _is(self, name: str) -> bool:
        return secrets.compare_digest(self.path.encode(), f"/{self.server.live.token}/{name}".encode())

    def _answer(self, code: int, content: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self._head(code, kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _head(self, code: int, kind: str) -> None:
        self.send_response(code)
        for name, value in (
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
        ):
            self.send_header(name, value)

    def _stream(self, live: Live) -> None:
        """All events from the first on, and then as they come."""
        if not live.join(1):
            self._answer(503, b"too many pages listen\n")
            return
        try:
            self._head(200, "text/event-stream")
            self.end_headers()
            count, over = 0, False
            while not over:
                events, over = live.after(count)
                count += len(events)
                self.wfile.write(b"".join(events) or b": still there\n\n")
                self.wfile.flush()
        except OSError:  # the page was closed
            pass
        finally:
            live.join(-1)
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # the terminal belongs to the run
        return


def page_of(model: Trainable, folder: Path) -> str:
    """The page of a run that begins or goes on."""
    from zhdsl.cli import report

    return report.page_of(model, folder, live=True)
