# SPDX-License-Identifier: PostgreSQL
"""What is sent besides plain texts, and the tokens of who sends it. No network."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from dataclasses import dataclass
from typing import Any, Dict, Literal, Mapping, Optional

NotificationType = Literal["info", "success", "warning", "error"]
TYPES = ("info", "success", "warning", "error")
SECRET_MIN = 32  # bytes; what is shorter the daemon refuses, too


@dataclass
class NotificationMessage:
    title: str
    content: str
    type: NotificationType = "info"
    auto_hide: bool = True
    duration: int = 5000  # ms

    def __post_init__(self) -> None:
        if self.type not in TYPES:
            raise ValueError(f"a notification is one of {', '.join(TYPES)}, not {self.type!r}")
        if not isinstance(self.duration, int) or isinstance(self.duration, bool) or self.duration < 0:
            raise ValueError("duration is in milliseconds")

    def model_dump(self) -> Dict[str, Any]:
        return {
            "title": self.title,
            "content": self.content,
            "type": self.type,
            "auto_hide": self.auto_hide,
            "duration": self.duration,
        }


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """JSON Web Tokens, HS256. What is not said comes from WS_JWT_SECRET_KEY and WS_JWT_EXPIRE_MINUTES
    (60)."""

    def __init__(self, secret: Optional[str] = None, expire_minutes: Optional[float] = None) -> None:
        self._secret, self._minutes = secret, expire_minutes

    def _key(self) -> bytes:
        key = (self._secret or os.environ.get("WS_JWT_SECRET_KEY", "")).encode()
        if len(key) < SECRET_MIN:
            raise ValueError(f"a secret of at least {SECRET_MIN} bytes is needed: WS_JWT_SECRET_KEY")
        return key

    def create_access_token(self, data: Mapping[str, Any], expires_minutes: Optional[float] = None) -> str:
        """`sub`, `name`, `role` and whatever else the gateway's doors ask for; `iat` and `exp` are added."""
        minutes = expires_minutes if expires_minutes is not None else self._minutes
        if minutes is None:
            minutes = float(os.environ.get("WS_JWT_EXPIRE_MINUTES", "60"))
        now = int(time.time())
        claims = {"iat": now, "exp": now + int(minutes * 60), **data}
        head = {"alg": "HS256", "typ": "JWT"}
        parts = [
            _b64(json.dumps(part, ensure_ascii=False, separators=(",", ":")).encode())
            for part in (head, claims)
        ]
        signed = ".".join(parts)
        return signed + "." + _b64(hmac.new(self._key(), signed.encode(), hashlib.sha256).digest())

    def verify_token(self, token: str) -> Optional[Dict[str, Any]]:
        """Its claims, or None: not signed by this secret, or not valid any more."""
        try:
            signed, _, signature = token.rpartition(".")
            head, _, claims = signed.partition(".")
            if json.loads(_unb64(head)).get("alg") != "HS256":
                return None
            right = hmac.new(self._key(), signed.encode(), hashlib.sha256).digest()
            if not hmac.compare_digest(right, _unb64(signature)):
                return None
            found: Dict[str, Any] = json.loads(_unb64(claims))
            return found if found.get("exp", 0) > time.time() else None
        except (ValueError, AttributeError):
            return None


authenticator = Authenticator()
