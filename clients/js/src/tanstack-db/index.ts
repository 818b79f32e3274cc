// SPDX-License-Identifier: PostgreSQL
// TanStack DB: a collection that is the table. It listens first, waits for the greeting, loads, and
// puts behind that what has come meanwhile; a resync loads it anew in one transaction.

import type { Herald, HeraldEvent } from '../types.js';

/** What the library hands to `sync`. */
export interface SyncParams<T> {
  begin(): void;
  write(message: { type: 'insert' | 'update'; value: T } | { type: 'delete'; key: any }): void;
  commit(): unknown;
  markReady(): void;
  truncate(options?: { markReady?: boolean }): void;
}

export interface HeraldCollectionConfig<T extends object, K extends string | number> {
  herald: Herald<any>;
  /** The watch's name: events `topic.created` and so on. */
  topic: string;
  getKey: (row: T) => K;
  /** All rows that this user may see. */
  queryFn: (options: { signal: AbortSignal }) => Promise<readonly T[]>;
  /** Makes a row of an event's document where the two differ. A document of `leave` needs the key only. */
  toRow?: (data: any, event: HeraldEvent) => T;
  id?: string;
}

export interface HeraldCollectionOptions<T extends object, K extends string | number> {
  id: string;
  getKey: (row: T) => K;
  sync: { sync: (params: SyncParams<T>) => () => void };
}

const RETRY_MAX_MS = 30_000;

/** Options for `createCollection()`. */
export function heraldCollectionOptions<T extends object, K extends string | number>({
  herald,
  topic,
  getKey,
  queryFn,
  toRow = (data) => data,
  id = topic,
}: HeraldCollectionConfig<T, K>): HeraldCollectionOptions<T, K> {
  const sync = ({ begin, write, commit, markReady, truncate }: SyncParams<T>) => {
    const abort = new AbortController();
    const { signal } = abort;
    const keys = new Set<K>();
    let early: HeraldEvent[] | undefined; // what comes while it is being loaded
    let again = false;

    const put = (event: HeraldEvent) => {
      const row = toRow(event.data, event);
      const key = getKey(row);
      if (event.scope == 'leave' || event.type.endsWith('.deleted')) {
        if (keys.delete(key)) write({ type: 'delete', key });
      } else {
        write({ type: keys.has(key) ? 'update' : 'insert', value: row });
        keys.add(key);
      }
    };

    const load = async () => {
      if (early) {
        again = true;
        return;
      }
      let pause = 500;
      do {
        early = [];
        again = false;
        try {
          await herald.ready();
          const rows = await queryFn({ signal });
          if (signal.aborted) return;
          begin();
          truncate({ markReady: false });
          keys.clear();
          for (const row of rows) {
            keys.add(getKey(row));
            write({ type: 'insert', value: row });
          }
          early.forEach(put);
          commit();
          markReady();
        } catch (error) {
          if (signal.aborted) return;
          console.error('[SSE]', error);
          again = true;
          await new Promise((done) => setTimeout(done, pause));
          pause = Math.min(2 * pause, RETRY_MAX_MS);
        }
      } while (again && !signal.aborted);
      early = undefined;
    };

    const off = herald.on([topic + '.*', 'system.resync'], (data, event) => {
      if (event.type == 'system.resync') {
        if (data.topics.includes(topic) || data.topics.includes('*')) load();
      } else if (early) early.push(event);
      else {
        begin();
        put(event);
        commit();
      }
    });
    load();
    return () => {
      off();
      abort.abort();
    };
  };
  return { id, getKey, sync: { sync } };
}
