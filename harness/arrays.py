"""Named arrays in one file: safetensors, written without a copy, flushed to the disk, checksummed, never pickled."""

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


class Checksum(NamedTuple):
    """What a file must still be when it is read back: its length in bytes and the CRC-32 of its content."""

    size: int
    crc32: int


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> Checksum:
    """Write arrays of any shape (0-d too) and of every bool, integer and float dtype. They are on the disk when this returns.

    The safetensors library has a writer, but it hides the error number of a full disk and computes no checksum.
    Raises OSError as the system reports it; TypeError, which names the entry, for another dtype.
    """
    header: dict[str, dict[str, object]] = {}
    parts: list[np.ndarray] = []
    offset = 0
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
    return write_bytes(path, len(text).to_bytes(8, "little"), text, *(part.reshape(-1).view(np.uint8).data for part in parts))


def write_bytes(path: Path, *parts: bytes | memoryview) -> Checksum:
    """Write the parts one after the other and flush them to the disk -> the file's checksum. Raises OSError."""
    size = crc = 0
    with open(path, "wb", buffering=0) as file:
        for part in parts:
            view = memoryview(part)
            size, crc = size + view.nbytes, zlib.crc32(view, crc)
            while view.nbytes:  # an unbuffered write may take only a part
                view = view[file.write(view) :]
        os.fsync(file.fileno())
    return Checksum(size, crc)


def read(path: Path) -> Arrays:
    """Inverse of `write`, bit for bit; the arrays are writable and own their memory."""
    return load_file(path)


def checksum(path: Path) -> Checksum:
    """The checksum of a file as it is on the disk. Raises OSError where it cannot be read."""
    size = crc = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            size, crc = size + len(block), zlib.crc32(block, crc)
    return Checksum(size, crc)
