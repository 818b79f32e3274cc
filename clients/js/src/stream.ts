// SPDX-License-Identifier: PostgreSQL
// One request, from its beginning to its end, in the two ways a browser has. Knows no retry, no
// token and no event: a way is a function that returns how to stop it.

import { parser, type Sink } from './parser.js';

/** Something arrived: the answer's head, a comment, a message. */
type Bytes = () => void;
/**
 * `status` is HTTP's; 0: no answer, or it broke; -1: refused, nobody knows how. `said`: the body of
 * a refusal. `after`: Retry-After as it was sent.
 */
type End = (status: number, said: string, after?: string | null) => void;
export type Stop = () => undefined;

export function fetchStream(url: string, init: RequestInit, bytes: Bytes, message: Sink, end: End, get = fetch): Stop {
  const abort = new AbortController();
  const run = async () => {
    const answer = await get(url, { cache: 'no-store', ...init, signal: abort.signal });
    if (answer.status != 200) return end(answer.status, await answer.text(), answer.headers.get('retry-after'));
    // A page that says "200" to every path is not listened to for ever.
    if (!/^text\/event-stream/.test(answer.headers.get('content-type')!)) throw 'no event stream';
    bytes();
    const reader = answer.body!.getReader();
    const text = new TextDecoder();
    const parse = parser(message);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return end(200, 'ended');
      bytes();
      parse(text.decode(value, { stream: true }));
    }
  };
  run().catch((error) => {
    end(0, '' + error);
    abort.abort();
  });
  return () => void abort.abort();
}

export function sourceStream(url: string, { credentials }: RequestInit, bytes: Bytes, message: Sink, end: End): Stop {
  const source = new EventSource(url, { withCredentials: credentials == 'include' });
  source.onopen = bytes;
  source.onmessage = ({ data, lastEventId }) => {
    bytes();
    message(data, lastEventId);
  };
  // The browser would try again by itself, but at a pace of its own, and never after a 502.
  source.onerror = () => {
    end(-source.readyState >> 1, 'no event stream'); // CONNECTING is 0, CLOSED 2
    source.close();
  };
  return () => void source.close();
}
