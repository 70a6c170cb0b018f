"""Settings in YAML: frozen dataclasses that pydantic validates, with one style of error and a JSON schema for editors.

A class of settings derives from `YAMLSettings`, or from `FromYAML` where it is read in its own way. Its fields have the
types below: pydantic would take the text "2" for the number 2, true for 1 and a set for a list, which these refuse.
A string after a field is the field's description in the JSON schema.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from inspect import getdoc
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, NoReturn, Self, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictStr,
    TypeAdapter,
    ValidationError,
)
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, SkipJsonSchema
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema

from kgplatform.errors import InputError
from kgplatform.files import read_yaml
from kgplatform.suggest import did_you_mean

T = TypeVar("T")
SettingsT = TypeVar("SettingsT", bound="FromYAML")

MAX_NUMBER: Final = 1 << 31
MAX_QUOTED: Final = 60  # characters of a name or a value that an error repeats
_ROOT: Final = "the settings"
_UNKNOWN: Final = ("unexpected_keyword_argument", "invalid_key", "unknown_setting")
_QUOTED: Final = re.compile(r"'([^']*)'")
_PROBLEMS: Final[Mapping[str, str]] = {
    "bool_type": "must be true or false",
    "dataclass_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt:,.0f}",
    "mapping_type": "must be a mapping",
    "string_type": "must be text",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
}


def setting_error(problem: str) -> PydanticCustomError:
    """What a validator of a setting raises; `problem` follows the setting's name and may not repeat its value."""
    return PydanticCustomError("setting", "{problem}", {"problem": problem})


def _require_list(value: object) -> object:
    if isinstance(value, list | tuple):
        return value
    raise setting_error("must be a list")


def _refuse(value: object) -> NoReturn:
    raise PydanticCustomError("unknown_setting", "cannot be set in a file")


class HasValue:
    """Metadata of an optional setting: the line may be left out of the file, but not written without a value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_before_validator_function(self._require_value, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        optional_schema = handler(schema)
        [value_schema] = (option for option in optional_schema["anyOf"] if option != {"type": "null"})
        return dict(value_schema)

    @staticmethod
    def _require_value(value: object) -> object:
        if value is None:
            raise setting_error("has no value: remove the line, or add a value")
        return value


Flag = StrictBool
Text = StrictStr
AsList = BeforeValidator(_require_list)  # in `Annotated` with a tuple's type
Texts = Annotated[tuple[Text, ...], AsList]
PositiveInteger = Annotated[int, Field(strict=True, gt=0, lt=MAX_NUMBER)]
NaturalInteger = Annotated[int, Field(strict=True, ge=0, lt=MAX_NUMBER)]
PositiveNumber = Annotated[float, Field(strict=True, gt=0, lt=MAX_NUMBER, allow_inf_nan=False)]
NonNegativeNumber = Annotated[float, Field(strict=True, ge=0, lt=MAX_NUMBER, allow_inf_nan=False)]
Numbers = Annotated[tuple[NonNegativeNumber, ...], AsList]
NeverInFile = Annotated[T, BeforeValidator(_refuse), SkipJsonSchema()]  # a field that only the program sets


@dataclass(frozen=True)
class FromYAML:
    """Base of settings that `parse_settings` reads. The dataclasses in its fields are read by the same rules."""

    __slots__ = ()
    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", use_attribute_docstrings=True)


@dataclass(frozen=True)
class YAMLSettings(FromYAML):
    """Settings of a training: read from a YAML file or a plain mapping, checked, and stored as a plain mapping."""

    examples: ClassVar[str]  # where examples are, for the hint of an error

    @classmethod
    def read(cls, path: Path) -> Self:
        """The settings in a YAML file. Raises `InputError` for what is unknown, ill-typed or out of range."""
        document = read_yaml(path, f"See {cls.examples} for examples.")
        try:
            return cls.from_document(document)
        except InputError as error:
            raise InputError(error.message, error.hint, path=path) from None

    @classmethod
    def from_document(cls, document: object) -> Self:
        """The settings in a plain mapping. Raises `InputError`."""
        settings = parse_settings(cls, document, f"See {cls.examples}.")
        settings.check()
        return settings

    def check(self) -> None:
        """Raise `InputError` for values that do not go together."""

    def as_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them; `from_document` reads them back."""
        return asdict(self)


