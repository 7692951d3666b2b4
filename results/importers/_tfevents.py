"""Scalars of TensorBoard event files, read without tensorflow: TFRecord framing and a few protobuf fields.

Format: github.com/tensorflow/tensorflow, core/lib/io/record_writer.cc (framing, masked CRC-32C) and core/util/event.proto,
core/framework/summary.proto and tensor.proto (field numbers).
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import BadInput

STEP, SUMMARY = 2, 5  # Event
VALUE = 1  # Summary
TAG, SIMPLE, TENSOR = 1, 2, 8  # Summary.Value
DTYPE, CONTENT, FLOATS, DOUBLES = 1, 4, 5, 6  # TensorProto
TYPES = {1: "<f", 2: "<d", 3: "<i", 9: "<q"}  # DataType: float32, float64, int32, int64
LARGEST = 1 << 16  # bytes; longer records are images and videos; they are skipped unread

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def scalars(path: Path, notes: Counter[str]) -> Iterator[tuple[str, int, float]]:
    """`(tag, step, value)` in the order of the file. `notes` counts a cut-off last record; BadInput names a broken record."""
    for number, data in _records(path, notes):
        try:
            event = dict(_fields(data))
            for _, value in (pair for pair in _fields(event.get(SUMMARY, b"")) if pair[0] == VALUE):
                item = dict(_fields(value))
                if (scalar := _scalar(item)) is not None:
                    yield item[TAG].decode(), _signed(event.get(STEP, 0)), scalar
        except (IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, ValueError):
            raise BadInput(f"{path}, record {number}: not a TensorBoard event.") from None


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated right by 15 bits and offset, as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(path: Path, notes: Counter[str]) -> Iterator[tuple[int, bytes]]:
    """`(number, data)` of every record short enough for a scalar. A record: length (uint64), its CRC, data, their CRC."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed by the with beneath)
    except OSError as error:
        raise BadInput(f"Cannot read {path}: {error.strerror}") from None
    number = 0
    with file:
        while head := file.read(12):
            number += 1
            if len(head) == 12 and masked_crc(head[:8]) != struct.unpack("<I", head[8:])[0]:
                raise BadInput(f"{path}, record {number}: its length does not match its checksum: no event file.")
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
            if length > LARGEST:
                file.seek(length + 4, 1)
                notes["records that are no scalars"] += 1
                continue
            data, check = file.read(length), file.read(4)
            if len(check) < 4:
                notes["cut-off lines"] += 1
                return
            if masked_crc(data) != struct.unpack("<I", check)[0]:
                raise BadInput(f"{path}, record {number}: its data do not match their checksum.")
            yield number, data


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """`(field number, value)` of a protobuf message: whole numbers as such, everything else as its bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            number, position = _varint(data, position)
            yield key >> 3, number
            continue
        size, position = _varint(data, position) if kind == 2 else ({1: 8, 5: 4}[kind], position)
        end = position + size
        if end > len(data):
            raise ValueError("a field is longer than its message")
        yield key >> 3, data[position:end]
        position = end


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at the position, and the position behind it."""
    value = shift = 0
    while data[position] & 0x80:
        value |= (data[position] & 0x7F) << shift
        position, shift = position + 1, shift + 7
    return value | data[position] << shift, position + 1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _scalar(item: dict[int, Any]) -> float | None:
    """The scalar of a Summary.Value, of either generation; None for images, histograms and text."""
    if SIMPLE in item:
        return struct.unpack("<f", item[SIMPLE])[0]
    tensor = dict(_fields(item.get(TENSOR, b"")))
    kind = TYPES.get(tensor.get(DTYPE, 0))
    data = tensor.get(CONTENT) or tensor.get(FLOATS) or tensor.get(DOUBLES) or b""
    return struct.unpack(kind, data)[0] if kind and len(data) == struct.calcsize(kind) else None
