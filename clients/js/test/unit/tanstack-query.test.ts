// SPDX-License-Identifier: PostgreSQL
import { QueryClient, QueryObserver } from '@tanstack/query-core';
import { describe, expect, test } from 'vitest';
import { connectQuery, setById, upsert, upsertInList } from '../../src/tanstack-query/index.js';
import { createMockHerald } from '../../src/testing/index.js';
import { clock, useClock } from './rig.js';

useClock();

interface Order {
  id: number;
  status: string;
}

async function rig(slow = 0) {
  const herald = createMockHerald({ state: 'connecting' });
  const client = new QueryClient();
  let fetched = 0;
  const answer = { works: true };
  const observer = new QueryObserver(client, {
    queryKey: ['order', 'list'],
    queryFn: async () => {
      fetched++;
      if (!answer.works) throw new Error('502');
      if (slow) await new Promise((done) => setTimeout(done, slow));
      return [{ id: 1, status: 'new' }] as Order[];
    },
    staleTime: Infinity,
    retry: false,
  });
  const off = observer.subscribe(() => {});
  await clock.tick(slow);
  return { herald, client, fetched: () => fetched, answer, data: () => observer.getCurrentResult().data, off };
}

describe('invalidation', () => {
  test('what was fetched before the stream was open is fetched again, once', async () => {
    const { herald, client, fetched, off } = await rig();
    expect(fetched()).toBe(1);
    const end = connectQuery(herald, client, { order: {} });
    await clock.tick(1000);
    expect(fetched()).toBe(1);
    herald.setStatus({ state: 'open' });
    await clock.tick(0);
    expect(fetched()).toBe(2);
    end();
    off();
  });

  test('twenty saves at once: one refetch; steady ones: one a second at least; resync: at once', async () => {
    const { herald, client, fetched, off } = await rig();
    connectQuery(herald, client, { order: {} });
    herald.setStatus({ state: 'open' });
    await clock.tick(10);
    const before = fetched();
    for (let i = 0; i < 20; i++) herald.emit('order.updated', { id: i });
    await clock.tick(200);
    expect(fetched()).toBe(before + 1);
    for (let i = 0; i < 60; i++) {
      herald.emit('order.updated', { id: i });
      await clock.tick(50);
    }
    await clock.tick(200);
    expect(fetched() - before - 1).toBeGreaterThanOrEqual(3);
    expect(fetched() - before - 1).toBeLessThanOrEqual(5);
    const now = fetched();
    herald.resync('storm', ['item']);
    await clock.tick(10);
    expect(fetched()).toBe(now);
    herald.resync('tabs', ['*']);
    await clock.tick(10);
    expect(fetched()).toBe(now + 1);
    off();
  });

  test('a refetch that is under way is not cancelled by the next, and another one follows it', async () => {
    const { herald, client, fetched, off } = await rig(3000);
    connectQuery(herald, client, { order: {} });
    herald.setStatus({ state: 'open' });
    await clock.tick(3100);
    const before = fetched();
    for (let i = 0; i < 50; i++) {
      herald.emit('order.updated', { id: 1 });
      await clock.tick(100);
    }
    await clock.tick(7000);
    expect(fetched() - before).toBe(3);
    off();
  });

  test('a refetch that fails is tried again until it does not', async () => {
    const { herald, client, fetched, answer, off } = await rig();
    const end = connectQuery(herald, client, { order: {}, item: {} });
    herald.setStatus({ state: 'open' });
    await clock.tick(10);
    const before = fetched();
    answer.works = false;
    herald.resync('loss', ['order']);
    await clock.tick(60_000);
    expect(fetched() - before).toBeGreaterThanOrEqual(5);
    expect(fetched() - before).toBeLessThanOrEqual(12);
    answer.works = true;
    const sick = fetched();
    // Another topic's refetch, which has nothing to do with it, tries it again as well.
    herald.emit('item.updated', { id: 1 });
    await clock.tick(200);
    expect(fetched()).toBe(sick + 1);
    await clock.tick(120_000);
    expect(fetched()).toBe(sick + 1);
    answer.works = false;
    herald.resync('loss', ['order']);
    await clock.tick(10);
    end();
    const last = fetched();
    await clock.tick(120_000);
    expect(fetched()).toBe(last);
    off();
  });

  test('only the keys of the event; with set none', async () => {
    const { herald, client, fetched, off } = await rig();
    const put: number[] = [];
    connectQuery(herald, client, {
      order: { all: [['order']], keys: (o) => [['order', o.id]] },
      item: { set: (o) => put.push(o.id) },
    });
    herald.setStatus({ state: 'open' });
    await clock.tick(10);
    const before = fetched();
    herald.emit('order.updated', { id: 7 });
    herald.emit('item.updated', { id: 8 });
    await clock.tick(200);
    expect([fetched(), put]).toEqual([before, [8]]);
    herald.resync('loss', ['order']);
    await clock.tick(10);
    expect(fetched()).toBe(before + 1);
    off();
  });

  test('after the end nothing more', async () => {
    const { herald, client, fetched, off } = await rig();
    const end = connectQuery(herald, client, { order: {} });
    herald.setStatus({ state: 'open' });
    await clock.tick(10);
    herald.emit('order.updated', { id: 1 });
    end();
    const before = fetched();
    await clock.tick(2000);
    expect([fetched(), herald.listening]).toEqual([before, 0]);
    off();
  });
});

