from __future__ import annotations

from typing import TYPE_CHECKING

import simpy

from accelsim.hardware.sram import Buffer

if TYPE_CHECKING:
    from collections.abc import Generator


def buffer(capacity_bits: int, *requests: int) -> tuple[simpy.Environment, Buffer]:
    env = simpy.Environment()
    return env, Buffer(env, "buffer", capacity_bits, list(requests))


def test_room_is_granted_at_once_where_there_is_some() -> None:
    _, room = buffer(100, 2)
    assert room.take(0, 60).triggered
    assert room.take(0, 40).triggered
    assert room.used_bits == 100


def test_request_waits_for_room_to_be_given_back() -> None:
    _, room = buffer(100, 2)
    room.take(0, 60)
    waiting = room.take(0, 60)
    assert not waiting.triggered
    room.give_back(19)
    assert not waiting.triggered
    room.give_back(1)
    assert waiting.triggered
    assert room.used_bits == 100


def test_later_stage_enters_only_after_all_requests_of_the_earlier() -> None:
    _, room = buffer(100, 2, 1)
    room.take(0, 10)
    later = room.take(1, 10)
    assert not later.triggered, "stage 0 will ask once more"
    room.take(0, 10)
    assert later.triggered


def test_stages_that_ask_for_nothing_are_passed_over() -> None:
    _, room = buffer(100, 0, 0, 1)
    assert room.take(2, 100).triggered


def test_small_request_may_pass_a_large_one_of_the_same_stage() -> None:
    """Operands of one stage do not wait for each other's room, or a full buffer could stop them all."""
    _, room = buffer(100, 3)
    room.take(0, 50)
    large, small = room.take(0, 80), room.take(0, 30)
    assert not large.triggered
    room.give_back(0)
    assert small.triggered
    assert not large.triggered


def test_occupancy_notes_every_change_once() -> None:
    env, room = buffer(800, 3)

    def scenario() -> Generator[simpy.Event, None, None]:
        yield room.take(0, 12)
        yield env.timeout(5)
        room.give_back(12)
        yield room.take(0, 400)
        yield env.timeout(5)
        room.give_back(400)

    env.process(scenario())
    env.run()
    assert room.occupancy["time_ps"].tolist() == [0, 5, 10]
    assert room.occupancy["bytes"].tolist() == [2, 50, 0], "bytes are rounded up, one entry per time"


def test_description_says_what_is_held_and_who_waits() -> None:
    _, room = buffer(80, 2)
    room.take(0, 41)
    room.take(0, 80)
    assert room.describe() == "buffer buffer holds 6 of 10 bytes, 1 requests wait"
