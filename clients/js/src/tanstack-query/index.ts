// SPDX-License-Identifier: PostgreSQL
// TanStack Query (React, Vue, Solid, Svelte; 4 and 5): an event invalidates queries, or is put into
// them. Many events at once are one refetch, a resync always ends in one.

import type { Herald, HeraldEvent } from '../types.js';

type Key = readonly unknown[];

/** What is needed of a QueryClient. */
export interface QueryClientLike {
  invalidateQueries(filters: { queryKey: Key }, options: { throwOnError: boolean }): Promise<unknown>;
  setQueriesData(filters: { queryKey: Key }, update: (old: any) => any): unknown;
  setQueryData(key: Key, update: (old: any) => any): unknown;
  removeQueries(filters: { queryKey: Key }): void;
}

export interface QueryRule {
  /** All queries of the topic: fetched again after a resync. By default `[[topic]]`. */
  all?: readonly Key[];
  /** Those that one event makes stale; by default `all`, and none where there is `set`. */
  keys?: (data: any, event: HeraldEvent) => readonly Key[];
  /** Puts the event into the cache: see upsertInList() and setById(). */
  set?: (data: any, event: HeraldEvent) => void;
}

export interface QueryOptions {
  /** How long further events are waited for, and at most, in ms; 100 and 1000. */
  wait?: number;
  maxWait?: number;
}

const RETRY_MIN_MS = 500; // twice that is the first pause
const RETRY_MAX_MS = 30_000;

/** Rules by topic. Returns how to end it. */
export function connectQuery(
  herald: Herald<any>,
  client: QueryClientLike,
  rules: Record<string, QueryRule>,
  { wait = 100, maxWait = 1000 }: QueryOptions = {},
): () => void {
  const stale = new Map<string, Key>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let first = 0; // since when something is stale, in ms
  let busy = false;
  let ended = false;
  let pause = RETRY_MIN_MS;
  const put = (keys: readonly Key[]) => keys.forEach((key) => stale.set(JSON.stringify(key), key));

  // One refetch at a time: the next one would cancel it, and under steady events none would end.
  const refetch = async () => {
    if (busy || ended || !stale.size) return;
    busy = true;
    first = 0;
    const keys = [...stale.values()];
    stale.clear();
    const failed: Key[] = [];
    await Promise.all(
      keys.map((queryKey) => client.invalidateQueries({ queryKey }, { throwOnError: true }).catch(() => failed.push(queryKey))),
    );
    busy = false;
    const more = stale.size;
    put(failed);
    pause = failed[0] ? Math.min(2 * pause, RETRY_MAX_MS) : RETRY_MIN_MS;
    if (more) refetch();
    else if (failed[0]) {
      // The stream has come back, the application not yet: what is shown must not stay old.
      clearTimeout(timer);
      timer = setTimeout(refetch, pause * (0.5 + Math.random() / 2));
    }
  };
  const mark = (keys: readonly Key[], at: number) => {
    put(keys);
    first = first || Date.now();
    clearTimeout(timer);
    timer = setTimeout(refetch, Math.min(at, Math.max(0, first + maxWait - Date.now())));
  };
  const all = (topic: string) => rules[topic]!.all || [[topic]];
  const reset = (topics: string[]) => mark(topics.flatMap(all), 0);
  const topics = Object.keys(rules);

  const off = herald.on([...topics.map((t) => t + '.*'), 'system.resync'], (data, event) => {
    const topic = event.type.split('.')[0]!;
    if (topic == 'system') return reset(topics.filter((t) => data.topics.some((x: string) => x == t || x == '*')));
    const { set, keys } = rules[topic]!;
    if (set) set(data, event);
    if (keys || !set) mark(keys ? keys(data, event) : all(topic), wait);
  });
  // What was fetched before the stream was open may have missed something.
  herald.ready().then(() => ended || reset(topics));

  return () => {
    ended = true;
    off();
    clearTimeout(timer);
  };
}

export interface ListOptions {
  /** The key's name in the data, `id`. */
  id?: string;
  /** Where the list stands in a page: by default an array itself, or its `items`, `results` or `data`. */
  items?: string;
  /** A row that is not there yet: at the `start`, at the `end`, or not at all. */
  add?: 'start' | 'end' | false;
}

const gone = (event?: HeraldEvent) => !!event && (event.scope == 'leave' || event.type.endsWith('.deleted'));

/** The list with the row in its place; all other rows are the same objects. */
export function upsert<T>(rows: readonly T[], data: T, event?: HeraldEvent, { id = 'id', add = 'start' }: ListOptions = {}): T[] {
  const same = (row: any) => row[id] == (data as any)[id];
  if (gone(event)) return rows.filter((row) => !same(row));
  if (rows.some(same)) return rows.map((row) => (same(row) ? { ...row, ...data } : row));
  return add == 'start' ? [data, ...rows] : add ? [...rows, data] : [...rows];
}

/** Puts one row into every cached list below `queryKey`, or takes it out. */
export function upsertInList(client: QueryClientLike, queryKey: Key, data: any, event?: HeraldEvent, options: ListOptions = {}): void {
  client.setQueriesData({ queryKey }, (old) => {
    if (Array.isArray(old)) return upsert(old, data, event, options);
    const items = options.items || ['items', 'results', 'data'].find((name) => old && Array.isArray(old[name]));
    return items && old ? { ...old, [items]: upsert(old[items], data, event, options) } : old;
  });
}

/** Changes the one cached object `[...queryKey, id]`, and no other one; takes it out when it is gone. */
export function setById(client: QueryClientLike, queryKey: Key, data: any, event?: HeraldEvent, { id = 'id' }: ListOptions = {}): void {
  const key = [...queryKey, data[id]];
  if (gone(event)) client.removeQueries({ queryKey: key });
  else client.setQueryData(key, (old) => old && { ...old, ...data });
}

