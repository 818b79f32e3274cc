// SPDX-License-Identifier: PostgreSQL
// Server-Sent Events, in the two ways a browser has.

import { parser } from './parser.js';
import type { Call, Stop, Transport, Transports } from './transport.js';

/** A request whose answer is read as it comes; `text` gets pieces, and the whole has ended with `ended`. */
export function reading({ init, bytes, end, get }: Call, url: string, type: RegExp, text: (piece: string) => void, ended: () => void): Stop {
  const abort = new AbortController();
  const run = async () => {
    const answer = await get(url, { cache: 'no-store', ...init, signal: abort.signal });
    if (answer.status != 200) return end(answer.status, await answer.text(), answer.headers.get('retry-after'));
    // A page that says "200" to every path is not listened to for ever.
    if (!type.test(answer.headers.get('content-type')!)) throw 'no event stream';
    bytes();
    const reader = answer.body!.getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return ended();
      bytes();
      text(decoder.decode(value, { stream: true }));
    }
  };
  run().catch((error) => {
    end(0, '' + error);
    abort.abort();
  });
  return () => void abort.abort();
}

/** Server-Sent Events, read by `fetch`. */
export const fetched: Transport = {
  name: 'sse',
  headers: true,
  open: (call) => reading(call, call.url(), /^text\/event-stream/, parser(call.message), () => call.end(200, 'ended')),
};

const source: Transport = {
  name: 'sse',
  headers: false,
  open({ url, init, bytes, message, end }) {
    const source = new EventSource(url(), { withCredentials: init.credentials == 'include' });
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
  },
};

/** With a token `fetch`; with a cookie an EventSource, and after that has failed `fetch`, which can tell why. */
export function eventStreams(): Transports {
  let last: Transport;
  let broke = false;
  return {
    pick: (token) =>
      // Who has this can also read a stream and end it.
      (last = typeof TransformStream != 'undefined' && (token || broke || typeof EventSource == 'undefined') ? fetched : source),
    failed: () => void (broke = last == source),
  };
}
