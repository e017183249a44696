"""Runs in processes of their own are killed, interrupted, crowded and starved of disk; the result stays the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.train.runs import bytes_of, command, model, run, start
from zhdsl.errors import TrainingError
from zhdsl.runtime import checkpoint
from zhdsl.train.report import Silent
from zhdsl.train.run_folder import locked, new_folder

EPOCHS = 4


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a run that nothing happened to."""
    folder = tmp_path_factory.mktemp("unbroken") / "r"
    run(folder, epochs=EPOCHS)
    return bytes_of(folder)


def until_training(process: subprocess.Popen[str]) -> str:
    """Waits for the first measured epoch, the first sign of training."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if line.startswith(("epoch ", "going on")):
            break
    return seen


def kill_rounds(folder: Path, rounds: int, seed: int) -> int:
    """Starts and kills a run again and again, at random moments; returns how often it was killed in the middle."""
    draw, killed = random.Random(seed), 0
    for _ in range(rounds):
        process = start(folder, "--resume", "--slow", "0.004")
        if draw.random() < 0.8:
            until_training(process)
        time.sleep(draw.random() * 0.12)
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        assert_whole(folder)
    return killed


def assert_whole(folder: Path) -> None:
    """What has been acknowledged is there, whole: a kill leaves old or new, never less."""
    if (folder / checkpoint.LAST).exists():
        checkpoint.read(folder / checkpoint.LAST)
    if (folder / checkpoint.BEST).exists():
        checkpoint.read(folder / checkpoint.BEST)


def test_a_run_killed_at_random_moments_ends_in_the_same_bytes(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    assert kill_rounds(tmp_path / "r", 5, seed=1) >= 3
    run(tmp_path / "r", resume=True, epochs=EPOCHS)
    assert bytes_of(tmp_path / "r") == unbroken
    assert not list((tmp_path / "r").glob(".zh-*"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_runs_killed_thirty_times_end_in_the_same_bytes(seed: int, tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    kill_rounds(tmp_path / "r", 5, seed=100 + seed)
    run(tmp_path / "r", resume=True, epochs=EPOCHS)
    assert bytes_of(tmp_path / "r") == unbroken


@pytest.mark.parametrize(
    ("number", "codes"),
    [(signal.SIGINT, (1, 130, -signal.SIGINT)), (signal.SIGTERM, (143,)), (signal.SIGHUP, (129,))],
)
def test_an_interrupt_finishes_the_step_saves_and_says_how_to_go_on(
    number: signal.Signals, codes: tuple[int, ...], tmp_path: Path, unbroken: dict[str, bytes]
) -> None:
    process = start(tmp_path / "r", "--slow", "0.05", "--save", "60")
    until_training(process)
    started = time.monotonic()
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode in codes, output
    assert time.monotonic() - started < 5
    assert "interrupted after" in output
    assert f"go on with: zh train line.zh --resume {tmp_path / 'r'}" in output
    found, _ = checkpoint.newest(tmp_path / "r")
    assert found is not None
    assert 0 < found.record.step < 24
    run(tmp_path / "r", resume=True, epochs=EPOCHS)
    assert bytes_of(tmp_path / "r") == unbroken


def test_a_second_interrupt_ends_at_once(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    process = start(tmp_path / "r", "--slow", "3", "--save", "0")
    line = process.stdout.readline() if process.stdout else ""
    while not (tmp_path / "r" / checkpoint.LAST).exists():
        assert process.poll() is None, line
        time.sleep(0.02)
    time.sleep(0.3)  # now it is in its first step, which takes three seconds
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT  # a shell shows 130
    assert time.monotonic() - started < 2
    run(tmp_path / "r", resume=True, epochs=EPOCHS)
    assert bytes_of(tmp_path / "r") == unbroken


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    process = start(tmp_path / "r", "--slow", "0.03")
    until_training(process)
    with pytest.raises(TrainingError, match=rf"r is being written by process {process.pid} on .*\nhelp: wait"):
        run(tmp_path / "r", resume=True, epochs=EPOCHS)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert bytes_of(tmp_path / "r") == unbroken


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path: Path) -> None:
    process = start(tmp_path / "r", "--slow", "0.05")
    until_training(process)
    process.kill()
    process.communicate()
    assert (tmp_path / "r" / "lock").read_text().startswith(f"process {process.pid} on ")
    with locked(tmp_path / "r"):
        assert (tmp_path / "r" / "lock").read_text().startswith(f"process {os.getpid()} on ")
    assert (tmp_path / "r" / "lock").read_text() == ""


def test_folders_are_numbered_and_never_shared(tmp_path: Path) -> None:
    made = [new_folder(tmp_path / "runs", "Line") for _ in range(3)]
    (tmp_path / "runs" / "Line-17").mkdir()
    (tmp_path / "runs" / "Line-x").mkdir()
    made.append(new_folder(tmp_path / "runs", "Line"))
    assert [p.name for p in made] == ["Line-1", "Line-2", "Line-3", "Line-18"]


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Path:
    """A disk of 28 kB."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a tiny disk needs root")
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=28k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    return place


def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(tiny_disk: Path, unbroken: dict[str, bytes]) -> None:
    try:
        folder = tiny_disk / "r"
        process = subprocess.run(
            command(folder, "--epochs", str(EPOCHS)), cwd=ROOT, text=True, check=False, capture_output=True, timeout=60
        )
        assert process.returncode != 0
        assert "No space left on device" in process.stdout + process.stderr
        assert "bytes needed" in process.stdout + process.stderr
        found, _ = checkpoint.newest(folder)
        assert found is not None
        subprocess.run(["mount", "-o", "remount,size=400k", str(tiny_disk)], check=True)
        run(folder, resume=True, epochs=EPOCHS)
        assert bytes_of(folder) == unbroken
    finally:
        subprocess.run(["umount", str(tiny_disk)], check=True)


def test_two_runs_in_one_process_are_as_if_each_were_alone(tmp_path: Path, unbroken: dict[str, bytes]) -> None:
    names = ["a", "b", "c"]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: run(tmp_path / name, epochs=EPOCHS, save_seconds=0), names))
    for name in names:
        assert bytes_of(tmp_path / name) == unbroken


@pytest.mark.slow
def test_a_long_run_grows_neither_memory_nor_open_files_nor_slower() -> None:
    seen: list[tuple[float, int, int]] = []

    class Watch(Silent):
        def epoch(self, record: Mapping[str, Any], last: bool) -> None:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            seen.append((time.process_time(), resident, len(os.listdir("/proc/self/fd"))))

    run(None, m=model(device="numpy", noise=False), epochs=8000, every=1000, reporters=[Watch()])
    times, sizes, files = zip(*seen, strict=True)
    assert len(seen) == 8
    assert sizes[-1] < 1.01 * sizes[1]
    assert files[-1] == files[0]
    assert times[-1] - times[-3] < 1.3 * (times[3] - times[1])
