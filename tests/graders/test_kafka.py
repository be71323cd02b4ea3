"""Where our producer puts a key."""

import pytest

from graders.kafka import murmur2, partition_of

# From the tests of Kafka's own Utils.murmur2, there as signed numbers.
KNOWN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "hashed"), KNOWN.items())
def test_the_hash_is_that_of_kafka(data: bytes, hashed: int) -> None:
    assert murmur2(data) == hashed % (1 << 32)


def test_each_key_has_one_of_the_partitions() -> None:
    assert {partition_of(f"key-{n}", 3) for n in range(50)} == {0, 1, 2}
