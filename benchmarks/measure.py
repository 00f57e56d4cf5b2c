"""Whole commands, timed in turn: A B A B …, medians and ratios of one run.

Absolute times differ from machine to machine and from hour to hour; ratios of neighbours hold.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """wall and cpu in seconds; peak: bytes of the largest process that the command was or started."""

    wall: float
    cpu: float
    peak: int


def run(command):
    """Run one command to its end. Raises RuntimeError with what it said if it failed."""
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{command}: exit code {process.returncode}: {said.decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def in_turn(commands, rounds, folder):
    """Run commands in turn; returns name -> the medians of each, as a Measured.

    commands: name -> function of the path of an output folder, which returns the command that
    writes it. Each run has a new one below `folder`, and all stay until the end: ext4 searches long
    for an inode where many were deleted within the last minute. The first round warms the caches
    and does not count.
    """
    runs = {name: [] for name in commands}
    for round_ in range(rounds + 1):
        for name, command in commands.items():
            if hasattr(os, "sync"):
                os.sync()  # what an earlier run left unwritten is not this one's to wait for
            measured = run(command(Path(folder, f"{name}-{round_}".replace(" ", "-"))))
            if round_:
                runs[name].append(measured)
    return {
        name: Measured(*(statistics.median(getattr(m, field) for m in found)
                         for field in ("wall", "cpu", "peak")))
        for name, found in runs.items()
    }


def hard_links(source, out, times):
    """A folder of classes whose images are those of `source`, each several times."""
    for path in sorted(source.glob("*/*")):
        folder = out / path.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        first = folder / f"{path.stem}-0{path.suffix}"
        first.write_bytes(path.read_bytes())
        for k in range(1, times):
            os.link(first, folder / f"{path.stem}-{k}{path.suffix}")
    return out


def machine():
    """One line on what was measured where."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = models[0].split(":")[1].strip() if models else model
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("numpy", "pillow", "isal", "simplejpeg")
    )
    return (
        f"{cpus} CPUs of {model}, {platform.system()} {platform.release().split('-')[0]},"
        f" Python {platform.python_version()}, {versions}"
    )
