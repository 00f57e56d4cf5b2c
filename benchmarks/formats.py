"""The formats of a shard against loose files: 10,000 images of 32x32, in turn.

DATA holds cifar/, a folder of classes; every image is taken five times, by hard link. The output goes
to a folder of --disk.
"""

import sys
import tempfile
from pathlib import Path

import click
import measure

TIMES = 5
FORMATS = ("folder", "webdataset", "parquet")
BLOCK = 512  # what st_blocks counts


def on_disk(folder):
    """(files, bytes that they take up) below images/."""
    paths = [path for path in (folder / "images").rglob("*") if path.is_file()]
    return len(paths), sum(getattr(p.stat(), "st_blocks", p.stat().st_size / BLOCK) * BLOCK for p in paths)


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--disk", "disks", multiple=True, default=["/dev/shm", "."], show_default=True,
              type=click.Path(exists=True, file_okay=False))
@click.option("--rounds", default=5, show_default=True)
def main(data, disks, rounds):
    print(measure.machine())
    for disk in disks:
        print(f"\n`--disk {disk}`\n")
        print("| `--format` | wall, s | folder / it | CPU, s | folder / it | files | MB on disk |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
        with tempfile.TemporaryDirectory(dir=disk) as folder:
            root = Path(folder)
            source = measure.hard_links(data / "cifar", root / "cifar", TIMES)
            command = [sys.executable, "-m", "mixup_cli", "augment", source, "--quiet", "--format"]
            commands = {name: lambda out, name=name: [*command, name, out] for name in FORMATS}
            outs = root / "outs"
            outs.mkdir()
            found = measure.in_turn(commands, rounds, outs)
            loose = found["folder"]
            for name, it in found.items():
                files, size = on_disk(outs / f"{name}-1")
                print(
                    f"| `{name}` | {it.wall:.2f} | **{loose.wall / it.wall:.2f}** | {it.cpu:.2f} |"
                    f" {loose.cpu / it.cpu:.2f} | {files:,} | {size / 1e6:.1f} |", flush=True
                )


if __name__ == "__main__":
    main()
