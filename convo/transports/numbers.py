"""Numbers as providers write them."""

from __future__ import annotations

import re

from convo.messages import Address, to_address


def read_number(text: str, region: str, *, bare: bool = False) -> Address:
    """Return the address for a number as a provider writes it; a name or short code as it is.

    ``bare``: numbers come with their country and without a plus, like 61400000001.
    """
    text = text.strip()
    digits = re.sub(r"[\s().-]", "", text)
    if not re.fullmatch(r"\+?[0-9]{7,17}", digits):
        return Address(text)
    if bare and digits.startswith("00"):
        digits = "+" + digits[2:]
    elif bare and not digits.startswith(("+", "0")):
        digits = "+" + digits
    try:
        return to_address(digits, region)
    except ValueError:
        return Address(text)
