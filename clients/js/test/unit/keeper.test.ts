// SPDX-License-Identifier: PostgreSQL
import { afterEach, describe, expect, test, vi } from 'vitest';
import { presets, type TokenReason } from '../../src/index.js';
import { clock, rig, useClock } from './rig.js';

useClock();
afterEach(() => vi.restoreAllMocks());

describe('coming back', () => {
  test('from the position, and nothing is missed or doubled', async () => {
    const { daemon, heard, listen } = rig();
    listen();
    await clock.tick(0);
    daemon.emit('a.b', 1);
    await clock.tick(0);
    daemon.cut();
    daemon.emit('a.b', 2);
    await clock.tick(1000);
    daemon.emit('a.b', 3);
    await clock.tick(0);
    expect(heard).toEqual(['a.b 1', 'a.b 2', 'a.b 3']);
    expect(daemon.requests[1]!.url).toBe('/events/?hello=full&last_event_id=fake.0.1');
  });

  test('pauses double, with jitter, up to the longest, without end', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(1);
    const { daemon, herald, listen } = rig();
    daemon.refuse('down');
    listen();
    const pauses: number[] = [];
    await clock.tick(0);
    for (let i = 0; i < 12; i++) {
      expect(herald.status).toMatchObject({ state: 'waiting', attempt: i + 1, error: { status: 0 } });
      pauses.push(herald.status.retryAt! - Date.now());
      await clock.tick(pauses[i]!);
    }
    expect(pauses).toEqual([500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000, 30000, 30000, 30000]);
    expect(daemon.requests).toHaveLength(13);
    daemon.accept();
    await clock.tick(30000);
    expect(herald.status).toMatchObject({ state: 'open', attempt: 0, error: undefined });
  });

  test('the jitter halves a pause at most', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const { daemon, herald, listen } = rig({ retry: { min: 1000, max: 4000 } });
    daemon.refuse(502);
    listen();
    const pauses: number[] = [];
    await clock.tick(0);
    for (let i = 0; i < 4; i++) {
      pauses.push(herald.status.retryAt! - Date.now());
      await clock.tick(pauses[i]!);
    }
    expect(pauses).toEqual([500, 1000, 2000, 2000]);
    expect(herald.status.error).toEqual({ status: 502, message: '' });
  });

  test('a server that greets and hangs up is not asked without pause', async () => {
    const { daemon, listen } = rig();
    listen();
    for (let i = 0; i < 200; i++) {
      await clock.tick(100);
      daemon.end();
    }
    expect(daemon.requests.length).toBeLessThan(10);
  });

  test('Retry-After and a farewell are obeyed; the greeting’s retry is for EventSource', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const { daemon, herald, listen } = rig();
    daemon.refuse(503, { times: 1, headers: { 'Retry-After': '7' }, body: '{"detail": "Shutting down; connect again."}' });
    listen();
    await clock.tick(0);
    expect(herald.status.retryAt! - Date.now()).toBe(7000);
    expect(herald.status.error).toEqual({ status: 503, message: '{"detail": "Shutting down; connect again."}' });
    daemon.refuse(429, { times: 1, headers: { 'Retry-After': new Date(Date.now() + 20_000).toUTCString() } });
    await clock.tick(7000);
    expect(herald.status.retryAt! - Date.now()).toBe(13_000);
    await clock.tick(13_000);
    expect(herald.status.state).toBe('open');
    await clock.tick(6000);
    daemon.raw('retry: 8000\n'); // as the daemon says it: taken at its line's end
    daemon.end();
    await clock.tick(7900);
    expect(daemon.requests).toHaveLength(3);
    await clock.tick(200);
    expect(daemon.requests).toHaveLength(4);
    daemon.refuse(200, { times: 1, headers: { 'Content-Type': 'text/event-stream' }, body: 'retry: 5000\n: busy\n' });
    daemon.end(); // with nothing said
    await clock.tick(1000);
    expect(daemon.requests).toHaveLength(5);
    await clock.tick(4000);
    expect(daemon.requests).toHaveLength(5);
    await clock.tick(1000);
    expect(daemon.requests).toHaveLength(6);
  });

  test('a time to come again that nobody meant does not make it ask without pause', async () => {
    const { daemon, herald, listen } = rig();
    // A timer of more than 2^31 ms falls due at once.
    daemon.refuse(503, { headers: { 'Retry-After': '4000000000' } });
    listen();
    await clock.tick(60_000);
    expect(daemon.requests.length).toBeLessThan(10);
    expect(herald.status.retryAt! - Date.now()).toBeLessThanOrEqual(30_000);
    daemon.accept();
    await clock.tick(36_000);
    daemon.raw('retry: 99999999999999999999\n\n');
    daemon.end();
    await clock.tick(1000);
    expect(herald.status.state).toBe('open');
  });

  test('preset django: five times, three seconds apart, then failed; retry() begins again', async () => {
    const { daemon, herald, states, listen } = rig(presets.django);
    daemon.refuse('down');
    listen();
    const times: number[] = [];
    for (let i = 0; i < 40; i++) {
      if (daemon.requests.length > times.length) times.push(clock.passed);
      await clock.tick(500);
    }
    expect(times.map((t) => t - times[0]!)).toEqual([0, 3000, 6000, 9000, 12000]);
    expect(herald.status).toMatchObject({ state: 'failed', attempt: 5 });
    daemon.accept();
    herald.retry();
    await clock.tick(0);
    expect(herald.status.state).toBe('open');
    expect(states.filter((s) => s == 'failed')).toHaveLength(1);
  });

  test('lost and restored, by these names, and not for what nobody noticed', async () => {
    const { daemon, heard, states, listen } = rig();
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    listen('system.*');
    await clock.tick(6000);
    daemon.end();
    await clock.tick(2000);
    expect([heard, states]).toEqual([[], ['connecting', 'open']]);
    daemon.refuse('down');
    daemon.end();
    await clock.tick(5000);
    expect(heard.map((h) => h.split(' ')[0])).toEqual(['system.connectionLost']);
    daemon.accept();
    await clock.tick(30_000);
    expect(heard.map((h) => h.split(' ')[0])).toEqual(['system.connectionLost', 'system.connectionRestored']);
  });

  test('many quick attempts do not hide that it is lost', async () => {
    const { daemon, heard, listen } = rig({ retry: { min: 200, max: 200 } });
    listen('system.*');
    await clock.tick(6000);
    daemon.refuse('down');
    daemon.cut();
    await clock.tick(900);
    expect(heard).toEqual([]);
    await clock.tick(200);
    expect(heard.map((h) => h.split(' ')[0])).toEqual(['system.connectionLost']);
  });

  test('resync is handed on', async () => {
    const { daemon, heard, listen } = rig();
    listen('system.resync');
    await clock.tick(0);
    daemon.resync('storm', ['order']);
    await clock.tick(0);
    expect(heard).toEqual(['system.resync {"reason":"storm","topics":["order"]}']);
  });
});

