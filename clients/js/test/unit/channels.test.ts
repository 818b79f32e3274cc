// SPDX-License-Identifier: PostgreSQL
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createChannels, PublishError, type ChannelsOptions } from '../../src/channels/index.js';
import { createFakeServer, type FakeServerOptions } from '../../src/testing/index.js';
import { fallback, ndjson, poll, websocket } from '../../src/transports/index.js';
import { clock, useClock } from './rig.js';

useClock();
const real = globalThis.WebSocket;
const made: { herald: { close(): void } }[] = [];
beforeEach(() => void (globalThis.WebSocket ||= class {} as any)); // Node 20 has none
afterEach(() => {
  for (const one of made.splice(0)) one.herald.close();
  globalThis.WebSocket = real;
  vi.restoreAllMocks();
});

function rig(options: Partial<ChannelsOptions> = {}, server: FakeServerOptions = {}) {
  const daemon = createFakeServer(server);
  globalThis.WebSocket = daemon.WebSocket;
  const rooms = createChannels({ url: 'http://fake/events/', fetch: daemon.fetch, ...options });
  const heard: unknown[] = [];
  made.push(rooms);
  rooms.herald.on('a.*', (data) => heard.push(data));
  return { daemon, rooms, heard, asked: () => daemon.requests.map((r) => new URL(r.url).searchParams.get('channels')) };
}

describe.each([
  ['SSE', () => ({ token: 't' })],
  ['lines', () => ({ transports: fallback([ndjson]) })],
  ['polls', () => ({ transports: fallback([poll]) })],
])('over %s', (_name, options) => {
  test('another channel is another stream from the same place: nothing missed or doubled', async () => {
    const { daemon, rooms, heard, asked } = rig({ ...options(), channels: ['news'] });
    await clock.tick(0);
    daemon.emit('a.b', 1);
    await clock.tick(10);
    const both = Promise.all([rooms.subscribe('project.7'), rooms.subscribe('x/y', 'news')]);
    daemon.emit('a.b', 2);
    await clock.tick(2000);
    await both;
    daemon.emit('a.b', 3);
    await clock.tick(10);
    expect(heard).toEqual([1, 2, 3]);
    expect([...new Set(asked())]).toEqual(['news', 'news,project.7,x/y']);
    expect(daemon.streams).toBe(1);
    expect(rooms.herald.status).toMatchObject({ state: 'open', attempt: 0 });
  });

  test('counted: gone when nobody wants it any more, and not before', async () => {
    const { rooms, asked } = rig(options());
    await clock.tick(0);
    await Promise.all([rooms.subscribe('a'), rooms.subscribe('a', 'b'), clock.tick(2000)]);
    rooms.unsubscribe('a');
    await clock.tick(2000);
    expect(rooms.names).toEqual(['a', 'b']);
    rooms.unsubscribe('a');
    rooms.unsubscribe('never');
    await clock.tick(2000);
    expect(rooms.names).toEqual(['b']);
    expect([...new Set(asked())]).toEqual([null, 'a,b', 'b']);
  });

  test('one that is refused takes nothing with it, and its neighbour comes', async () => {
    const { daemon, rooms, heard } = rig({ ...options(), channels: ['news'] });
    await clock.tick(0);
    const bad = expect(rooms.subscribe('secret')).rejects.toThrow('may not hear');
    const good = rooms.subscribe('project.7');
    await clock.tick(5000);
    await Promise.all([bad, good]);
    expect(rooms.names).toEqual(['news', 'project.7']);
    daemon.emit('a.b', 1);
    await clock.tick(10);
    expect(heard).toEqual([1]);
    expect(rooms.herald.status.state).toBe('open');
  });
});

test('over a WebSocket it is a word, and stands in the URL of the next one', async () => {
  const { daemon, rooms, asked } = rig({ transports: fallback([websocket]) });
  await clock.tick(0);
  await Promise.all([rooms.subscribe('a', 'b'), clock.tick(10)]);
  expect(daemon.requests[0]!.body).toEqual({ action: 'subscribe', data: { channels: ['a', 'b'] } });
  await Promise.all([expect(rooms.subscribe('secret')).rejects.toThrow('may not hear'), clock.tick(10)]);
  rooms.unsubscribe('a');
  await clock.tick(1100);
  expect(daemon.requests[0]!.body).toEqual({ action: 'unsubscribe', data: { channels: ['a'] } });
  expect(asked()).toEqual([null]);
  daemon.cut();
  await clock.tick(2000);
  expect(asked()).toEqual([null, 'b']);
});

