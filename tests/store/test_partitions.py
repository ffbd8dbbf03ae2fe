"""The partition of a sender: stored, so the same on every machine and for ever."""

from __future__ import annotations

from collections import Counter

from convo.store.base import PARTITIONS, partition_of


def test_a_partition_is_the_same_for_ever() -> None:
    assert partition_of("clinic", "+61400000001") == 10
    assert partition_of("clinic", "+61400000002") == 48
    assert partition_of("pizza", "+61400000001") == 45


def test_people_are_spread_over_all_partitions() -> None:
    found = Counter(partition_of("clinic", f"+614{number:08}") for number in range(6400))
    assert len(found) == PARTITIONS
    assert max(found.values()) < 200
