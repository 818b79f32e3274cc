// SPDX-License-Identifier: PostgreSQL
// A daemon in a `fetch`: real bytes through the real parser, without a socket. Hand its `fetch` to
// createHerald() and say what happens.

import type { TransportName } from '../transport.js';
import type { HeraldEvent } from '../types.js';

export interface FakeRequest {
  url: string;
  /** The position it goes on from, '' for none. */
  position: string;
  /** Behind `Bearer `, or undefined. */
  token: string | undefined;
  aborted: boolean;
  transport: TransportName;
  /** What a POST has brought. */
  body?: any;
}

export interface FakeServerOptions {
  /** What the greeting says, in seconds; 30. */
  keepalive?: number;
  user?: string;
  /** Which token may in; by default each. */
  accepts?: (token: string | undefined) => boolean;
  /** What it answers by: others get 406, or no WebSocket. By default all. */
  serves?: readonly TransportName[];
  /** A proxy before it that holds answers back until they end. */
  buffers?: boolean;
  /** The channel that nobody may hear. */
  secret?: string;
}

export interface FakeServer {
  fetch: typeof fetch;
  /** To be put in the place of the browser's own. */
  readonly WebSocket: typeof WebSocket;
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

/** One open stream: how it is told something, and how it ends. */
interface Out {
  tell(message: object, id: string): void;
  raw(text: string | Uint8Array): void;
  end(): void;
  cut(): void;
}

const FAREWELL = (retry: number) => ({ event: 'system.farewell', retry });

export function createFakeServer(options: FakeServerOptions = {}): FakeServer {
  const { keepalive = 30, user = '1', accepts = () => true, serves = ['sse', 'ndjson', 'websocket', 'poll'], buffers, secret = 'secret' } = options;
  const utf8 = new TextEncoder();
  const requests: FakeRequest[] = [];
  const past: object[] = []; // a position is how many of them somebody has
  const open = new Set<Out>();
  let refusal: { how: number | 'hang' | 'down'; headers?: Record<string, string>; body?: string; left: number } | undefined;

  const position = (n: number) => 'fake.0.' + n.toString(36);
  const tell = (message: object) => {
    past.push(message);
    for (const out of [...open]) out.tell(message, position(past.length));
  };
  const now = () => Math.floor(Date.now() / 1000);
  const from = ({ position: p }: FakeRequest) => {
    const known = parseInt(p.split('.')[2] || '', 36);
    return Number.isNaN(known) ? past.length : known;
  };
  const hello = ({ url }: FakeRequest) => ({
    event: 'connected',
    message: 'SSE connection established',
    ...(/[?&]hello=full/.test(url) ? { keepalive, user } : {}),
  });
  const sse = (message: object, id: string) => `data: ${JSON.stringify(message)}\nid: ${id}\n\n`;
  const ndjson = (message: object, id: string) => JSON.stringify({ ...message, id }) + '\n';
  const catchUp = (out: Out, request: FakeRequest) => {
    const start = from(request);
    open.add(out);
    out.tell(hello(request), position(start));
    past.slice(start).forEach((message, i) => out.tell(message, position(start + i + 1)));
  };

  const stream = (request: FakeRequest, signal: AbortSignal | null | undefined) => {
    const frame = request.transport == 'sse' ? sse : ndjson;
    let kept = ''; // by a proxy
    let out: Out;
    const body = new ReadableStream<Uint8Array>({
      start(sink) {
        const put = (text: string) => (buffers ? void (kept += text) : sink.enqueue(utf8.encode(text)));
        out = {
          tell: (message, id) => put(frame(message, id)),
          raw: (text) => sink.enqueue(typeof text == 'string' ? utf8.encode(text) : text),
          end() {
            if (kept) sink.enqueue(utf8.encode(kept));
            sink.close();
          },
          cut: () => sink.error(new TypeError('network error')),
        };
        if (frame == sse) put('retry: 3000\n');
        catchUp(out, request);
        signal?.addEventListener('abort', () => {
          if (open.delete(out)) sink.error(new DOMException('aborted', 'AbortError'));
        });
      },
      cancel() {
        open.delete(out);
      },
    });
    const type = frame == sse ? 'text/event-stream' : 'application/x-ndjson';
    return new Response(body, { headers: { 'Content-Type': type } });
  };

  /** Ends with the first message behind the greeting, or with a keep-alive. */
  const polled = (request: FakeRequest, signal: AbortSignal | null | undefined) => {
    let events: object[] = [];
    let out: Out;
    const body = new ReadableStream<Uint8Array>({
      start(sink) {
        const put = (text: string) => sink.enqueue(utf8.encode(text));
        let last = '';
        const finish = (retry = 0) => {
          if (!open.delete(out)) return;
          if (buffers) put('{"events": [\n' + JSON.stringify(events[0]));
          for (const e of events.slice(1)) put(',\n' + JSON.stringify(e));
          put(`\n], "last_event_id": "${last}", "retry": ${retry}}\n`);
          sink.close();
        };
        out = {
          tell(message, id) {
            last = id;
            if ('message' in message || 'data' in message) events.push({ ...message, id });
            else return finish();
            if (events.length == 1) {
              if (!buffers) put('{"events": [\n' + JSON.stringify(events[0]));
            } else if (events.length == 2) queueMicrotask(() => finish());
          },
          raw: () => {},
          end: () => finish(3000),
          cut: () => sink.error(new TypeError('network error')),
        };
        catchUp(out, request);
        signal?.addEventListener('abort', () => {
          if (open.delete(out)) sink.error(new DOMException('aborted', 'AbortError'));
        });
      },
      cancel() {
        open.delete(out);
        events = [];
      },
    });
    return new Response(body, { headers: { 'Content-Type': 'application/json' } });
  };

  const noted = (url: string, transport: TransportName, token?: string): FakeRequest => {
    const query = new URL(url, 'http://fake/').searchParams;
    const request = { url, position: query.get('last_event_id') || '', token: token ?? query.get('token') ?? undefined, aborted: false, transport };
    requests.push(request);
    return request;
  };
  const forbidden = (names: string[]) => (names.includes(secret) ? `Your role may not hear the channel "${secret}".` : '');

  const answer = (url: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    const query = new URL(url, 'http://fake/').searchParams;
    const transport = query.get('transport') == 'poll' ? 'poll' : headers.get('Accept') == 'application/x-ndjson' ? 'ndjson' : 'sse';
    const request = noted(url, transport, headers.get('Authorization')?.replace('Bearer ', ''));
    const json = (status: number, body: object) => new Response(JSON.stringify(body).replace('":', '": ') + '\n', { status });
    return new Promise((done, failed) => {
      init.signal?.addEventListener('abort', () => {
        request.aborted = true;
        failed(new DOMException('aborted', 'AbortError'));
      });
      const r = refusal;
      const no = forbidden((query.get('channels') || '').split(','));
      if (r && --r.left <= 0) refusal = undefined;
      if (r?.how == 'down') failed(new TypeError('Failed to fetch'));
      else if (r?.how == 'hang') return;
      else if (r) done(new Response(r.how == 204 ? null : (r.body ?? ''), { status: r.how as number, headers: r.headers }));
      else if (!accepts(request.token)) done(json(401, { detail: 'Invalid token.' }));
      else if (init.method == 'POST') {
        request.body = JSON.parse('' + init.body);
        done(json(201, { status: 'ok', id: requests.length }));
      } else if (!serves.includes(transport)) done(json(406, { detail: 'There is no such transport.' }));
      else if (no) done(json(403, { detail: no }));
      else if (transport == 'poll') done(polled(request, init.signal));
      else done(stream(request, init.signal));
    });
  };

  class FakeWebSocket {
    onopen: (() => void) | null = null;
    onmessage: ((message: { data: string }) => void) | null = null;
    onclose: ((why: { code: number; reason: string }) => void) | null = null;
    private request: FakeRequest;
    private out: Out;

    constructor(url: string) {
      this.request = noted(url, 'websocket');
      const closed = (code: number) => {
        open.delete(this.out);
        this.onclose?.({ code, reason: '' });
      };
      const put = (message: object) => this.onmessage?.({ data: JSON.stringify(message) });
      this.out = {
        tell: (message, id) => put({ ...message, id }),
        raw: (text) => this.onmessage?.({ data: '' + text }),
        end() {
          put(FAREWELL(3000));
          closed(1012);
        },
        cut: () => closed(1006),
      };
      queueMicrotask(() => {
        const r = refusal;
        if (r && --r.left <= 0) refusal = undefined;
        const no = forbidden((new URL(url).searchParams.get('channels') || '').split(','));
        // A page hears nothing of why there is no WebSocket.
        if (r?.how == 'hang') return;
        if (r || no || !serves.includes('websocket') || !accepts(this.request.token)) return closed(1006);
        this.onopen?.();
        catchUp(this.out, this.request);
      });
    }

    send(text: string): void {
      const { action, data, request_id } = JSON.parse(text);
      const no = forbidden(data.channels || [data.channel]);
      const said = /^(send|message)/.test(action) ? { event: 'system.published', data: { id: requests.length } } : { event: `system.${action}d`, data };
      this.request.body = { action, data };
      queueMicrotask(() =>
        this.out.raw(
          JSON.stringify(
            no
              ? { event: 'system.error', data: { type: 'forbidden', error: no }, request_id }
              : { ...said, request_id },
          ),
        ),
      );
    }

    close(): void {
      this.request.aborted = true;
      open.delete(this.out);
    }
  }

  return {
    fetch: ((url: RequestInfo | URL, init?: RequestInit) => answer('' + url, init)) as typeof fetch,
    WebSocket: FakeWebSocket as unknown as typeof WebSocket,
    requests,
    get streams() {
      return open.size;
    },
    emit: (type, data, more) => tell({ event: type, data, scope: more?.scope, timestamp: more?.timestamp ?? now() }),
    resync: (reason, topics) => tell({ event: 'system.resync', data: { reason, topics }, timestamp: now() }),
    keepalive() {
      const message = { event: 'keepalive', timestamp: now() };
      for (const out of [...open]) out.tell(message, position(past.length));
    },
    raw(text) {
      for (const out of [...open]) out.raw(text);
    },
    end() {
      for (const out of [...open]) out.end();
      open.clear();
    },
    cut() {
      for (const out of [...open]) out.cut();
      open.clear();
    },
    refuse: (how, { times = Infinity, ...more } = {}) => void (refusal = { how, left: times, ...more }),
    accept: () => void (refusal = undefined),
  };
}
