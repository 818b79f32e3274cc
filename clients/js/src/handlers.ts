// SPDX-License-Identifier: PostgreSQL
// Who hears what. One that throws stops nobody but itself.

import type { HeraldEvent, OnOptions } from './types.js';

type Fn = (data: any, event: HeraldEvent) => unknown;

export interface Handlers {
  add(types: string | readonly string[], handler: Fn, options?: OnOptions): () => void;
  dispatch(event: HeraldEvent): void;
  /** What somebody listens to; `*`: to everything. */
  topics(): string[];
}

const matches = (pattern: string, type: string) =>
  pattern == type || (pattern.endsWith('*') && type.startsWith(pattern.slice(0, -1)));

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
  const all = new Set<{ patterns: string[]; handler: Fn }>();
  let holding = 0;

  return {
    add(types, handler, { passive, signal } = {}) {
      const patterns = ([] as string[]).concat(types);
      const entry = { patterns, handler };
      const count = passive ? 0 : 1;
      const off = () => {
        if (all.delete(entry)) changed((holding -= count));
      };
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
        if (all.has(entry) && entry.patterns.some((p) => matches(p, event.type)))
          safely(entry.handler, event.data, event);
    },
    topics() {
      const topics = new Set<string>();
      for (const { patterns } of all) for (const p of patterns) topics.add(p.split('.')[0]!);
      topics.delete('system');
      return [...topics];
    },
  };
}
