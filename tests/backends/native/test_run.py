"""The native run-time: order, loops, parts, threads, forks; and the same bits however many threads there are."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from zhdsl.backends.native import run
from zhdsl.backends.native.library import Library, load
from zhdsl.backends.native.run import Array, Call, Item, Loop, Table
from zhdsl.errors import BackendError, CompilerError

ROOT = Path(__file__).resolve().parents[3]
ROWS = 64
THREADS = (1, 2, 3, 8)

# Kernels on rows of doubles. Their partition is by rows, so no result depends on how many parts there are.
SOURCE = f"""
#include <math.h>
#include <unistd.h>
enum {{ ROWS = {ROWS} }};
#define EACH_ROW for (long i = ROWS * part / parts; i < ROWS * (part + 1) / parts; i++)

/* log: [0] is how many are written, then part, parts, z[0] and z[1] of each call */
void note(void **b, const long *z, long part, long parts) {{
  long *log = b[0], at = __atomic_fetch_add(log, 1, __ATOMIC_SEQ_CST) * 4 + 1;
  log[at] = part, log[at + 1] = parts, log[at + 2] = z[0], log[at + 3] = z[1];
}}
/* y[i] = what all of x and z give: wrong whenever someone still writes x */
void mix(void **b, const long *z, long part, long parts) {{
  const double *x = b[0];
  double *y = b[1];
  EACH_ROW {{
    double sum = z[0] * 0.125 + z[1];
    for (long k = 0; k < ROWS; k++) sum += sin(x[k] * (k + 1)) / (i + k + 1);
    y[i] = sum;
  }}
}}
void halve_first(void **b, const long *z, long part, long parts) {{ ((double *)b[0])[0] *= 0.5; }}
void own_row(void **b, const long *z, long part, long parts) {{
  EACH_ROW ((double *)b[0])[i] += (z[0] + 1) * (i + 1);
}}
void wait_long(void **b, const long *z, long part, long parts) {{ usleep(20000); ((long *)b[0])[part] += 1; }}
"""


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Library:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        run.runtime()
        return load([SOURCE])[0]


def addresses(*arrays: Array) -> Array:
    return np.array([a.ctypes.data for a in arrays], np.uint64)


def zeros(count: int) -> Array:
    return np.zeros(count, np.int64)


class Log:
    """What `note` was given, call by call."""

    def __init__(self, kernels: Library, size: int = 1000):
        self.memory = zeros(4 * size + 1)
        self._buffers = addresses(self.memory)
        self._note = kernels.function("note")

    def call(self, parallel: bool = False) -> Call:
        return Call(self._note, self._buffers, parallel)

    @property
    def lines(self) -> list[tuple[int, ...]]:
        return [tuple(row) for row in self.memory[1:].reshape(-1, 4)[: self.memory[0]].tolist()]


def toy(kernels: Library, x: Array, y: Array) -> list[Item]:
    """Serial and parallel calls that all depend on each other, loops within loops, one backwards."""
    mix, halve, own = (kernels.function(name) for name in ("mix", "halve_first", "own_row"))
    xy, yx = addresses(x, y), addresses(y, x)
    inner = [Call(mix, yx), Call(halve, xy, parallel=False), Call(halve, yx, parallel=False), Call(own, xy)]
    return [
        Call(mix, xy),
        Loop(0, 5, [Call(own, yx), Loop(1, 4, [*inner, Call(mix, xy)], reverse=True), Call(halve, xy, parallel=False)]),
        Loop(0, 0, [Call(own, xy)]),
        Call(mix, yx),
    ]


def bits(kernels: Library, threads: int) -> bytes:
    x, y = np.linspace(-1.0, 1.0, ROWS), np.zeros(ROWS)
    Table(toy(kernels, x, y), zeros(2)).run(threads)
    return x.tobytes() + y.tobytes()


# ---------------------------------------------------------------- what a table means
@pytest.mark.parametrize("threads", THREADS)
def test_an_empty_table_does_nothing(threads: int, kernels: Library) -> None:
    assert Table([], zeros(0)).run(threads) == 1


@pytest.mark.parametrize("threads", THREADS)
def test_a_serial_call_is_made_once_as_part_0_of_1(threads: int, kernels: Library) -> None:
    log = Log(kernels)
    Table([log.call(), log.call()], np.array([7, 9])).run(threads)
    assert log.lines == [(0, 1, 7, 9)] * 2


@pytest.mark.parametrize("threads", THREADS)
def test_a_parallel_call_is_made_with_every_part(threads: int, kernels: Library) -> None:
    log = Log(kernels)
    table = Table([log.call(parallel=True)], np.array([7, 9]))
    assert table.run(threads) == threads
    assert sorted(log.lines) == [(part, threads, 7, 9) for part in range(threads)]


@pytest.mark.parametrize("threads", THREADS)
def test_loops_count_in_their_slots_and_leave_z_alone(threads: int, kernels: Library) -> None:
    log, z = Log(kernels), np.array([70, 90])
    Table([Loop(0, 2, [log.call(), Loop(1, 3, [log.call()], reverse=True)]), log.call()], z).run(threads)
    rounds = [(k, inner) for k in (0, 1) for inner in (90, 2, 1, 0)]
    assert [line[2:] for line in log.lines] == [*rounds, (70, 90)]
    assert z.tolist() == [70, 90]


@pytest.mark.parametrize("threads", THREADS)
def test_calls_wait_for_what_they_read(threads: int, kernels: Library) -> None:
    log = Log(kernels)
    Table([log.call(parallel=i % 3 != 2) for i in range(99)], zeros(2)).run(threads)
    parts = [line[1] for line in log.lines]
    assert parts == ([threads] * 2 * threads + [1]) * 33


def test_a_serial_call_after_a_loop_of_parallel_ones_waits_too(kernels: Library) -> None:
    log = Log(kernels)
    Table([Loop(0, 20, [log.call(parallel=True)]), log.call()], zeros(2)).run(3)
    assert [line[2] for line in log.lines] == [k for k in range(20) for _ in range(3)] + [0]


def test_unordered_calls_do_not_wait_for_each_other(kernels: Library) -> None:
    counts = zeros(2)
    wait = Call(kernels.function("wait_long"), addresses(counts), unordered=True)
    first = Call(kernels.function("wait_long"), addresses(counts), parallel=False)
    Table([first, wait, wait], zeros(2)).run(2)
    assert counts.tolist() == [3, 2]


def test_the_items_of_a_table_can_be_run_one_after_the_other(kernels: Library) -> None:
    x, y = np.linspace(-1.0, 1.0, ROWS), np.zeros(ROWS)
    table = Table(toy(kernels, x, y), zeros(2))
    for i in range(len(table.items)):
        table.run_items(i, i + 1, threads=2)
    assert x.tobytes() + y.tobytes() == bits(kernels, 1)


def test_addresses_are_read_anew_in_every_run(kernels: Library) -> None:
    x, y = np.zeros(ROWS), np.zeros(ROWS)
    buffers = addresses(x)
    table = Table([Call(kernels.function("own_row"), buffers)], zeros(1))
    table.run()
    buffers[0] = y.ctypes.data
    table.run(2)
    assert np.array_equal(x, np.arange(1.0, ROWS + 1)) and np.array_equal(x, y)


def test_tables_that_make_no_sense_are_refused(kernels: Library) -> None:
    call = Call(kernels.function("own_row"), addresses(np.zeros(ROWS)))
    for items, z in (([Loop(2, 1, [call])], zeros(2)), ([call], np.zeros(2)), ([Loop(-1, 1, [])], zeros(2))):
        with pytest.raises(CompilerError, match="native"):
            Table(items, z)
    with pytest.raises(CompilerError, match="addresses"):
        Table([Call(call.function, np.zeros(2, np.int32))], zeros(1))
    with pytest.raises(BackendError, match="1025 size variables"):
        Table([], zeros(run.MOST_SLOTS + 1))


# ---------------------------------------------------------------- threads
@pytest.mark.parametrize("threads", THREADS)
def test_the_bits_are_the_same_with_any_number_of_threads(threads: int, kernels: Library) -> None:
    assert len({bits(kernels, threads) for _ in range(20)} | {bits(kernels, 1)}) == 1


def test_threads_are_made_once(kernels: Library) -> None:
    log = Log(kernels)
    table = Table([log.call(parallel=True)], zeros(2))
    table.run(3)
    before = len(os.listdir("/proc/self/task"))
    for threads in (2, 3, 2, 1, 3):
        table.run(threads)
    assert run.runtime().zh_workers() >= 2
    assert len(os.listdir("/proc/self/task")) == before


def test_more_threads_than_the_run_time_has_are_cut_down(kernels: Library) -> None:
    log = Log(kernels)
    assert Table([log.call(parallel=True)], zeros(2)).run(100_000) == len(log.lines) <= 256
    run.runtime().zh_stop()


def test_a_stopped_pool_starts_again(kernels: Library) -> None:
    wanted = bits(kernels, 2)
    run.runtime().zh_stop()
    assert run.runtime().zh_workers() == 0
    assert bits(kernels, 2) == wanted


def test_workers_that_went_to_sleep_are_woken(kernels: Library) -> None:
    log = Log(kernels)
    table = Table([log.call(parallel=True)], zeros(2))
    for count in range(1, 8):
        table.run(3)
        assert len(log.lines) == 3 * count
        time.sleep(0.004)


def test_a_thread_that_is_late_is_waited_for(kernels: Library) -> None:
    counts = zeros(2)
    slow = Call(kernels.function("wait_long"), addresses(counts), parallel=False)
    log = Log(kernels)
    Table([slow, log.call(parallel=True), slow, log.call(parallel=True)], zeros(2)).run(2)
    assert counts.tolist() == [2, 0] and len(log.lines) == 4


def run_in_threads(kernels: Library, threads: Sequence[int]) -> list[bytes]:
    found: list[bytes] = []
    runners = [threading.Thread(target=lambda n=n: found.extend(bits(kernels, n) for _ in range(5))) for n in threads]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(60)
    return found


def test_python_threads_may_run_tables_at_once(kernels: Library) -> None:
    found = run_in_threads(kernels, [1, 2, 2, 3])
    assert len(found) == 20 and set(found) == {bits(kernels, 1)}


def test_python_goes_on_during_a_run(kernels: Library) -> None:
    counts = zeros(2)
    table = Table([Loop(0, 10, [Call(kernels.function("wait_long"), addresses(counts))])], zeros(1))
    runner = threading.Thread(target=table.run, args=(2,))
    runner.start()
    turns = 0
    while runner.is_alive():
        turns += 1
        time.sleep(0.001)
    assert turns > 20 and counts.tolist() == [10, 10]


# ---------------------------------------------------------------- processes
def in_child(kernels: Library, threads: int) -> bytes:
    """What a forked child computes."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(60)
        try:
            os.write(writing, bits(kernels, threads))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found = pipe.read()
    os.waitpid(child, 0)
    return found


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_runs_on_threads_of_its_own(kernels: Library) -> None:
    wanted = bits(kernels, 2)
    for _ in range(5):
        assert in_child(kernels, 2) == wanted
        assert bits(kernels, 2) == wanted


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_in_the_middle_of_a_run_harms_neither(kernels: Library) -> None:
    wanted, found = bits(kernels, 1), []
    runner = threading.Thread(target=lambda: found.extend(bits(kernels, 2) for _ in range(40)))
    runner.start()
    children = [in_child(kernels, 3) for _ in range(8)]
    runner.join(60)
    assert set(children) == {wanted} and set(found) == {wanted} and len(found) == 40


PROGRAM = """
import sys
import numpy as np
from zhdsl.backends.native import library, run
kernel = library.load(["void k(void **b, const long *z, long part, long parts) { ((long *)b[0])[part] = part + 1; }"])
out = np.zeros(2, np.int64)
table = run.Table([run.Call(kernel[0].function("k"), np.array([out.ctypes.data], np.uint64))], np.zeros(1, np.int64))
table.run(2)
print(out.tolist())
"""


def test_a_process_ends_at_once_when_its_work_is_done(fresh: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1, 2]\n", "")


def test_the_number_of_threads_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZH_THREADS", "3")
    assert run.wanted() == 3
    monkeypatch.delenv("ZH_THREADS")
    assert run.wanted() == run.cores()
    monkeypatch.setenv("ZH_THREADS", "none")
    with pytest.raises(BackendError, match="a number from 1 on"):
        run.wanted()
