"""Progress on stderr: a bar in a terminal, else a plain line every 10 seconds."""

import shutil
import sys
import time
from datetime import timedelta

from mixup_cli.cli import raise_received

LINE_SECONDS = 10


class Progress:
    """Call it with (done, total); use it as a context manager so that the bar is closed."""

    def __init__(self, quiet=False, stream=None):
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.bar = None
        self.started = self.last_line = time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.bar is not None:
            self.bar.close()

    def __call__(self, done, total):
        raise_received()
        if self.quiet:
            return
        try:
            self._show(done, total)
        except OSError:  # whoever read stderr is gone: no reason to stop the job
            self.quiet, self.bar = True, None

    def _show(self, done, total):
        if self.stream.isatty():
            if self.bar is None:
                from tqdm import tqdm  # nobody waits for it who shows no bar

                tqdm.monitor_interval = 0  # no thread: worker processes are forked from this one
                # In a terminal that gives no size tqdm draws nothing; shutil falls back to 80 x 24.
                columns, rows = shutil.get_terminal_size()
                self.bar = tqdm(
                    total=total, unit=" images", file=self.stream, ncols=columns, nrows=rows
                )
            # Staged images of a shard that was dropped and tried again are counted once.
            self.bar.update(max(0, done - self.bar.n))
        elif time.monotonic() - self.last_line >= LINE_SECONDS:
            self.last_line = time.monotonic()
            print(self._line(done, total), file=self.stream, flush=True)

    def _line(self, done, total):
        rate = done / (time.monotonic() - self.started)
        left = timedelta(seconds=round((total - done) / rate)) if rate else "?"
        return f"{done:,} of {total:,} images, {rate:,.0f} images/s, {left} left"
