// SPDX-License-Identifier: PostgreSQL
// An event stream's text, in pieces as they come, into messages (WHATWG HTML, section 9.2.6).

import type { Sink } from './transport.js';

/** `sink` gets a message and the last id in force; or, as soon as it is said, a `retry` and nothing else. */
export function parser(sink: Sink): (text: string) => void {
  let rest = '';
  let data = '';
  let id = '';
  let cr = false; // the last piece ended with a CR: an LF at the start of the next belongs to it

  const line = (text: string) => {
    if (!text) {
      if (data) sink(data.slice(0, -1), id);
      data = '';
      return;
    }
    const [, field, value] = /^([^:]*):? ?([^]*)/.exec(text)! as string[];
    if (field == 'data') data += value + '\n';
    else if (field == 'id' && !/\0/.test(value!)) id = value!;
    else if (field == 'retry' && /^\d+$/.test(value!)) sink('', '', +value!);
  };

  return (text) => {
    if (!text) return;
    rest += cr ? text.replace(/^\n/, '') : text;
    cr = /\r$/.test(text);
    // A long line in many pieces is not looked through again with each of them.
    if (!/[\r\n]/.test(text)) return;
    const lines = rest.split(/\r\n|\r|\n/);
    rest = lines.pop()!;
    lines.forEach(line);
  };
}
