"""The loops of layers on SIMD cores, as loads and stores for the caches.

`run_packed` is a matrix product as BLIS and oneDNN block it: a block of ``mc x kc`` of the first operand is gathered
(``im2col`` where it is a convolution) into a packed buffer of its core that stays in the second cache, slivers of
``kc x nr`` of the second one stay in the first cache while the panels of the packed block stream past them, and
``mr x nr`` sums stay in registers.

Loops emit records of `accelsim.hardware.cache.layout`; a full batch of them is replayed by the caches at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.hardware.cache import layout as lo
from accelsim.hardware.cache.kernel import replay
from accelsim.jit import kernel, lean_kernel

if TYPE_CHECKING:
    from accelsim.hardware.cache.layout import Caches, Words

BATCH = 1 << 13
"""Records that are replayed at once."""

SPARE = 64
"""Records that may be emitted between two looks at how full the batch is."""

# grid: the pixels of the first operand
GR_HEIGHT = 0
GR_WIDTH = 1
GR_OUT_HEIGHT = 2
GR_OUT_WIDTH = 3
GR_STRIDE_Y = 4
GR_STRIDE_X = 5
GR_TOP = 6
GR_LEFT = 7
N_GRID = 8

# segments: bytes of one input pixel, or of several in a row, that one output pixel takes
SG_BASE = 0  # of the first pixel of the map, plus the first channel
SG_ROW = 1  # rows below the first row of the window
SG_COL = 2
SG_COLS = 3  # neighbouring pixels in one piece
SG_RUN = 4  # bytes of one pixel
SG_PIXEL = 5  # bytes from pixel to pixel
N_SEGMENT = 6

# product: sizes, places and costs of a blocked product
PR_M = 0
PR_N = 1
PR_MR = 2
PR_NR = 3
PR_MC = 4
PR_NC = 5
PR_IFMAP_BITS = 6
PR_WEIGHT_BITS = 7
PR_OFMAP_BITS = 8
PR_SUM_BITS = 9
PR_WEIGHT = 10  # address of the second operand
PR_WEIGHT_ROW = 11  # bytes from row to row of it; 0 where it lies sliver by sliver
PR_OFMAP = 12
PR_OFMAP_ROW = 13  # bytes from pixel to pixel
PR_SUM = 14
PR_SUM_ROW = 15
PR_PACK = 16  # packed buffer of the first core
PR_PACK_SIZE = 17  # bytes from core to core
PR_SPLIT_N = 18  # 1 where cores share the filters, 0 where they share the pixels
PR_LANES = 19  # sums per vector
PR_GROUP = 20  # elements of k that a lane takes at once
PR_MAC_TICKS = 21  # ticks of the multipliers per vector of sums and group of k
PR_MAC_ISSUE = 22  # instructions for the same
PR_ISSUE = 23  # instructions per cycle
PR_LOADS = 24  # loads per cycle
PR_VECTOR = 25  # bytes of a vector
N_PRODUCT = 26

# tally: what the cores did
TA_INSTRUCTIONS = 0
TA_LOADS = 1  # vectors
TA_STORES = 2
TA_SHARED = 3  # bytes written to and read from the shared memory
N_TALLY = 4


@lean_kernel
def emit(
    records: Words, number: int, core: int, write: int, base: int, run: int, count: int, stride: int, cost: int
) -> int:
    """Append a record of at least one byte; the number of records."""
    if run <= 0 or count <= 0:
        return number
    record = records[number]
    record[lo.RE_CORE] = core
    record[lo.RE_WRITE] = write
    record[lo.RE_BASE] = base
    record[lo.RE_RUN] = run
    record[lo.RE_COUNT] = count
    record[lo.RE_STRIDE] = stride
    record[lo.RE_COST] = cost
    return number + 1


@kernel
def gather(
    records: Words,
    number: int,
    core: int,
    begin: int,
    end: int,
    grid: Words,
    segments: Words,
    copy: Words,
    tally: Words,
    caches: Caches,
) -> int:
    """Read the segments of the output pixels ``[begin, end)``, output row by output row.

    `copy` holds bytes per vector, instructions per vector copied and instructions per cycle.
    """
    width, out_width = grid[GR_WIDTH], grid[GR_OUT_WIDTH]
    pixel = begin
    while pixel < end:
        row = pixel // out_width
        first = pixel - row * out_width
        last = min(out_width, first + end - pixel)
        image, out_row = row // grid[GR_OUT_HEIGHT], row % grid[GR_OUT_HEIGHT]
        for s in range(segments.shape[0]):
            in_row = out_row * grid[GR_STRIDE_Y] - grid[GR_TOP] + segments[s, SG_ROW]
            if in_row < 0 or in_row >= grid[GR_HEIGHT]:
                continue
            place = segments[s, SG_BASE] + (image * grid[GR_HEIGHT] + in_row) * width * segments[s, SG_PIXEL]
            cols, stride = segments[s, SG_COLS], grid[GR_STRIDE_X]
            col = first
            while col < last:
                left = col * stride - grid[GR_LEFT] + segments[s, SG_COL]
                low, high = max(left, 0), min(left + cols, width)
                count = 1
                if left >= 0 and left + cols <= width:  # so do the next ones, as far as they lie inside
                    count = min(last - col, (width - cols - left) // stride + 1)
                if high > low:
                    run = segments[s, SG_RUN] if cols == 1 else (high - low) * segments[s, SG_PIXEL]
                    base = place + low * segments[s, SG_PIXEL]
                    vectors = -(-run // copy[0])
                    issued = vectors * copy[1]
                    cost = issued * lo.TICKS // copy[2]
                    tally[TA_INSTRUCTIONS] += issued * count
                    tally[TA_LOADS] += vectors * count
                    tally[TA_STORES] += vectors * count
                    number = emit(records, number, core, 0, base, run, count, stride * segments[s, SG_PIXEL], cost)
                    if number + SPARE > records.shape[0]:
                        replay(records, number, caches)
                        number = 0
                col += count
        pixel += last - first
    return number


@lean_kernel
def tile_ticks(product: Words, rows: int, cols: int, depth: int, tally: Words) -> int:
    """Time of one tile of ``rows x cols`` sums over `depth` elements of k, from registers and the first cache."""
    vectors = -(-cols // product[PR_LANES])
    groups = -(-depth // product[PR_GROUP])
    macs = groups * rows * vectors
    loads = groups * (rows + vectors)
    issued = macs * product[PR_MAC_ISSUE] + loads
    tally[TA_INSTRUCTIONS] += issued
    tally[TA_LOADS] += loads
    ticks: int = max(
        macs * product[PR_MAC_TICKS], issued * lo.TICKS // product[PR_ISSUE], loads * lo.TICKS // product[PR_LOADS]
    )
    return ticks


@lean_kernel
def multiply(
    records: Words,
    number: int,
    core: int,
    product: Words,
    panel: int,
    sliver: int,
    rows: int,
    cols: int,
    depth: int,
    tally: Words,
) -> int:
    """Multiply a packed panel with a sliver: both come in by turns, a few hundred elements of k at a time."""
    ticks = tile_ticks(product, rows, cols, depth, tally)
    chunks = -(-depth * product[PR_WEIGHT_BITS] * cols // (8 * 2_048))
    for chunk in range(chunks):
        low, high = depth * chunk // chunks, depth * (chunk + 1) // chunks
        base = panel + rows * low * product[PR_IFMAP_BITS] // 8
        run = rows * (high - low) * product[PR_IFMAP_BITS] // 8
        number = emit(records, number, core, 0, base, run, 1, 0, 0)
        share = ticks * high // depth - ticks * low // depth
        if product[PR_WEIGHT_ROW]:
            base = sliver + low * product[PR_WEIGHT_ROW]
            run = max(cols * product[PR_WEIGHT_BITS] // 8, 1)
            cost = -(-share // (high - low))
            number = emit(records, number, core, 0, base, run, high - low, product[PR_WEIGHT_ROW], cost)
        else:
            base = sliver + cols * low * product[PR_WEIGHT_BITS] // 8
            run = max(cols * (high - low) * product[PR_WEIGHT_BITS] // 8, 1)
            number = emit(records, number, core, 0, base, run, 1, 0, share)
    return number


@lean_kernel
def update_sums(
    records: Words,
    number: int,
    core: int,
    product: Words,
    pixel: int,
    filters: int,
    rows: int,
    cols: int,
    first: int,
    last: int,
    tally: Words,
) -> int:
    """Take up the partial sums of a tile unless they begin here, and store them, or the results where they end here."""
    vectors = rows * -(-cols // product[PR_LANES])
    cost = vectors // rows * lo.TICKS // product[PR_ISSUE]
    base = product[PR_SUM] + pixel * product[PR_SUM_ROW] + filters * product[PR_SUM_BITS] // 8
    run = max(cols * product[PR_SUM_BITS] // 8, 1)
    if not first:
        number = emit(records, number, core, 0, base, run, rows, product[PR_SUM_ROW], cost)
        tally[TA_INSTRUCTIONS] += vectors
        tally[TA_LOADS] += vectors
    tally[TA_INSTRUCTIONS] += vectors
    tally[TA_STORES] += vectors
    if last:
        base = product[PR_OFMAP] + pixel * product[PR_OFMAP_ROW] + filters * product[PR_OFMAP_BITS] // 8
        run = max(cols * product[PR_OFMAP_BITS] // 8, 1)
        return emit(records, number, core, 1, base, run, rows, product[PR_OFMAP_ROW], cost)
    return emit(records, number, core, 1, base, run, rows, product[PR_SUM_ROW], cost)


@lean_kernel
def share_of(total: int, unit: int, core: int, cores: int) -> tuple[int, int]:
    """Stretch of `total` things that falls to a core, whole units of them each."""
    units = -(-total // unit)
    return min(units * core // cores * unit, total), min(units * (core + 1) // cores * unit, total)


@kernel
def run_packed(
    product: Words,
    grid: Words,
    segments: Words,
    slices: Words,
    copy: Words,
    records: Words,
    tally: Words,
    caches: Caches,
) -> None:
    """Run a product block by block.

    Parameters
    ----------
    product, grid, segments
        The layer.
    slices
        Per slice of k its first element, its extent, and its segments: first, last plus one.
    copy
        As `gather` takes it.
    records
        Room for a batch of records.
    tally
        What the cores do is added here.
    caches
        As `replay` takes them.
    """
    cores = caches.cores.shape[0]
    m, n, mr, nr, mc, nc = product[PR_M], product[PR_N], product[PR_MR], product[PR_NR], product[PR_MC], product[PR_NC]
    last_slice = slices.shape[0] - 1
    number = 0
    for first_filter in range(0, n, nc):
        filters = min(nc, n - first_filter)
        for k in range(last_slice + 1):
            depth = slices[k, 1]
            begins, ends = own_pixels(product, cores - 1, cores, 0, m)  # no core has more than the last
            for wave in range(0, ends - begins, mc):
                for core in range(cores):
                    low, high = own_pixels(product, core, cores, wave, mc)
                    if low >= high:
                        continue
                    used = segments[slices[k, 2] : slices[k, 3]]
                    number = gather(records, number, core, low, high, grid, used, copy, tally, caches)
                    packed = product[PR_PACK] + core * product[PR_PACK_SIZE]
                    run = (high - low) * depth * product[PR_IFMAP_BITS] // 8
                    number = emit(records, number, core, 1, packed, run, 1, 0, 0)
                for j in range(0, filters, nr):
                    for core in range(cores):
                        low, high = own_pixels(product, core, cores, wave, mc)
                        sliver, cols = own_filters(product, filters, j, core, cores)
                        sliver += first_filter
                        place = sliver_place(product, slices[k, 0], depth, sliver)
                        for pixel in range(low, high if cols > 0 else low, mr):
                            rows = min(mr, high - pixel)
                            packed = product[PR_PACK] + core * product[PR_PACK_SIZE]
                            packed += (pixel - low) * depth * product[PR_IFMAP_BITS] // 8
                            if number + SPARE + depth * 2 > records.shape[0]:
                                replay(records, number, caches)
                                number = 0
                            number = multiply(records, number, core, product, packed, place, rows, cols, depth, tally)
                            first, last = int(k == 0), int(k == last_slice)
                            number = update_sums(
                                records, number, core, product, pixel, sliver, rows, cols, first, last, tally
                            )  # fmt: skip
    replay(records, number, caches)


@lean_kernel
def own_pixels(product: Words, core: int, cores: int, wave: int, most: int) -> tuple[int, int]:
    """Up to `most` pixels of a core, `wave` pixels into its share: of all where the cores share the filters."""
    low, high = 0, product[PR_M]
    if not product[PR_SPLIT_N]:
        low, high = share_of(high, product[PR_MR], core, cores)
    return low + wave, min(low + wave + most, high)


@lean_kernel
def own_filters(product: Words, filters: int, j: int, core: int, cores: int) -> tuple[int, int]:
    """First filter, and number of filters, of the sliver that is `j` filters into a core's share of a panel."""
    low, high = 0, filters
    if product[PR_SPLIT_N]:
        low, high = share_of(filters, product[PR_NR], core, cores)
    return low + j, min(product[PR_NR], high - low - j)


@lean_kernel
def sliver_place(product: Words, begin: int, depth: int, sliver: int) -> int:
    """Address of a sliver of the second operand, which lies slice by slice and sliver by sliver unless in rows."""
    bits = product[PR_WEIGHT_BITS]
    place: int = product[PR_WEIGHT] + (begin * product[PR_N] + sliver * depth) * bits // 8
    if product[PR_WEIGHT_ROW]:
        place = product[PR_WEIGHT] + begin * product[PR_WEIGHT_ROW] + sliver * bits // 8
    return place
