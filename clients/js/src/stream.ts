// SPDX-License-Identifier: PostgreSQL
// One request, from its beginning to its end, in the two ways a browser has. Knows no retry, no
// token and no event: a way is a function that returns how to stop it.

import { parser, type Sink } from './parser.js';

export interface Listener extends Sink {
  /** Something arrived: the answer's head, a comment, a message. */
  bytes(): void;
  /**
   * `status` is HTTP's; 0: no answer, or it broke; -1: refused, nobody knows how. `said`: the body
   * of a refusal. `after`: Retry-After as it was sent.
   */
  end(status: number, said: string, after?: string | null): void;
}

export type Stop = () => void;

export function fetchStream(url: string, init: RequestInit, get: typeof fetch, on: Listener): Stop {
  const abort = new AbortController();
  const run = async () => {
    const answer = await get(url, { cache: 'no-store', ...init, signal: abort.signal });
    const header = (name: string) => answer.headers.get(name);
    if (answer.status != 200) return on.end(answer.status, await answer.text(), header('retry-after'));
    // A page that says "200" to every path is not listened to for ever.
    if (!/^text\/event-stream/.test(header('content-type')!)) throw 'not an event stream';
    on.bytes();
    const reader = answer.body!.getReader();
    const text = new TextDecoder();
    const parse = parser(on);
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return on.end(200, 'ended');
      on.bytes();
      parse(text.decode(value, { stream: true }));
    }
  };
  run().catch((error) => {
    on.end(0, '' + error);
    abort.abort();
  });
  return () => abort.abort();
}

export function sourceStream(url: string, withCredentials: boolean, on: Listener): Stop {
  const source = new EventSource(url, { withCredentials });
  source.onopen = on.bytes;
  source.onmessage = (message) => {
    on.bytes();
    on.message(message.data, message.lastEventId);
  };
  // The browser would try again by itself, but at a pace of its own, and never after a 502.
  source.onerror = () => {
    on.end(source.readyState == 2 ? -1 : 0, 'EventSource failed');
    source.close();
  };
  return () => source.close();
}
