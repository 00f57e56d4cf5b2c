"""Where the time of a shard goes: the stages of the first shards of IN, timed in one process.

IN is a folder of classes. The stages are those of the program itself, each wrapped in a clock; what
runs inside another stage counts there alone. The output goes to a folder below --disk.
"""

import functools
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import click
import measure

from mixup_cli import png, render
from mixup_cli import run as augment
from mixup_cli.canvas import Canvas
from mixup_cli.cli.options import Size
from mixup_cli.plan import PlanOptions
from mixup_cli.provenance import Options
from mixup_cli.store import StagedShard, Store

STAGES = (
    (render, "read_source", "read a file"),
    (render, "decode", "decode"),
    (render, "prepare", "orientation, colour, size"),
    (render, "match", "bring a pair to one shape"),
    (render, "blend", "blend"),
    (png, "_filter_average", "PNG filter"),
    (render, "encode_pngs", "PNG deflate, checksums"),
    (StagedShard, "write", "write a file"),
    (StagedShard, "commit", "sync and commit"),
)


class Clock:
    """Seconds of each stage, less those of the stages inside it."""

    def __init__(self):
        self.seconds, self.calls, self.inner = {}, {}, [0.0]

    def timed(self, name, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            start = time.perf_counter()
            self.inner.append(0.0)
            try:
                return function(*args, **kwargs)
            finally:
                spent = time.perf_counter() - start
                own = spent - self.inner.pop()
                self.inner[-1] += spent
                self.seconds[name] = self.seconds.get(name, 0.0) + own
                self.calls[name] = self.calls.get(name, 0) + 1

        return wrapped


@click.command(help=__doc__)
@click.argument("source", metavar="IN", type=click.Path(exists=True, file_okay=False))
@click.option("--size", type=Size(), help="As of mixup augment.")
@click.option("--copies", default=1, show_default=True)
@click.option("--shards", default=8, show_default=True, help="How many shards are rendered.")
@click.option("--disk", default="/dev/shm", show_default=True, type=click.Path(exists=True))
def main(source, size, copies, shards, disk):
    clock = Clock()
    for place, name, words in STAGES:
        setattr(place, name, clock.timed(words, getattr(place, name)))
    options = Options(PlanOptions(copies=copies), Canvas(size))
    dataset, plan = augment.read_and_plan(source, options)
    with tempfile.TemporaryDirectory(dir=disk) as folder, Store(Path(folder, "out")) as store:
        store.begin({}, iter(()))
        jobs = [augment.shard_job(dataset, plan, k, store, options) for k in range(min(shards, plan.num_shards))]
        render.render_shard(replace(jobs[0], folder="99999"))  # warms the caches and does not count
        clock.seconds.clear(), clock.calls.clear()
        start = time.perf_counter()
        outputs = sum(len(job.files) - len(render.render_shard(job).dropped) for job in jobs)
        total = time.perf_counter() - start
    print(f"{measure.machine()}\n\n{outputs:,} outputs in {len(jobs)} shards, one process\n")
    print("| stage | calls | ms for each output | share |\n| --- | --- | --- | --- |")
    rest = total - sum(clock.seconds.values())
    for name, seconds in [*sorted(clock.seconds.items(), key=lambda item: -item[1]), ("the rest", rest)]:
        calls = f"{clock.calls[name]:,}" if name in clock.calls else ""
        print(f"| {name} | {calls} | {1000 * seconds / outputs:.3f} | {seconds / total:.0%} |")
    print(f"| all | | {1000 * total / outputs:.3f} | |")


if __name__ == "__main__":
    main()
