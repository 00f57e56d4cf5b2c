"""1, 2 and 4 Dask workers beside as many processes of the pool, on this machine and in turn; and
what a shard costs beyond its images.

DATA holds photos/, a folder of classes; every image is taken five times, by hard link. A shard's
overhead is the time of SHARDS shards of one tiny image each, less that of one shard with all of them,
for each shard.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import measure

TIMES, SHARDS = 5, 500
WORKERS = (1, 2, 4)
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@contextlib.contextmanager
def cluster(folder, workers):
    """The address of a scheduler with so many workers of one thread."""
    folder.mkdir()
    dask = [sys.executable, "-m"]
    processes = [subprocess.Popen(
        [*dask, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
         "--scheduler-file", folder / "scheduler.json"], cwd=folder, **QUIET)]
    try:
        while not (folder / "scheduler.json").exists():
            time.sleep(0.1)
        address = json.loads((folder / "scheduler.json").read_text())["address"]
        processes.append(subprocess.Popen(
            [*dask, "distributed.cli.dask_worker", address, "--nworkers", str(workers), "--nthreads", "1",
             "--no-dashboard", "--local-directory", folder], cwd=folder, **QUIET))
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def plans(source, folder):
    """Two plans of the same SHARDS rows: a shard for each row, and all in one."""
    names = sorted(path.relative_to(source).as_posix() for path in source.glob("*/*"))[:2]
    for name, place in (("many", "images/{0:05}/{0:08}.png"), ("one", "images/00000/{0:08}.png")):
        rows = "".join(f"{place.format(i)},{names[0]},{names[1]},0.3\n" for i in range(SHARDS))
        (folder / f"{name}.csv").write_text(f"file_name,source_a,source_b,lam\n{rows}")


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--disk", default="/dev/shm", show_default=True, type=click.Path(exists=True, file_okay=False))
@click.option("--rounds", default=5, show_default=True)
def main(data, disk, rounds):
    print(f"{measure.machine()}\n")
    with tempfile.TemporaryDirectory(dir=disk) as folder, contextlib.ExitStack() as stack:
        root = Path(folder)
        source = measure.hard_links(data / "photos", root / "photos", TIMES)
        tiny = measure.hard_links(data / "cifar", root / "cifar", 1)
        plans(tiny, root)
        where = {}
        for n in WORKERS:
            where[f"pool {n}"] = ("--jobs", n)
            where[f"Dask {n}"] = ("--scheduler", stack.enter_context(cluster(root / f"dask-{n}", n)))
        mixup = [sys.executable, "-m", "mixup_cli"]
        found = {}
        for work, command in (
            ("photos", [*mixup, "augment", source, "--size", "224", "--copies", "5", "--quiet"]),
            ("many", [*mixup, "render", tiny, root / "many.csv", "--no-sync", "--quiet"]),
            ("one", [*mixup, "render", tiny, root / "one.csv", "--no-sync", "--quiet"]),
        ):
            outs = root / f"outs-{work}"
            outs.mkdir()
            found[work] = measure.in_turn({
                name: lambda out, command=command, options=options: [*command, *options, out]
                for name, options in where.items()
            }, rounds, outs)
            outputs = sum(1 for _ in (outs / "pool-1-1/images").rglob("*.png"))
            print(f"{work}: {outputs:,} outputs, {len(list((outs / 'pool-1-1/images').iterdir())):,} shards", flush=True)
            if work == "photos":
                photos = outputs
        print("\n| workers | wall, s | images/s | pool / Dask | a shard more, ms |")
        print("| --- | --- | --- | --- | --- |")
        for name in where:
            wall = found["photos"][name].wall
            pool = found["photos"][name.replace("Dask", "pool")].wall
            more = 1000 * (found["many"][name].wall - found["one"][name].wall) / (SHARDS - 1)
            ratio = f"**{pool / wall:.2f}**" if "Dask" in name else ""
            print(f"| {name} | {wall:.2f} | {photos / wall:,.0f} | {ratio} | {more:.2f} |")


if __name__ == "__main__":
    main()
