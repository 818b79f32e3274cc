// SPDX-License-Identifier: PostgreSQL
// SWR: events for useSWRSubscription, and keys that are fetched again.

import type { Herald, HeraldEvent } from '../types.js';

/**
 * A function for `useSWRSubscription(key, heraldSubscription(herald, 'order.*'))`: its data is the
 * last event, or what `reduce` has made of all of them.
 */
export function heraldSubscription<T = HeraldEvent>(
  herald: Herald<any>,
  types: string | readonly string[],
  reduce: (before: T | undefined, event: HeraldEvent) => T = (_before, event) => event as T,
) {
  return (_key: unknown, { next }: { next: (error?: any, data?: T | ((before?: T) => T)) => void }): (() => void) => {
    const offs = [
      herald.on(types, (_data, event) => next(null, (before?: T) => reduce(before, event))),
      herald.subscribe(() => {
        const { state, error } = herald.status;
        if (state == 'failed') next(Object.assign(new Error(error!.message), error));
      }),
    ];
    return () => offs.forEach((off) => off());
  };
}

/** SWR's `mutate`, of `useSWRConfig()` or of the package. */
export type Mutate = (key: any) => Promise<unknown>;

/**
 * Fetches keys again when something of their topic has changed, once for many events, and always
 * after a resync: `connectSWR(herald, mutate, { order: (data) => ['/api/orders/', `/api/orders/${data?.id}/`] })`.
 * After a resync `data` is undefined, and a function among the keys is SWR's filter.
 */
export function connectSWR(
  herald: Herald<any>,
  mutate: Mutate,
  keys: Record<string, (data: any, event?: HeraldEvent) => readonly unknown[]>,
  wait = 100,
): () => void {
  const stale = new Set<unknown>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let busy = false;
  const refetch = async () => {
    timer = undefined;
    if (busy) return;
    busy = true;
    while (stale.size) {
      const all = [...stale];
      stale.clear();
      await Promise.all(all.map((key) => mutate(key))).catch(() => {});
    }
    busy = false;
  };
  const mark = (list: readonly unknown[]) => {
    for (const key of list) stale.add(key);
    timer ||= setTimeout(refetch, wait);
  };
  const topics = Object.keys(keys);
  const off = herald.on([...topics.map((t) => t + '.*'), 'system.resync'], (data, event) => {
    const topic = event.type.split('.')[0]!;
    if (topic != 'system') return mark(keys[topic]!(data, event));
    for (const t of topics) if (data.topics.some((x: string) => x == t || x == '*')) mark(keys[t]!(undefined));
  });
  herald.ready().then(() => topics.forEach((t) => mark(keys[t]!(undefined))));
  return () => {
    off();
    clearTimeout(timer);
    stale.clear();
  };
}
