"""Money: Decimal amounts, quantized to the minor unit of their currency (L10)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from erpcrm_bridge.model.values import WIDE

# ISO 4217, list one (active codes): digits of the minor unit. CLDR's digits differ for 13 currencies and are wrong for accounting.
_ZERO = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
_TWO = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP "
    "COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD "
    "KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY "
    "TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG"
)
CURRENCY = "currency"
"""The field that says in which currency a record's amounts and prices are."""
MINOR_UNITS: dict[str, int] = (
    dict.fromkeys(_TWO.split(), 2) | dict.fromkeys(_ZERO.split(), 0) | dict.fromkeys(_THREE.split(), 3) | dict.fromkeys(_FOUR.split(), 4)
)
"""Currency codes of ISO 4217 to the digits of their minor unit."""

_QUANTA = {code: Decimal(1).scaleb(-digits) for code, digits in MINOR_UNITS.items()}


def quantize(amount: Decimal | int, currency: str) -> Decimal:
    """Return ``amount`` in the minor unit of ``currency``, half rounded away from zero; ValueError for an unknown currency."""
    try:
        quantum = _QUANTA[currency]
    except KeyError:
        raise ValueError(f"{currency!r} is not a currency of ISO 4217") from None
    return rounded(Decimal(amount), quantum)


def rounded(number: Decimal, quantum: Decimal) -> Decimal:
    """Return ``number`` with the decimals of ``quantum``, half rounded away from zero; what comes to zero has no sign."""
    found = number.quantize(quantum, ROUND_HALF_UP, WIDE)
    return found if found else abs(found)
