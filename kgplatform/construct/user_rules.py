"""A user's own rules of stance, which add to the platform's; each is tried on its example."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from kgplatform.construct.marked_sentence import parse_marked
from kgplatform.construct.rule_table import Effect, StanceRule, read_rules
from kgplatform.construct.stance import Rules, rules
from kgplatform.files import read_text

logger = logging.getLogger(__name__)
MAX_TABLE: Final = 1 << 20  # bytes of a user's table of rules
_WITHOUT_CUE: Final = frozenset({Effect.BOUNDARY, Effect.NOTHING, Effect.NO_FINDING})


def user_rules(path: Path) -> Rules:
    """The platform's rules with those of a user's table, which replace rules of the same name. Raises `InputError` for
    a damaged table; warns of a table without rules, and of a rule that does not decide its example.
    """
    own_table = rules().table
    table_text = read_text(path, MAX_TABLE, "Give a table of rules; see docs/construct.md.")
    table = read_rules(table_text, path.name, own_table.classes)
    if not table.rules:
        logger.warning(f"{path}: the table has no rule")
    combined = Rules(own_table.with_rules(table))
    for rule in table.rules:
        if not _decides_example(combined, rule):
            logger.warning(f"{path}: the rule {rule.name} has no effect in its example")
    return combined


def _decides_example(combined: Rules, rule: StanceRule) -> bool:
    """Whether the rule decides on the finding in [brackets] of its example; True where it has none, or needs none."""
    sentence = parse_marked(rule.example)
    if rule.effect in _WITHOUT_CUE or True not in sentence.is_subject:
        return True
    decisions = combined.stances(sentence.text, sentence.mentions)
    cues = (decision.cue for decision, is_subject in zip(decisions, sentence.is_subject, strict=True) if is_subject)
    return all(cue is not None and cue.rule == rule.name for cue in cues)
