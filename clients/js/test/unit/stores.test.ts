// SPDX-License-Identifier: PostgreSQL
// RTK Query, SWR, TanStack DB and zustand, each with the real library.
import { configureStore } from '@reduxjs/toolkit';
import { createApi, fakeBaseQuery } from '@reduxjs/toolkit/query';
import { createCollection } from '@tanstack/db';
import { describe, expect, test, vi } from 'vitest';
import { heraldEntry } from '../../src/rtk/index.js';
import { connectSWR, heraldSubscription } from '../../src/swr/index.js';
import { heraldCollectionOptions } from '../../src/tanstack-db/index.js';
import { createFakeServer, createMockHerald } from '../../src/testing/index.js';
import { createEventSourceStore } from '../../src/zustand/index.js';
import { clock, useClock } from './rig.js';

useClock();

interface Order {
  id: number;
  status: string;
}

test('RTK Query: early events, later ones, leave, resync, and the end', async () => {
  const herald = createMockHerald();
  let rows: Order[] = [{ id: 1, status: 'new' }];
  let fetched = 0;
  const api = createApi({
    baseQuery: fakeBaseQuery(),
    endpoints: (build) => ({
      orders: build.query<Order[], void>({
        queryFn: async () => {
          fetched++;
          await new Promise((done) => setTimeout(done, 50));
          return { data: rows };
        },
        onCacheEntryAdded: heraldEntry<Order[]>(
          herald,
          'order.*',
          (draft, { data, scope, type }) => {
            const at = draft.findIndex((o) => o.id == data.id);
            if (scope == 'leave' || type.endsWith('.deleted')) return void (at >= 0 && draft.splice(at, 1));
            if (at < 0) draft.push(data);
            else draft[at] = data;
          },
          {
            refetch: (_arg, { dispatch }): unknown =>
              dispatch(api.endpoints.orders.initiate(undefined, { forceRefetch: true, subscribe: false })),
          },
        ),
      }),
    }),
  });
  const store = configureStore({ reducer: { api: api.reducer }, middleware: (m) => m().concat(api.middleware) });
  const subscription = store.dispatch(api.endpoints.orders.initiate());
  await clock.tick(10);
  herald.emit('order.created', { id: 2, status: 'early' });
  await clock.tick(100);
  const data = () => api.endpoints.orders.select()(store.getState()).data;
  expect(data()).toEqual([{ id: 1, status: 'new' }, { id: 2, status: 'early' }]);
  herald.emit('order.updated', { id: 1, status: 'paid' });
  herald.emit('order.updated', { id: 2 }, { scope: 'leave' });
  expect(data()).toEqual([{ id: 1, status: 'paid' }]);
  rows = [{ id: 5, status: 'after the storm' }];
  herald.resync('storm', ['item']);
  herald.resync('storm', ['order']);
  await clock.tick(100);
  expect([data(), fetched]).toEqual([rows, 2]);
  subscription.unsubscribe();
  await clock.tick(120_000);
  expect(herald.listening).toBe(0);
});

describe('SWR', () => {
  test('a subscription hands events on, reduces them, and tells a refusal', () => {
    const herald = createMockHerald();
    const got: any[] = [];
    let before: any;
    const next = (error: any, data?: any) => {
      before = typeof data == 'function' ? data(before) : data;
      got.push(error ? error.message : before);
    };
    const off = heraldSubscription(herald, 'price.*', (n: number | undefined, e) => (n || 0) + e.data)('price', { next });
    herald.emit('price.changed', 2);
    herald.emit('price.changed', 3);
    herald.setStatus({ state: 'failed', error: { status: 401, message: 'Invalid token.' } });
    expect(got).toEqual([2, 5, 'Invalid token.']);
    off();
    herald.emit('price.changed', 3);
    expect([got.length, herald.listening]).toEqual([3, 0]);
  });

  test('keys are fetched again, once for many', async () => {
    const herald = createMockHerald({ state: 'connecting' });
    const got: unknown[] = [];
    const off = connectSWR(herald, async (key) => void got.push(key), {
      order: (o) => (o ? ['/orders/', `/orders/${o.id}/`] : ['/orders/']),
    });
    herald.setStatus({ state: 'open' });
    await clock.tick(150);
    expect(got.splice(0)).toEqual(['/orders/']);
    for (let i = 0; i < 20; i++) herald.emit('order.updated', { id: 1 });
    await clock.tick(150);
    expect(got.splice(0)).toEqual(['/orders/', '/orders/1/']);
    herald.resync('tabs', ['*']);
    await clock.tick(150);
    expect(got.splice(0)).toEqual(['/orders/']);
    herald.emit('order.updated', { id: 1 });
    off();
    await clock.tick(150);
    expect(got).toEqual([]);
  });
});

