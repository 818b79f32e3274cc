# SPDX-License-Identifier: PostgreSQL
"""Every way to cut a stream's bytes gives the same messages."""

import pytest

from pgherald.parser import MAX_LINE, Parser

STREAM = (
    'retry: 3000\ndata: {"event": "connected"}\nid: 1.0.a\n\n: a comment\n'
    "data: two\ndata: lines \u2028 \u0085 \u00fc \U0001f3d7\nid: 1.0.b\r\n\r\n"
    "data\n\nid: 1.0.c\n\ndata: x\rid: nul\0\r\rdata:no space\nid:1.0.d\nfield: unknown\n\nretry: 20\n\n"
    "retry: 1x\nretry: \u0661\n\ndata: not ended"
).encode()
WANT = [
    ('{"event": "connected"}', "1.0.a", 3000),
    ("two\nlines \u2028 \u0085 \u00fc \U0001f3d7", "1.0.b", None),
    ("", "1.0.b", None),
    ("x", "1.0.c", None),
    ("no space", "1.0.d", None),
    ("", "1.0.d", 20),
]


def parse(*pieces):
    parser = Parser()
    return [tuple(m) for piece in pieces for m in parser.feed(piece)]


def test_whole():
    assert parse(STREAM) == WANT


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_in_pieces(size):
    assert parse(*(STREAM[i : i + size] for i in range(0, len(STREAM), size))) == WANT


def test_every_cut_in_two():
    for i in range(len(STREAM) + 1):
        assert parse(STREAM[:i], STREAM[i:]) == WANT, i


def test_a_farewell_without_an_empty_line():
    parser = Parser()
    assert list(parser.feed(b"data: x\n\nretry: 4500\n"))
    assert parser.left_retry_ms == 4500
    list(parser.feed(b"data: y\n"))
    assert parser.left_retry_ms is None


def test_a_line_without_end():
    parser = Parser()
    with pytest.raises(ValueError):
        for _ in range(MAX_LINE // (1 << 22) + 2):
            list(parser.feed(b"x" * (1 << 22)))