def parse_settings(
    kind: type[SettingsT], document: object, hint: str, *, prefix: str = "", folder: Path | None = None
) -> SettingsT:
    """The settings of a plain mapping. Validators find `folder` in their context: the folder that paths start from.

    `hint` says where the settings are described; `prefix` comes before their names. Raises `InputError` for the first
    error: an unknown setting if there is one, as the others may follow from it.
    """
    hashable_kind: type = kind  # mypy takes a class of a type variable for unhashable
    try:
        settings: SettingsT = _adapter(hashable_kind).validate_python(document, context={"folder": folder})
    except ValidationError as error:
        errors = error.errors(include_url=False)
        first_error = min(errors, key=lambda details: details["type"] not in _UNKNOWN)
        raise _input_error(kind, first_error, hint, prefix) from None
    return settings


def settings_schema(kind: type) -> dict[str, Any]:
    """The JSON schema of a class of settings, as an editor uses it."""
    return _adapter(kind).json_schema(schema_generator=_Schema)


class _Schema(GenerateJsonSchema):
    """Leaves out titles such as "Learning Rate", which repeat a field's name; describes fields that are inherited."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        json_schema = super().default_schema(schema)
        if json_schema.get("default", "") is None and json_schema.get("type") != "null" and "anyOf" not in json_schema:
            del json_schema["default"]  # a setting that may not be written without a value
        return json_schema

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        json_schema = super().dataclass_schema(schema)
        # pydantic 2.14 says both of every dataclass, 2.12 and 2.13 of some.
        json_schema |= {"additionalProperties": False, "description": getdoc(schema["cls"])}
        bases = [base for base in schema["cls"].__mro__[1:] if issubclass(base, FromYAML)]
        for base_properties in (settings_schema(base).get("properties", {}) for base in bases):
            for setting_name in json_schema["properties"].keys() & base_properties:
                if description := base_properties[setting_name].get("description"):
                    json_schema["properties"][setting_name].setdefault("description", description)
        return json_schema


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _input_error(kind: type, details: ErrorDetails, hint: str, prefix: str) -> InputError:
    """The error in the platform's form: what is wrong with which setting, and what to do."""
    error_type, context = details["type"], details.get("ctx", {})
    setting_name = prefix + _dotted_name(details["loc"])
    if error_type in _UNKNOWN:
        setting_names = _sibling_names(kind, details["loc"])
        hint = did_you_mean(
            _displayed(details["loc"][-1]), setting_names, f"Settings: {', '.join(sorted(setting_names))}."
        )
        return InputError(f"there is no setting {setting_name}", hint)
    if error_type == "missing":
        return InputError(f"the setting {setting_name} is missing", hint)
    if error_type == "setting":
        return InputError(f"{setting_name} {context['problem']}", hint)
    if details["loc"][-1:] == ("[key]",):
        return InputError(f"the names in {prefix}{_dotted_name(details['loc'][:-2])} must be text", hint)
    value_hint = f"{_value_hint(details['input'])}{hint}"
    if error_type in ("literal_error", "enum"):
        choices = _QUOTED.findall(context["expected"])
        choice_hint = did_you_mean(_displayed(details["input"]), choices, value_hint)
        return InputError(f"{setting_name} is not one of {', '.join(choices)}", choice_hint)
    problem = _PROBLEMS.get(error_type, "has a value of the wrong kind").format_map(context)
    return InputError(f"{setting_name or _ROOT} {problem}", value_hint)


def _dotted_name(location: tuple[int | str, ...]) -> str:
    """Where a setting is: ``data.graphs[0]``."""
    name = ""
    for part in location:
        is_entry = isinstance(part, int) and name
        name += f"[{part}]" if is_entry else f".{_displayed(part)}" if name else _displayed(part)
    return name


def _sibling_names(kind: type, location: tuple[int | str, ...]) -> list[str]:
    """The settings that there are where an unknown one was written."""
    schema = settings_schema(kind)
    mapping_schema = schema
    for part in location[:-1]:
        reference = mapping_schema["properties"][part]["$ref"]
        mapping_schema = schema["$defs"][reference.rpartition("/")[2]]
    return list(mapping_schema["properties"])


def _value_hint(value: object) -> str:
    """What the file says, where it is short: a mapping or a list may hold anything."""
    if value is None:
        return "It has no value. "
    return f"The value is {_displayed(value)}. " if isinstance(value, bool | int | float | str) else ""


def _displayed(value: object) -> str:
    """A text, a number, true or false in one line, cut; empty for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):  # str() refuses an integer of more than 4,300 digits
        return str(value) if isinstance(value, float) or value.bit_length() < 128 else "a huge number"
    if not isinstance(value, str):
        return ""
    cut_text = value if len(value) <= MAX_QUOTED else f"{value[:MAX_QUOTED]}…"
    return cut_text if cut_text.isprintable() else repr(cut_text)
