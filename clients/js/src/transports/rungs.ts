// SPDX-License-Identifier: PostgreSQL
// Lines of JSON, WebSocket and long-poll. The position stands in the objects themselves.

import { reading } from '../stream.js';
import type { Call, Say, Stop, Transport } from '../transport.js';

/** A document that is told as it is may have an `id` of its own, which is no position. */
const POSITION = /^[0-9a-z-]+(\.[0-9a-z-]*)+$/;

const parsed = (text: string): any => {
  try {
    return JSON.parse(text) || {};
  } catch (error) {
    console.error('[SSE]', text, error);
  }
};

const whole = (text: string): boolean => {
  try {
    return !!JSON.parse(text);
  } catch {
    return false;
  }
};

const position = (id: unknown): string => (POSITION.test('' + id) ? '' + id : '');

/** Hands on one object; a farewell is when to come back. */
const hear = ({ message }: Call, text: string, m = parsed(text)): void => {
  if (!m) return;
  if (/farewell$/.test(m.event || m.type)) message('', '', m.retry);
  else message(text, position(m.id));
};

const asked = (url: string, query: string) => url + (url.includes('?') ? '&' : '?') + query;

const canRead = () => typeof TransformStream != 'undefined';

/** `application/x-ndjson`, read by `fetch` as it comes. */
export const ndjson: Transport = {
  name: 'ndjson',
  headers: true,
  there: canRead,
  open(call) {
    let rest = '';
    call.init.headers = { ...call.init.headers, Accept: 'application/x-ndjson' };
    const text = (piece: string) => {
      rest += piece;
      // A long line in many pieces is not looked through again with each of them.
      if (!piece.includes('\n')) return;
      const lines = rest.split('\n');
      rest = lines.pop()!;
      for (const line of lines) if (line.trim()) hear(call, line);
    };
    // What is left without its end is thrown away: the next stream tells it again.
    return reading(call, call.url(), /^application\/x-ndjson/, text, () => call.end(200, 'ended'));
  },
};

/** What a daemon refuses that is asked over a WebSocket. */
export class Refusal extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

/** HTTP's word for a close code. */
const CLOSED: Record<number, number> = { 1012: 200, 1013: 503, 1008: 429, 4401: 401, 4403: 403 };
const ANSWER_MS = 20_000;

/** A WebSocket; its credential is a cookie, or stands in the URL. */
export const websocket: Transport = {
  name: 'websocket',
  headers: false,
  there: () => typeof WebSocket != 'undefined',
  open(call) {
    const url = new URL(call.url(), typeof location == 'object' ? location.href : undefined);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket('' + url);
    const waiting = new Map<string, { done(data: unknown): void; failed(why: Error): void; timer: ReturnType<typeof setTimeout> }>();
    let number = 0;

    const say: Say = (action, data) =>
      new Promise((done, failed) => {
        const id = '' + ++number;
        const late = () => {
          waiting.delete(id);
          failed(new Refusal('unavailable', 'no answer'));
        };
        waiting.set(id, { done, failed, timer: setTimeout(late, ANSWER_MS) });
        socket.send(JSON.stringify({ action, data, request_id: id }));
      });
    const answer = (m: any): boolean => {
      const one = waiting.get(m.request_id);
      if (!one) return m.request_id !== undefined;
      waiting.delete(m.request_id);
      clearTimeout(one.timer);
      const data = m.data || m.content || m.payload || m.object || {};
      if (/error$/.test(m.event || m.type || m.event_type)) one.failed(new Refusal(data.type, data.error));
      else one.done(data);
      return true;
    };
    const over = () => {
      call.voice?.(undefined);
      for (const { failed, timer } of waiting.values()) {
        clearTimeout(timer);
        failed(new Refusal('unavailable', 'the connection has ended'));
      }
      waiting.clear();
    };

    socket.onopen = () => {
      call.bytes();
      call.voice?.(say);
    };
    socket.onmessage = ({ data }) => {
      call.bytes();
      const m = parsed('' + data);
      if (m && !answer(m)) hear(call, '' + data, m);
    };
    socket.onclose = ({ code, reason }) => {
      over();
      call.end(CLOSED[code] || 0, reason || `closed with ${code}`);
    };
    return () => {
      socket.onclose = null;
      over();
      return void socket.close();
    };
  },
};

/** An answer that comes this soon with nothing in it is somebody's who does not wait, in ms. */
const SOON_MS = 1000;

/** Long-poll: answers that end, for where none may stay open. */
export const poll: Transport = {
  name: 'poll',
  headers: true,
  // Who holds answers back until their end lets nothing through before a keep-alive.
  patience: 90_000,
  there: canRead,
  open(call) {
    let stop: Stop | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let greeted = false;

    const ask = () => {
      let text = '';
      const began = Date.now();
      const piece = (more: string) => {
        text += more;
        if (greeted) return;
        // The greeting comes at once, and says that what is loaded from now on misses nothing.
        const first = /^\{"events": \[\s*(\{.*\})/.exec(text);
        if (first && whole(first[1]!)) greet(first[1]!);
      };
      stop = reading(call, asked(call.url(), 'transport=poll'), /^application\/json/, piece, () => {
        const { events, last_event_id: last, retry } = JSON.parse(text);
        const [first, ...rest] = events as any[];
        if (!greeted && first) greet(JSON.stringify(first));
        rest.forEach((m, i) => call.message(JSON.stringify(m), position(rest[i + 1] ? m.id : last)));
        call.message('', position(last), retry || undefined);
        // Only a daemon that stops says when to come back.
        if (retry) return call.end(200, 'ended');
        const soon = !rest.length && Date.now() - began < SOON_MS;
        timer = setTimeout(ask, soon ? SOON_MS : 0);
      });
    };
    const greet = (first: string) => {
      greeted = true;
      hear(call, first);
    };

    ask();
    return () => {
      clearTimeout(timer);
      return stop!();
    };
  },
};
