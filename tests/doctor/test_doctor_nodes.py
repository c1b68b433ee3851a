"""What the clocks of other machines say."""

from __future__ import annotations

from orchestrator.doctor.nodes import Exchange, clock_offset


def test_the_quickest_exchange_says_how_late_it_is() -> None:
    slow = Exchange(sent_s=100.0, remote_s=109.0, received_s=104.0)
    quick = Exchange(sent_s=110.0, remote_s=115.25, received_s=110.5)
    assert clock_offset([slow, quick]) == (5.0, 0.25)
    behind = Exchange(sent_s=10.0, remote_s=7.0, received_s=10.0)
    assert clock_offset([behind, quick, slow]) == (-3.0, 0.0)
