"""Relations: nothing twice, nobody with themselves, nobody both blocked and followed, and not without end."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.relations import (
    BLOCKS_MAX,
    FOLLOWED_MAX,
    FRIENDS_MAX,
    NOTE_MAX,
    NoteTooLong,
    Relations,
    SelfRelation,
    TooManyRelations,
    UserBlocked,
)

ALICE, BOB, CAROL = (UUID(int=n) for n in (1, 2, 3))
OTHERS = (BOB, CAROL)


def relations() -> Relations:
    made = Relations.open(ALICE)
    made.collect_events()
    return made


def befriend(made: Relations, other_id: UUID) -> None:
    made.befriend(other_id, "")


def decided(made: Relations) -> list[str]:
    return [type(event).__name__ for event in made.collect_events()]


def test_asking_twice_is_recorded_once() -> None:
    made = relations()
    for _ in range(2):
        made.befriend(BOB, "met at a fair")
        made.follow(BOB)
        made.block(CAROL)
    assert decided(made) == ["FriendAdded", "Followed", "Blocked"]
    for _ in range(2):
        made.unfriend(BOB)
        made.unfollow(BOB)
        made.unblock(CAROL)
    assert decided(made) == ["FriendRemoved", "Unfollowed", "Unblocked"]


def test_a_note_is_changed() -> None:
    made = relations()
    made.befriend(BOB, "one")
    made.befriend(BOB, "two")
    made.befriend(BOB, "n" * NOTE_MAX)
    assert decided(made) == ["FriendAdded", "FriendNoted", "FriendNoted"]
    with pytest.raises(NoteTooLong):
        made.befriend(BOB, "n" * (NOTE_MAX + 1))
    assert made.friends == {BOB: "n" * NOTE_MAX}


def test_nobody_is_anything_to_themselves() -> None:
    made = relations()
    for ask in (befriend, Relations.block, Relations.follow):
        with pytest.raises(SelfRelation):
            ask(made, ALICE)
    assert decided(made) == []


def test_whoever_is_blocked_is_neither_friend_nor_followed() -> None:
    made = relations()
    made.befriend(BOB, "")
    made.follow(BOB)
    made.block(BOB)
    assert decided(made) == ["FriendAdded", "Followed", "Unfollowed", "FriendRemoved", "Blocked"]
    for ask in (befriend, Relations.follow):
        with pytest.raises(UserBlocked):
            ask(made, BOB)
    made.unblock(BOB)
    made.follow(BOB)
    assert decided(made) == ["Unblocked", "Followed"]


def test_there_is_an_end_to_each_list() -> None:
    caps = ((befriend, FRIENDS_MAX), (Relations.block, BLOCKS_MAX), (Relations.follow, FOLLOWED_MAX))
    for ask, at_most in caps:
        made = relations()
        for n in range(at_most):
            ask(made, UUID(int=100 + n))
        with pytest.raises(TooManyRelations):
            ask(made, BOB)
        ask(made, UUID(int=100))  # is there already
        assert len(decided(made)) == at_most


STEPS = ("befriend", "unfriend", "block", "unblock", "follow", "unfollow")


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from((ALICE, *OTHERS)))))
def test_no_order_of_steps_leads_to_a_contradiction(steps: list[tuple[str, UUID]]) -> None:
    made = Relations.open(ALICE)
    for step, other in steps:
        try:
            getattr(made, step)(other, *([""] if step == "befriend" else []))
        except (SelfRelation, UserBlocked):
            continue
    assert not made.blocked & (made.followed | set(made.friends))
    assert ALICE not in made.blocked | made.followed | set(made.friends)
    again: Relations | None = None
    for event in made.collect_events():
        again = event.mutate(again)
    assert isinstance(again, Relations)
    assert (again.blocked, again.followed, again.friends) == (made.blocked, made.followed, made.friends)
