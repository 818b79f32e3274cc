// SPDX-License-Identifier: PostgreSQL
// A name that is good once in place of a token in a URL, and another token for a stream that is open.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { fallback, ndjson, poll, sse, websocket } from '../../src/transports/index.js';
import type { HeraldOptions, TokenReason } from '../../src/index.js';
import { clock, rig as plain, useClock } from './rig.js';

useClock();
const before = [globalThis.WebSocket, globalThis.EventSource, globalThis.TransformStream] as const;
beforeEach(() => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  globalThis.WebSocket ||= class {} as any; // Node 20 has none
});
afterEach(() => {
  vi.restoreAllMocks();
  [globalThis.WebSocket, globalThis.EventSource, globalThis.TransformStream] = before;
});

interface Post {
  url: string;
  token: string;
}

/** A daemon with routes of tickets and renewals: what was posted to them, and what they say next. */
function rig(options: Partial<HeraldOptions>, answers: (() => Response)[] = []) {
  const posts: Post[] = [];
  let given = 0;
  const made = plain({
    url: 'http://fake/events/',
    ...options,
    fetch: async (input, init) => {
      const url = String(input);
      if (!url.startsWith('/auth/')) return made.daemon.fetch(input, init);
      expect(init!.method).toBe('POST');
      posts.push({ url, token: (init!.headers as any).Authorization });
      const next = answers.shift();
      if (next) return next();
      return url.startsWith('/auth/ticket')
        ? new Response(JSON.stringify({ ticket: 'pgt_' + ++given, expires_in: 30, path: '/events/' }), { status: 201 })
        : new Response('{"expires_in": 60}');
    },
  });
  globalThis.WebSocket = made.daemon.WebSocket;
  return { ...made, posts };
}
const places = (requests: readonly { url: string }[]) => requests.map(({ url }) => new URL(url, 'http://fake').searchParams.get('token'));
const expiring = (d: ReturnType<typeof rig>['daemon']) => d.emit('system.expiring', { stream: '0.12', seconds: 60 });

describe('tickets', () => {
  test('one for each WebSocket, and the token in no URL', async () => {
    const { daemon, listen, posts, heard } = rig({ token: 'secret', tickets: '/auth/ticket', transports: fallback([websocket]) });
    listen();
    await clock.tick(10);
    daemon.emit('a.b', 1);
    await clock.tick(10);
    daemon.cut();
    await clock.tick(2000);
    daemon.emit('a.b', 2);
    await clock.tick(10);
    expect(heard).toEqual(['a.b 1', 'a.b 2']);
    expect(places(daemon.requests)).toEqual(['pgt_1', 'pgt_2']);
    expect(posts).toEqual(Array(2).fill({ url: '/auth/ticket', token: 'Bearer secret' }));
    expect(JSON.stringify(daemon.requests.map(({ url }) => url))).not.toContain('secret');
  });

  test('one for an EventSource, where a browser can do nothing else', async () => {
    const urls: string[] = [];
    globalThis.TransformStream = undefined as any;
    globalThis.EventSource = class {
      constructor(url: string) {
        urls.push(url);
      }
      close() {}
    } as any;
    const { listen } = rig({ token: 'secret', tickets: '/auth/ticket' });
    listen();
    await clock.tick(10);
    expect(places(urls.map((url) => ({ url })))).toEqual(['pgt_1']);
  });

  test.each([['ndjson', ndjson], ['sse', sse], ['poll', poll]] as const)('none where a header can be sent: %s', async (_name, way) => {
    const { herald, listen, posts } = rig({ token: 'secret', tickets: '/auth/ticket', transports: fallback([way]) });
    listen();
    await clock.tick(10);
    expect(herald.status.state).toBe('open');
    expect(posts).toEqual([]);
  });

  test('none for a cookie', async () => {
    const { herald, listen, posts } = rig({ tickets: '/auth/ticket', transports: fallback([websocket]) });
    listen();
    await clock.tick(10);
    expect([herald.status.state, posts]).toEqual(['open', []]);
  });

  test('401 asks for another token once; what is down is asked again later', async () => {
    const reasons: TokenReason[] = [];
    const { daemon, herald, listen, posts } = rig(
      { token: ({ reason }) => (reasons.push(reason), 'token ' + reasons.length), tickets: '/auth/ticket', transports: fallback([websocket]) },
      [() => new Response('{"detail": "Invalid token."}', { status: 401 }), () => new Response('', { status: 503 })],
    );
    listen();
    await clock.tick(10);
    expect(herald.status).toMatchObject({ state: 'waiting', error: { status: 503 } });
    await clock.tick(2000);
    expect(herald.status.state).toBe('open');
    expect(reasons).toEqual(['start', 'refused']);
    expect(posts.map(({ token }) => token)).toEqual(['Bearer token 1', 'Bearer token 2', 'Bearer token 2']);
    expect(daemon.requests).toHaveLength(1);
  });

  test('nothing is opened by who has been closed meanwhile', async () => {
    const { daemon, herald, listen } = rig({ token: 'secret', tickets: '/auth/ticket', transports: fallback([websocket]) });
    listen();
    herald.close();
    await clock.tick(10);
    expect(daemon.requests).toEqual([]);
  });
});

