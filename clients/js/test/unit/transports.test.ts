// SPDX-License-Identifier: PostgreSQL
// The same client over each transport, and what it makes of one that does not come through.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fallback, ndjson, poll, sse, websocket } from '../../src/transports/index.js';
import type { FakeServerOptions } from '../../src/testing/index.js';
import type { HeraldOptions } from '../../src/index.js';
import { clock, rig as plain, useClock } from './rig.js';

useClock();
const before = globalThis.WebSocket;
beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  globalThis.WebSocket ||= class {} as any; // Node 20 has none
});
afterEach(() => {
  vi.restoreAllMocks();
  globalThis.WebSocket = before;
});

const rig = (options: Partial<HeraldOptions>, server: FakeServerOptions = {}) => {
  const made = plain({ url: 'http://fake/events/', ...options }, server);
  globalThis.WebSocket = made.daemon.WebSocket;
  return made;
};
const names = (requests: readonly { transport: string }[]) => requests.map((r) => r.transport);

const each = { sse, ndjson, websocket, poll };

describe.each(Object.entries(each))('%s', (name, transport) => {
  const only = (options: Partial<HeraldOptions> = {}, server: FakeServerOptions = {}) =>
    rig({ transports: fallback([transport]), ...options }, server);

  test('greets at once, tells events in order, and goes on from its place', async () => {
    const { daemon, herald, heard, listen } = only();
    listen();
    await clock.tick(0);
    expect(herald.status).toMatchObject({ state: 'open', user: '1', transport: name });
    for (let i = 0; i < 5; i++) daemon.emit('a.b', i);
    await clock.tick(10);
    daemon.cut();
    daemon.emit('a.b', 5);
    daemon.emit('a.b', 6);
    await clock.tick(2000);
    daemon.emit('a.b', 7);
    await clock.tick(10);
    expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => 'a.b ' + n));
    expect(herald.status.state).toBe('open');
  });

  test('a keep-alive moves the place along, and silence is an end', async () => {
    const { daemon, heard, listen } = only({}, { keepalive: 4 });
    listen();
    await clock.tick(0);
    daemon.emit('a.b', 0);
    await clock.tick(10);
    for (let i = 0; i < 5; i++) {
      await clock.tick(4000);
      daemon.keepalive();
      await clock.tick(10);
    }
    const quiet = daemon.requests.length;
    expect(heard).toEqual(['a.b 0']);
    expect(daemon.streams).toBe(1);
    await clock.tick(9900);
    expect(daemon.requests.length).toBe(quiet);
    await clock.tick(1500);
    expect(daemon.requests.length).toBe(quiet + 1);
    expect(daemon.requests[quiet - 1]!.aborted).toBe(true);
    expect(daemon.requests[quiet]!.position).toBe('fake.0.1');
  });

  test('a farewell says when to come again', async () => {
    const { daemon, herald, listen } = only();
    listen();
    await clock.tick(6000);
    if (name == 'sse') daemon.raw('retry: 3000\n');
    if (name == 'ndjson') daemon.raw('{"event": "system.farewell", "retry": 3000}\n');
    const asked = daemon.requests.length;
    daemon.end();
    await clock.tick(2900);
    expect(herald.status.state).toBe('waiting');
    expect(daemon.requests.length).toBe(asked);
    await clock.tick(200);
    expect(herald.status.state).toBe('open');
  });

  test('a token that is refused, one that ends, and close()', async () => {
    let now = 'one';
    const good = ['one'];
    const reasons: string[] = [];
    const token = ({ reason }: { reason: string }) => (reasons.push(reason), now);
    const { daemon, heard, herald, listen } = only({ token, transports: fallback([transport, poll]) }, { accepts: (t) => good.includes(t!) });
    listen('a.*');
    await clock.tick(0);
    daemon.emit('a.b', 1);
    await clock.tick(6000);
    good[0] = now = 'two';
    daemon.cut();
    daemon.emit('a.b', 2);
    await clock.tick(20_000);
    expect(heard).toEqual(['a.b 1', 'a.b 2']);
    expect(reasons).toEqual(['start', 'expired']);
    // A page's WebSocket is not told why; the next transport is, and then it is the WebSocket's turn again.
    expect(herald.status).toMatchObject({ state: 'open', transport: name });
    const inUrl = daemon.requests.some((r) => /token=/.test(r.url));
    expect(inUrl).toBe(name == 'websocket');
    herald.close();
    await clock.tick(0);
    expect(daemon.streams).toBe(0);
  });
});

describe('lines', () => {
  test('in any pieces, also within a letter; a bad one stops no other, and half a one is told again', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {});
    const { daemon, heard, listen } = rig({ transports: fallback([ndjson]) });
    listen();
    await clock.tick(0);
    const bytes = new TextEncoder().encode('{"event": "a.b", "data": "κόσμε 𝄞", "id": "fake.0.0"}\n\n{bad}\n"text"\n{"event": "a.c", "data": 1}\n{"event": "lost');
    for (const byte of bytes) daemon.raw(new Uint8Array([byte]));
    daemon.emit('a.d', 2);
    await clock.tick(0);
    daemon.cut();
    await clock.tick(1000);
    expect(heard).toEqual(['a.b "κόσμε 𝄞"', 'a.c 1', 'a.d 2']);
  });

  test('a document’s own id is no position', async () => {
    const { daemon, herald } = rig({ transports: fallback([ndjson]), decode: (data) => ({ type: 'message', data }) });
    herald.on('*', () => {});
    await clock.tick(0);
    daemon.raw('{"id": 7, "name": "x"}\n{"id": "7 8"}\n');
    await clock.tick(0);
    daemon.cut();
    await clock.tick(1000);
    expect(daemon.requests[1]!.position).toBe('fake.0.0');
  });
});

