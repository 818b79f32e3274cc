# SPDX-License-Identifier: PostgreSQL
"""JSON that not every program reads or writes as it is, and what some take for JSON."""

# Of RFC 8259, so it is passed on byte for byte; without a line end in it, which SSE tells as one of its own.
GOOD = [
    "18446744073709551616", "-1e400", "-0", "1.10", "0.30000000000000004", "1E+2", '""', "null", "false", " [ ] ",
    '{ "n" : 18446744073709551616,"n":12345678901234567890123.10 }',
    '{"a":"\\/\\u00e9\\ud800\\u0000"}', '{"\\u2028":"\\ud83d\\ude00"}', '{"é":"\x7f\U0001f600\ufeff\ufffe"}',
    "[" * 512 + "]" * 512, '{"":{"":' + "[" * 30 + '"мост"' + "]" * 30 + "}}",
]
# As bytes, since some have no form in UTF-8.
BAD = [
    b"Infinity", b"-Infinity", b"NaN", b"nul", b"nulls", b"True", b"01", b"1.", b".5", b"+1", b"0x10", b"1e", b"--1", b"'a'",
    b'"\t"', b'"\x00"', b'"\\x41"', b'"\\u12"', b'"\\', b'"', b'"a', b"[1,]", b'{"a":1,}', b"{a:1}", b'{"a" 1}', b"[1 2]",
    b"1 2", b"{}{}", b"[}", b"// a\n1", b"\xef\xbb\xbf1", b"\xc2\xa01", b"1\x0b", b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"',
    b'"\xf4\x90\x80\x80"', b'"\xe2\x80"', b"[" * 513 + b"]" * 513, b"", b" ",
]
