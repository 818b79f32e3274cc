// SPDX-License-Identifier: PostgreSQL
// The eighteen places where parsers differ, each in one piece and cut at every byte.
import { describe, expect, test } from 'vitest';
import { parser } from '../../src/parser.js';

const LS = '\u2028';
const cases: [string, string, string[]][] = [
  ['one line', 'data: a\n\n', ['a|']],
  ['no space', 'data:a\n\n', ['a|']],
  ['two spaces', 'data:  a\n\n', [' a|']],
  ['several lines', 'data: a\ndata: b\n\n', ['a\nb|']],
  ['no value', 'data\ndata\n\n', ['\n|']],
  ['empty values', 'data:\ndata:\n\n', ['\n|']],
  ['a leading empty line', 'data:\ndata: x\n\n', ['\nx|']],
  ['CRLF', 'data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n', ['a\nb|', 'c|']],
  ['CR', 'data: a\rdata: b\r\rdata: c\r\r', ['a\nb|', 'c|']],
  ['a comment alone', ': ping\n\n', []],
  ['a comment inside', 'data: a\n: hb\ndata: b\n\n', ['a\nb|']],
  ['an event without data', 'event: x\n\n', []],
  ['an id', 'id: 7\ndata: a\n\ndata: b\n\n', ['a|7', 'b|7']],
  ['an id behind its data', 'data: a\nid: 7\n\n', ['a|7']],
  ['an id with NUL', 'id: 7\ndata: a\n\nid: 8\0\ndata: b\n\n', ['a|7', 'b|7']],
  ['an id without value', 'id: 7\ndata: a\n\nid\ndata: b\n\n', ['a|7', 'b|']],
  ['retry', 'retry: 30\ndata: a\n\ndata: b\n\n', ['||30', 'a|', 'b|']],
  ['retry at the end, of its line', 'id: 7\nretry: 30\n', ['||30']],
  ['retry alone', 'retry: 30\n\n', ['||30']],
  ['retry with other than digits', 'retry: 10a\nretry: -5\nretry: 1.5\nretry:\n\n', []],
  ['an unknown field', 'what: a\ndata: b\n\n', ['b|']],
  ['fields with other case', 'Data: a\nDATA: b\n\n', []],
  ['a colon in the value', 'data: a: b\n\n', ['a: b|']],
  ['other line separators are none', `data: a${LS}b\u0085\n\n`, [`a${LS}b\u0085|`]],
  ['the end without a blank line', 'data: a\n', []],
];

function run(pieces: string[]): string[] {
  const got: string[] = [];
  const parse = parser((data, id, retry) => got.push(data + '|' + id + (retry === undefined ? '' : '|' + retry)));
  pieces.forEach(parse);
  return got;
}

describe('the event stream format', () => {
  test.each(cases)('%s', (_, text, wanted) => {
    expect(run([text])).toEqual(wanted);
    expect(run([...text])).toEqual(wanted);
    for (let i = 1; i < text.length; i++) expect(run([text.slice(0, i), text.slice(i)])).toEqual(wanted);
  });

  test('a message comes with its last byte, also when lines end with CR', () => {
    expect(run(['data: a\r\r'])).toEqual(['a|']);
  });

  test('a megabyte in small pieces', () => {
    const text = 'data: ' + 'x'.repeat(1 << 20) + '\n\n';
    expect(run(text.match(/[^]{1,512}/g)!)[0]!.length).toBe((1 << 20) + 1);
  });
});
