"""Bit-error rate against operating point: measured points exact, bounds of the paper kept, the rest refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from accelsim.errors import ConfigError
from accelsim.hardware.dram.bit_error_rate import Module, bit_error_rate, rate_at_reduction
from accelsim.hardware.dram.derive_error_tables import (
    EDEN_CHOICES,
    derive_eden_table3,
    derive_flydram,
    format_table,
    main,
)
from accelsim.hardware.dram.error_tables import (
    Stored,
    error_table_names,
    load_error_table,
    read_error_table,
)
from accelsim.resources import resource_folder

MODULES: tuple[Module, ...] = ("low", "typical", "high")


def test_tables_that_ship() -> None:
    assert error_table_names() == ["eden_table3", "flydram", "voltron"]
    for name in error_table_names():
        table = load_error_table(name)
        assert table.about.source
        assert table.about.license
        assert table.about.assumptions
    assert load_error_table("flydram").vendors == ("A", "B", "C")
    assert load_error_table("flydram").measured_range("trp_ps", "B") == (2500, 12500)
    assert load_error_table("flydram").measured_range("vdd_v", "B") is None


@pytest.mark.parametrize("name", ["eden_table3", "flydram", "voltron"])
def test_every_point_of_a_table_is_returned_exactly(name: str) -> None:
    table = load_error_table(name)
    for (vendor, axis, stored), points in table.curves.items():
        for point in points:
            for module in MODULES:
                rate = bit_error_rate(
                    name,
                    vdd_v=point.setting if axis == "vdd_v" else None,
                    trcd_ps=point.setting if axis == "trcd_ps" else None,
                    trp_ps=point.setting if axis == "trp_ps" else None,
                    vendor=vendor,
                    module=module,
                    stored=stored,
                )
                assert rate == getattr(point, module)


@pytest.mark.parametrize("name", ["eden_table3", "flydram", "voltron"])
def test_nominal_has_no_errors(name: str) -> None:
    for vendor in load_error_table(name).vendors:
        assert bit_error_rate(name, vendor=vendor) == 0.0
        assert rate_at_reduction(name, vendor=vendor) == 0.0


# --- eden_table3 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["typical", "high"])
@pytest.mark.parametrize(("tolerable", "vdd_v", "trcd_ps"), EDEN_CHOICES)
def test_the_choices_of_the_paper_follow_from_its_table(
    module: Module, tolerable: float, vdd_v: float, trcd_ps: int
) -> None:
    """Lowest setting on the paper's grid (0.05 V, 0.5 ns) whose rate is tolerable: what its table 3 lists."""
    volts = [round(1.35 - 0.05 * step, 2) for step in range(8)]
    times = [12_500.0 - 500.0 * step for step in range(13)]
    assert vdd_v == min(v for v in volts if bit_error_rate("eden_table3", vdd_v=v, module=module) <= tolerable)
    assert trcd_ps == min(t for t in times if bit_error_rate("eden_table3", trcd_ps=t, module=module) <= tolerable)


def test_bounds_implied_by_the_paper() -> None:
    """Bounds read off the table by hand, in percent."""
    for axis, setting, low, high in [
        ("vdd_v", 1.25, 0.0, 0.5),
        ("vdd_v", 1.20, 0.5, 1.0),
        ("vdd_v", 1.10, 0.5, 1.0),
        ("vdd_v", 1.05, 1.5, 3.0),
        ("vdd_v", 1.00, 4.0, 5.0),
        ("trcd_ps", 11_500.0, 0.0, 0.5),
        ("trcd_ps", 11_000.0, 1.0, 1.5),
        ("trcd_ps", 10_500.0, 1.0, 1.5),
        ("trcd_ps", 10_000.0, 1.5, 3.0),
        ("trcd_ps", 8_000.0, 1.5, 3.0),
        ("trcd_ps", 7_500.0, 3.0, 3.5),
        ("trcd_ps", 7_000.0, 3.5, 4.0),
        ("trcd_ps", 6_500.0, 4.0, 5.0),
    ]:
        at = {axis: setting}
        point = next(p for p in load_error_table("eden_table3").curves[("A", axis, "any")] if p.setting == setting)  # type: ignore[index]
        assert (point.low, point.high) == (low / 100, high / 100)
        assert point.low < bit_error_rate("eden_table3", vdd_v=at.get("vdd_v"), trcd_ps=at.get("trcd_ps")) <= point.high


