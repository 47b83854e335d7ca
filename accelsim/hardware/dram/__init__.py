"""DRAM, simulated per command.

`device` reads what a device is, `constraints` lists who waits for whom, `tables` compiles both with the config into the
arrays of `layout`; `kernel`, `schedule` and `issue` are the controller, `controller` is what the simulator talks to,
`power` turns what happened into energy, `replay` runs memory traces.

Policies of other simulators, and what remains different:

- *Ramulator 2* is the default policy (FR-FCFS over queues of 32, write drain from 80 to 20 %, open page, all-bank
  refresh without postponement). With one channel and one rank the cycles, hits, misses and conflicts are equal. With
  several, two things differ on purpose: a waiting refresh holds back its own rank or bank and not the whole channel,
  and a write to another rank after a read waits until the read's data has left the bus (there it may overlap). Each
  channel accepts one request per cycle; its trace reader offers one per cycle to all channels together.
- *DRAMsim3* lets banks take turns and closes a row with waiting hits after four of them: `scheduler: bank_round_robin`,
  with `read_queue_entries: 40` for its transaction queue of 32 and command queues of 8 in view of one bank, and
  `refresh_staggered` for its refresh of ranks one after the other. What remains: it moves one request per cycle from
  the first queue to the second, mixes reads and writes in the second, drains a fixed count of writes, and refreshes
  without waiting for requests whose row it has just opened. Reads agree to 0.3 %; a mix of reads and writes takes 12 %
  more cycles there, for the turnarounds of the bus.
"""
