"""Writes countries.json and regions.json beside itself. Run by hand when ISO 3166 changes.

    pip install pycountry babel && python generate.py      # nothing else needs the two

``countries.json``: ``names`` (code -> English name, as written out) and ``codes`` (folded name, code or alias -> code of ISO 3166-1).
``regions.json``: country -> (folded name, code or alias -> part of ISO 3166-2 behind the hyphen). A name that means two things is left out.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from pathlib import Path
from typing import Any

import pycountry  # type: ignore[import-not-found,unused-ignore]  # present only where the tables are made
from babel import Locale  # type: ignore[import-not-found,unused-ignore]  # present only where the tables are made

LOCALES = "en de fr es it nl pt pl sv da nb fi cs sk hu ro bg el tr ru uk hr sl et lv lt ja zh ko ar he".split()  # noqa: SIM905 - a list of words
NAMES = {
    "HK": "Hong Kong",
    "MO": "Macao",
    "MM": "Myanmar",
    "PS": "Palestine",
    "CD": "Congo (DRC)",
    "CG": "Congo (Republic)",
    "XK": "Kosovo",
}
ALIASES = {
    "GB": "UK|U.K.|Great Britain|Britain|England|Scotland|Wales|Northern Ireland|Grossbritannien|Großbritannien|Royaume-Uni|Reino Unido",
    "US": "USA|U.S.A.|U.S.|United States|United States of America|The United States|EEUU|EE.UU.|Estados Unidos de America",
    "TR": "Turkey|Turkiye|Türkei|Turquie",
    "RU": "Russia|Russian Federation|Russland",
    "NL": "Holland|The Netherlands|Netherlands|Nederland|Pays-Bas",
    "MO": "Macau|Macao|Macao SAR|Macau SAR",
    "HK": "Hong Kong SAR|Hongkong|Hong Kong",
    "XK": "Kosovo|Kosova|XKX|Republic of Kosovo",
    "DE": "Deutschland|Allemagne|Federal Republic of Germany|Bundesrepublik Deutschland|BRD",
    "CZ": "Czech Republic|Czechia|Tschechien|Tschechische Republik|Ceska republika",
    "KR": "South Korea|Republic of Korea|Korea South|Korea, South|Korea (South)",
    "KP": "North Korea|Korea North|Korea, North|DPRK",
    "CI": "Ivory Coast|Cote d Ivoire|Cote d'Ivoire",
    "CV": "Cape Verde",
    "SZ": "Swaziland",
    "MM": "Burma",
    "MK": "Macedonia|FYROM|North Macedonia",
    "TL": "East Timor|Timor-Leste",
    "VA": "Vatican|Vatican City|Holy See",
    "TW": "Taiwan|Taiwan ROC|Chinese Taipei",
    "VN": "Vietnam|Viet Nam",
    "LA": "Laos",
    "SY": "Syria",
    "IR": "Iran",
    "MD": "Moldova",
    "TZ": "Tanzania",
    "BO": "Bolivia",
    "VE": "Venezuela",
    "BN": "Brunei",
    "PS": "Palestine|Palestinian Territories",
    "CD": "DR Congo|DRC|Democratic Republic of the Congo|Congo-Kinshasa|Zaire",
    "CG": "Republic of the Congo|Congo-Brazzaville",
    "AE": "UAE|U.A.E.|Emirates",
    "SA": "KSA|Saudi Arabia",
    "CN": "PRC|P.R. China|PR China|Mainland China|People's Republic of China",
    "IE": "Eire|Republic of Ireland|Ireland (Republic)",
    "GR": "EL|Hellas|Ellada",
    "AT": "Oesterreich|Österreich",
    "CH": "Schweiz|Suisse|Svizzera|Switzerland|CHE",
    "BA": "Bosnia|Bosnia and Herzegovina|Bosnia-Herzegovina|Bosnia & Herzegovina",
    "TT": "Trinidad|Trinidad & Tobago",
    "BY": "Belorussia|Byelorussia",
    "FM": "Micronesia",
    "BS": "The Bahamas|Bahamas",
    "GM": "The Gambia|Gambia",
    "PH": "The Philippines|Philippines",
    "LK": "Ceylon",
    "IN": "Bharat",
    "EG": "Arab Republic of Egypt",
    "NO": "Norge|Norway",
    "FI": "Suomi",
    "HU": "Magyarorszag",
    "HR": "Hrvatska",
    "ES": "Espana|España",
    "PT": "Portugal",
    "BR": "Brasil",
    "JP": "Nippon|Nihon",
}
# Meant too often in two ways: refused rather than guessed.
AMBIGUOUS = {"congo", "korea", "guinea bissau guinea", "virgin islands", "america", "saint martin", "micronesia islands"}

REGION_ALIASES = {
    "DE": "BY:Bavaria|BW:Baden Wuerttemberg|HE:Hesse|NI:Lower Saxony|NW:North Rhine-Westphalia|NW:NRW|RP:Rhineland-Palatinate|SN:Saxony|"
    "ST:Saxony-Anhalt|TH:Thuringia|TH:Thueringen|MV:Mecklenburg-Western Pomerania",
    "AT": "1:Burgenland|2:Carinthia|2:Kaernten|3:Lower Austria|3:Niederoesterreich|4:Upper Austria|4:Oberoesterreich|5:Salzburg|6:Styria|"
    "7:Tyrol|8:Vorarlberg|9:Vienna",
    "CH": "ZH:Zurich|ZH:Zuerich|BE:Berne|GE:Geneva|GE:Genf|LU:Lucerne|VD:Waadt|VS:Wallis|TI:Tessin|GR:Grisons|SG:St Gallen|SG:St. Gallen|"
    "SG:Saint Gallen|BS:Basel City|BL:Basel Land|FR:Freiburg|NE:Neuenburg",
    "US": "DC:Washington DC|DC:Washington D.C.|DC:D.C.",
    "CA": "QC:Quebec|NL:Newfoundland|NL:Newfoundland & Labrador|PE:PEI|BC:B.C.",
    "IT": "25:Lombardy|52:Tuscany|21:Piedmont|82:Sicily|88:Sardinia|75:Apulia|62:Latium|34:Veneto",
    "ES": "CT:Catalonia|AN:Andalusia|PV:Basque Country|MD:Community of Madrid|VC:Valencian Community",
    "FR": "IDF:Ile de France|BRE:Brittany|NOR:Normandy|20R:Corsica",
    "BE": "VLG:Flanders|WAL:Wallonia|BRU:Brussels",
    "AU": "ACT:Capital Territory",
}


def fold(text: str) -> str:
    """Keep equal to ``fold`` of transforms.py."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\W_]+", " ", plain.replace(".", "").replace("'", "").replace("’", "")).strip()


