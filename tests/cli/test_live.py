"""The live page: a point within a second of its step, to this machine alone, and not a bit of the run changed."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import zhdsl
from tests.train.runs import bytes_of
from tests.viz.browser import browser
from zhdsl.cli.live import CLIENTS, Live, page_of
from zhdsl.train.limits import Options
from zhdsl.train.record import Recorder
from zhdsl.train.trainable import Trainable
from zhdsl.train.trainer import fit

NET = """\
model Net(x: [B, F=2]) -> p: [B, F=1] { return x -> Dense[6] -> relu -> Dense[1] -> sigmoid }
train Net {
  data = two_spirals[points = 20]
  loss = binary_cross_entropy(p, y)
  optimizer = adam[lr = 0.02]
  batch = 16
  epochs = 3
}
"""


def net() -> Trainable:
    return zhdsl.load(NET, device="numpy")


@pytest.fixture
def live() -> Iterator[Live]:
    with Live("<p>the page</p>") as found:
        yield found


def asked(live: Live, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.putrequest(method, path, skip_host="Host" in given)
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    connection.close()
    return found


class Listener:
    """Reads events as a page does; `heard` has the time of each."""

    def __init__(self, live: Live):
        self.connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=20)
        self.connection.request("GET", f"/{live.token}/events")
        self.answer = self.connection.getresponse()
        self.heard: list[tuple[float, str, Any]] = []
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        kind = ""
        for line in iter(lambda: self.answer.readline().decode(), ""):
            name, _, value = line.rstrip().partition(": ")
            kind = value if name == "event" else kind
            if name == "data":
                self.heard.append((time.monotonic(), kind, json.loads(value)))

    def until(self, count: int, seconds: float = 5.0) -> None:
        end = time.monotonic() + seconds
        while len(self.heard) < count:
            assert time.monotonic() < end, self.heard
            time.sleep(0.005)


# ---------------------------------------------------------------- who is answered
def test_the_page_is_at_its_address(live: Live) -> None:
    code, headers, content = asked(live, f"/{live.token}/")
    assert (code, content) == (200, b"<p>the page</p>")
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control")]
    assert live.address == f"http://127.0.0.1:{live.port}/{live.token}/"


@pytest.mark.parametrize("path", ["/", "/x/", "/events", "/../", "/%2e%2e/etc/passwd", "//", "*"])
def test_without_the_token_there_is_nothing(path: str, live: Live) -> None:
    assert asked(live, path)[0] == 404


def test_tokens_are_long_and_differ() -> None:
    with Live("") as one, Live("") as two:
        assert len(one.token) >= 32
        assert one.token != two.token


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example", ""])
def test_another_host_is_refused(host: str, live: Live) -> None:
    for path in ("", "events"):
        assert asked(live, f"/{live.token}/{path}", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_the_names_of_this_machine_are_answered(host: str, live: Live) -> None:
    assert asked(live, f"/{live.token}/", Host=f"{host}:{live.port}")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
def test_another_origin_is_refused(origin: str, live: Live) -> None:
    assert asked(live, f"/{live.token}/events", Origin=origin)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "HEAD"])
def test_get_is_all_it_knows(method: str, live: Live) -> None:
    assert asked(live, f"/{live.token}/", method)[0] == 501


def test_only_this_machine_is_listened_to(live: Live) -> None:
    assert live._server.server_address[0] == "127.0.0.1"


def test_too_many_listeners_are_sent_away(live: Live) -> None:
    listeners = [Listener(live) for _ in range(CLIENTS)]
    assert asked(live, f"/{live.token}/events")[0] == 503
    assert len(listeners) == live.clients


# ---------------------------------------------------------------- what is told
def test_a_point_comes_within_a_second_of_its_step(live: Live) -> None:
    listener = Listener(live)
    told = []
    for i in range(5):
        told.append(time.monotonic())
        live.step(0, i, 0.5 + i)
        time.sleep(0.15)
    listener.until(5)
    assert [data["loss"] for _, _, data in listener.heard] == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert max(heard - at for (heard, _, _), at in zip(listener.heard, told, strict=True)) < 1.0


def test_who_comes_late_hears_everything(live: Live) -> None:
    live.step(0, 0, 1.0)
    live.epoch({"epoch": 1, "step": 1, "loss": 1.0}, True)
    late = Listener(live)
    late.until(2)
    assert [kind for _, kind, _ in late.heard] == ["step", "epoch"]


def test_steps_that_come_fast_are_thinned(live: Live) -> None:
    for i in range(10_000):
        live.step(0, i, 1.0)
    assert len(live._events) < 100


def test_a_live_run_is_the_same_bytes_as_one_that_is_not(tmp_path: Path) -> None:
    fit(net(), tmp_path / "plain", False, Options(), None, [])
    model = net()
    with Live(page_of(model, tmp_path / "live")) as server:
        listener = Listener(server)
        fit(model, tmp_path / "live", False, Options(), None, [server], "", Recorder(server.recorded))
    listener.thread.join(5)
    kinds = [kind for _, kind, _ in listener.heard]
    assert kinds[-1] == "end"
    assert {"step", "epoch", "layers"} <= set(kinds)
    assert bytes_of(tmp_path / "plain") == bytes_of(tmp_path / "live")


def test_the_end_does_not_wait_for_pages_that_are_gone() -> None:
    started = time.monotonic()
    with Live("") as server:
        Listener(server).connection.close()
    assert time.monotonic() - started < 5


@pytest.mark.browser
def test_the_page_draws_each_point(tmp_path: Path) -> None:
    model = net()
    with browser() as chromium, Live(page_of(model, tmp_path)) as server:
        chromium.open(server.address)
        for i, loss in enumerate((0.75, 0.5, 0.25)):
            at = time.monotonic()
            server.step(0, i, loss)
            chromium.until(f"document.getElementById('live').textContent.endsWith('loss {loss}')", 5)
            chromium.until(f"REPORT.curves.steps.length === {i + 1}", 5)
            assert time.monotonic() - at < 1.0
            time.sleep(0.15)
        server.recorded({"step": 3, "layers": {"dense.W": [1.0, 2.0, 0.5], "dense.b": [0.1, 1.0, 0.1]}})
        chromium.until("document.querySelectorAll('#layers rect').length === 4", 5)
        chromium.until("document.querySelector('#training .lines') !== null", 5)
        assert chromium.complaints() == []
        assert all(url.startswith(server.address) for url in chromium.requests())
