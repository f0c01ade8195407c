"""Numbers as text: four digits, a standard error, an interval [low, high], a radius as it was given."""

import math


def number(value: str | int | float | None) -> str:
    """A value as text: four significant digits, thousands grouped, a true minus sign. Counts are never rounded.

    ``None`` is empty. Numbers that are not finite read "NaN", "∞", "−∞".
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        text = f"{value:,d}"
    elif math.isnan(value):
        return "NaN"
    elif math.isinf(value):
        text = "∞" if value > 0 else "-∞"
    elif value == 0:
        text = "0"
    elif not 1e-4 <= abs(value) < 1e7:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}·10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        # Four significant digits, but no decimals from 1000 on.
        decimals = max(0, 3 - math.floor(math.log10(abs(value))))
        text = f"{value:,.{decimals}f}"
    return text.replace("-", "−")


def with_error(mean: int | float, error: int | float) -> str:
    """A number with its standard error, to the error's second significant digit: "0.5361 ± 0.0012"."""
    if not (math.isfinite(mean) and math.isfinite(error)):
        return f"{number(float(mean))} ± {number(float(error))}"
    decimals = 4 if error <= 0 else min(8, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:,.{decimals}f} ± {error:.{decimals}f}".replace("-", "−")


def with_interval(value: int | float, low: int | float, high: int | float) -> str:
    """A number with its interval, to the second significant digit of the interval's width: "1.84 [1.62, 2.06]"."""
    width = high - low
    if not (math.isfinite(value) and math.isfinite(width)) or width <= 0:
        return f"{number(float(value))} [{number(float(low))}, {number(float(high))}]"
    decimals = min(8, max(0, 1 - math.floor(math.log10(width))))
    return f"{value:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]".replace("-", "−")


def percent(fraction: int | float, interval: tuple[int | float, int | float] | None = None) -> str:
    """A fraction in [0, 1] in percent, with its interval if there is one: "98.9 % [98.6, 99.1]"."""
    text = f"{100 * fraction:.1f} %"
    return text if interval is None else f"{text} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def radius_text(radius: int | float) -> str:
    """A radius as it is given: "0.1" where that is exact, else "8/255" where it is a whole or half number of 255ths."""
    if not math.isfinite(radius):
        return number(float(radius))
    if float(short := f"{radius:.3g}") == radius:
        return short
    levels = 255 * radius
    halves = round(2 * levels)
    return f"{halves / 2:g}/255" if halves and abs(2 * levels - halves) < 1e-4 and levels <= 64 else short


def norm_text(norm: str) -> str:
    """A norm as it is written: "L∞", "L2", "L1"; any other name stays."""
    return {"linf": "L∞", "l2": "L2", "l1": "L1"}.get(norm, norm)


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
