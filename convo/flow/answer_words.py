"""The words that answers are made of, by language; a language without words of its own has the English ones.

Everything is folded (lower case). English is understood beside every other language.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType


def _words(listed: str) -> tuple[str, ...]:
    return tuple(listed.split("|"))


YES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": _words("yes|y|yeah|yep|yup|yea|ya|ok|okay|k|sure|of course|yes please|👍|✅|✔"),
        "sw": _words("ndiyo|ndio|ndiyo tafadhali|sawa|naam|eeh|ee"),
        "es": _words("sí|si|s|claro|vale|de acuerdo|por supuesto|sí por favor"),
        "fr": _words("oui|o|ouais|d'accord|bien sûr|bien sur|si|oui merci"),
        "de": _words("ja|j|jo|jawohl|klar|natürlich|ja bitte|gerne"),
    }
)
"""What means yes; the first is how we say it."""

NO: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": _words("no|n|nope|nah|no thanks|no thank you|👎|❌"),
        "sw": _words("hapana|la|siyo|sio|hapana asante"),
        "es": _words("no|n|no gracias"),
        "fr": _words("non|n|nan|non merci"),
        "de": _words("nein|n|nee|nö|nein danke"),
    }
)
"""What means no; the first is how we say it."""

NUMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": (
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
            *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
            *("nineteen", "twenty"),
        ),
        "sw": (
            *("sifuri", "moja", "mbili", "tatu", "nne", "tano", "sita", "saba", "nane", "tisa", "kumi"),
            *("kumi na moja", "kumi na mbili", "kumi na tatu", "kumi na nne", "kumi na tano"),
            *("kumi na sita", "kumi na saba", "kumi na nane", "kumi na tisa", "ishirini"),
        ),
        "es": (
            *("cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"),
            *("once", "doce", "trece", "catorce", "quince", "dieciséis", "diecisiete", "dieciocho"),
            *("diecinueve", "veinte"),
        ),
        "fr": (
            *("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"),
            *("onze", "douze", "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit"),
            *("dix-neuf", "vingt"),
        ),
        "de": (
            *("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"),
            *("elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn"),
            *("neunzehn", "zwanzig"),
        ),
    }
)
"""The whole numbers from 0 to 20."""

MONTHS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": _words("january|february|march|april|may|june|july|august|september|october|november|december"),
        "sw": _words("januari|februari|machi|aprili|mei|juni|julai|agosti|septemba|oktoba|novemba|desemba"),
        "es": _words(
            "enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
        ),
        "fr": _words("janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"),
        "de": _words("januar|februar|märz|april|mai|juni|juli|august|september|oktober|november|dezember"),
    }
)
"""The months; a beginning of three letters or more that only one has will do."""

DAYS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "en": {"today": 0, "yesterday": -1, "tomorrow": 1},
        "sw": {"leo": 0, "jana": -1, "kesho": 1},
        "es": {"hoy": 0, "ayer": -1, "mañana": 1},
        "fr": {"aujourd'hui": 0, "hier": -1, "demain": 1},
        "de": {"heute": 0, "gestern": -1, "morgen": 1},
    }
)
"""Words for a day, as days from today."""

CLOCK: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "en": {"noon": 12, "midday": 12, "midnight": 0},
        "es": {"mediodía": 12, "medianoche": 0},
        "fr": {"midi": 12, "minuit": 0},
        "de": {"mittag": 12, "mitternacht": 0},
    }
)
"""Words for a time of day, as its hour."""

UNITS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "s": "s|sec|secs|second|seconds",
            "m": "m|min|mins|minute|minutes",
            "h": "h|hr|hrs|hour|hours",
            "d": "d|day|days",
            "w": "w|wk|wks|week|weeks",
        },
        "sw": {"s": "sekunde", "m": "dakika", "h": "saa|masaa", "d": "siku", "w": "wiki"},
        "es": {
            "s": "segundo|segundos|seg",
            "m": "minuto|minutos",
            "h": "hora|horas",
            "d": "día|días|dia|dias",
            "w": "semana|semanas",
        },
        "fr": {
            "s": "seconde|secondes",
            "m": "minute|minutes",
            "h": "heure|heures",
            "d": "j|jour|jours",
            "w": "semaine|semaines",
        },
        "de": {
            "s": "sekunde|sekunden|sek",
            "m": "minute|minuten",
            "h": "stunde|stunden|std",
            "d": "tag|tage|tagen",
            "w": "woche|wochen",
        },
    }
)
"""The words for each unit of time."""

AND: Mapping[str, str] = MappingProxyType({"en": "and", "sw": "na", "es": "y", "fr": "et", "de": "und"})
"""What stands between the last two of several."""

OR: Mapping[str, str] = MappingProxyType({"en": "or", "sw": "au", "es": "o", "fr": "ou", "de": "oder"})
"""What stands between the last two of which one is enough."""

NONE: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "en": frozenset({"none", "nothing", "no", "0", "none of them", "none of these"}),
        "sw": frozenset({"hakuna", "hapana"}),
        "es": frozenset({"ninguno", "ninguna", "nada"}),
        "fr": frozenset({"aucun", "aucune", "rien"}),
        "de": frozenset({"keine", "keiner", "keins", "nichts"}),
    }
)
"""What takes none of several choices."""


DECIMAL_COMMA = _words(
    "AL|AO|AR|AT|AZ|BA|BE|BF|BG|BJ|BO|BR|BY|CG|CI|CL|CM|CO|CR|CV|CY|CZ|DE|DK|DZ|EC|EE|ES|FI|FR|GA|GE|GN"
    "|GR|GW|HR|HU|ID|IS|IT|KG|KZ|LT|LU|LV|MA|MC|MD|ME|MG|MK|ML|MZ|NE|NL|NO|PL|PT|PY|RO|RS|RU|SE|SI|SK|SN"
    "|SR|ST|TG|TN|TR|UA|UY|UZ|VE|VN"
)
"""Countries that write a decimal comma."""

MONTH_FIRST = _words("US|AS|FM|GU|MH|MP|PH|PR|PW|UM|VI|CN|HU|JP|KR|LT|MN|TW")
"""Countries where 4/3 is the third of April."""

BOTH_ORDERS = _words("CA")
"""Countries where 4/3 is written for either day."""


def understood(language: str) -> Iterator[str]:
    """Yield the languages whose words count for a sender: the sender's own first, then English."""
    own = language.replace("_", "-").partition("-")[0].lower()
    if own != "en":
        yield own
    yield "en"


def number_of(word: str, language: str) -> int | None:
    """Return the number from 0 to 20 that a folded word says; else None."""
    for each in understood(language):
        words = NUMBERS.get(each, ())
        if word in words:
            return words.index(word)
    return None