describe('what is silent', () => {
  test('ends at 2.5 times the keep-alive that the daemon told', async () => {
    const { daemon, herald, listen } = rig({}, { keepalive: 4 });
    listen();
    await clock.tick(0);
    for (let i = 0; i < 10; i++) {
      await clock.tick(4000);
      daemon.raw(': a comment is a sign of life\n');
    }
    expect(daemon.requests).toHaveLength(1);
    await clock.tick(9900);
    expect(daemon.requests).toHaveLength(1);
    await clock.tick(1000);
    expect(daemon.requests).toHaveLength(2);
    expect(daemon.requests[0]!.aborted).toBe(true);
    expect(herald.status.state).toBe('open');
  });

  test('no answer at all: twenty seconds', async () => {
    const { daemon, herald, listen } = rig();
    daemon.refuse('hang', { times: 1 });
    listen();
    await clock.tick(19_900);
    expect(herald.status.state).toBe('connecting');
    await clock.tick(1000);
    expect(daemon.requests).toHaveLength(2);
    expect(daemon.requests[0]!.aborted).toBe(true);
  });
});

describe('tokens', () => {
  const good = (...tokens: string[]) => ({ accepts: (t: string | undefined) => tokens.includes(t!) });

  test('go in a header, and are asked for once', async () => {
    const reasons: TokenReason[] = [];
    const token = ({ reason }: { reason: TokenReason }) => {
      reasons.push(reason);
      return 'abc';
    };
    const { daemon, listen } = rig({ token }, good('abc'));
    listen();
    await clock.tick(0);
    for (let i = 0; i < 5; i++) {
      daemon.cut();
      await clock.tick(20_000);
    }
    expect(reasons).toEqual(['start']);
    expect(daemon.requests.map((r) => r.token)).toEqual(Array(6).fill('abc'));
    expect(daemon.requests.every((r) => !r.url.includes('abc'))).toBe(true);
  });

  test('one that ends is renewed, with the reason, and nothing is missed', async () => {
    const reasons: TokenReason[] = [];
    let now = 'one';
    const accepted = ['one'];
    const { daemon, heard, states, listen } = rig(
      {
        token: async ({ reason }) => {
          reasons.push(reason);
          return now;
        },
      },
      { accepts: (t) => accepted.includes(t!) },
    );
    listen();
    await clock.tick(0);
    daemon.emit('a.b', 1);
    await clock.tick(6000);
    accepted[0] = now = 'two';
    daemon.end();
    daemon.emit('a.b', 2);
    await clock.tick(1000);
    expect(reasons).toEqual(['start', 'expired']);
    expect(heard).toEqual(['a.b 1', 'a.b 2']);
    expect(states).toEqual(['connecting', 'open']);
    accepted[0] = now = 'three';
    daemon.end();
    await clock.tick(1000);
    expect(reasons).toEqual(['start', 'expired', 'expired']);
  });

  test('twice refused is refused: two requests, then nothing, until retry()', async () => {
    const reasons: TokenReason[] = [];
    const { daemon, herald, listen } = rig({ token: ({ reason }) => (reasons.push(reason), 'bad' + reasons.length) }, good('bad3'));
    listen();
    await clock.tick(100_000);
    expect(reasons).toEqual(['start', 'refused']);
    expect(daemon.requests.map((r) => r.token)).toEqual(['bad1', 'bad2']);
    expect(herald.status).toMatchObject({ state: 'failed', error: { status: 401, message: '{"detail": "Invalid token."}\n' } });
    herald.retry();
    await clock.tick(0);
    expect(herald.status.state).toBe('open');
    expect(reasons).toEqual(['start', 'refused', 'refused']);
  });

  test('a token that is a text is not asked for again', async () => {
    const { daemon, herald, listen } = rig({ token: 'bad' }, good('good'));
    listen();
    await clock.tick(100_000);
    expect([daemon.requests.length, herald.status.state]).toEqual([1, 'failed']);
  });

  test('no token: not logged in, nothing is asked of the server', async () => {
    let asked = 0;
    const { daemon, herald, listen } = rig({ token: () => (asked++, null) });
    listen();
    await clock.tick(100_000);
    expect([asked, daemon.requests.length, herald.status.state, herald.status.error!.status]).toEqual([1, 0, 'failed', 401]);
  });

  test('a callback that fails is tried again like a network that does', async () => {
    let works = false;
    const { herald, listen } = rig({
      token: async () => {
        if (!works) throw new Error('offline');
        return 'abc';
      },
    });
    listen();
    await clock.tick(0);
    expect(herald.status).toMatchObject({ state: 'waiting', error: { status: 0, message: 'Error: offline' } });
    works = true;
    await clock.tick(1000);
    expect(herald.status.state).toBe('open');
  });

  test.each([403, 204])('%i stops', async (status) => {
    const { daemon, herald, listen } = rig({ token: () => 'x' });
    daemon.refuse(status, { body: '{"detail": "Your role may not use this resource."}' });
    listen();
    await clock.tick(100_000);
    expect([daemon.requests.length, herald.status.state, herald.status.error!.status]).toEqual([1, 'failed', status]);
  });

  test('another user than before: what is shown is fetched again', async () => {
    const users = { user: '1' };
    const { daemon, heard, herald, listen } = rig({}, users);
    listen('system.resync');
    listen('order.*');
    await clock.tick(0);
    // A new server object reads its options once, so the greeting is written by hand.
    daemon.refuse(200, { times: 1, headers: { 'Content-Type': 'text/event-stream' }, body: 'data: {"event": "connected", "user": "2"}\n\n' });
    daemon.end();
    await clock.tick(600);
    expect(heard).toEqual(['system.resync {"reason":"user","topics":["order"]}']);
    expect(herald.status.user).toBe('2');
  });
});

