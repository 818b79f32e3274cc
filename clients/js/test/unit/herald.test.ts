// SPDX-License-Identifier: PostgreSQL
import { filter, from, map, toArray } from 'rxjs';
import { describe, expect, test, vi } from 'vitest';
import { createHerald } from '../../src/index.js';
import { clock, rig, useClock } from './rig.js';

useClock();

describe('listening', () => {
  test('nothing is opened until somebody listens, and one stream serves all', async () => {
    const { daemon, herald, listen } = rig();
    await clock.tick(60_000);
    expect(daemon.requests).toHaveLength(0);
    expect(herald.status.state).toBe('idle');
    listen();
    listen('order.*');
    await clock.tick(0);
    expect(daemon.requests).toHaveLength(1);
    expect(herald.status).toMatchObject({ state: 'open', attempt: 0, user: '1', leader: true, shared: false });
  });

  test('a component that goes and comes within a second is none; a longer absence ends the stream', async () => {
    const { daemon, herald, listen } = rig();
    const off = listen();
    await clock.tick(0);
    off();
    off();
    listen()();
    await clock.tick(900);
    const again = listen();
    await clock.tick(5000);
    expect([daemon.requests.length, daemon.streams, herald.status.state]).toEqual([1, 1, 'open']);
    again();
    await clock.tick(1100);
    expect([daemon.streams, herald.status.state]).toEqual([0, 'idle']);
    daemon.emit('order.updated', { id: 1 });
    const { length } = daemon.requests;
    listen();
    await clock.tick(0);
    // It goes on where it was: what came meanwhile is there.
    expect(daemon.requests).toHaveLength(length + 1);
    expect(daemon.requests[length]!.position).toBe('fake.0.0');
  });

  test('a passive listener opens nothing and hears what comes', async () => {
    const { daemon, herald, heard } = rig();
    herald.on('*', (_, event) => heard.push(event.type), { passive: true });
    await clock.tick(2000);
    expect(daemon.requests).toHaveLength(0);
    herald.on('x.y', () => {});
    await clock.tick(0);
    daemon.emit('order.created', {});
    await clock.tick(0);
    expect(heard).toEqual(['order.created']);
  });

  test('types, lists and wildcards', async () => {
    const { daemon, herald } = rig();
    const got: Record<string, string[]> = { one: [], list: [], topic: [], all: [], near: [] };
    herald.on('order.created', (_, e) => got.one!.push(e.type));
    herald.on(['order.created', 'item.*'], (_, e) => got.list!.push(e.type));
    herald.on('order.*', (_, e) => got.topic!.push(e.type));
    herald.on('*', (_, e) => got.all!.push(e.type));
    herald.on('orders.*', (_, e) => got.near!.push(e.type));
    await clock.tick(0);
    for (const type of ['order.created', 'order.updated', 'item.deleted', 'order']) daemon.emit(type, {});
    await clock.tick(0);
    expect(got).toEqual({
      one: ['order.created'],
      list: ['order.created', 'item.deleted'],
      topic: ['order.created', 'order.updated'],
      all: ['order.created', 'order.updated', 'item.deleted', 'order'],
      near: [],
    });
  });

  test('data, scope and second are handed on; greeting and keep-alive are not events', async () => {
    const { daemon, herald } = rig();
    const seen: unknown[] = [];
    herald.on('*', (data, event) => seen.push([data, event.scope, event.timestamp]));
    await clock.tick(0);
    daemon.keepalive();
    daemon.emit('order.updated', { id: 3, name: 'Смета' }, { scope: 'enter', timestamp: 1_700_000_000 });
    await clock.tick(0);
    expect(seen).toEqual([[{ id: 3, name: 'Смета' }, 'enter', 1_700_000_000]]);
  });

  test('one bad handler stops no other, synchronous or not, and no bad message the next', async () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { daemon, herald, heard, listen } = rig();
    herald.on('*', () => {
      throw new Error('bad');
    });
    herald.on('*', async () => {
      throw new Error('bad later');
    });
    herald.subscribe(() => {
      throw new Error('bad watcher');
    });
    listen();
    await clock.tick(0);
    daemon.raw('data: {not json\nid: fake.0.0\n\n');
    daemon.raw('data\n\n');
    daemon.emit('order.created', 1);
    await clock.tick(0);
    expect(heard).toEqual(['order.created 1']);
    expect(herald.status.state).toBe('open');
    herald.close();
    expect(errors.mock.calls.map((c) => '' + c[c.length - 1]).filter((e) => /^Error: bad/.test(e))).toHaveLength(4);
    errors.mockRestore();
  });

  test('a handler that leaves or comes during an event', async () => {
    const { daemon, herald, heard } = rig();
    const off = herald.on('a.*', () => {
      second();
      herald.on('a.*', () => heard.push('third'));
    });
    const second = herald.on('a.*', () => heard.push('second'));
    await clock.tick(0);
    daemon.emit('a.b', 1);
    await clock.tick(0);
    expect(heard).toEqual([]);
    off();
    daemon.emit('a.b', 2);
    await clock.tick(0);
    expect(heard).toEqual(['third']);
  });

  test('signals take handlers away', async () => {
    const { daemon, herald, heard } = rig();
    const abort = new AbortController();
    herald.on('*', (_, e) => heard.push(e.type), { signal: abort.signal });
    await clock.tick(0);
    abort.abort();
    daemon.emit('a.b', 1);
    herald.on('*', () => heard.push('never'), { signal: abort.signal });
    await clock.tick(1100);
    expect([heard, herald.status.state]).toEqual([[], 'idle']);
  });

  test('close is for good', async () => {
    const { daemon, herald, listen } = rig();
    listen();
    await clock.tick(0);
    herald.close();
    expect([herald.status.state, daemon.streams, daemon.requests[0]!.aborted]).toEqual(['closed', 0, true]);
    listen();
    herald.retry();
    await clock.tick(5000);
    expect([herald.status.state, daemon.requests.length]).toEqual(['closed', 1]);
  });
});

