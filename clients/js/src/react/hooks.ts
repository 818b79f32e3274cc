// SPDX-License-Identifier: PostgreSQL
'use client';

import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from 'react';
import { useHerald } from './context.js';
import type { EventMap, Handler, HeraldEvent, Pattern, Status } from '../types.js';

const IDLE: Status = { state: 'idle', since: 0, attempt: 0, lag: 0, leader: false, shared: false };
const none = () => () => {};
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 30_000;

/**
 * Calls `handler` for each event of these types while the component is there. The handler may be
 * another one at every render; the stream does not notice.
 */
export function useSSE<E = EventMap, P extends Pattern<E> = Pattern<E>>(
  types: P | readonly P[],
  handler: Handler<E, P>,
  { enabled = true }: { enabled?: boolean } = {},
): void {
  const herald = useHerald<E>();
  const latest = useRef(handler);
  useEffect(() => {
    latest.current = handler;
  });
  const key = ([] as string[]).concat(types as any).join();
  useEffect(() => {
    if (herald && enabled) return herald.on(key.split(',') as any, (data: any, event: any) => latest.current(data, event));
    return undefined;
  }, [herald, key, enabled]);
}

/** The status, or what `select` makes of it; the component is drawn again only when that changes. */
export function useSSEStatus(): Status;
export function useSSEStatus<T>(select: (status: Status) => T): T;
export function useSSEStatus(select: (status: Status) => unknown = (s) => s): unknown {
  const herald = useHerald();
  return useSyncExternalStore(
    herald ? herald.subscribe : none,
    () => select(herald ? herald.status : IDLE),
    () => select(IDLE),
  );
}

export interface LiveOptions<T> {
  /** Makes the next data of an event, instead of fetching again. */
  apply?: (data: T, event: HeraldEvent) => T;
  /** How long further events are waited for before it is fetched again, in ms; 100. */
  wait?: number;
  enabled?: boolean;
}

export interface Live<T> {
  data: T | undefined;
  error: unknown;
  /** Nothing is there yet. */
  loading: boolean;
  reload: () => void;
}

/**
 * What `fetcher` gives, loaded after the daemon's greeting, so that no change falls in between, and
 * again when something of the key's topic changes, or when it has failed. The key: `'order'`, or `['order', id]`.
 */
export function useLive<T>(
  key: string | readonly [topic: string, ...more: unknown[]],
  fetcher: (signal: AbortSignal) => Promise<T>,
  options: LiveOptions<T> = {},
): Live<T> {
  const herald = useHerald();
  const latest = useRef({ fetcher, ...options });
  useEffect(() => {
    latest.current = { fetcher, ...options };
  });
  const enabled = herald && options.enabled !== false ? herald : null;
  const text = JSON.stringify(key);
  const topic = typeof key == 'string' ? key : key[0];
  const [state, setState] = useState<{ text?: string; data?: T; error?: unknown }>({});
  const again = useRef(() => {});

  useEffect(() => {
    if (!enabled) return undefined;
    // Browsers of 2017 have none, and no stream that could be read with one.
    const abort = (typeof AbortController == 'function' ? new AbortController() : { signal: undefined, abort() {} }) as AbortController;
    let gone = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let retry: ReturnType<typeof setTimeout> | undefined;
    let pause = RETRY_MIN_MS;
    let busy = false;
    let stale = false; // it has changed while it was being fetched
    let missed: HeraldEvent[] = []; // the same, with `apply`
    const load = async () => {
      if (busy) {
        stale = true;
        return;
      }
      busy = true;
      clearTimeout(retry);
      do {
        let next: typeof state;
        try {
          await enabled.ready();
          stale = false;
          missed = [];
          let data: T = await latest.current.fetcher(abort.signal);
          const { apply } = latest.current;
          for (const event of missed) if (apply) data = apply(data, event);
          next = { text, data };
        } catch (error) {
          next = { text, error };
        }
        if (gone) return;
        setState((s) => (s.text == text ? { ...s, error: undefined, ...next } : next));
        // The stream has come back, the application not yet: what is shown must not stay old.
        if ('error' in next) {
          clearTimeout(retry);
          retry = setTimeout(load, pause * (0.5 + Math.random() / 2));
          pause = Math.min(2 * pause, RETRY_MAX_MS);
        } else pause = RETRY_MIN_MS;
      } while (stale);
      busy = false;
    };
    // One pause for many events, begun by the first of them, so that it ends.
    const soon = () => {
      timer ||= setTimeout(() => {
        timer = undefined;
        load();
      }, latest.current.wait ?? 100);
    };
    const off = enabled.on([topic + '.*', 'system.resync'], (data, event) => {
      const { apply } = latest.current;
      if (event.type == 'system.resync') {
        if (data.topics.some((t: string) => t == topic || t == '*')) load();
      } else if (!apply) soon();
      else if (busy) missed.push(event);
      else setState((s) => (s.text == text && 'data' in s ? { ...s, data: apply(s.data!, event) } : s));
    });
    again.current = load;
    load();
    return () => {
      off();
      clearTimeout(timer);
      clearTimeout(retry);
      gone = true;
      abort.abort();
    };
  }, [enabled, text, topic]);

  const own = state.text == text ? state : {};
  return {
    data: own.data,
    error: own.error,
    loading: own.data === undefined && own.error === undefined,
    reload: useCallback(() => again.current(), []),
  };
}
