"""Rules as data: read, checked, and compiled into one function for each direction.

A rule is *canonical path ↔ external path, through named transforms*, each with a get, a put and a law. What a system already holds in other
words is never written (GetPut); a field that cannot be mapped is an error of that field and of nothing else.
"""

from erpcrm_bridge.mapping.check import Finding, check_mapping
from erpcrm_bridge.mapping.compile import UNHEARD, CompiledList, CompiledMapping, Refs, compile_mapping
from erpcrm_bridge.mapping.expression import Refused
from erpcrm_bridge.mapping.format import MappingSpec
from erpcrm_bridge.mapping.library import EntityRules, FieldPolicy, Library, ListRules, MatchRule, RelatedRule, load_library, shipped
from erpcrm_bridge.mapping.optional import fitted
from erpcrm_bridge.mapping.pause import held_against
from erpcrm_bridge.mapping.rules import Rule
from erpcrm_bridge.mapping.source import FieldError
from erpcrm_bridge.mapping.transforms import PlugIn

__all__ = [
    "UNHEARD",
    "CompiledList",
    "CompiledMapping",
    "EntityRules",
    "FieldError",
    "FieldPolicy",
    "Finding",
    "Library",
    "ListRules",
    "MappingSpec",
    "MatchRule",
    "PlugIn",
    "Refs",
    "Refused",
    "RelatedRule",
    "Rule",
    "check_mapping",
    "compile_mapping",
    "fitted",
    "held_against",
    "load_library",
    "shipped",
]
