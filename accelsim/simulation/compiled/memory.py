"""The way to the memory: bursts in, completions out; `simulation.memory_port` and the memories behind it as kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.dram import layout as lo
from accelsim.hardware.dram.kernel import run
from accelsim.hardware.dram.offers import place_burst
from accelsim.hardware.dram.transfers import open_transfer
from accelsim.jit import inner_kernel
from accelsim.simulation.compiled import layout as la
from accelsim.simulation.compiled.queue import push
from accelsim.simulation.compiled.rows import process_row, snapshot_row, transfer_row

if TYPE_CHECKING:
    from accelsim.hardware.dram.layout import Words
    from accelsim.simulation.compiled.layout import MemoryArrays

_PS_PER_US = 1_000_000  # picoseconds of a second are the square of this


@inner_kernel
def send(m: Words, bursts: int, begin: int, end: int, code: int, stream: int, tile: int, drains: int) -> None:
    """Offer a tile's bursts, of which there are some, as one transfer.

    The memory is told when it next runs, for until then it makes no difference.

    Parameters
    ----------
    m
        The machine.
    bursts
        Their number.
    begin, end
        Runs that they carry, in the graph.
    code
        Stream into the memory.
    stream, tile
        What is moved.
    drains
        Whether it is an output tile that leaves.
    """
    if m[la.WD_FREE_TRANSFERS] == 0:
        m[la.WD_STATUS] = la.TABLE_FULL
        return
    m[la.WD_FREE_TRANSFERS] -= 1
    index = m[transfer_row(m, m[la.WD_FREE_TRANSFERS]) + la.TR_FREE]
    row = transfer_row(m, index)
    m[row + la.TR_STREAM] = stream
    m[row + la.TR_TILE] = tile
    m[row + la.TR_DRAINS] = drains
    m[row + la.TR_BEGIN_PS] = m[la.WD_NOW]
    m[row + la.TR_BURSTS] = bursts
    m[row + la.TR_CODE] = code
    m[row + la.TR_RUN] = begin
    m[row + la.TR_RUN_END] = end
    m[transfer_row(m, m[la.WD_PENDING]) + la.TR_PENDING] = index
    m[la.WD_PENDING] += 1
    m[la.WD_OUTSTANDING] += 1
    if not m[la.WD_OFFERED]:
        m[la.WD_OFFERED] = 1
        push(m, m[la.WD_NOW], la.NORMAL, la.OFFER, m[la.WD_OFFER], 0)


@inner_kernel
def _offer(g: Words, m: Words, memory: MemoryArrays, index: int) -> None:
    """Put the bursts of a transfer into the rings of the DRAM; one shared by neighbouring runs counts once."""
    row, size = transfer_row(m, index), m[la.WD_BURST_BYTES]
    code, drains = m[row + la.TR_CODE], m[row + la.TR_DRAINS]
    start = -(-m[row + la.TR_BEGIN_PS] // m[la.WD_CLOCK_PS])
    if code >= memory.config[lo.CF_STREAMS]:
        _widen_rings(memory, code + 1)
    open_transfer(memory.transfer, memory.stats, index, m[row + la.TR_BURSTS], drains)
    last = -1
    for run_row in range(m[row + la.TR_RUN], m[row + la.TR_RUN_END], la.N_RUN):
        for outer in range(g[run_row + la.RN_OUTER]):
            for inner in range(g[run_row + la.RN_INNER]):
                first = g[run_row + la.RN_BASE] + outer * g[run_row + la.RN_OUTER_STRIDE]
                first += inner * g[run_row + la.RN_INNER_STRIDE]
                address = first // size * size
                if address == last:
                    address += size
                while address < first + g[run_row + la.RN_BYTES]:
                    if not place_burst(
                        memory.config, memory.decoder, memory.channel, memory.offers, memory.ring,
                        address, start, code, index, drains,
                    ):  # fmt: skip
                        m[la.WD_STATUS] = la.RINGS_FULL
                        return
                    last = address
                    address += size


@inner_kernel
def _put_on_bus(m: Words, index: int) -> int:
    """Serve a transfer with an ideal memory, as `hardware.ideal_memory.IdealMemory.submit`; when it is over."""
    row = transfer_row(m, index)
    bursts = m[row + la.TR_BURSTS]
    m[la.WD_WRITES if m[row + la.TR_DRAINS] else la.WD_READS] += bursts
    begin = max(m[row + la.TR_BEGIN_PS], m[la.WD_BUS_FREE_PS])
    rate = m[la.WD_RATE]
    if rate > 0:  # bytes * 10^12 / rate, rounded up, in two steps that stay within 64 bits
        scaled = bursts * m[la.WD_BURST_BYTES] * _PS_PER_US
        begin += scaled // rate * _PS_PER_US - -(scaled % rate * _PS_PER_US) // rate
    m[la.WD_BUS_FREE_PS] = begin
    end = begin + m[la.WD_LATENCY_PS]
    m[la.WD_LAST_DATA_PS] = max(m[la.WD_LAST_DATA_PS], end)
    return end


@inner_kernel
def _widen_rings(memory: MemoryArrays, streams: int) -> None:
    """Let the DRAM have so many streams, more than before; their rings lie side by side for each channel."""
    before, capacity = memory.config[lo.CF_STREAMS], memory.offers.shape[1]
    for channel in range(memory.config[lo.CF_CHANNELS] - 1, -1, -1):
        for stream in range(streams - 1, -1, -1):
            to = channel * streams + stream
            if stream >= before:
                memory.ring[to, lo.RG_FIRST] = 0
                memory.ring[to, lo.RG_COUNT] = 0
                continue
            origin = channel * before + stream
            for column in range(lo.N_RING):
                memory.ring[to, column] = memory.ring[origin, column]
            at = memory.ring[to, lo.RG_FIRST]
            for _ in range(memory.ring[to, lo.RG_COUNT]):
                for column in range(lo.N_OFFER):
                    memory.offers[to, at, column] = memory.offers[origin, at, column]
                at = at + 1 if at + 1 < capacity else 0
    memory.config[lo.CF_STREAMS] = streams


@inner_kernel
def advance(g: Words, m: Words, memory: MemoryArrays, until_ps: int) -> int:
    """Let the memory run until a time or to a completion; schedule the completions and return their number."""
    now, clock_ps, offered = m[la.WD_NOW], m[la.WD_CLOCK_PS], m[la.WD_PENDING]
    m[la.WD_PENDING] = 0
    for place in range(offered):
        index = m[transfer_row(m, place) + la.TR_PENDING]
        if clock_ps > 0:
            _offer(g, m, memory, index)
        else:
            push(m, max(_put_on_bus(m, index), now), la.NORMAL, la.COMPLETE, index, 0)
    if clock_ps == 0:
        return offered
    run(
        memory.config, memory.rules, memory.points, memory.channel, memory.rank, memory.bank, memory.entry,
        memory.ready, memory.waiting, memory.offers, memory.ring, memory.transfer, memory.stats, memory.log,
        -(-until_ps // clock_ps), 1, 0,
    )  # fmt: skip
    count = memory.stats[lo.G_DONE]
    memory.stats[lo.G_DONE] = 0
    for place in range(count):
        index = memory.transfer[place, lo.T_LIST_DONE]
        time_ps = max(memory.transfer[index, lo.T_END] * clock_ps, now)
        push(m, time_ps, la.NORMAL, la.COMPLETE, index, 0)
    return count


@inner_kernel
def horizon(m: Words) -> int:
    """Time up to which the memory may run, the next at which anything else can act; -1 where it has to wait."""
    if m[la.WD_OUTSTANDING] == 0:
        m[la.WD_OFFER] += 1
        m[la.WD_OFFERED] = 0
        m[process_row(m, la.PORT) + la.PR_WAITS] = 1
        return -1
    if m[la.WD_EVENTS] == 0:
        return la.FAR_PS
    time_ps = m[m[la.EVENT] + la.EV_TIME]
    if time_ps <= m[la.WD_NOW]:
        push(m, m[la.WD_NOW], la.NORMAL, la.RESUME, la.PORT, 0)
        return -1
    return time_ps


@inner_kernel
def snapshot(m: Words, memory: MemoryArrays, stage: int) -> None:
    """Note what the DRAM has done by now."""
    channels, columns = memory.channel.shape[0], memory.rank.shape[1]
    row = snapshot_row(m, stage)
    m[row + la.SN_TIME_PS] = m[la.WD_NOW]
    for column in range(la.SN_HITS, la.N_SNAPSHOT):
        m[row + column] = 0
    for channel in range(channels):
        m[row + la.SN_HITS] += memory.channel[channel, lo.CH_HITS]
        m[row + la.SN_MISSES] += memory.channel[channel, lo.CH_MISSES]
        m[row + la.SN_CONFLICTS] += memory.channel[channel, lo.CH_CONFLICTS]
        m[row + la.SN_FORWARDED] += memory.channel[channel, lo.CH_FORWARDED]
        m[row + la.SN_MERGED] += memory.channel[channel, lo.CH_MERGED]
    for bank in range(memory.bank.shape[0]):
        m[row + la.SN_ACTS] += memory.bank[bank, lo.BK_ACTS]
    ranks = memory.rank.shape[0]
    for rank in range(ranks):
        to = m[la.SNAPSHOT_RANK] + (stage * ranks + rank) * (la.RANK_STATES + columns - lo.RK_COUNTS)
        for column in range(la.RANK_STATES):
            m[to + column] = memory.rank[rank, column]
        for column in range(lo.RK_COUNTS, columns):
            m[to + la.RANK_STATES + column - lo.RK_COUNTS] = memory.rank[rank, column]