describe('setting', () => {
  const event = (type: string, scope?: 'enter' | 'leave') => ({ type, data: null, scope });

  test('one row is another object, the others are the same', () => {
    const rows = [{ id: 1, status: 'a' }, { id: 2, status: 'b' }];
    const next = upsert(rows, { id: 2, status: 'c' });
    expect(next).toEqual([{ id: 1, status: 'a' }, { id: 2, status: 'c' }]);
    expect(next[0]).toBe(rows[0]);
    expect(upsert(rows, { id: 3, status: 'n' })[0]!.id).toBe(3);
    expect(upsert(rows, { id: 3, status: 'n' }, undefined, { add: 'end' })[2]!.id).toBe(3);
    expect(upsert(rows, { id: 3, status: 'n' }, undefined, { add: false })).toHaveLength(2);
    expect(upsert(rows, { id: 1 } as any, event('order.deleted'))).toEqual([rows[1]]);
    expect(upsert(rows, { id: 1 } as any, event('order.updated', 'leave'))).toEqual([rows[1]]);
  });

  test('lists as arrays and as pages; one object by its id, and no other (the guides’ mistake)', () => {
    const client = new QueryClient();
    client.setQueryData(['files', 'list', 1], { items: [{ id: 1, n: 'a' }], total: 1 });
    client.setQueryData(['files', 'list', 2], [{ id: 1, n: 'a' }]);
    client.setQueryData(['files', 'list', 3], { results: [{ id: 9, n: 'z' }] });
    client.setQueryData(['files', 'list', 4], 'what');
    client.setQueryData(['file', 1], { id: 1, n: 'a' });
    client.setQueryData(['file', 2], { id: 2, n: 'b' });
    upsertInList(client, ['files', 'list'], { id: 1, n: 'new' });
    setById(client, ['file'], { id: 1, n: 'new' });
    setById(client, ['file'], { id: 3, n: 'nobody asked' });
    expect(client.getQueryData(['files', 'list', 1])).toEqual({ items: [{ id: 1, n: 'new' }], total: 1 });
    expect(client.getQueryData(['files', 'list', 2])).toEqual([{ id: 1, n: 'new' }]);
    expect(client.getQueryData(['files', 'list', 3])).toEqual({ results: [{ id: 1, n: 'new' }, { id: 9, n: 'z' }] });
    expect(client.getQueryData(['files', 'list', 4])).toBe('what');
    expect(client.getQueryData(['file', 1])).toEqual({ id: 1, n: 'new' });
    expect(client.getQueryData(['file', 2])).toEqual({ id: 2, n: 'b' });
    expect(client.getQueryData(['file', 3])).toBeUndefined();
    setById(client, ['file'], { id: 1 }, event('file.deleted'));
    expect(client.getQueryData(['file', 1])).toBeUndefined();
  });
});
