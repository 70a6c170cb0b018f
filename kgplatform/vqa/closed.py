"""Which questions can be answered by yes or no: a small grammar of English questions.

A yes/no question puts its auxiliary before its subject ("Is there a …?", "Does the image show …?"), or is an indirect
one ("Can you tell me whether …?"), a statement with a question mark or a tag ("The heart is enlarged, right?"), or an
elliptical one ("Any effusion?", "Evidence of pneumonia?"). Not so: an interrogative word at its usual place, after a
preposition or where the answer would stand ("The mass is located in what region?"), a request ("Describe …"), the name
of an attribute ("Location of the mass?"), a choice ("Is it left or right?"), a statement. Where the form is not clear,
the question is refused: a wrong "no" is worse than a refusal. The closed classes of words are listed in
`kgplatform.vqa.grammar`; nouns are not, but for those that name attributes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from kgplatform import radiograph
from kgplatform.datasets.questions import MAX_QUESTION_LENGTH, replace_undecodable
from kgplatform.errors import InputError
from kgplatform.vqa import grammar
from kgplatform.vqa.choices import is_choice
from kgplatform.vqa.negation import is_negated

HINT: Final = 'Ask in English, for example: "Is there a pleural effusion?"'


class Form(Enum):
    """The form of a question; the value is what an error says of it, nothing of a yes/no question."""

    YES_NO = ""
    OPEN = "this is an open question"
    CHOICE = "this question offers a choice"
    SEVERAL = "these are several questions"
    STATEMENT = "this is a statement"
    UNCLEAR = "this is not recognised as a yes/no question"
    NO_WORDS = "the question has no words"
    NOT_ENGLISH = "this is not recognised as English"


HINTS: Final = {
    Form.CHOICE: 'Ask about each possibility alone: "Is it on the left?"',
    Form.SEVERAL: "Ask them one at a time.",
    Form.STATEMENT: 'Ask it as a question: "Is …?"',
}

_SENTENCE: Final = re.compile(r"[^.?!\n]+(?:[.](?=\S)[^.?!\n]+)*[.?!\n]*")
_SLASHED: Final = re.compile(r"\b(is|are|was|were|do|does|has|have)\s*/\s*(?:is|are|was|were|do|does|has|have)\b")


def validate_question(image: Path | None, text: str) -> str:
    """The question in one line. Raises `InputError` unless it is one yes/no question, and where image and question have
    changed places.
    """
    text = " ".join(replace_undecodable(text).split())
    if image is not None and _are_swapped(image, text):
        raise InputError("image and question are in the wrong order", 'Give the image first: kgp ask IMAGE "…?"')
    if len(text) > MAX_QUESTION_LENGTH:
        raise InputError(f"the question has more than {MAX_QUESTION_LENGTH:,} characters", "Ask in one sentence.")
    question_form = classify_form(text)
    if question_form is not Form.YES_NO:
        raise InputError(f"{question_form.value}; only yes/no questions are answered", HINTS.get(question_form, HINT))
    if is_negated(text):
        hint = 'Ask for the finding itself, "Is there a pleural effusion?": the answer "no" means that it is absent.'
        raise InputError("this question is negated, and the models do not read negation", hint)
    return text


def _are_swapped(image: Path, question: str) -> bool:
    """Whether the question names a file, and the image none."""
    try:
        names_file = Path(question).suffix.lower() in radiograph.SUFFIXES or (
            bool(question) and Path(question).exists()
        )
        return names_file and not image.exists() and classify_form(str(image)) is not Form.NO_WORDS
    except (OSError, ValueError):  # an impossible name: too long, or with a NUL
        return False


def classify_form(text: str) -> Form:
    """The form of a question of one or more sentences: of an open one where any of them is open, and so on."""
    lowered_text = _SLASHED.sub(r"\1", " ".join(text.replace("\u2019", "'").casefold().split()))
    lowered_text = re.sub(r"\b(vs|e\.g|i\.e|dr|approx|[a-z])\.(?=\s)", r"\1", lowered_text)
    if not any(character.isalpha() for character in lowered_text):
        return Form.NO_WORDS
    if _not_english(lowered_text):
        return Form.NOT_ENGLISH
    forms_by_words: dict[tuple[str, ...], Form] = {}
    for sentence in _SENTENCE.findall(lowered_text):
        plain_sentence = grammar.YES_OR_NO.sub(" , ", sentence)
        words = grammar.trimmed_words(grammar.TOKEN.findall(plain_sentence))
        is_tagged = plain_sentence != sentence
        if not words or (len(words) == 1 and words[0] in grammar.TAG_WORDS):
            if (is_tagged or words) and forms_by_words:  # "The heart is enlarged. Right?"
                last_words = next(reversed(forms_by_words))
                forms_by_words[last_words] = (
                    Form.YES_NO
                    if forms_by_words[last_words] in (Form.STATEMENT, Form.UNCLEAR)
                    else forms_by_words[last_words]
                )
            continue
        forms_by_words[tuple(words)] = _sentence(words, is_marked=is_tagged or "?" in sentence)
    forms = list(forms_by_words.values())
    for form in (Form.OPEN, Form.CHOICE, Form.SEVERAL):
        if form in forms:
            return form
    if forms.count(Form.YES_NO) > 1:
        return Form.SEVERAL
    preference = (Form.YES_NO, Form.STATEMENT)
    return next((form for form in preference if form in forms), Form.UNCLEAR)


def _not_english(question_text: str) -> bool:
    """Another script, or function words of another language."""
    letters = [character for character in question_text if character.isalpha()]
    latin_count = sum(character < "\u0250" for character in letters)
    words = grammar.TOKEN.findall(question_text)
    foreign_count = sum(word in grammar.FOREIGN_WORDS for word in words)
    return (
        2 * latin_count < len(letters)
        or "\u00bf" in question_text
        or foreign_count > 1
        or (bool(words) and words[0] in grammar.FOREIGN_WORDS)
    )


def _sentence(words: list[str], *, is_marked: bool) -> Form:
    """The form of one sentence; `is_marked`: with a question mark, or "yes or no"."""
    first_word = words[0]
    if first_word in grammar.AUXILIARIES and first_word != "be":
        return _inverted(words)
    if first_word in grammar.WH:
        return _after_clause(words, Form.OPEN)
    if first_word in grammar.REQUEST_VERBS:
        return _reported(words)
    if first_word == "whether" or (first_word in {"i", "we"} and {"whether", "if"} & {*words}):
        return Form.OPEN if _asks_more(words) else Form.YES_NO
    if first_word in grammar.PREPOSITIONS and (fronted_form := _fronted(words)) is not None:
        return fronted_form
    if grammar.WH & {*words}:
        return Form.OPEN
    return _without_inversion(words, is_marked=is_marked)


def _after_clause(words: list[str], default_form: Form) -> Form:
    """Of "When the patient lies, is there …?" the main clause's form."""
    if words[0] in ("when", "where") and "," in words and words[1] not in grammar.AUXILIARIES:
        main_clause = words[words.index(",") + 1 :]
        if main_clause and main_clause[0] in grammar.AUXILIARIES:
            return _inverted(main_clause)
    return default_form


