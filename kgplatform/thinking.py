"""The answer in a language model's reply, without the thinking that many models write before it.

Models mark their thinking in different ways: ``<think>…</think>`` and tags of similar names, in angle or square
brackets or ``◁ ▷``, ``<|begin_of_thought|>…<|end_of_thought|>``, ``<unused94>thought…<unused95>``, or channels of
which one is the final answer. The opening mark is often missing, as it is a part of the prompt. The closing one is
missing where a reply was cut off.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = (
    r"(?:\w+[:_-])?(?:think|thinks|thinking|thought|thoughts|reason|reasoning|reflection|reflect|scratchpad|analysis"
    r"|cot|antthinking)"
)
_OPENING: Final = re.compile(
    rf"<{_NAME}\s*(?:\s[^<>]{{0,100}})?>|\[{_NAME}\]|◁{_NAME}▷|<\|(?:begin|start)?_?(?:of_)?{_NAME}\|>"
    r"|<unused94>(?:thought)?",
    re.IGNORECASE,
)
_CLOSING: Final = re.compile(
    rf"</{_NAME}\s*>|<{_NAME}\s*/>|\[/{_NAME}\]|◁/{_NAME}▷|<\|(?:/|(?:end|stop)_?(?:of_)?){_NAME}\|>|<unused95>",
    re.IGNORECASE,
)
_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(\w+)(?:[^<]|<\|constrain\|>){0,100}<\|message\|>", re.IGNORECASE)
_CHANNEL_END: Final = re.compile(r"<\|(?:end|return|start|call|channel)\|>", re.IGNORECASE)
# The same channels where the special tokens were left out of the reply.
_BARE_CHANNELS: Final = re.compile(r"^\s*(?:assistant)?analysis(?=\S).*?(?:assistantfinal(?P<answer>.*))?$", re.DOTALL)
_CONTROL: Final = re.compile(
    r"<\|[a-z_]{1,30}\|>|</?(?:s|eos|bos|pad|end_of_turn|start_of_turn|answer|final|response|output)>"
    r"|<｜[^<>｜]{1,40}｜>",
    re.IGNORECASE,
)


def without_thinking(reply: str) -> str:
    """What a reply says after its thinking. Empty where it was cut off before it came to an answer."""
    channels = list(_CHANNEL.finditer(reply))
    if channels:
        final_channels = [channel for channel in channels if channel[1].lower() == "final"]
        if not final_channels:
            return ""
        answer = reply[final_channels[-1].end() :]
        channel_end = _CHANNEL_END.search(answer)
        reply = answer if channel_end is None else answer[: channel_end.start()]
    elif (bare_channels := _BARE_CHANNELS.match(reply)) is not None:
        reply = bare_channels["answer"] or ""
    reply = _without_closed_blocks(reply)
    closings = list(_CLOSING.finditer(reply))  # those whose opening mark is missing
    if closings:
        reply = reply[closings[-1].end() :]
    opening = _OPENING.search(reply)
    if opening is not None:  # and no closing mark after it
        reply = reply[: opening.start()]
    return _CONTROL.sub("", reply)


def _without_closed_blocks(reply: str) -> str:
    """The reply without what stands between an opening mark and the next closing one."""
    parts, position = [], 0
    while (opening := _OPENING.search(reply, position)) is not None:
        closing = _CLOSING.search(reply, opening.end())
        if closing is None:
            break
        parts.append(reply[position : opening.start()])
        position = closing.end()
    return "".join([*parts, reply[position:]])
