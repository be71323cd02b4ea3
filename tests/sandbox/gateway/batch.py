"""Record batches of message format v2, as a client writes them."""

import struct


def batch(
    records: int,
    first: int = 0,
    control: bool = False,
    producer: tuple[int, int, int] = (-1, -1, -1),
    transactional: bool = False,
) -> bytes:
    """A whole batch of that many empty records, with a right checksum.

    producer: id, epoch and first sequence number of an idempotent one.
    """
    body = b"".join(_record(number) for number in range(records))
    attributes = (0x20 if control else 0) | (0x10 if transactional else 0)
    signed = struct.pack(">hiqqqhii", attributes, records - 1, 0, 0, *producer, records)
    signed += body
    rest = struct.pack(">ibI", 0, 2, crc32c(signed)) + signed
    return struct.pack(">qi", first, len(rest)) + rest


def _record(number: int) -> bytes:
    """Attributes, timestamp delta, offset delta, no key, no value, no headers; zigzag varints."""
    content = bytes([0, 0, number << 1, 1, 1, 0])
    return bytes([len(content) << 1]) + content


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
