"""Numbers that an operator types: what is wrong with one is said with the number as it was typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convo.messages import Address


def typed_number(where: str, text: str, region: str = "AU", hint: str = "") -> Address:
    """Return a number that was typed, ``where`` being the option or argument it was typed for.

    Raises:
        ConfigError: it is no valid phone number; unlike that of ``to_address`` the message repeats it, as
            whoever typed it has to see what convo has read.
    """
    from convo.errors import ConfigError
    from convo.messages import NotANumber, is_country, to_address

    if not is_country(region):
        raise ConfigError(f"--country: '{region[:40]}' is no country; two letters, like AU")
    try:
        return to_address(text, region)
    except NotANumber as problem:
        raise ConfigError(f"{where}: '{text[:40]}' {problem.why}{hint}") from None