describe('renewal', () => {
  const tokens = (list: TokenReason[] = []) => ({ list, token: ({ reason }: { reason: TokenReason }) => (list.push(reason), 'token ' + list.length) });

  test.each([['ndjson', ndjson], ['sse', sse]] as const)('%s: the stream goes on by another token', async (_name, way) => {
    const { token, list } = tokens();
    const { daemon, heard, listen, posts } = rig({ token, renew: '/auth/renew', transports: fallback([way]) });
    listen();
    await clock.tick(10);
    expiring(daemon);
    await clock.tick(10);
    daemon.emit('a.b', 1);
    await clock.tick(10);
    expect(posts).toEqual([{ url: '/auth/renew?stream=0.12', token: 'Bearer token 2' }]);
    expect([heard, list]).toEqual([['a.b 1'], ['start', 'expired']]); // the notice is the client's affair
    expect(daemon.requests).toHaveLength(1);
    daemon.cut(); // and the next one begins with it
    await clock.tick(2000);
    expect(list).toHaveLength(2);
    expect(daemon.requests[1]!.token).toBe('token 2');
  });

  test('a WebSocket is told over itself', async () => {
    const { token } = tokens();
    const { daemon, listen, posts } = rig({ token, transports: fallback([websocket]) });
    const sent = vi.spyOn(daemon.WebSocket.prototype, 'send');
    listen();
    await clock.tick(10);
    expiring(daemon);
    await clock.tick(10);
    expect(sent.mock.calls.map(([text]) => JSON.parse(text as string))).toMatchObject([{ action: 'renew', data: { token: 'token 2' } }]);
    expect(posts).toEqual([]);
  });

  test('what is refused, or no token, changes nothing: it ends at its time and begins anew', async () => {
    for (const given of ['another', undefined]) {
      let asked = 0;
      const { daemon, herald, listen } = rig({ token: () => (asked++ ? given : 'first'), renew: '/auth/renew' }, [() => new Response('', { status: 401 })]);
      listen();
      await clock.tick(10);
      expiring(daemon);
      await clock.tick(10);
      expect(herald.status.state).toBe('open');
      daemon.end();
      await clock.tick(2000);
      expect(daemon.requests[1]!.token).toBe('first');
      herald.close();
    }
  });

  test('without a function or a place for it the notice is the application’s', async () => {
    for (const options of [{ token: 'x', renew: '/auth/renew' }, { token: () => 'x' }]) {
      const { daemon, heard, listen, posts } = rig(options);
      listen();
      await clock.tick(10);
      expiring(daemon);
      await clock.tick(10);
      expect([heard.length, posts]).toEqual([1, []]);
    }
  });
});