def _fronted(words: list[str]) -> Form | None:
    """The form of a question that begins with an adverbial: "In this image, is there …?", "In which lobe is …?"."""
    for position in range(1, len(words)):
        word, previous_word = words[position], words[position - 1]
        next_word = words[position + 1] if position + 1 < len(words) else ""
        if word in grammar.WH and word not in ("which", "who"):
            return Form.OPEN
        if word == "which" and (position == 1 or previous_word in grammar.PREPOSITIONS or previous_word == ","):
            return Form.OPEN
        if (
            word in grammar.AUXILIARIES
            and (previous_word == "," or next_word in grammar.SUBJECT_WORDS)
            and previous_word not in grammar.SUBJECT_WORDS
        ):
            return _inverted(words[position:])
    return None


def _reported(words: Sequence[str]) -> Form:
    """Of a request: a yes/no question where it asks whether something is so."""
    asks_whether = "whether" in words or (
        "if" in words and words[words.index("if") - 1] in (*grammar.REQUEST_VERBS, *grammar.POLITE_WORDS, "know")
    )
    return Form.YES_NO if asks_whether and not _asks_more(words) else Form.OPEN


def _inverted(words: list[str]) -> Form:
    """The form of a question whose auxiliary comes first."""
    if len(words) < 2:
        return Form.UNCLEAR
    if words[1] in grammar.PERSON_WORDS or (words[1] == "not" and words[2:3] and words[2] in grammar.PERSON_WORDS):
        predicate = [
            word for word in words[2:] if word not in grammar.POLITE_WORDS and word not in grammar.PERSON_WORDS
        ]
        verb, words_after = (predicate[0], predicate[1:]) if predicate else ("", [])
        if verb in grammar.REQUEST_VERBS and "as" not in words_after:  # but "Would you describe it as cystic?"
            if {"whether", "if"} & {*words_after[:2]}:
                return _reported(words)
            if not (verb in grammar.DETECTING_VERBS and words_after[:1] and words_after[0] in grammar.ARTICLES):
                return Form.OPEN
        elif grammar.WH & {*words_after[:1]} or (
            words_after[:1] and words_after[0] in grammar.PREPOSITIONS and grammar.WH & {*words_after[1:2]}
        ):
            return Form.OPEN  # "Do you know where …?"
    if _asks_more(words):
        return Form.OPEN
    if _joins_questions(words):
        return Form.SEVERAL
    return Form.CHOICE if is_choice(words) else Form.YES_NO