def countries() -> dict[str, Any]:
    english = Locale("en").territories
    names = {c.alpha_2: NAMES.get(c.alpha_2, english.get(c.alpha_2, c.name)) for c in pycountry.countries} | {"XK": "Kosovo"}
    sure: dict[str, str] = {}
    for c in pycountry.countries:
        for text in (c.alpha_2, c.alpha_3, names[c.alpha_2], c.name, getattr(c, "common_name", ""), getattr(c, "official_name", "")):
            sure.setdefault(fold(text), c.alpha_2)
    for code, aliases in ALIASES.items():
        for alias in aliases.split("|"):
            other = sure.setdefault(fold(alias), code)
            if other != code:
                raise SystemExit(f"{alias}: {code} or {other}?")
    sure[fold("XK")] = "XK"
    abroad: defaultdict[str, set[str]] = defaultdict(set)
    for locale in LOCALES:
        for code, name in Locale(locale).territories.items():
            if code in names:
                abroad[fold(name)].add(code)
    found = {name: min(codes) for name, codes in abroad.items() if len(codes) == 1} | sure
    return {"names": dict(sorted(names.items())), "codes": {k: v for k, v in sorted(found.items()) if k and k not in AMBIGUOUS}}


def regions() -> dict[str, dict[str, str]]:
    tables: dict[str, dict[str, str]] = {}
    for country in sorted({s.country_code for s in pycountry.subdivisions}):
        named: defaultdict[str, set[str]] = defaultdict(set)
        codes: dict[str, str] = {}
        for s in pycountry.subdivisions.get(country_code=country):
            part = s.code.partition("-")[2]
            codes[fold(part)] = codes[fold(s.code)] = part
            for text in [*re.split(r"[\[\](/]", s.name), s.name]:
                if fold(text.rstrip(")")):
                    named[fold(text.rstrip(")"))].add(part)
        for entry in filter(None, REGION_ALIASES.get(country, "").split("|")):
            part, _, alias = entry.partition(":")
            if fold(part) not in codes:
                raise SystemExit(f"{country}-{part} is no region")
            named[fold(alias)] = {part}
        tables[country] = dict(sorted(({name: min(parts) for name, parts in named.items() if len(parts) == 1} | codes).items()))
    return tables


if __name__ == "__main__":
    here = Path(__file__).parent
    for file, content in (("countries.json", countries()), ("regions.json", regions())):
        (here / file).write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True) + "\n", encoding="utf-8")