describe('the place that is kept over page loads', () => {
  const storage = (value?: string) => {
    const kept = { getItem: () => null } as unknown as Storage;
    if (value !== undefined) kept['pgherald /events/'] = value;
    return kept;
  };

  test.each(['{', 'null', '"text"', '[1', '{}', '[{"id": 1}]', ''])('%j is none: it begins anew', async (value) => {
    const { daemon, heard, herald, listen } = rig({ resume: storage(value) });
    listen();
    await clock.tick(0);
    daemon.emit('a.b', 1);
    await clock.tick(0);
    expect([herald.status.state, heard]).toEqual(['open', ['a.b 1']]);
  });
});

describe('other servers', () => {
  test('a page that answers 200 to everything is no stream', async () => {
    const { daemon, herald, listen } = rig();
    daemon.refuse(200, { headers: { 'Content-Type': 'text/html' }, body: '<!doctype html>' });
    listen();
    await clock.tick(0);
    expect(herald.status).toMatchObject({ state: 'waiting', error: { message: 'no event stream' } });
  });

  test('decode makes events of what they send; the stream is open with its head', async () => {
    const { daemon, heard, herald, listen } = rig({ decode: (m) => (m.type ? { type: m.type, data: m } : undefined) });
    listen();
    await clock.tick(0);
    expect(herald.status.state).toBe('open');
    daemon.raw('data: {"type": "render_progress", "object": {"progress": 10}}\n\n');
    await clock.tick(0);
    expect(heard).toEqual(['render_progress {"type":"render_progress","object":{"progress":10}}']);
    expect(daemon.requests[0]!.url).toBe('/events/');
  });

  test('multi-byte characters cut anywhere', async () => {
    const { daemon, heard, listen } = rig();
    listen();
    await clock.tick(0);
    for (const byte of new TextEncoder().encode('data: {"event":"a.b","data":"Смета 🏗"}\n\n')) daemon.raw(new Uint8Array([byte]));
    await clock.tick(0);
    expect(heard).toEqual(['a.b "Смета 🏗"']);
  });

  test('the query is added to one that is there', async () => {
    const { daemon, listen } = rig({ url: '/events/?topics=order' });
    listen();
    await clock.tick(0);
    expect(daemon.requests[0]!.url).toBe('/events/?topics=order&hello=full');
  });
});

test('lag: how old an event was, in seconds', async () => {
  const { daemon, herald, listen } = rig();
  listen();
  await clock.tick(0);
  let changes = 0;
  herald.subscribe(() => changes++);
  daemon.emit('a.b', 1, { timestamp: Math.floor(Date.now() / 1000) - 2 });
  await clock.tick(0);
  expect([herald.status.lag, changes]).toEqual([0, 0]);
  daemon.emit('a.b', 1, { timestamp: Math.floor(Date.now() / 1000) - 600 });
  await clock.tick(0);
  expect([herald.status.lag, changes]).toEqual([598, 1]);
});
