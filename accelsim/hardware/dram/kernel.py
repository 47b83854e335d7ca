"""The DRAM controller as a state machine, resumable at any cycle.

In cycle `n` a channel first issues at most one command, then accepts at most one offered request, which therefore can
be served from cycle ``n + 1`` on. Nothing is done in cycles in which nothing can happen: at the end of each step the
earliest cycle is worked out in which a command may issue, with the command that wins then.

Order of choice in a cycle: (1) requests for which a row has been opened, (2) refresh, which keeps new requests for its
rank or bank back, (3) the read or the write queue, (4) power-down. Within (1) and (3) the oldest whose next command may
issue wins (FR-FCFS); a row is not closed while the request it was opened for still waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.acceptance import accept, next_acceptance
from accelsim.hardware.dram.issue import issue
from accelsim.hardware.dram.schedule import admit, scan
from accelsim.hardware.dram.transfers import earliest_completion, sort_completions
from accelsim.jit import lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words


@lean_kernel
def ask_refresh(config: Words, channel: Words, rank: Words, cycle: int, c: int) -> None:
    """Ask for the refreshes that are due."""
    soonest = lo.NEVER
    for r in range(c * config[lo.CF_RANKS], (c + 1) * config[lo.CF_RANKS]):
        if rank[r, lo.RK_REFRESH_AT] <= cycle:
            rank[r, lo.RK_REFRESH_WAITS] += 1
            channel[c, lo.CH_REFRESH_WAITS] += 1
            rank[r, lo.RK_REFRESH_AT] += rank[r, lo.RK_REFRESH_EVERY]
        soonest = min(soonest, rank[r, lo.RK_REFRESH_AT])
    channel[c, lo.CH_REFRESH_AT] = soonest


@lean_kernel
def step(
    config: Words,
    rules: Words,
    points: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    waiting: Words,
    offers: Words,
    ring: Words,
    transfer: Words,
    stats: Words,
    log: Words,
    cycle: int,
    c: int,
) -> None:
    """Simulate one cycle of one channel and work out the next one in which something happens.

    When a refresh is due it is asked for first, and the cycle itself follows in a second step.
    """
    soonest = lo.NEVER
    floor = cycle + 1
    newcomer = -1
    changes = True  # in more than that a request has joined a queue
    if cycle >= channel[c, lo.CH_REFRESH_AT]:
        ask_refresh(config, channel, rank, cycle, c)
        soonest = cycle
        floor = cycle
    else:
        changes = cycle == channel[c, lo.CH_CAND_TIME]
        if changes:
            issue(config, rules, points, channel, rank, bank, entry, ready, waiting, transfer, stats, log, cycle, c)
        if channel[c, lo.CH_OFFERED]:
            newcomer = accept(config, channel, rank, bank, entry, waiting, offers, ring, transfer, stats, cycle, c)
            soonest = next_acceptance(config, channel, bank, entry, offers, ring, cycle, c)
    if changes or not admit(config, channel, rank, bank, entry, ready, c, floor, newcomer):
        scan(config, channel, rank, bank, entry, ready, waiting, c, floor)
    soonest = min(soonest, channel[c, lo.CH_CAND_TIME])
    channel[c, lo.CH_NEXT] = min(soonest, channel[c, lo.CH_REFRESH_AT])


@lean_kernel
def next_channel(config: Words, channel: Words) -> int:
    """Channel in which something happens first."""
    first = 0
    for c in range(1, config[lo.CF_CHANNELS]):
        if channel[c, lo.CH_NEXT] < channel[first, lo.CH_NEXT]:
            first = c
    return first


@lean_kernel
def count_left(config: Words, channel: Words) -> int:
    """Requests that have not been served."""
    left = 0
    for c in range(config[lo.CF_CHANNELS]):
        left += (
            channel[c, lo.CH_OFFERED] + channel[c, lo.CH_READS] + channel[c, lo.CH_WRITES] + channel[c, lo.CH_OPENED]
        )
    return left


@lean_kernel
def end_of_lead(
    config: Words, channel: Words, transfer: Words, stats: Words, cycle: int, stop_at_completion: int, left: int
) -> int:
    """Cycle up to which each channel may go ahead of the others; `cycle` itself where `run` may end within it.

    That is as far as nothing that happens in another channel can matter: before a transfer can be complete, before the
    last of the requests that are `left` can be served, or a cycle where commands are logged in their order.
    """
    end = lo.NEVER
    if stop_at_completion:
        writes = 0
        for c in range(config[lo.CF_CHANNELS]):
            writes += channel[c, lo.CH_WRITES]
        end = earliest_completion(config, transfer, stats, writes, cycle)
    if config[lo.CF_LOG]:
        end = cycle + 1
    # A channel serves at most one request by a command and one by acceptance in a cycle.
    return int(min(end, cycle + (left - 1) // (2 * config[lo.CF_CHANNELS])))


@lean_kernel
def run(
    config: Words,
    rules: Words,
    points: Words,
    channel: Words,
    rank: Words,
    bank: Words,
    entry: Words,
    ready: Words,
    waiting: Words,
    offers: Words,
    ring: Words,
    transfer: Words,
    stats: Words,
    log: Words,
    until: int,
    stop_at_completion: int,
    drain: int,
) -> int:
    """Simulate the cycles before `until`.

    Parameters
    ----------
    config, rules, points, channel, rank, bank, entry, ready, waiting, offers, ring, transfer, stats, log
        The memory, as `layout` lays it out.
    until
        First cycle not to simulate.
    stop_at_completion
        Simulate no cycle from which on a transfer is complete.
    drain
        Return as soon as no request is left.

    Returns
    -------
    int
        `REACHED`, `LOG_FULL` (to be called again once the log has been emptied) or `DRAINED`.
    """
    status = lo.REACHED
    counted = 0
    while status == lo.REACHED:
        first = next_channel(config, channel)
        cycle = channel[first, lo.CH_NEXT]
        left = count_left(config, channel) if drain else lo.NEVER
        if left == 0:
            status = lo.DRAINED
        elif cycle >= until:
            break
        elif config[lo.CF_LOG] and stats[lo.G_LOGGED] + config[lo.CF_CHANNELS] > log.shape[0]:
            status = lo.LOG_FULL
        else:
            end = min(until, end_of_lead(config, channel, transfer, stats, cycle, stop_at_completion, left))
            begin, beyond = 0, config[lo.CF_CHANNELS]
            if end == cycle:  # the next step may be the last one
                end = cycle + 1
                begin, beyond = first, first + 1
            for c in range(begin, beyond):
                while channel[c, lo.CH_NEXT] < end:
                    step(
                        config,
                        rules,
                        points,
                        channel,
                        rank,
                        bank,
                        entry,
                        ready,
                        waiting,
                        offers,
                        ring,
                        transfer,
                        stats,
                        log,
                        channel[c, lo.CH_NEXT],
                        c,
                    )
            while stop_at_completion and counted < stats[lo.G_DONE]:
                until = min(until, transfer[transfer[counted, lo.T_LIST_DONE], lo.T_END])
                counted += 1
    sort_completions(transfer, stats)
    return status
