"""What a yes/no question is about: its subject, its findings, and whether it compares images."""

from __future__ import annotations

from typing import Final

from kgplatform.vqa import grammar

_COMPARISONS: Final = grammar.word_set(
    "larger smaller bigger worse better increased decreased improved worsened improving worsening progressed unchanged "
    "changed new newer since previous prior compared yesterday interval"
)
_DETERMINERS: Final = grammar.ARTICLES | grammar.word_set(
    "the this these those his her its their such every each all both not"
)
_STAND_INS: Final = grammar.SUBJECT_WORDS | grammar.word_set(
    "image images picture radiograph radiographs xray x-ray film scan study studies photo photograph slice view exam "
    "person subject man woman child report graph"
)
_FORM_WORDS: Final = (
    grammar.WH
    | grammar.AUXILIARIES
    | grammar.PREPOSITIONS
    | grammar.OPENING_WORDS
    | grammar.REQUEST_VERBS
    | grammar.DETECTING_VERBS
    | _DETERMINERS
    | grammar.POLITE_WORDS
    | grammar.PERSON_WORDS
    | _STAND_INS
    | grammar.TAG_WORDS
    | grammar.FINITE_VERBS
    | grammar.SIGN_WORDS
    | grammar.VIEW_WORDS
    | grammar.SEEING_WORDS
    | grammar.word_set(
        "not and but than then finding findings concept shown seen present visible found treat treats treated "
        "treating act acts acting contraindicated indicated reveal demonstrate contain displayed depicted yes "
        "something anything"
    )
)


def question_subject(text: str) -> str:
    """The noun that a question with its auxiliary first is about ("Can aspirin treat …?"); empty where that is the
    image, the patient or a word that stands for something else.
    """
    words = [word for word in grammar.trimmed_words(grammar.TOKEN.findall(text.casefold())) if word[0].isalnum()]
    if len(words) < 3 or words[0] not in grammar.AUXILIARIES:
        return ""
    subject = next((word for word in words[1:] if word not in _DETERMINERS), "")
    return "" if subject in _STAND_INS else subject


def compares(text: str) -> bool:
    """Whether a question compares an image with an earlier one, which a model of one image cannot."""
    return bool(_COMPARISONS & {*grammar.TOKEN.findall(text.casefold())})


def joins_findings(text: str) -> bool:
    """Whether a question asks about two things at once ("a pneumothorax and an effusion")."""
    before, joint, after = text.casefold().partition(" and ")
    return bool(joint and content_words(before) and content_words(after))


def content_words(text: str) -> list[str]:
    """The words of a question that are no words of the form of questions, in order, each once."""
    words = grammar.trimmed_words(grammar.TOKEN.findall(text.casefold()))
    return list(dict.fromkeys(word for word in words if word.isalpha() and len(word) > 2 and word not in _FORM_WORDS))