def _joins_questions(words: Sequence[str]) -> bool:
    """Whether a question about something else follows ("… and is there a mass?"); "… and is it large?" is about the
    same.
    """
    return any(
        first == "and" and second in grammar.AUXILIARIES and third in ("there", "the", "any", "a", "an")
        for first, second, third in zip(words, words[1:], words[2:], strict=False)
    )


def _asks_more(words: Sequence[str]) -> bool:
    """Whether a yes/no question goes on to ask for more ("… and where?"), or hides an open one ("Is it where?").

    A relative clause does not: "a finding which zorevane can treat", "with which it is contraindicated".
    """
    for position, word in enumerate(words):
        previous_word, words_after = words[position - 1] if position else "", words[position + 1 :]
        if (
            word in grammar.REQUEST_VERBS
            and previous_word == "and"
            and word not in ("mark", "point", "grade", "report", "show")
        ):
            return True
        if word not in grammar.WH or not position:
            continue
        clause_start = position - 1 if previous_word in grammar.PREPOSITIONS else position
        joining_word = words[clause_start - 1] if clause_start else ""
        is_joined = joining_word in ("and", "or", "but", "so", "then", "if") or (
            joining_word == "," and word not in ("which", "who")
        )
        is_closed = not grammar.FINITE_VERBS & {*words_after}
        if (
            is_joined
            or not words_after
            or word == "how"
            or (is_closed and word in ("what", "which") and clause_start < position)
        ):
            return True
        if word == "what" and is_closed:
            return True
    return False


def _without_inversion(words: list[str], *, is_marked: bool) -> Form:
    """The form of a statement or an ellipsis."""
    first_word, other_words = words[0], words[1:]
    if (
        first_word in ("any", "anything", "anyone")
        or first_word in grammar.SIGN_WORDS
        or (first_word in grammar.SEEING_WORDS and {"any", "a", "an"} & {*other_words})
    ):
        return Form.OPEN if grammar.VIEW_WORDS & {*other_words[:1]} else Form.YES_NO
    has_tag = len(words) > 2 and words[-2] == "," and words[-1] in grammar.TAG_WORDS
    has_tag = has_tag or (
        "," in words and words[len(words) - 1 - words[::-1].index(",") + 1] in grammar.AUXILIARIES
    )  # ", is it?"
    if words[-1] in grammar.FINITE_VERBS and len(words) > 1:
        return Form.OPEN  # "The modality is …?"
    if grammar.FINITE_VERBS & {*other_words}:
        return Form.YES_NO if is_marked or has_tag else Form.STATEMENT
    if not (is_marked or has_tag):
        return Form.UNCLEAR
    if is_choice(words):
        return Form.CHOICE
    return Form.OPEN if _head(words) in grammar.ATTRIBUTE_NOUNS else Form.YES_NO


def _head(words: Sequence[str]) -> str:
    """The noun that a phrase is about: the last word before its first preposition or participle."""
    for position, word in enumerate(words):
        if position and (word in grammar.PREPOSITIONS or word in ("used", "shown", "seen", "depicted", "imaged", ",")):
            return words[position - 1]
    return words[-1]
