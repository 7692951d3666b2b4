"""Scalars of TensorBoard event files, read without tensorflow: TFRecord framing and the few protobuf fields that matter.

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
LARGEST = 1 << 16  # bytes; longer records are images and videos, which are skipped unread

_TABLE = []
for _byte in range(256):
    for _ in range(8):
        _byte = _byte >> 1 ^ (0x82F63B78 if _byte & 1 else 0)
    _TABLE.append(_byte)


def scalars(path: Path, notes: Counter) -> Iterator[tuple[str, int, float]]:
    """`(tag, step, value)` in the file's order. `notes` counts a last record that is cut off; BadInput names a broken one."""
    for number, data in _records(path, notes):
        try:
            event = dict(_fields(data))
            for _, value in (pair for pair in _fields(event.get(SUMMARY, b"")) if pair[0] == VALUE):
                item = dict(_fields(value))
                if (number_ := _number(item)) is not None:
                    yield item[TAG].decode(), _signed(event.get(STEP, 0)), number_
        except (IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, ValueError):
            raise BadInput(f"{path}, record {number}: not a TensorBoard event.") from None


def masked_crc(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated right by 15 bits and offset, as TFRecord stores it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _records(path: Path, notes: Counter) -> Iterator[tuple[int, bytes]]:
    """Length (uint64), its CRC, the data, their CRC: the data of every record that is short enough for a scalar."""
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
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
        else:
            size, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("a field is longer than its message")
        yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
    return value | data[at] << shift, at + 1


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _number(item: dict[int, Any]) -> float | None:
    """The scalar of a Summary.Value, of either generation; None for images, histograms and text."""
    if SIMPLE in item:
        return struct.unpack("<f", item[SIMPLE])[0]
    tensor = dict(_fields(item.get(TENSOR, b"")))
    kind = TYPES.get(tensor.get(DTYPE, 0))
    data = tensor.get(CONTENT) or tensor.get(FLOATS) or tensor.get(DOUBLES) or b""
    return struct.unpack(kind, data)[0] if kind and len(data) == struct.calcsize(kind) else None
