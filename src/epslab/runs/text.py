"""The one way to write a number: three digits, a standard error, an interval [low, high], a percentage, a radius."""

import math
from collections.abc import Sequence

_DIGITS = 3


def number(value: str | int | float | None) -> str:
    """A value as text: up to three significant digits, thousands grouped, a true minus sign. Counts are never rounded.

    >>> number(6.3), number(0.69314), number(-1234.5), number(1234), number(1e-9)
    ('6.3', '0.693', '−1,230', '1,234', '1·10⁻⁹')

    Args:
        value: An int is a count. A text is returned as it is, ``None`` is empty, and numbers that are not finite read
            "NaN", "∞", "−∞".
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
        text = "NaN"
    elif math.isinf(value):
        text = "∞" if value > 0 else "-∞"
    elif value == 0:
        text = "0"
    else:
        text = _rounded(value)
    return text.replace("-", "−")


def with_error(mean: int | float, error: int | float) -> str:
    """A number with its standard error, to the error's second significant digit.

    >>> with_error(0.53612, 0.00123), with_error(0.53612, math.nan)
    ('0.5361 ± 0.0012', '0.536')

    Args:
        mean: The number.
        error: Its standard error; NaN where it is not known.
    """
    if math.isnan(error):
        return number(float(mean))
    if not (math.isfinite(mean) and math.isfinite(error)) or error <= 0:
        return f"{number(float(mean))} ± {number(float(error))}"
    decimals = _decimals(error)
    return f"{mean:,.{decimals}f} ± {error:,.{decimals}f}".replace("-", "−")


def with_interval(value: int | float, low: int | float, high: int | float) -> str:
    """A number with its interval, to the second significant digit of the interval's width.

    >>> with_interval(1.8412, 1.62, 2.06)
    '1.84 [1.62, 2.06]'
    """
    width = high - low
    if not (math.isfinite(value) and math.isfinite(width)) or width <= 0:
        return f"{number(float(value))} [{number(float(low))}, {number(float(high))}]"
    decimals = _decimals(width)
    return f"{value:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]".replace("-", "−")


def percent(fraction: int | float, interval: tuple[int | float, int | float] | None = None) -> str:
    """A fraction in percent with one decimal, and its interval if there is one.

    Only 0 reads 0.0 %, and only 1 reads 100.0 %: a fraction close to either gets the decimals it needs.

    >>> percent(0.989, (0.986, 0.991)), percent(0.5), percent(0.9999)
    ('98.9 % [98.6, 99.1]', '50.0 %', '99.99 %')
    """
    if not math.isfinite(fraction):
        return f"{number(float(fraction))} %"
    decimals = 1
    while decimals < 4 and fraction not in (0, 1) and round(100 * fraction, decimals) in (0, 100):
        decimals += 1
    texts = [f"{100 * part:.{decimals}f}".replace("-", "−") for part in (fraction, *(interval or ()))]
    return f"{texts[0]} %" if interval is None else f"{texts[0]} % [{texts[1]}, {texts[2]}]"


def whole_percent(fraction: int | float) -> str:
    """A fraction in whole percent, for narrow places; only 0 reads 0 %, and only 1 reads 100 %.

    >>> whole_percent(0.98), whole_percent(0.9999), whole_percent(1.0)
    ('98 %', '99 %', '100 %')
    """
    if not math.isfinite(fraction):
        return f"{number(float(fraction))} %"
    rounded = round(100 * fraction)
    if 0 < fraction < 1:
        rounded = min(99, max(1, rounded))
    return f"{rounded} %"


def radius_text(radius: str | int | float) -> str:
    """A radius as it was given: a text stays; a number reads "0.1", or "8/255" where it is a whole or half 255th.

    >>> radius_text("8/255"), radius_text(8 / 255), radius_text(0.1), radius_text(0.03125)
    ('8/255', '8/255', '0.1', '0.03125')

    Args:
        radius: In [0, ∞]. Rounding to float32 does no harm: the nearest text of up to five digits is found again.
    """
    if isinstance(radius, str):
        return radius
    if not math.isfinite(radius):
        return number(float(radius))
    exact = f"{radius:.5g}"
    if math.isclose(float(exact), radius, rel_tol=1e-7):
        return f"{float(exact):g}"
    levels = 255 * radius
    halves = round(2 * levels)
    if halves and abs(2 * levels - halves) < 1e-4 and levels < 255:
        return f"{halves / 2:g}/255"
    return f"{float(f'{radius:.{_DIGITS}g}'):g}"


def radius_axis(norm: str, radii: Sequence[float]) -> tuple[float, str]:
    """The factor from radii to an axis in the unit they were given in, and its label.

    >>> radius_axis("linf", [1 / 255, 8 / 255]), radius_axis("linf", [0.0, 0.1])
    ((255.0, 'L∞ radius, 1/255 of the pixel range'), (1.0, 'L∞ radius, the pixel range is 1'))
    """
    positive = [radius_text(radius) for radius in radii if radius]
    if norm == "linf" and 2 * sum(text.endswith("/255") for text in positive) > len(positive):
        return 255.0, f"{norm_text(norm)} radius, 1/255 of the pixel range"
    return 1.0, f"{norm_text(norm)} radius, the pixel range is 1"


def norm_text(norm: str) -> str:
    """A norm as it is written: "L∞", "L2", "L1"; any other name stays."""
    return {"linf": "L∞", "l2": "L2", "l1": "L1"}.get(norm, norm)


def _rounded(value: float) -> str:
    """A finite number that is not 0, to three significant digits, without zeros at the end."""
    mantissa, _, exponent = f"{value:.{_DIGITS - 1}e}".partition("e")
    power = int(exponent)
    if not -4 <= power < 7:
        return f"{_short(mantissa)}·10{str(power).translate(_SUPERSCRIPT)}"
    return _short(f"{float(f'{mantissa}e{exponent}'):,.{max(0, _DIGITS - 1 - power)}f}")


def _short(text: str) -> str:
    """The decimals without zeros at their end."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _decimals(spread: float) -> int:
    """The decimals that show a spread to its second significant digit."""
    return min(8, max(0, 1 - math.floor(math.log10(spread))))


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
