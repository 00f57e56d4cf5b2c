"""What durability costs: mixup augment with the sync and with --no-sync, in turn.

DATA holds photos/ and cifar/, each a folder of classes; the output goes to a folder of --disk, whose
file system is the one that is measured.
"""

import sys
import tempfile
from pathlib import Path

import click
import measure

WORK = (("photos", 5, ("--size", "224")), ("photos", 5, ("--size", "224", "--copies", "5")), ("cifar", 5, ()))


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--disk", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--rounds", default=5, show_default=True)
def main(data, disk, rounds):
    print(f"{measure.machine()}\n")
    print("| work | outputs | sync, s | --no-sync, s | ratio | sync, CPU s | --no-sync, CPU s |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=disk) as folder:
        root = Path(folder)
        for name, times, options in WORK:
            source = root / f"{name}-{times}"
            if not source.exists():
                measure.hard_links(data / name, source, times)
            command = [sys.executable, "-m", "mixup_cli", "augment", source, "--quiet", *options]
            outs = root / f"out-{'-'.join((name, *options))}"
            outs.mkdir()
            found = measure.in_turn({
                "sync": lambda out, command=command: [*command, out],
                "none": lambda out, command=command: [*command, "--no-sync", out],
            }, rounds, outs)
            sync, none = found["sync"], found["none"]
            outputs = sum(1 for _ in (outs / "sync-0/images").rglob("*.png"))
            print(
                f"| {' '.join((name, *options))} | {outputs:,} | {sync.wall:.2f} | {none.wall:.2f} |"
                f" {sync.wall / none.wall:.2f} | {sync.cpu:.2f} | {none.cpu:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
