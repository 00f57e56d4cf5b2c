"""Draw the README's pictures, each by the command that a user would type.

    pip install '.[report]' && python docs/draw_pictures.py

The screenshot of the report needs Chromium (Debian: chromium); without it that one is left as it is.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent.resolve()
SAMPLES = DOCS.parent / "sample_data"
BROWSER = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--window-size=1100,1430",
)


def mixup(*arguments):
    """Run mixup in the repository, so that its pictures name no path of this machine."""
    command = [sys.executable, "-m", "mixup_cli", *map(str, arguments)]
    subprocess.run(command, check=True, cwd=SAMPLES.parent)


def screenshot(page, picture, profile):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print(f"no Chromium: {picture} is left as it is")
        return
    command = [chromium, *BROWSER, f"--user-data-dir={profile}", f"--screenshot={picture}", page]
    subprocess.run(command, check=True, timeout=120)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        cat, boat = "sample_data/cat/cat-01.jpg", "sample_data/boat/boat-01.jpg"
        mixup("preview", cat, boat, "-o", DOCS / "grid.png")
        mixup("preview", "sample_data/", "--alpha", "2", "--pair", "different", "--size", "160",
              "--rows", "4", "-o", DOCS / "sheet.png")
        mixup("alpha", "0.1", "0.2", "1", "8", "-o", DOCS / "beta.png")
        mixup("augment", "sample_data/", out, "--alpha", "0.4", "--copies", "10", "--size", "160",
              "--report")
        screenshot((out / "report.html").as_uri(), DOCS / "report.png", Path(folder, "profile"))
