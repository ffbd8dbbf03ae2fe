"""Arithmetic at run time: exact numbers, bounded growth, and a Fault for whatever has no result."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction

from convo.errors import Fault
from convo.flow.typing_rules import BINARY, SIGNED, listed, refusal
from convo.flow.values import Money, Type, Value, type_of

LARGEST = 10**30
"""No number may reach this size, so that no flow can make one grow without end."""

DECIMALS = 20
"""So many decimals are kept; more are rounded, half to even."""

Number = int | Decimal


def compute(sign: str, left: Value, right: Value) -> Value:
    """Return ``left sign right``; a Fault for wrong types, a zero divisor or too large a result.

    Whole numbers stay whole; a division that comes out even is whole too; anything else is a Decimal
    without needless zeros. Moments are counted in real time, whatever clocks do in between.
    """
    first, second = type_of(left), type_of(right)
    result = BINARY.get((sign, first, second))
    if result is None:
        raise Fault(refusal(sign, first, second))
    if sign in ("/", "//", "%") and not right:
        raise Fault("division by zero")
    try:
        if isinstance(left, Number) and isinstance(right, Number):
            number = _number(sign, left, right)
            return bounded(Money(number)) if result is Type.MONEY else bounded(number)
        return _with_time(sign, left, right)
    except OverflowError:
        raise Fault(f"{sign} leads out of the calendar or beyond the longest duration") from None
    except ArithmeticError:
        raise Fault("a number has become too large") from None


def signed(sign: str, value: Value) -> Value:
    """Return the value with a ``-`` or ``+`` before it; a Fault where its type has no sign."""
    if type_of(value) not in SIGNED:
        raise Fault(f"a '{sign}' goes before {listed(SIGNED)} only")
    if sign == "+":
        return value
    if isinstance(value, timedelta):
        return -value
    assert isinstance(value, int | Decimal)
    return Money(value.copy_negate()) if isinstance(value, Money) else trimmed(_EXACT.minus(Decimal(value)))


def trimmed(value: Number) -> Number:
    """Return a number without needless decimals: an int where it is whole."""
    if isinstance(value, int):
        return value
    if not value.is_finite():
        raise Fault("a number is not finite")
    if abs(value) >= LARGEST:
        raise Fault("a number has become too large")
    if value == value.to_integral_value():
        return int(value)
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -DECIMALS:
        value = value.quantize(Decimal(1).scaleb(-DECIMALS), context=_EXACT)
    whole, _, decimals = f"{value:f}".partition(".")
    decimals = decimals.rstrip("0")
    return Decimal(f"{whole}.{decimals}") if decimals else int(whole)


def bounded(value: Number) -> Number:
    """Return the number; a Fault where it has become too large."""
    if not -LARGEST < value < LARGEST:
        raise Fault("a number has become too large")
    return value


def rounded(value: Number, decimals: int = 0) -> Number:
    """Return the number rounded to so many decimals, a half away from zero; money stays money."""
    if not 0 <= decimals <= DECIMALS:
        raise Fault(f"numbers are rounded to 0 to {DECIMALS} decimals")
    step = Decimal(1).scaleb(-decimals)
    result = _ROUNDING.quantize(Decimal(bounded(value)), step)
    return Money(result) if isinstance(value, Money) else trimmed(result)


def _number(sign: str, left: Number, right: Number) -> Number:
    if isinstance(left, int) and isinstance(right, int):
        if max(left.bit_length(), right.bit_length()) > _MOST_BITS:
            raise Fault("a number has become too large")
        if sign == "+":
            return left + right
        if sign == "-":
            return left - right
        if sign == "*":
            return left * right
        if sign == "//" or (sign == "/" and left % right == 0):
            return left // right
        if sign == "%":
            return left % right
    one, other = Decimal(bounded(left)), Decimal(bounded(right))
    if sign == "+":
        return trimmed(_EXACT.add(one, other))
    if sign == "-":
        return trimmed(_EXACT.subtract(one, other))
    if sign == "*":
        return trimmed(_EXACT.multiply(one, other))
    if sign == "/":
        return trimmed(_EXACT.divide(one, other))
    # Python's own // and % of Decimals round towards zero, those of ints down: here all round down.
    times = Fraction(one) // Fraction(other)
    if sign == "//":
        return times
    return trimmed(_EXACT.subtract(one, _EXACT.multiply(Decimal(times), other)))


def _with_time(sign: str, left: Value, right: Value) -> Value:
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left.astimezone(UTC) - right.astimezone(UTC)
    if isinstance(left, timedelta) and isinstance(right, date):
        left, right = right, left
    if isinstance(left, datetime) and isinstance(right, timedelta):
        moved = left.astimezone(UTC) + (right if sign == "+" else -right)
        return moved.astimezone(left.tzinfo)
    if isinstance(left, date) and isinstance(right, timedelta):
        if right % timedelta(days=1):
            raise Fault("a date can only move by whole days")
        return left + (right if sign == "+" else -right)
    if isinstance(left, date) and isinstance(right, date):
        return left - right
    return _duration(sign, left, right)


def _duration(sign: str, left: Value, right: Value) -> Value:
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        if sign == "+":
            return left + right
        if sign == "-":
            return left - right
        if sign == "%":
            return left % right
        return bounded(_number(sign, left // _TICK, right // _TICK))
    if isinstance(right, timedelta):
        left, right = right, left
    assert isinstance(left, timedelta)
    assert isinstance(right, int | Decimal)
    ticks = _number(sign, left // _TICK, right)
    return timedelta(microseconds=int(_ROUNDING_EVEN.quantize(Decimal(ticks), Decimal(1))))


_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
_EXACT = Context(prec=64, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_ROUNDING = Context(prec=64, rounding="ROUND_HALF_UP", traps=_TRAPS)
_ROUNDING_EVEN = Context(prec=128, rounding=ROUND_HALF_EVEN, traps=_TRAPS)
_TICK = timedelta(microseconds=1)
_MOST_BITS = LARGEST.bit_length()
