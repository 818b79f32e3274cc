# SPDX-License-Identifier: PostgreSQL
"""Other servers on the same work. One file per family; a new one is a class and a line here."""

from __future__ import annotations

from pathlib import Path

from .centrifugo import Centrifugo
from .common import Absent, Peer
from .django import EventStream, View
from .nchan import Nchan
from .node import BetterSse, Node
from .pushpin import Pushpin

PEERS: dict[str, type[Peer]] = {p.name: p for p in (Nchan, Pushpin, Centrifugo, Node, BetterSse, EventStream, View)}


def choose(names: str, cache: Path) -> tuple[dict[type[Peer], str], dict[str, str]]:
    """Installs what is asked for: the peers with their versions, and why others are absent."""
    asked = {"all": list(PEERS), "none": []}.get(names, names.split(","))
    present, absent = {}, {}
    for name in asked:
        if name not in PEERS:
            raise SystemExit(f"bench: {name} is no peer; there are {', '.join(PEERS)}")
        try:
            cache.mkdir(parents=True, exist_ok=True)
            present[PEERS[name]] = PEERS[name].install(cache)
        except Absent as why:
            absent[PEERS[name].label] = str(why)
    return present, absent