@pytest.mark.parametrize("module", MODULES)
def test_eden_rates_only_rise_as_settings_fall(module: Module) -> None:
    volts = [bit_error_rate("eden_table3", vdd_v=1.0 + 0.001 * step, module=module) for step in range(351)]
    times = [bit_error_rate("eden_table3", trcd_ps=6_500 + 20 * step, module=module) for step in range(301)]
    assert volts == sorted(volts, reverse=True)
    assert times == sorted(times, reverse=True)


def test_reductions_of_the_paper() -> None:
    assert rate_at_reduction("eden_table3", vdd_reduction_v=0.35) == 0.05
    assert rate_at_reduction("eden_table3", trcd_reduction_ps=5_500) == 0.04
    both = rate_at_reduction("eden_table3", vdd_reduction_v=0.30, trcd_reduction_ps=4_500)
    assert both == pytest.approx(1 - (1 - 0.03) ** 2)


# --- measured tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("vendor", "trcd_ps", "expected"),  # ns / min / median / max over modules, as published figures give them
    [
        ("A", 10_000, (0, 0, 0)),
        ("A", 7_500, (5.0e-6, 2.5e-4, 4.2e-2)),
        ("A", 5_000, (1.0e-2, 3.2e-2, 6.7e-2)),
        ("B", 7_500, (1.9e-2, 2.4e-2, 4.4e-2)),
        ("B", 5_000, (0.175, 0.184, 0.30)),
        ("C", 7_500, (8.7e-10, 4.4e-6, 1.7e-3)),
        ("C", 2_500, (0.48, 0.486, 0.53)),
    ],
)
def test_flydram_rates_against_trcd(vendor: str, trcd_ps: int, expected: tuple[float, ...]) -> None:
    rates = [bit_error_rate("flydram", trcd_ps=trcd_ps, vendor=vendor, module=module) for module in MODULES]
    assert rates == pytest.approx(expected, rel=0.03)  # the published figures have two digits


def test_flydram_rates_against_trp_and_both_at_once() -> None:
    trp = bit_error_rate("flydram", trp_ps=7_500, vendor="A")
    assert trp == pytest.approx(2.0e-2, rel=0.03)
    trcd = bit_error_rate("flydram", trcd_ps=5_000, vendor="A")
    both = bit_error_rate("flydram", trcd_ps=5_000, trp_ps=7_500, vendor="A")
    assert both == pytest.approx(1 - (1 - trp) * (1 - trcd))


def test_zeros_flip_more_often_than_ones_at_reduced_trcd() -> None:
    for vendor in "ABC":
        zeros, ones = (
            bit_error_rate("flydram", trcd_ps=7_500, vendor=vendor, module="high", stored=stored)
            for stored in ("zeros", "ones")
        )
        assert zeros > 1.5 * ones > 0


def test_interpolation_is_straight_in_the_logarithm() -> None:
    low, high = (bit_error_rate("flydram", trcd_ps=t, vendor="B") for t in (7_500, 5_000))
    assert bit_error_rate("flydram", trcd_ps=6_250, vendor="B") == pytest.approx(math.sqrt(low * high))


def test_towards_a_point_without_errors_the_rate_falls_to_the_least_countable() -> None:
    rates = [bit_error_rate("flydram", trcd_ps=t, vendor="A") for t in (7_500, 8_750, 9_999, 10_000)]
    assert rates == sorted(rates, reverse=True)
    assert rates[1] == pytest.approx(math.sqrt(rates[0] * 2.0**-33))
    assert rates[2] == pytest.approx(2.0**-33, rel=0.01)
    assert rates[3] == 0.0


