"""Named arrays in one file: safetensors, streamed without a copy, durable when written, checksummed, never pickled."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file

from agents.protocol import Arrays

_CODES = {
    "bool": "BOOL", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "int8": "I8", "int16": "I16",
    "int32": "I32", "int64": "I64", "float16": "F16", "float32": "F32", "float64": "F64",
}  # fmt: skip


class Sum(NamedTuple):
    """What a file must still be when it is read back: its length in bytes and the CRC-32 of its content."""

    size: int
    crc32: int


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Sum:
    """Write any shapes (0-d too) and every bool, integer and float dtype; on disk when this returns.

    The library's own writer is not used because it hides the error number of a full disk and knows no checksum.
    Raises OSError as the system gave it; TypeError naming the entry for another dtype.
    """
    header, parts, offset = {}, [], 0
    # Widest elements first, the order of the format's own writer, keeps every array aligned.
    for name, array in sorted(arrays.items(), key=lambda item: (-np.asarray(item[1]).itemsize, item[0])):
        part = np.asarray(array, order="C")
        part = part.astype(part.dtype.newbyteorder("<"), copy=False)
        if part.dtype.name not in _CODES:
            raise TypeError(f"'{name}' has dtype {part.dtype}; a file of arrays holds {', '.join(_CODES)}")
        span = [offset, offset + part.nbytes]
        header[name] = {"dtype": _CODES[part.dtype.name], "shape": list(part.shape), "data_offsets": span}
        parts.append(part)
        offset += part.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return write_bytes(path, len(text).to_bytes(8, "little"), text, *(p.reshape(-1).view(np.uint8) for p in parts))


def write_bytes(path: Path, *parts: bytes | np.ndarray) -> Sum:
    """Write the parts one after the other, flush them to the disk and return the file's sum. Raises OSError."""
    size = crc = 0
    with open(path, "wb", buffering=0) as file:
        for part in parts:
            view = memoryview(part)
            size, crc = size + view.nbytes, zlib.crc32(view, crc)
            while view.nbytes:  # an unbuffered write may take less than it was given
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return Sum(size, crc)


def read(path: Path) -> Arrays:
    """Inverse of `write`, bit for bit; the arrays are writable and own their memory."""
    return load_file(path)


def checksum(path: Path) -> Sum:
    """The sum of a file as it lies on the disk. Raises OSError where it cannot be read."""
    size = crc = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return Sum(size, crc)
