"""The shape of config.yaml. Each description is what an editor shows beside the key."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from erpcrm_bridge.settings import times

API_VERSION = "erpcrm-bridge/v1"
DEFAULT_STORE = "sqlite:///./.erpcrm-bridge/store.db"


class Section(BaseModel):
    """Base of the parts of config.yaml: a key that is not known is a complaint."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def _whole(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("is not a whole number")  # noqa: TRY004 - pydantic collects ValueErrors
    return value


def _share(value: Any) -> float:
    if isinstance(value, str) and value.endswith("%"):
        try:
            value = Decimal(value.removesuffix("%").strip()) / 100
        except ArithmeticError:
            value = None
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or value != value or not 0 <= value <= 1:  # noqa: PLR0124 - not a number
        raise ValueError("is not a share such as 25%")
    return float(value)


def _text_with(check: Callable[[str], object]) -> AfterValidator:
    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _span(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError("is not a span of time such as 90s, 15m, 24h or 7d")  # noqa: TRY004 - pydantic collects ValueErrors
    return times.seconds(value)


_ONE_OF = ("ask", "newer", "non_empty", "max", "min", "union")


def _on_clash(value: Any) -> Any:
    if isinstance(value, str) and value in _ONE_OF:
        return value
    if isinstance(value, dict) and list(value) == ["prefer"]:
        roles = value["prefer"]
        if isinstance(roles, list) and roles and all(isinstance(role, str) for role in roles):
            return value
    raise ValueError(f"is none of {', '.join(_ONE_OF)} or {{prefer: [roles]}}")


def _text_keys(value: Any) -> Any:
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else value


Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
Count: TypeAlias = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Positive: TypeAlias = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Share: TypeAlias = Annotated[
    float,
    BeforeValidator(_share),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^[0-9.]+ *%$"}, {"type": "number", "minimum": 0, "maximum": 1}]}),
]
Span: TypeAlias = Annotated[int, BeforeValidator(_span), WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"})]
Cron: TypeAlias = Annotated[str, _text_with(times.check_cron)]
Zone: TypeAlias = Annotated[str, _text_with(times.check_zone)]
OnClash: TypeAlias = Annotated[
    Any,
    BeforeValidator(_on_clash),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(_ONE_OF)},
                {
                    "type": "object",
                    "properties": {"prefer": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
                    "required": ["prefer"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
]
Codes: TypeAlias = dict[str, Annotated[dict[str, str], BeforeValidator(_text_keys)]]


class StoreSection(Section):
    """Where the bridge remembers."""

    url: str = Field(DEFAULT_STORE, description="sqlite:///path of a file, or postgresql://user@host/database")


class BudgetSection(Section):
    """The bridge's share of the system's API; the rest is left to people."""

    calls: Count | None = Field(None, description="calls a day; null: no limit")
    parallel: Positive = Field(1, description="calls at once")


class ConnectionSection(Section):
    """A connector, its settings and its credential, under a name."""

    connector: Name = Field(description="name of the connector, such as csv")
    settings: dict[str, Any] = Field(default_factory=dict, description="the connector's own settings; its README lists them")
    values: dict[str, Any] = Field(default_factory=dict, description="what mappings may use as $connection.NAME")
    codes: Codes = Field(default_factory=dict, description="code tables beside the system's own: {kind: {id there: canonical code}}")
    budget: BudgetSection = Field(default_factory=BudgetSection, description="the bridge's share of the system's API")


class EntitySection(Section):
    """One entity in a flow."""

    mappings: dict[str, list[str]] | None = Field(None, description="for each role, the names of the mappings used")
    create_in: list[str] = Field(default_factory=list, description="roles in whose systems new records are made")


class PolicySection(Section):
    """Who may change a field, and who wins a clash; goes over what entity.yaml says."""

    write_by: list[str] | None = Field(None, description="roles that may change the field at all")
    on_clash: OnClash = Field("ask", description="ask, newer, non_empty, max, min, union or {prefer: [roles]}")
    group: str | None = Field(None, description="fields of one group move as one value")


class PoliciesSection(Section):
    """The policies of one entity."""

    fields: dict[str, PolicySection] = Field(description="policies by canonical field; billing.* stands for all of billing")


class BrakesSection(Section):
    """Limits for each system over the window; a tripped brake stays until a person releases it. null switches one off."""

    deletes: Count | None = Field(20, description="records deleted")
    creates: Count | None = Field(500, description="records created")
    changed: Share | None = Field(0.25, description="share of the known records changed, such as 25%")
    reverts: Count | None = Field(50, description="fields set back to a value they had before")
    window: Span = Field(86400, description="time over which the limits count, such as 24h")


class ScheduleSection(Section):
    """When the flow runs by itself: read, and not carried out yet. Until then `erpcrm-bridge sync` is called from cron."""

    every: Span | None = Field(None, description="time from one run to the next, such as 15m")
    cron: Cron | None = Field(None, description="minute, hour, day of the month, month, day of the week")
    zone: Zone = Field("UTC", description="time zone of `cron`, such as Europe/Berlin")


class FlowSection(Section):
    """Connections in roles, and the entities that move between them."""

    roles: dict[Name, str] = Field(description="what each connection is to this flow, such as {crm: NAME, erp: NAME}")
    entities: dict[str, EntitySection] = Field(description="what moves, such as customer")
    policies: dict[str, PoliciesSection] = Field(default_factory=dict, description="who may write and who wins, by entity")
    brakes: BrakesSection = Field(default_factory=BrakesSection, description="limits that stop the writing")
    schedule: ScheduleSection | None = Field(None, description="{every: 15m} or {cron: …, zone: …}; nothing runs by it yet, use cron")


class ConfigFile(Section):
    """config.yaml of erpcrm-bridge."""

    apiVersion: Literal["erpcrm-bridge/v1"] = Field(description="form of this file")
    store: StoreSection = Field(default_factory=StoreSection, description="where the bridge remembers")
    mappings: list[str] = Field(default_factory=list, description="folders of your own mappings, searched after the shipped ones")
    connections: dict[Name, ConnectionSection] = Field(description="the systems, by a name of your choice")
    flows: dict[Name, FlowSection] = Field(default_factory=dict, description="what is joined, by a name of your choice")
