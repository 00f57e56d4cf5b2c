"""mixup.json: sealed by its own digest, and read back."""

import hashlib
import json
from pathlib import Path

from mixup_cli.errors import InputError


def sealed(record):
    """The text of mixup.json: the record, and last the digest of the text without that line."""
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return json.dumps({**record, "digest": digest}, indent=2, ensure_ascii=False) + "\n"


def read_record(folder):
    """What mixup.json of an output folder holds. Raises InputError if it is not there as written."""
    path = Path(folder, "mixup.json")
    try:
        text = path.read_bytes()
        record = json.loads(text)
        record.pop("digest")
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}; this is no complete output of a run") from e
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as e:
        raise InputError(f"{path}: damaged, not as a run wrote it") from e
    if sealed(record).encode() != text:
        raise InputError(f"{path}: damaged, its digest does not hold")
    return record


def file_digest(path, span=None):
    """BLAKE2b of a file, or of its part span, (offset, size); 16 bytes in hex."""
    with open(path, "rb") as file:
        if span is not None:
            file.seek(span[0])
            return hashlib.blake2b(file.read(span[1]), digest_size=16).hexdigest()
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