describe('a poll', () => {
  test('that is answered at once with nothing is not asked again without a pause', async () => {
    const { daemon, listen } = rig({ transports: fallback([poll]) });
    const body = '{"events": [\n{"event": "connected"}\n], "last_event_id": null, "retry": 0}\n';
    daemon.refuse(200, { body, headers: { 'Content-Type': 'application/json' } });
    listen();
    await clock.tick(20_000);
    expect(daemon.requests.length).toBeLessThan(25);
  });

  test('behind a proxy that holds answers back is greeted with the first event', async () => {
    const { daemon, heard, herald, listen } = rig({ transports: fallback([poll]) }, { buffers: true });
    listen();
    await clock.tick(25_000);
    expect(herald.status.state).toBe('connecting');
    daemon.emit('a.b', 1);
    await clock.tick(10);
    expect(heard).toEqual(['a.b 1']);
    expect(herald.status.state).toBe('open');
  });
});

describe('the next transport', () => {
  test.each([
    [['websocket', 'poll'], ['ndjson', 'websocket'], 'websocket'],
    [['poll'], ['ndjson', 'websocket', 'poll'], 'poll'],
  ])('when there are only %s', async (serves, tried, last) => {
    const { daemon, heard, herald, listen } = rig({ transports: fallback() }, { serves: serves as any });
    listen();
    await clock.tick(5000);
    expect(names(daemon.requests)).toEqual(tried);
    daemon.emit('a.b', 1);
    await clock.tick(10);
    expect(heard).toEqual(['a.b 1']);
    expect(herald.status.transport).toBe(last);
  });

  test('a proxy that holds answers back, and lets no WebSocket through: long-poll, and that is remembered', async () => {
    const storage = {} as Storage;
    const { daemon, heard, herald, listen } = rig({ transports: fallback(undefined, storage) }, { buffers: true, serves: ['ndjson', 'poll'] });
    listen();
    await clock.tick(8000 + 500 + 1000 + 100);
    expect(names(daemon.requests)).toEqual(['ndjson', 'websocket', 'poll']);
    daemon.emit('a.b', 1);
    await clock.tick(10);
    expect([heard, herald.status.transport]).toEqual([['a.b 1'], 'poll']);
    expect(storage['pgherald transport']).toBe('poll');
    const second = rig({ transports: fallback(undefined, storage), fetch: daemon.fetch });
    second.listen();
    await clock.tick(0);
    expect(daemon.requests[daemon.requests.length - 1]!.transport).toBe('poll');
  });

  test('nothing works: each in turn, with growing pauses, for ever and never without one', async () => {
    const { daemon, herald, listen } = rig({ transports: fallback() }, { serves: [] });
    listen();
    await clock.tick(120_000);
    expect(names(daemon.requests).slice(0, 6)).toEqual(['ndjson', 'websocket', 'poll', 'ndjson', 'websocket', 'poll']);
    expect(daemon.requests.length).toBeLessThan(12);
    expect(herald.status.state).toBe('waiting');
  });

  test('a daemon that is away is not the transport’s fault: 503, and no answer once it has worked', async () => {
    const { daemon, herald, listen } = rig({ transports: fallback(), retry: { min: 500, max: 500 } });
    listen();
    await clock.tick(6000);
    daemon.refuse(503, { times: 3 });
    daemon.cut();
    await clock.tick(5000);
    expect(new Set(names(daemon.requests))).toEqual(new Set(['ndjson']));
    daemon.refuse('down', { times: 1 });
    daemon.emit('a.b', 1);
    await clock.tick(0);
    daemon.cut();
    await clock.tick(5000);
    expect(herald.status).toMatchObject({ state: 'open', transport: 'ndjson' });
  });

  test('greeted, and then nothing, twice: the next one', async () => {
    const { daemon, listen } = rig({ transports: fallback() }, { keepalive: 2 });
    listen();
    await clock.tick(5500 + 5500 + 1000);
    expect(names(daemon.requests)).toEqual(['ndjson', 'ndjson', 'websocket']);
  });

  test('after ten minutes of another one it begins anew when a stream ends', async () => {
    const serves = ['poll'];
    const { daemon, herald, listen } = rig({ transports: fallback() }, { serves: serves as any, keepalive: 3600 });
    listen();
    await clock.tick(5000);
    expect(herald.status.transport).toBe('poll');
    serves.push('ndjson');
    await clock.tick(600_000);
    daemon.cut();
    await clock.tick(2000);
    expect(herald.status.transport).toBe('ndjson');
  });
});
