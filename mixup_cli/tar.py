"""Tar files: members whose bytes depend on name and content alone, and an index of where they lie."""

import re
import struct
import tarfile

from mixup_cli.errors import InputError

BLOCK = 512
END = bytes(2 * BLOCK)
LARGEST = 8 ** 11  # bytes of a member that a plain header can say


def member(name, data):
    """The bytes of a file in a tar (POSIX.1-1988, ustar): of root, mode 644, of 1970."""
    return b"".join((header(name, len(data)), data, bytes(-len(data) % BLOCK)))


def header(name, size):
    """The 512 bytes before a member of `size` bytes; name: at most 100 bytes of ASCII."""
    if size >= LARGEST:  # GNU's binary number
        length = b"\x80" + size.to_bytes(11)
    else:
        length = b"%011o\0" % size
    block = bytearray(struct.pack(
        "100s8s8s8s12s12s8sc100s8s247x", name.encode("ascii"), b"0000644\0", b"0000000\0",
        b"0000000\0", length, b"%011o\0" % 0, b" " * 8, b"0", b"", b"ustar\x0000",
    ))
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def file_of(path):
    """The tar that a member's path begins with: a/b.tar of a/b.tar/c/d.png."""
    return path[: re.search(r"\.tar/", path, re.IGNORECASE).end() - 1]


def index(path, file):
    """Yield (name, offset, size) of the regular files of an open tar. Raises InputError with `path`
    if it is damaged, cut short or compressed."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            end = 0
            for entry in archive:
                if entry.isfile():
                    yield entry.name, entry.offset_data, entry.size
                end = entry.offset_data + (entry.size if entry.isfile() else 0)
            file.seek(end + -end % BLOCK)
            if file.read(BLOCK) != bytes(BLOCK):  # tarfile takes any end for the end
                raise InputError(f"{path}: cut short; copy it again")
    except (tarfile.TarError, EOFError) as e:
        raise InputError(f"{path}: no tar file that can be read ({e}); give it whole, uncompressed") from e