describe('TanStack DB', () => {
  test('change during the load, delete, leave, enter, resync, a load that fails', async () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const herald = createMockHerald({ state: 'connecting' });
    const rows: Order[][] = [[{ id: 1, status: 'a' }, { id: 2, status: 'b' }], [{ id: 9, status: 'z' }]];
    let loads = 0;
    const orders = createCollection(
      heraldCollectionOptions<Order, number>({
        herald,
        topic: 'order',
        getKey: (o) => o.id,
        queryFn: async () => {
          if (!loads++) throw new Error('offline');
          await new Promise((done) => setTimeout(done, 50));
          return rows.shift()!;
        },
      }),
    );
    orders.preload();
    const all = () => [...orders.toArray].map((o) => o.id + o.status).sort();
    await clock.tick(1000);
    expect([loads, orders.status]).toEqual([0, 'loading']);
    herald.setStatus({ state: 'open' });
    await clock.tick(520);
    herald.emit('order.updated', { id: 2, status: 'early' });
    herald.emit('order.created', { id: 3, status: 'early' });
    await clock.tick(100);
    expect([all(), orders.status, loads]).toEqual([['1a', '2early', '3early'], 'ready', 2]);
    herald.emit('order.deleted', { id: 1 });
    herald.emit('order.deleted', { id: 1 });
    herald.emit('order.updated', { id: 3 }, { scope: 'leave' });
    herald.emit('order.updated', { id: 4, status: 'mine' }, { scope: 'enter' });
    herald.emit('order.updated', { id: 4, status: 'mine2' });
    expect(all()).toEqual(['2early', '4mine2']);
    herald.resync('storm', ['order']);
    await clock.tick(100);
    expect(all()).toEqual(['9z']);
    await orders.cleanup();
    expect(herald.listening).toBe(0);
    errors.mockRestore();
  });
});

describe('createEventSourceStore', () => {
  test('handlers of two components, an error, a handler that throws, another URL, nobody', async () => {
    const lines: string[] = [];
    const log = vi.spyOn(console, 'log').mockImplementation((line) => void lines.push(line));
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const daemon = createFakeServer();
    const useStore = createEventSourceStore('Project', { fetch: daemon.fetch });
    const { initConnection, removeHandlers } = useStore.getState();
    const got: string[] = [];
    const one = (m: any) => got.push('one ' + m.object.n);
    const bad = () => {
      throw new Error('bad');
    };
    const two = (m: any) => got.push('two ' + m.object.n);
    const url = 'http://localhost:8000/api/v1/events/project.7';
    initConnection(url, [one, bad]);
    await clock.tick(0);
    initConnection(url, [two]);
    daemon.raw('data: {"type": "data", "object": {"n": 1}}\n\n');
    await clock.tick(0);
    expect(got.splice(0)).toEqual(['one 1', 'two 1']);
    expect(useStore.getState().connection!.url).toBe(url);
    daemon.refuse('down', { times: 3 }); // the last one behind what is too short to be shown, whatever the pauses are
    daemon.cut();
    await clock.tick(20_000);
    daemon.raw('data: {"type": "data", "object": {"n": 2}}\n\n');
    await clock.tick(0);
    expect(got.splice(0)).toEqual(['one 2', 'two 2']);
    expect(lines[0]).toBe('Project SSE connected. Channel: project.7');
    expect(lines).toContain('Project SSE disconnected. Channel: project.7');
    expect(lines).toContain('Project SSE error. Channel: project.7');
    const three = (m: any) => got.push('three ' + m.object.n);
    useStore.getState().addHandlers([three]);
    expect(useStore.getState().handlers).toEqual([one, bad, two, three]);
    daemon.raw('data: {"type": "data", "object": {"n": 3}}\n\n');
    await clock.tick(0);
    expect(got.splice(0)).toEqual(['one 3', 'two 3', 'three 3']);
    removeHandlers([three]);
    initConnection('http://localhost:8000/api/v1/events/project.8', []);
    await clock.tick(0);
    expect([daemon.streams, daemon.requests[daemon.requests.length - 1]!.url]).toEqual([1, 'http://localhost:8000/api/v1/events/project.8']);
    removeHandlers([one]);
    removeHandlers([bad, two]);
    expect([useStore.getState().connection, useStore.getState().handlers, daemon.streams]).toEqual([null, [], 0]);
    log.mockRestore();
    errors.mockRestore();
  });
});