describe('ready', () => {
  test('settles with the greeting, and at once when it is open', async () => {
    const { daemon, herald, listen } = rig();
    const order: string[] = [];
    daemon.refuse(503, { times: 1 });
    listen();
    herald.ready().then(() => order.push('ready'));
    await clock.tick(100);
    expect(order).toEqual([]);
    await clock.tick(1000);
    expect(order).toEqual(['ready']);
    herald.ready().then(() => order.push('again'));
    await clock.tick(0);
    expect(order).toEqual(['ready', 'again']);
  });
});

describe('as an iterable', () => {
  test('is an observable for RxJS: all events, opened by the first who subscribes', async () => {
    const { daemon, herald } = rig();
    const numbers = from(herald).pipe(filter(({ type }) => type == 'order.updated'), map(({ data }) => data as number));
    const got: number[] = [];
    expect(daemon.requests).toHaveLength(0);
    const subscription = numbers.subscribe((n) => got.push(n));
    const failing = from(herald).subscribe(() => failing.unsubscribe());
    await clock.tick(0);
    daemon.emit('order.created', 1);
    daemon.emit('order.updated', 2);
    await clock.tick(0);
    subscription.unsubscribe();
    daemon.emit('order.updated', 3);
    await clock.tick(2000);
    expect([got, herald.status.state, daemon.requests.length]).toEqual([[2], 'idle', 1]);
    // And what is iterable is one that ends.
    const all = new Promise((done) => from(herald.events({ types: 'order.*' })).pipe(map(({ data }) => data), toArray()).subscribe(done));
    await clock.tick(0);
    daemon.emit('order.deleted', 4);
    await clock.tick(0);
    herald.close();
    expect(await all).toEqual([4]);
  });

  test('by the name Symbol.observable, where somebody has made it', () => {
    const name = Symbol('observable');
    Object.defineProperty(Symbol, 'observable', { value: name, configurable: true });
    try {
      expect(Object.keys((rig().herald as any)[name]())).toEqual(['subscribe']);
    } finally {
      delete (Symbol as any).observable;
    }
    expect('@@observable' in rig().herald).toBe(true);
  });

  test('for await, with types, until the signal', async () => {
    const { daemon, herald } = rig();
    const abort = new AbortController();
    const got: unknown[] = [];
    const done = (async () => {
      for await (const event of herald.events({ types: 'order.*', signal: abort.signal })) got.push(event.data);
      got.push('end');
    })();
    await clock.tick(0);
    for (let i = 0; i < 20; i++) daemon.emit('order.updated', i);
    daemon.emit('item.updated', 'no');
    await clock.tick(0);
    abort.abort();
    await done;
    expect(got).toEqual([...Array(20).keys(), 'end']);
    await clock.tick(1100);
    expect(herald.status.state).toBe('idle');
  });

  test('break leaves, close ends, what waits is still given', async () => {
    const { daemon, herald } = rig();
    const first = herald.events();
    const second = herald.events({ types: ['a.b'] });
    await clock.tick(0);
    daemon.emit('a.b', 1);
    daemon.emit('a.b', 2);
    await clock.tick(0);
    for await (const event of first) {
      expect(event.data).toBe(1);
      break;
    }
    expect((await second.next()).value.data).toBe(1);
    herald.close();
    expect((await second.next()).value.data).toBe(2);
    expect(await second.next()).toEqual({ value: undefined, done: true });
    expect(await herald.events().next()).toEqual({ value: undefined, done: true });
  });

  test('who reads too slowly is told what to fetch again', async () => {
    const { daemon, herald } = rig();
    const slow = herald.events();
    await clock.tick(0);
    for (let i = 0; i <= 1000; i++) daemon.emit(i % 2 ? 'order.updated' : 'item.updated', i);
    daemon.emit('order.deleted', 'last');
    await clock.tick(0);
    expect((await slow.next()).value).toMatchObject({
      type: 'system.resync',
      data: { reason: 'overflow', topics: ['*'] },
    });
    expect((await slow.next()).value.data).toBe('last');
    await slow.return!();
  });
});

describe('types', () => {
  test('names, wildcards and payloads are checked by the compiler', () => {
    type Events = { 'order.created': { id: number }; 'order.deleted': { id: number; why: string }; 'item.sold': string };
    const herald = createHerald<Events>({ url: '/' });
    herald.on('order.created', (order) => order.id.toFixed());
    herald.on('order.*', (order, event) => {
      order.id.toFixed();
      if (event.type == 'order.deleted') event.data.why.trim();
      // @ts-expect-error an item is no order
      if (event.type == 'item.sold') return;
    });
    herald.on(['item.sold', 'system.resync'], (_, event) => {
      if (event.type == 'system.resync') event.data.topics.join();
      else event.data.trim();
    });
    herald.on('system.resync', ({ reason, topics }) => [reason.trim(), topics.join()]);
    // @ts-expect-error misspelt
    herald.on('order.creatd', () => {});
    // @ts-expect-error no such topic
    herald.on('orders.*', () => {});
    const untyped = createHerald({ url: '/' });
    untyped.on('what.ever', (data) => data.anything);
    herald.close();
    untyped.close();
  });
});
