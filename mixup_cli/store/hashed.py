"""A new file that knows the digest of what was written to it."""

import hashlib
import os

from mixup_cli.store import disk


class HashedFile:
    """Written from its start to its end; closed by close(sync), or by drop() if it is given up."""

    closed = False  # for pyarrow, which takes it for a file of its own kind

    def __init__(self, path):
        self.path, self.num_bytes = path, 0
        self.hash = hashlib.blake2b(digest_size=16)
        self.file = open(path, "wb")  # noqa: SIM115

    @property
    def digest(self):
        return self.hash.hexdigest()

    def write(self, data):
        with disk.naming(self.path):
            self.file.write(data)
        self.hash.update(data)
        self.num_bytes += len(data)
        return len(data)

    def tell(self):
        return self.num_bytes

    def flush(self):
        with disk.naming(self.path):
            self.file.flush()

    def close(self, sync=False):
        with disk.naming(self.path):
            if not self.file.closed:
                with self.file:
                    self.file.flush()
                    if sync:
                        os.fsync(self.file.fileno())

    def drop(self):
        self.file.close()
