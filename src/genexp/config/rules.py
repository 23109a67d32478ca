"""What a value of a configuration may be: a rule in words, and pydantic's core to check it. Imports no torch.

The core is taken without pydantic's classes above it: these cost eight times as much to import, at the start of every
command.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pydantic_core import CoreSchema, SchemaValidator, ValidationError, core_schema

from genexp.on_disk import OnDisk

_CONFIG = core_schema.CoreConfig(strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Rule:
    """What a value must be.

    Args:
        words: The rule for people, as in `a whole number of at least 1`.
        many: The same of several values, as in `whole numbers of at least 1`.
        schema: The rule for pydantic's core. Truth values are no numbers, 1.0 is no whole number, nothing is infinite.
        parts: Classes of which a mapping with a `_target_` may build one; `object` stands for any.
        places: What the value must name on this machine, for text.
        members: The rule of the members of a list or mapping.
    """

    words: str
    many: str
    schema: CoreSchema
    parts: tuple[type, ...] = ()
    places: tuple[OnDisk, ...] = ()
    members: "Rule | None" = None

    @property
    def wants_target(self) -> bool:
        """Whether no mapping but one with a `_target_` will do."""
        return bool(self.parts) and object not in self.parts and self.members is None

    @cached_property
    def _validator(self) -> SchemaValidator:
        return SchemaValidator(self.schema, _CONFIG)

    def accepts(self, value: object) -> bool:
        """Whether plain containers and values, as YAML holds them, follow the rule."""
        if self.members is not None and isinstance(value, dict) and not all(isinstance(key, str) for key in value):
            return False  # JSON has texts alone for keys
        try:
            self._validator.validate_json(json.dumps(value, default=str))
        except ValidationError:
            return False
        return True


def anything() -> Rule:
    """No rule."""
    return Rule("anything", "anything", core_schema.any_schema(), (object,))


def null() -> Rule:
    """Nothing."""
    return Rule("null", "nulls", core_schema.none_schema())


def flag() -> Rule:
    """A truth value."""
    return Rule("true or false", "truth values", core_schema.bool_schema())


def whole(least: int | None = None, most: int | None = None) -> Rule:
    """A whole number within bounds, which belong to it."""
    bounds = _bounds(least, most)
    return Rule(f"a whole number{bounds}", f"whole numbers{bounds}", core_schema.int_schema(ge=least, le=most))


def number(
    least: float | None = None, most: float | None = None, above: float | None = None, below: float | None = None
) -> Rule:
    """A finite number within bounds; `above` and `below` do not belong to it."""
    words = _bounds(least, most)
    words += "" if above is None else f" above {above:g}"
    words += "" if below is None else f"{' and' if words else ''} below {below:g}"
    schema = core_schema.float_schema(ge=least, le=most, gt=above, lt=below)
    return Rule(f"a number{words}", f"numbers{words}", schema)


def _bounds(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return "" if least is most else f" of at most {most}" if least is None else f" of at least {least}"


def text(words: str = "text", test: Callable[[str], bool] | None = None) -> Rule:
    """Text, for which `test` holds where it is given."""
    schema = core_schema.str_schema()
    if test is not None:
        schema = core_schema.no_info_after_validator_function(_required(test), schema)
    return Rule(words, "texts" if words == "text" else words, schema)


def _required(test: Callable[[str], bool]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not test(value):
            raise ValueError(value)
        return value

    return check


def one_of(*values: object) -> Rule:
    """One of some texts, whole numbers and truth values; 1 and true are different."""
    schemas = [_exactly(value) for value in values]
    words = ", ".join(dict.fromkeys("null" if each is None else str(each) for each in values))
    words = words if len(values) == 1 else f"one of {words}"
    schema = schemas[0] if len(schemas) == 1 else core_schema.union_schema(schemas)
    return Rule(words, f"values, each {words}", schema)


def _exactly(value: object) -> CoreSchema:
    if type(value) is int:
        return core_schema.int_schema(ge=value, le=value)
    return core_schema.none_schema() if value is None else core_schema.literal_schema([value])


def either(*rules: Rule) -> Rule:
    """What follows one of some rules at least. Parts are not told of where something simpler will do."""
    rules = tuple({rule.words: rule for rule in rules}.values())
    if any(rule.words == "anything" for rule in rules):
        return anything()
    told = [rule for rule in rules if not rule.parts and rule.words != "null"] or list(rules)
    told += [rule for rule in rules if rule.words == "null" and rule not in told]
    if any(rule.words == "a number" for rule in told):
        told = [rule for rule in told if rule.words != "a whole number"]
    words, many = _or([rule.words for rule in told]), _or([rule.many for rule in told])
    schema = core_schema.union_schema([rule.schema for rule in rules])
    parts = tuple(part for rule in rules for part in rule.parts)
    places = tuple(place for rule in rules for place in rule.places)
    return Rule(words, many, schema, parts, places, next((rule.members for rule in rules if rule.members), None))


def _or(words: Sequence[str]) -> str:
    last = sorted(dict.fromkeys(words), key=lambda each: each in ("null", "nulls"))
    return " or ".join([", ".join(last[:-1]), last[-1]] if len(last) > 1 else last)


def optional(rule: Rule) -> Rule:
    """What follows a rule, or nothing."""
    return either(rule, null())


def list_of(rule: Rule, least: int | None = None) -> Rule:
    """A list whose members follow a rule."""
    words = f"a list of {rule.many}" if rule.words != "anything" else "a list"
    words += f", {least} at least" if least else ""
    schema = core_schema.list_schema(rule.schema, min_length=least)
    return Rule(words, words.replace("a list", "lists", 1), schema, members=rule)


def row_of(*rules: Rule) -> Rule:
    """A list with one member for each of the rules."""
    alike = len({rule.many for rule in rules}) == 1
    words = f"a list of {len(rules)} {rules[0].many}" if alike else f"a list of {', '.join(r.words for r in rules)}"
    schema = core_schema.tuple_schema([rule.schema for rule in rules])
    return Rule(words, words, schema)


def mapping_of(rule: Rule) -> Rule:
    """A mapping from texts to what follows a rule."""
    words = f"a mapping to {rule.many}" if rule.words != "anything" else "a mapping"
    schema = core_schema.dict_schema(core_schema.str_schema(), rule.schema)
    return Rule(words, words.replace("a mapping", "mappings", 1), schema, members=rule)


def part(kind: type, name: str) -> Rule:
    """A mapping with a `_target_`, from which an object of a class is built."""
    schema = core_schema.dict_schema(core_schema.str_schema(), core_schema.any_schema())
    partial = " and _partial_" if kind is Callable else ""
    words = f"a {name}, as a mapping with _target_{partial}"
    return Rule(words, f"mappings with _target_{partial} ({name})", schema, (kind,))


def on_disk(rule: Rule, place: OnDisk) -> Rule:
    """Text that also names something on this machine; that is not asked by `accepts`."""
    return replace(rule, places=(*rule.places, place))
