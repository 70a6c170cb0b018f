"""Reports stay on this machine unless the user has said that they may leave it.

PhysioNet's notice of 24 September 2025: the agreement of credentialed data prohibits sharing it with third parties,
"including sending it through APIs"; local models are recommended; a cloud needs zero retention, no training on the data
and no human review.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from kgplatform.errors import UsageError


def url_host(url: str) -> str | None:
    """The host of an address; None where it is no address. ``[::1].evil.example`` is none, though urlsplit reads it."""
    try:
        url_parts = urlsplit(url)
        brackets_match = not url_parts.netloc.startswith("[") or re.fullmatch(r"\[[^\]]*\](:\d*)?", url_parts.netloc)
        return url_parts.hostname if brackets_match and url_parts.port != 0 else None
    except ValueError:  # brackets that are not closed, a port above 65535
        return None


def is_local(url: str) -> bool:
    """Whether the endpoint is this machine by its very name: `localhost` or a loopback address.

    Other names are not looked up: what they resolve to can change between the check and the request.
    """
    host_name = url_host(url) or ""
    if host_name == "localhost":
        return True
    try:
        return ip_address(host_name).is_loopback
    except ValueError:
        return False


def check_consent(url: str, *, credentialed: bool, consent: bool, content: str = "the reports") -> None:
    """Raises `UsageError` where reports (or `content` else) would leave this machine without the user's word."""
    if is_local(url) or consent:
        return
    agreement = (
        "They may be under PhysioNet's agreement, which prohibits sharing them with third parties, including "
        "through APIs; use a local model, or a cloud with zero retention, no training and no human review. "
        if credentialed
        else ""
    )
    raise UsageError(
        f"{content} would leave this machine, to {url_host(url)}",
        f"{agreement}If you may send them there, say so: --remote-consent.",
    )
