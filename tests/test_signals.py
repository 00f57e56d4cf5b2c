"""A signal at any step of the executors: the run ends, and what it raised is what the handler raised."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mixup_cli.engine.signals import SignalsHeld

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

AT_EACH_STEP = '''
"""Fork; in the child send SIGTERM or SIGINT at step N of the library code that shares locks with the executor's
threads, which is where Python may run a handler. N = first, first + stride, … until there is none."""
import faulthandler, os, signal, sys, time
from mixup_cli import engine

LIBRARY = ("concurrent/futures", "multiprocessing", "threading.py", "queue.py", "mixup_cli/engine")


class Stop(BaseException):
    pass


def stop(number, frame):
    raise Stop


def work(seconds):
    time.sleep(seconds)


def steps(fatal):
    """Run five jobs on two processes; how many steps that took, and whether the signal ended them."""
    seen, pid, signals = 0, os.getpid(), (signal.SIGTERM, signal.SIGINT)

    def trace(frame, event, arg):
        nonlocal seen
        if os.getpid() == pid and any(part in frame.f_code.co_filename for part in LIBRARY):
            if event == "line":
                seen += 1
                if seen == fatal:
                    print(fatal, frame.f_code.co_filename, frame.f_lineno, flush=True)
                    signal.raise_signal(signals[fatal % 2])
            return trace

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    faulthandler.dump_traceback_later(10, exit=True)
    sys.settrace(trace)
    try:
        for _ in engine.run(2, work, [0.005] * 5):
            pass
        stopped = False
    except Stop:
        stopped = True
    finally:
        sys.settrace(None)
    faulthandler.cancel_dump_traceback_later()
    for number in (signal.SIGTERM, signal.SIGINT):  # no handler was left behind: both still arrive
        try:
            signal.raise_signal(number)
            raise SystemExit(f"{number} was swallowed")
        except Stop:
            pass
    return seen, stopped


step, stride = map(int, sys.argv[1:])
while True:
    child = os.fork()
    if child == 0:
        seen, stopped = steps(step)
        os._exit(0 if stopped else 2 if seen < step else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        break
    step += stride
print("end", step, code)
sys.exit(code != 2)
'''


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1, 6))
def test_a_signal_at_each_step_of_the_pool_ends_the_run(first):
    done = subprocess.run(
        [sys.executable, "-c", AT_EACH_STEP, str(first), "5"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout[-300:]}\n{done.stderr[-3000:]}"
    assert int(done.stdout.split()[-2]) > 1000


class Stop(BaseException):
    pass


@pytest.fixture
def handler():
    def stop(number, frame):
        raise Stop(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    yield stop
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_held_signal_is_raised_at_the_end_and_a_third_one_at_once(handler):
    steps = []
    with pytest.raises(Stop):
        with SignalsHeld():
            signal.raise_signal(signal.SIGTERM)
            steps.append("held")
        steps.append("not reached")
    assert steps == ["held"] and signal.getsignal(signal.SIGTERM) is handler
    with pytest.raises(Stop), SignalsHeld(), SignalsHeld():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        steps.append("held again")
        signal.raise_signal(signal.SIGINT)
        steps.append("not reached")
    assert steps == ["held", "held again"] and signal.getsignal(signal.SIGINT) is handler


def test_a_held_signal_wins_over_an_error(handler):
    with pytest.raises(Stop):
        with SignalsHeld():
            signal.raise_signal(signal.SIGTERM)
            raise OSError("what the signal made happen")


def test_what_a_program_ignores_or_leaves_to_the_system_is_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with SignalsHeld():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_in_a_program_that_uses_the_engine_comes_at_once():
    """As Python's own handler does it: KeyboardInterrupt, while a worker is at work."""
    program = (
        "import os, signal, time\n"
        "from mixup_cli import engine\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # what started the tests may ignore it\n"
        "try:\n"
        "    for _ in engine.run(2, time.sleep, [0.2, 60]):\n"
        "        os.kill(os.getpid(), signal.SIGINT); print('sent', flush=True)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.stdout.endswith("interrupted\n") and time.monotonic() - start < 10


@pytest.mark.slow
def test_two_runs_in_two_threads_leave_one_another_alone():
    """Each ends its own workers alone."""
    program = (
        "import threading, time\n"
        "from mixup_cli import engine\n"
        "found = []\n"
        "long = threading.Thread(target=lambda: found.extend(engine.run(2, time.sleep, [0.3] * 12)))\n"
        "if __name__ == '__main__':\n"
        "    long.start()\n"
        "    while long.is_alive():\n"
        "        assert len(list(engine.run(1, time.sleep, [0.01] * 3))) == 3\n"
        "    assert len(found) == 12\n"
        "    print('both')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "both\n", "")
