"""mixup augment against what else does the job, whole commands in turn on the same files.

DATA holds photos/ and cifar/, each a folder of classes; every image is taken five times, by hard
link. Input and output lie below --disk, which may be given more than once. Peers whose packages are
missing are left out, and named.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import click
import measure

PEERS = Path(__file__).parent / "peers"
NEEDS = {"tutorial": "PIL", "torch_loader": "torch", "opencv_pool": "cv2", "floor": "PIL"}
TIMES = 5
# what is done, dataset, size, copies, the peers that can do it and the ratios we aim at
WORK = (
    ("photos to 224", "photos", 224, 1, {"tutorial": 12, "torch_loader": 10, "opencv_pool": 1.6, "floor": 1 / 1.4}),
    ("photos to 224, 5 copies", "photos", 224, 5, {"opencv_pool": 4.5}),
    ("10,000 of 32x32", "cifar", 0, 1, {"opencv_pool": 1.7, "tutorial": 6, "torch_loader": None}),
)


def ours(source, size, copies, *more):
    options = [*(("--size", str(size)) if size else ()), "--copies", str(copies), "--quiet", *more]
    return lambda out: [sys.executable, "-m", "mixup_cli", "augment", source, out, *options]


def peer(python, name, source, size, times):
    """The command of a peer; what makes one copy is run as often as copies are wanted."""
    repeated = (
        "import subprocess, sys\n"
        "for k in range(int(sys.argv[1])):\n"
        "    subprocess.run([*sys.argv[2:5], f'{sys.argv[5]}-{k}', sys.argv[6]], check=True)"
    )
    script = str(PEERS / f"{name}.py")
    if times == 1:
        return lambda out: [python, script, source, out, size]
    return lambda out: [sys.executable, "-c", repeated, times, python, script, source, out, size]


def has(python, module):
    return not subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode


def row(work, name, us, them, aim):
    ratio = them.wall / us.wall
    note = "" if aim is None else f"{aim:.3g}" if ratio >= aim else f"{aim:.3g}, missed"
    print(
        f"| {work} | {name} | {us.wall:.2f} | {them.wall:.2f} | **{ratio:.2f}** | {note} |"
        f" {us.cpu:.2f} | {them.cpu:.2f} | {us.peak / 1e6:.0f} | {them.peak / 1e6:.0f} |", flush=True
    )


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--disk", "disks", multiple=True, default=["/dev/shm", "."], show_default=True,
              type=click.Path(exists=True, file_okay=False))
@click.option("--rounds", default=5, show_default=True)
@click.option("--torch", "torch_python", default=sys.executable,
              help="A Python that has torch and torchvision; by default this one.")
@click.option("--only", default="", help="Only the rows whose work or peer contains this text.")
def main(data, disks, rounds, torch_python, only):
    python = {name: torch_python if name == "torch_loader" else sys.executable for name in NEEDS}
    missing = [name for name, module in NEEDS.items() if not has(python[name], module)]
    if missing:
        print(f"Left out, their packages are missing: {', '.join(missing)}\n")
    print(measure.machine())
    for disk in disks:
        print(f"\n`--disk {disk}`\n")
        print("| work | against | ours, s | theirs, s | theirs / ours | at least | our CPU, s | their CPU, s | our peak, MB | their peak, MB |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        with tempfile.TemporaryDirectory(dir=disk) as folder:
            root = Path(folder)
            sources = {name: measure.hard_links(data / name, root / name, TIMES) for name in ("photos", "cifar")}
            pairs = [
                (work, name, ours(sources[source], size, copies),
                 peer(python[name], name, sources[source], size, copies), aim)
                for work, source, size, copies, peers in WORK for name, aim in peers.items()
                if name not in missing
            ]
            photos = sources["photos"]
            pairs += [
                ("photos to 224, --jobs 2", "--jobs 1", ours(photos, 224, 1, "--jobs", 2),
                 ours(photos, 224, 1, "--jobs", 1), 1.85),
                ("photos to 224, 5 copies, --jobs 2", "--jobs 1", ours(photos, 224, 5, "--jobs", 2),
                 ours(photos, 224, 5, "--jobs", 1), 1.85),
                ("photos, native size", "--jobs 1", ours(photos, 0, 1), ours(photos, 0, 1, "--jobs", 1), None),
                ("mixup --help", "import click", lambda out: [sys.executable, "-m", "mixup_cli", "--help"],
                 lambda out: [sys.executable, "-c", "import click"], 1 / 1.5),
            ]
            for k, (work, name, us, them, aim) in enumerate(pairs):
                if only in f"{work} {name}":
                    outs = root / f"out-{k}"
                    outs.mkdir()
                    found = measure.in_turn({"ours": us, "theirs": them}, rounds, outs)
                    row(work, name, found["ours"], found["theirs"], aim)


if __name__ == "__main__":
    main()
