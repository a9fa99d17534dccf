"""PostgreSQL ends sessions while a door writes: order and counts hold, whatever became of it.

Two doors on one database. The first is reached through a wire that breaks at a commit; the second
takes what its senders tell next, and delivers.
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.postgres, pytest.mark.enable_socket]


@pytest.mark.parametrize(
    "fates",
    [
        ["unsent"],
        ["unheard"],
        ["ended"],
        ["terminated"],
        ["late"],
        ["ended", "unheard", "unsent", "ended"],
    ],
    ids="-".join,
)
def test_what_comes_next_through_another_door_comes_next(doors, cloud, fates):
    """Whatever became of a commit, it is settled before the sender is answered."""
    issue = cloud.issue("PLAT-1")
    doors.second.send("cloud_a", cloud.created(issue))
    expected = [str(issue.id)]
    for _ in range(3):
        comment, edit = cloud.comment(), cloud.edited(issue)
        doors.breaker.let_go.clear()
        doors.breaker.fates += fates
        doors.first.send("cloud_a", cloud.said(comment, issue))
        doors.breaker.let_go.set()
        doors.second.send("cloud_a", edit)
        expected += [str(comment.id), str(edit["changelog"]["id"])]
    doors.second.until(lambda: len(doors.order()) >= len(expected))
    assert doors.order() == expected
    assert doors.second.finish().deliveries == {"delivered": len(expected)}
    assert doors.second.sandbox.doubled() == 0
    assert doors.breaker.broken == fates * 3
    assert doors.spools() == []
    assert doors.first.get("/readyz").json["status"] == "ok"


def test_what_a_door_puts_aside_holds_back_what_comes_later(doors, cloud):
    """A door that cannot get a lock uses its spool, and says so: the others wait for it."""
    stuck, free = cloud.issue("PLAT-1"), cloud.issue("PLAT-2")
    for issue in (stuck, free):
        doors.second.send("cloud_a", cloud.created(issue))
    doors.second.finish()
    # Comments, and not edits: of two edits, the older one is stale once the newer is accepted.
    comments = [cloud.comment() for _ in range(4)]
    with doors.locked(stuck):
        doors.first.send("cloud_a", cloud.edited(stuck))
        for door, comment in zip((doors.first, doors.second) * 2, comments, strict=True):
            door.send("cloud_a", cloud.said(comment, free))
    doors.second.until(lambda: len(doors.order()) == 7)
    ids = [str(comment.id) for comment in comments]
    assert [told for told in doors.order() if told in ids] == ids
