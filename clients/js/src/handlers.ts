// SPDX-License-Identifier: PostgreSQL
// Who hears what. One that throws stops nobody but itself.

import type { HeraldEvent, OnOptions } from './types.js';

type Fn = (data: any, event: HeraldEvent) => unknown;

export interface Handlers {
  add(types: string | readonly string[], handler: Fn, options?: OnOptions): () => void;
  dispatch(event: HeraldEvent): void;
  /** What somebody has listened to; `*`: to everything. */
  topics: Set<string>;
}

const matches = (pattern: string, type: string) =>
  pattern == type || pattern == type.slice(0, pattern.length - 1) + '*';

/** Calls somebody else's function. */
export const safely = async (fn: (...a: any[]) => unknown, ...a: unknown[]): Promise<void> => {
  try {
    await fn(...a);
  } catch (error) {
    console.error('[SSE]', error);
  }
};

/** `changed`: how many hold the stream open now. */
export function handlers(changed: (holding: number) => void): Handlers {
  const all = new Set<[patterns: string[], handler: Fn]>();
  const topics = new Set<string>();
  let holding = 0;

  return {
    topics,
    add(types, handler, { passive, signal } = {}) {
      const patterns = ([] as string[]).concat(types);
      const entry: [string[], Fn] = [patterns, handler];
      const count = passive ? 0 : 1;
      const off = () => {
        if (all.delete(entry)) changed((holding -= count));
      };
      for (const p of patterns) if (!/^system/.test(p)) topics.add(p.split('.')[0]!);
      all.add(entry);
      changed((holding += count));
      if (signal) {
        signal.addEventListener('abort', off);
        if (signal.aborted) off();
      }
      return off;
    },
    dispatch(event) {
      // A copy: who comes while an event is handed out hears the next one.
      for (const entry of [...all])
        if (all.has(entry) && entry[0].some((p) => matches(p, event.type)))
          safely(entry[1], event.data, event);
    },
  };
}
