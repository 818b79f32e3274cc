# SPDX-License-Identifier: PostgreSQL
"""Who may hear what, as the daemon decides it; for tests of an application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Optional, Sequence, Tuple

from . import conf

VERBS = {"i": "created", "u": "updated", "d": "deleted"}
REASONS = ("loss", "size", "rescope", "storm", "schema")
OWNERS_MAX = 10_000  # a row of more is told as "fetch again"


@dataclass(frozen=True)
class Event:
    """What one user is sent."""

    type: str
    data: Any
    scope: Optional[str] = None


@dataclass(frozen=True)
class Told:
    """A row of the journal, as it is told."""

    topic: str
    op: str
    before: Tuple[str, ...]
    after: Tuple[str, ...]
    data: Any
    leave: Any

    @property
    def reason(self) -> str:
        """Why clients are told to fetch again; "" when the row is told itself."""
        if self.op in VERBS:
            return "owners" if max(len(self.before), len(self.after)) > OWNERS_MAX else ""
        if self.op == "t":
            return "truncate"
        said = self.data.get("reason") if isinstance(self.data, dict) else None
        return said if said in REASONS else "storm"

    @property
    def type(self) -> str:
        return "system.resync" if self.reason else f"{self.topic}.{VERBS[self.op]}"

    def to(self, user_id: str, role: str, roles: Dict[str, Dict[str, Any]]) -> Optional[Event]:
        """The event that a user of this role is sent, or None."""
        policy = roles.get(role)
        if policy is None or policy["receives"] == "none":
            return None
        patterns = policy.get("events") or ["*"]
        if self.reason:
            if not any(matches(f"{self.topic}.{verb}", patterns) for verb in VERBS.values()):
                return None
            return Event("system.resync", {"reason": self.reason, "topics": [self.topic]})
        if not matches(self.type, patterns):
            return None
        if policy["receives"] == "all":
            return Event(self.type, self.data)
        before, after = user_id in self.before, user_id in self.after
        if self.op != "u":
            return Event(self.type, self.data) if (after if self.op == "i" else before) else None
        if before and after:
            return Event(self.type, self.data)
        if after:
            return Event(self.type, self.data, "enter")
        return Event(self.type, self.leave, "leave") if before else None


def matches(kind: str, patterns: Sequence[str]) -> bool:
    return any(p in ("*", kind) or (p.endswith(".*") and kind.startswith(p[:-1])) for p in patterns)


def role_of(user: Any) -> str:
    """The role that the daemon finds for a user; "" for none, who gets no stream."""
    auth = conf.auth()
    if auth.get("user_active", "is_active") and not getattr(user, "is_active", True):
        return ""
    how = auth["role_from"]
    if how == "staff":
        return str(auth["staff_role"] if user.is_staff else auth["other_role"])
    if how == "groups":
        names = set(user.groups.values_list("name", flat=True))
        return next((name for name in conf.get("ROLES") if name in names), "")
    column = auth.get("role_column", "role")
    field = next((f for f in user._meta.concrete_fields if column in (f.column, f.attname)), None)
    return "" if field is None else str(getattr(user, field.attname))
