// SPDX-License-Identifier: PostgreSQL
// RTK Query: an entry of the cache that is kept up to date for as long as somebody uses it.
//
//   getOrders: build.query<Order[], void>({ query: () => 'orders/', onCacheEntryAdded: heraldEntry(herald, 'order.*', apply) })

import type { Herald, HeraldEvent } from '../types.js';

/** What is needed of the lifecycle's API. */
export interface CacheEntryApi<T> {
  updateCachedData(update: (draft: T) => T | void): unknown;
  cacheDataLoaded: Promise<unknown>;
  cacheEntryRemoved: Promise<unknown>;
  dispatch(action: any): any;
}

export interface EntryOptions {
  /** Fetches again after a resync, for instance `(arg, api) => api.dispatch(orders.endpoints.getOrders.initiate(arg, { forceRefetch: true, subscribe: false }))`. */
  refetch: (arg: any, api: CacheEntryApi<any>) => unknown;
}

/** A function for `onCacheEntryAdded`. `apply` changes the draft; what comes during the load comes behind it. */
export function heraldEntry<T>(
  herald: Herald<any>,
  types: string | readonly string[],
  apply: (draft: T, event: HeraldEvent) => T | void,
  { refetch }: EntryOptions,
) {
  return async (arg: unknown, api: CacheEntryApi<T>): Promise<void> => {
    const early: HeraldEvent[] = [];
    let loaded = false;
    let reset = false; // what was missed while it was being loaded may be in it or not
    const put = (event: HeraldEvent) => void api.updateCachedData((draft) => apply(draft, event));
    const listed = ([] as string[]).concat(types);
    const offs = [
      herald.on(listed, (_data, event) => void (loaded ? put(event) : early.push(event))),
      herald.on('system.resync', ({ topics }) => {
        if (!listed.some((t) => topics.includes(t.split('.')[0]!) || topics.includes('*'))) return;
        if (loaded) refetch(arg, api);
        else reset = true;
      }),
    ];
    try {
      await api.cacheDataLoaded;
      loaded = true;
      if (reset) refetch(arg, api);
      else early.forEach(put);
    } catch {
      // It was removed before it was loaded.
    }
    await api.cacheEntryRemoved;
    for (const off of offs) off();
  };
}