def test_voltron_lines_become_bits() -> None:
    """Half of the 512-bit lines hit: 1 - 0.5**(1/512) of bits, were they to flip independently."""
    rate = bit_error_rate("voltron", vdd_v=1.1, vendor="C")
    assert rate == pytest.approx(1 - 0.5 ** (1 / 512), rel=1e-9)
    assert bit_error_rate("voltron", vdd_v=1.1, vendor="A", module="high") == pytest.approx(
        1 - (1 - 0.896379) ** (1 / 512), rel=1e-5
    )
    assert bit_error_rate("voltron", vdd_v=1.15, vendor="B", module="high") == 0.0
    assert bit_error_rate("voltron", vdd_v=1.1, trcd_ps=13_750, trp_ps=10_000, vendor="C") == rate


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "arguments", "message"),
    [
        (
            "eden_table3",
            {"vdd_v": 0.99},
            "eden_table3: vdd_v = 0.99: outside of the measured range of vendor A; allowed: 1 to 1.35",
        ),
        (
            "eden_table3",
            {"trcd_ps": 12_501},
            "eden_table3: trcd_ps = 12501: outside of the measured range of vendor A; allowed: 6500 to 12500",
        ),
        (
            "eden_table3",
            {"trp_ps": 10_000},
            "eden_table3: trp_ps = 10000: was not varied in this table; allowed: 12500 or more",
        ),
        (
            "voltron",
            {"vdd_v": 1.02, "vendor": "B"},
            "voltron: vdd_v = 1.02: outside of the measured range of vendor B; allowed: 1.025 to 1.35",
        ),
        (
            "voltron",
            {"vdd_v": float("nan"), "vendor": "B"},
            "voltron: vdd_v = nan: outside of the measured range of vendor B; allowed: 1.025 to 1.35",
        ),
        (
            "voltron",
            {"trcd_ps": 7_500, "vendor": "B"},
            "voltron: trcd_ps = 7500: was not varied in this table; allowed: 10000 or more",
        ),
        (
            "flydram",
            {"vdd_v": 1.35, "vendor": "A"},
            "flydram: vdd_v = 1.35: was not varied in this table; allowed: leave it out",
        ),
        ("flydram", {"trcd_ps": 5_000}, "flydram: vendor = None: the vendor has to be given; allowed: A, B, C"),
        ("flydram", {"vendor": "D"}, "flydram: vendor = 'D': no such vendor; allowed: A, B, C"),
        (
            "flydram",
            {"vendor": "A", "module": "mean"},
            "flydram: module = 'mean': not accepted; allowed: low, typical, high",
        ),
        (
            "eden_table3",
            {"vdd_v": 1.1, "stored": "ones"},
            "eden_table3: stored = 'ones': no rates of vendor A against vdd_v by this stored value; allowed: any",
        ),
        ("ramp", {}, "'ramp': no such table of bit-error rates; allowed: eden_table3, flydram, voltron"),
    ],
)
def test_refusals(table: str, arguments: dict[str, float | str], message: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        bit_error_rate(table, **arguments)  # type: ignore[arg-type]
    assert str(wrong.value) == message


def test_refusals_of_reductions() -> None:
    with pytest.raises(ConfigError) as wrong:
        rate_at_reduction("flydram", vdd_reduction_v=0.1, vendor="A")
    assert str(wrong.value) == "flydram: vdd_v: was not varied in this table; allowed: no reduction"
    with pytest.raises(ConfigError) as wrong:
        rate_at_reduction("eden_table3", vdd_reduction_v=0.4)
    assert str(wrong.value) == (
        "eden_table3: vdd_v = 0.95: outside of the measured range of vendor A; allowed: 1 to 1.35"
    )


# --- tables from files ----------------------------------------------------------------------------------------------

ABOUT = """\
description: mine
source: my own measurement
license: mine
derivation: none
assumptions: []
quantity: bit_error_rate
nominal: {trcd_ps: 12500}
fixed: {}
least_rate: 1.0e-9
data: mine.csv
"""
HEAD = "vendor,axis,stored,setting,modules,low,typical,high\n"


def write_table(folder: Path, rows: str, about: str = ABOUT) -> Path:
    (folder / "mine.yaml").write_text(about)
    (folder / "mine.csv").write_text(HEAD + rows)
    return folder / "mine.yaml"


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    table = read_error_table(write_table(tmp_path, "X,trcd_ps,any,5000,3,0.1,0.2,0.3\nX,trcd_ps,any,12500,3,0,0,0\n"))
    assert bit_error_rate(table, trcd_ps=5000, module="high") == 0.3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("X,trcd_ps,any,5000,3,0.3,0.2,0.3\n", "mine.csv line 2: low, typical and high do not rise"),
        (
            "X,trcd_ps,any,5000,3,0,0,0\nX,trcd_ps,any,4000,3,0,0,0\n",
            "mine.csv line 3: 4000.0: settings of a curve do not rise",
        ),
        (
            "X,trcd_ps,any,5000,3,0,0,1.5\n",
            "mine.csv line 2: high = 1.5: not accepted; allowed: less than or equal to 1",
        ),
        (
            "X,tRAS,any,5000,3,0,0,0\n",
            "mine.csv line 2: axis = 'tRAS': not accepted; allowed: 'vdd_v', 'trcd_ps' or 'trp_ps'",
        ),
        ("X,trcd_ps,any,fast,3,0,0,0\n", "mine.csv line 2: setting = 'fast': not accepted; allowed: a number"),
    ],
)
def test_refusals_of_files(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read_error_table(write_table(tmp_path, rows))
    assert str(wrong.value) == f"{tmp_path}/{message}"


def test_line_bits_belong_to_lines(tmp_path: Path) -> None:
    path = write_table(tmp_path, "X,trcd_ps,any,5000,3,0,0,0\n", ABOUT + "line_bits: 512\n")
    with pytest.raises(ConfigError) as wrong:
        read_error_table(path)
    assert str(wrong.value) == f"{path}: line_bits: goes with quantity: faulty_line_fraction"


# --- derivation -----------------------------------------------------------------------------------------------------


def shipped(name: str) -> str:
    return (resource_folder("hw_configs") / "dram" / "errors" / f"{name}.csv").read_text()


def test_eden_table_is_what_the_script_derives() -> None:
    assert format_table(derive_eden_table3()) == shipped("eden_table3")


@pytest.mark.shared
@pytest.mark.parametrize(("name", "file"), [("flydram", "flydram_latency.csv"), ("voltron", "voltron_voltage.csv")])
def test_measured_tables_are_what_the_script_derives(name: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(__file__).resolve().parents[4] / "shared" / "reference" / "measured_dram" / file
    if not path.is_file():
        pytest.skip(f"needs {file} in the folder shared/ beside the checkout")
    assert main([name, str(path)]) == 0
    assert capsys.readouterr().out == shipped(name)


def test_script_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: python -m accelsim.hardware.dram.derive_error_tables")


@pytest.mark.parametrize("stored", ["zeros", "ones", "any"])
def test_untested_bank_is_left_out_of_the_mean(stored: Stored) -> None:
    columns = [*(f"Bank{bank}" for bank in range(8)), "Label", "Pattern", "Temperature", "VendorMask", "tRCD", "tRP"]
    pattern = {"zeros": "0x0", "ones": "0xff", "any": "0xaa"}[stored]
    rows = [["0.0", *["0.7"] * 7], ["0.1"] * 8, ["0.0"] * 8]
    text = "\n".join(
        [",".join(columns)]
        + [",".join([*row, f"m{index}", pattern, "20", "Z", "5.0", "12.5"]) for index, row in enumerate(rows)]
        + [",".join(["0.9"] * 8 + ["hot", pattern, "70", "Z", "5.0", "12.5"])]
    )
    derived = {(row[1], row[2], row[3]): row[4:] for row in derive_flydram(text)}
    assert derived[("trcd_ps", stored, 5000.0)] == pytest.approx((3, 0.0, 0.1, 0.7))
