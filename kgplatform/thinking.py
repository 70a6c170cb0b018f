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
    rf"<{_NAME}>|\[{_NAME}\]|◁{_NAME}▷|<\|(?:begin|start)_?(?:of_)?{_NAME}\|>|<unused94>(?:thought)?", re.IGNORECASE
)
_CLOSING: Final = re.compile(
    rf"</{_NAME}>|\[/{_NAME}\]|◁/{_NAME}▷|<\|(?:end|stop)_?(?:of_)?{_NAME}\|>|<unused95>", re.IGNORECASE
)
_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(\w+)[^<]{0,100}<\|message\|>", re.IGNORECASE)
_CONTROL: Final = re.compile(r"<\|[a-z_]{1,30}\|>|</?(?:answer|final|response|output)>", re.IGNORECASE)


def without_thinking(reply: str) -> str:
    """What a reply says after its thinking. Empty where it was cut off before it came to an answer."""
    channels = list(_CHANNEL.finditer(reply))
    if channels:
        if channels[-1][1].lower() != "final":
            return ""
        reply = reply[channels[-1].end() :]
    closings = list(_CLOSING.finditer(reply))
    if closings:
        reply = reply[closings[-1].end() :]
    opening = _OPENING.search(reply)
    if opening is not None:  # and no closing mark after it
        reply = reply[: opening.start()]
    return _CONTROL.sub("", reply)
