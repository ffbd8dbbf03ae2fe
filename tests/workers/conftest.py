"""What processes share beside a store, for tests of that alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from convo.store.postgres_shared import Shared


@pytest.fixture
def shared(postgres_url: str) -> Iterator[Shared]:
    """Return what the processes on a store share."""
    made = Shared(postgres_url)
    yield made
    made.close()
