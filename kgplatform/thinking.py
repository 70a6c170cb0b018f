"""The answer in a language model's reply, without the thinking that many models write before it.

Models mark their thinking in different ways: ``<think>…</think>`` and tags of similar names, in brackets of any kind
(``[THINK]``, ``◁think▷``, ``<|begin_of_thought|>``, ``<unused94>thought…<unused95>``), a code block or a fold of that
name, a heading or a phrase ("Here is my thought process:"), or channels of which one is the final answer. The opening
mark is often missing, being a part of the prompt. The closing one is missing where a reply was cut off.
"""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = (
    r"(?:think|thinks|thinking|thought|thoughts|reason|reasoning|reflection|reflect|scratchpad|analysis|cot|monologue"
    r"|antthinking|deliberation|planning|plan|commentary)"
)
_NAME: Final = (
    rf"(?:(?!end|stop|close)[a-z0-9]{{1,20}}[:_\u2581-]){{0,3}}{_WORDS}(?:[:_\u2581-][a-z0-9]{{1,20}}){{0,2}}"
)
_LEFT: Final = r"[<\uff1c\u3008\xab\u25c1\[{][ ]{0,2}[|\uff5c]?"
_RIGHT: Final = r"(?:\s[^<>\]]{0,100})?[|\uff5c]?[ ]{0,2}[>\uff1e\u3009\xbb\u25b7\]}]"
_LINK: Final = r"[ _\u2581]?(?:of[ _\u2581])?"
_OPENING: Final = re.compile(
    rf"{_LEFT}(?:(?:begin|start){_LINK})?{_NAME}{_RIGHT}|\((?:think|thinking|thought|reasoning)\)"
    r"|<unused94>(?:thought)?|<\|channel>\s{0,3}(?:thought|analysis|thinking)",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    rf"{_LEFT}(?:/[ ]?|(?:end|stop|close){_LINK}){_NAME}{_RIGHT}|<{_NAME}\s{{0,3}}/>"
    r"|\(/(?:think|thinking|thought|reasoning)\)|<unused95>|<channel\|>"
    r"|\[BEGIN FINAL RESPONSE\]|^\.{3} ?done thinking\.?$",
    re.IGNORECASE | re.MULTILINE,
)
_ESCAPED: Final = re.compile(r"&lt;(/?[a-z:_ ]{3,30})&gt;", re.IGNORECASE)
_FOLD: Final = re.compile(
    r"<details[^<>]{0,100}(?:reason|think|thought)[^<>]{0,100}>"
    r"|<details[^<>]{0,100}>\s{0,9}<summary>[^<>]{0,60}(?:reason|think|thought)[^<>]{0,60}</summary>",
    re.IGNORECASE,
)
_CODE_BLOCK: Final = re.compile(rf"^`{{3,4}}[ ]?{_WORDS}[ ]*$", re.IGNORECASE | re.MULTILINE)
_FENCE: Final = re.compile(r"^`{3,4}[ ]*$", re.MULTILINE)
# Phrases that begin a reply with thinking, and headings that may do so, if one of an answer follows.
_PHRASE: Final = re.compile(
    r"\s{0,9}(?:thinking\.{3}[ ]*$|here (?:is|are) my (?:thought process|thoughts|reasoning(?: steps)?):)",
    re.IGNORECASE | re.MULTILINE,
)
_HEADING: Final = re.compile(
    r"\s{0,9}[#>*_ ]{0,6}(?:step-by-step )?(?:thinking|thought process|thoughts|reasoning|reasoning steps|rationale"
    r"|chain of thought|analysis|scratchpad)[*_ ]{0,4}(?::|$)",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWER: Final = re.compile(
    r"^(?:[#>*_ ]{0,6}(?:(?:my |the )?(?:final |corrected )?(?:answer|response|output|result)s?)(?:\*\*|__)?:"
    r"(?:\*\*(?!\*)|__)?|[#*_]{1,6}[ ]?(?:(?:final |corrected )?(?:answer|response|output|result)s?)(?:\*\*|__)?$"
    r"|here is my (?:final )?(?:response|answer):)|\[BEGIN FINAL RESPONSE\]|^\.{3} ?done thinking\.?$",
    re.IGNORECASE | re.MULTILINE,
)
_CHANNEL: Final = re.compile(
    r"<\|channel\|>\s{0,9}(\w{1,40})(?:(?:[^<]|<\|constrain\|>){0,100}<\|message\|>)?", re.IGNORECASE
)
_CHANNEL_END: Final = re.compile(r"<\|(?:end|return|start|call|channel)\|>", re.IGNORECASE)
# The same channels where the special tokens were left out of the reply.
_BARE_CHANNEL: Final = re.compile(r"\s{0,9}(?:assistant)?analysis(?=\S)")
_BARE_FINAL: Final = re.compile(r"assistant\s?final\s{0,3}:?")
_CONTROL: Final = re.compile(
    r"<\|[a-z_]{1,30}\|>|</?(?:s|eos|bos|pad|end_of_turn|start_of_turn|answer|final|response|output)>"
    r"|<｜[^<>｜]{1,40}｜>|\[END FINAL RESPONSE\]",
    re.IGNORECASE,
)


def without_thinking(reply: str) -> str:
    """What a reply says after its thinking. Empty where it was cut off before it came to an answer."""
    channels = list(_CHANNEL.finditer(reply))
    bare_finals = list(_BARE_FINAL.finditer(reply))
    if channels:
        final_channels = [channel for channel in channels if channel[1].lower() == "final"]
        if not final_channels:
            return ""
        answer = reply[final_channels[-1].end() :]
        channel_end = _CHANNEL_END.search(answer)
        reply = answer if channel_end is None else answer[: channel_end.start()]
    elif bare_finals:
        reply = reply[bare_finals[-1].end() :]
    elif _BARE_CHANNEL.match(reply) is not None:
        return ""
    reply = _without_headed_thinking(_ESCAPED.sub(r"<\1>", reply))
    reply = _without_blocks(reply, _FOLD, re.compile("</details>", re.IGNORECASE))
    reply = _without_blocks(reply, _CODE_BLOCK, _FENCE)
    reply = _without_blocks(reply, _OPENING, _CLOSING, is_cut=False)
    closings = list(_CLOSING.finditer(reply))  # those whose opening mark is missing
    if closings:
        reply = reply[closings[-1].end() :]
    opening = _OPENING.search(reply)
    if opening is not None:  # and no closing mark after it
        reply = reply[: opening.start()]
    return _CONTROL.sub("", reply)


def _without_headed_thinking(reply: str) -> str:
    """The reply after the last heading of an answer, where it begins with a heading or phrase of thinking."""
    is_phrase = _PHRASE.match(reply) is not None
    if not is_phrase and _HEADING.match(reply) is None:
        return reply
    answers = list(_ANSWER.finditer(reply))
    if answers:
        return reply[answers[-1].end() :]
    return "" if is_phrase else reply


def _without_blocks(
    reply: str, opening_mark: re.Pattern[str], closing_mark: re.Pattern[str], *, is_cut: bool = True
) -> str:
    """The reply without what stands between an opening mark and the next closing one; `is_cut` also leaves out what
    follows an opening mark without a closing one.
    """
    parts, position = [], 0
    while (opening := opening_mark.search(reply, position)) is not None:
        closing = closing_mark.search(reply, opening.end())
        if closing is None:
            if is_cut:
                reply = reply[: opening.start()]
            break
        parts.append(reply[position : opening.start()])
        position = closing.end()
    return "".join([*parts, reply[position:]])
