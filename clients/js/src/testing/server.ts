// SPDX-License-Identifier: PostgreSQL
// A daemon in a `fetch`: real bytes through the real parser, without a socket. Hand its `fetch` to
// createHerald() and say what happens.

import type { HeraldEvent } from '../types.js';

export interface FakeRequest {
  url: string;
  /** The position it goes on from, '' for none. */
  position: string;
  /** Behind `Bearer `, or undefined. */
  token: string | undefined;
  aborted: boolean;
}

export interface FakeServerOptions {
  /** What the greeting says, in seconds; 30. */
  keepalive?: number;
  user?: string;
  /** Which token may in; by default each. */
  accepts?: (token: string | undefined) => boolean;
}

export interface FakeServer {
  fetch: typeof fetch;
  /** Every request so far. */
  readonly requests: readonly FakeRequest[];
  /** Streams that are open. */
  readonly streams: number;
  /** Sends an event to all streams, and keeps it for those that come back. */
  emit(type: string, data: unknown, more?: Pick<HeraldEvent, 'scope' | 'timestamp'>): void;
  resync(reason: string, topics: string[]): void;
  keepalive(): void;
  /** Bytes as they are. */
  raw(text: string | Uint8Array): void;
  /** Ends all streams: in order, or as a cable that is pulled. */
  end(): void;
  cut(): void;
  /** The next answers: a status with its headers and body, `hang` for none at all, `down` for no server. */
  refuse(how: number | 'hang' | 'down', answer?: { headers?: Record<string, string>; body?: string; times?: number }): void;
  /** Ends a refusal. */
  accept(): void;
}

type Out = ReadableStreamDefaultController<Uint8Array>;

export function createFakeServer(options: FakeServerOptions = {}): FakeServer {
  const { keepalive = 30, user = '1', accepts = () => true } = options;
  const utf8 = new TextEncoder();
  const requests: FakeRequest[] = [];
  const past: string[] = []; // frames; a position is how many of them somebody has
  const open = new Set<Out>();
  let refusal: { how: number | 'hang' | 'down'; headers?: Record<string, string>; body?: string; left: number } | undefined;

  const position = (n: number) => 'fake.0.' + n.toString(36);
  const send = (text: string | Uint8Array) => {
    for (const out of [...open]) out.enqueue(typeof text == 'string' ? utf8.encode(text) : text);
  };
  const frame = (message: unknown) => {
    past.push(`data: ${JSON.stringify(message)}\nid: ${position(past.length + 1)}\n\n`);
    send(past[past.length - 1]!);
  };
  const now = () => Math.floor(Date.now() / 1000);

  const stream = (request: FakeRequest, signal: AbortSignal | null | undefined) => {
    const known = parseInt(request.position.split('.')[2] || '', 36);
    const from = Number.isNaN(known) ? past.length : known;
    const full = /[?&]hello=full/.test(request.url) ? `, "keepalive": ${keepalive}, "user": ${JSON.stringify(user)}` : '';
    let mine: Out;
    const body = new ReadableStream<Uint8Array>({
      start(out) {
        mine = out;
        open.add(out);
        const hello = `{"event": "connected", "message": "SSE connection established"${full}}`;
        out.enqueue(utf8.encode(`retry: 3000\nid: ${position(from)}\ndata: ${hello}\n\n`));
        for (const text of past.slice(from)) out.enqueue(utf8.encode(text));
      },
      cancel() {
        open.delete(mine);
      },
    });
    signal?.addEventListener('abort', () => {
      if (open.delete(mine)) mine.error(new DOMException('aborted', 'AbortError'));
    });
    return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
  };

  const answer = (url: string, init: RequestInit = {}): Promise<Response> => {
    const query = new URL(url, 'http://fake/').searchParams;
    const headers = new Headers(init.headers);
    const request: FakeRequest = {
      url,
      position: query.get('last_event_id') || '',
      token: headers.get('Authorization')?.replace('Bearer ', ''),
      aborted: false,
    };
    requests.push(request);
    return new Promise((done, failed) => {
      init.signal?.addEventListener('abort', () => {
        request.aborted = true;
        failed(new DOMException('aborted', 'AbortError'));
      });
      const r = refusal;
      if (r && --r.left <= 0) refusal = undefined;
      if (r?.how == 'down') failed(new TypeError('Failed to fetch'));
      else if (r?.how == 'hang') return;
      else if (r) done(new Response(r.how == 204 ? null : (r.body ?? ''), { status: r.how as number, headers: r.headers }));
      else if (!accepts(request.token)) done(new Response('{"detail": "Invalid token."}\n', { status: 401 }));
      else done(stream(request, init.signal));
    });
  };

  return {
    fetch: ((url: RequestInfo | URL, init?: RequestInit) => answer('' + url, init)) as typeof fetch,
    requests,
    get streams() {
      return open.size;
    },
    emit: (type, data, more) => frame({ event: type, data, scope: more?.scope, timestamp: more?.timestamp ?? now() }),
    resync: (reason, topics) => frame({ event: 'system.resync', data: { reason, topics }, timestamp: now() }),
    keepalive: () => send(`data: {"event": "keepalive", "timestamp": ${now()}}\nid: ${position(past.length)}\n\n`),
    raw: send,
    end() {
      for (const out of [...open]) out.close();
      open.clear();
    },
    cut() {
      for (const out of [...open]) out.error(new TypeError('network error'));
      open.clear();
    },
    refuse: (how, { times = Infinity, ...more } = {}) => void (refusal = { how, left: times, ...more }),
    accept: () => void (refusal = undefined),
  };
}