test('nobody listens yet: the first stream has it', async () => {
  const daemon = createFakeServer();
  const rooms = createChannels({ url: '/events/?types=a.*', fetch: daemon.fetch });
  made.push(rooms);
  await rooms.subscribe('a');
  expect(daemon.requests).toHaveLength(0);
  rooms.herald.on('*', () => {});
  await clock.tick(0);
  expect(daemon.requests[0]!.url).toBe('/events/?types=a.*&channels=a&hello=full');
  expect(() => rooms.subscribe('a,b')).toThrow(TypeError);
});

describe('publish', () => {
  test('posts with the token of the stream, and gives the number', async () => {
    const token = vi.fn(async () => 'abc');
    const { daemon, rooms } = rig({ token });
    await clock.tick(0);
    expect(await rooms.publish('news', 'news_update', { title: 'Новая' }, { id: 'm-1', persist: true })).toBe(2);
    expect(daemon.requests[1]).toMatchObject({ url: '/sse/send-to-channel', token: 'abc' });
    expect(daemon.requests[1]!.body).toEqual({ channel: 'news', event: 'news_update', data: { title: 'Новая' }, id: 'm-1', persist: true });
    await rooms.broadcast('alert', 1);
    expect(daemon.requests[2]).toMatchObject({ url: '/ws/broadcast', body: { event: 'alert', data: 1 } });
    expect(token).toHaveBeenCalledTimes(1);
  });

  test('over the WebSocket, which says why not; what is large, or lost, goes by a request', async () => {
    const { daemon, rooms } = rig({ transports: fallback([websocket]) });
    await clock.tick(0);
    expect(await rooms.publish('news', 'x', { a: 1 }, { id: 'm' })).toBe(1);
    expect(daemon.requests[0]!.body).toEqual({ action: 'send_to_channel', data: { channel: 'news', content: { a: 1 }, type: 'x', id: 'm' } });
    await rooms.broadcast('y', 2);
    expect(daemon.requests[0]!.body).toEqual({ action: 'message', data: { content: 2, type: 'y' } });
    await expect(rooms.publish('secret', 'x', 1)).rejects.toMatchObject({ status: 403 });
    expect(daemon.requests).toHaveLength(1);
    await rooms.publish('news', 'x', 'z'.repeat(20_000));
    expect(daemon.requests[1]).toMatchObject({ url: '/sse/send-to-channel' });
    const lost = rooms.publish('news', 'x', 1, { id: 'n' });
    daemon.cut();
    await lost;
    expect(daemon.requests[2]!.body).toMatchObject({ channel: 'news', event: 'x', id: 'n' });
    await clock.tick(2000);
    const unknown = rooms.publish('news', 'x', 1);
    daemon.cut();
    await expect(unknown).rejects.toMatchObject({ status: 0 });
  });

  test('another token when it is refused, once', async () => {
    const { daemon, rooms } = rig({ token: ({ reason }) => (reason == 'start' ? 'old' : 'new') });
    await clock.tick(0);
    daemon.refuse(401, { times: 1 });
    await rooms.publish('news', 'x', 1);
    expect(daemon.requests.slice(1).map((r) => r.token)).toEqual(['old', 'new']);
    daemon.refuse(401, { body: '{"detail": "Invalid token."}' });
    await expect(rooms.publish('news', 'x', 1)).rejects.toMatchObject({ status: 401, message: 'Invalid token.' });
  });

  test('with an id again when nobody knows, without never; what is wrong stays wrong', async () => {
    const { daemon, rooms } = rig();
    await clock.tick(0);
    daemon.refuse(503, { times: 2, headers: { 'Retry-After': '2' } });
    const sent = rooms.publish('news', 'x', 1, { id: 1 });
    await clock.tick(5000);
    expect(await sent).toBe(4);
    for (const how of ['down', 503] as const) {
      daemon.refuse(how, { times: 1 });
      await expect(rooms.publish('news', 'x', 1)).rejects.toBeInstanceOf(PublishError);
    }
    daemon.refuse(403, { times: 1, body: '{"detail": "Not to this channel."}' });
    await expect(rooms.publish('news', 'x', 1, { id: 2 })).rejects.toThrow('Not to this channel.');
  });
});
