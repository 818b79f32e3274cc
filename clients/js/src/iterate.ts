// SPDX-License-Identifier: PostgreSQL
// Events as an iterable, for `for await`. What waits is bounded: who is too slow is told so.

import type { Herald, HeraldEvent } from './types.js';

const WAITING_MAX = 1000;

export function iterate(
  herald: Herald<any>,
  { types = '*', signal }: { types?: string | readonly string[]; signal?: AbortSignal } = {},
): AsyncIterableIterator<any> {
  let waiting: HeraldEvent[] = [];
  let wake: (() => void) | undefined;
  let ended = false;

  const off = herald.on(types, (_data: unknown, event: HeraldEvent) => {
    if (waiting.push(event) > WAITING_MAX) {
      const topics = [...new Set(waiting.map((e) => e.type.split('.')[0]))];
      waiting = [{ type: 'system.resync', data: { reason: 'overflow', topics } }];
    }
    wake?.();
  });
  const look = () => {
    if (signal?.aborted || herald.status.state == 'closed') end();
  };
  const end = () => {
    ended = true;
    off();
    unwatch();
    wake?.();
  };
  const unwatch = herald.subscribe(look);
  signal?.addEventListener('abort', look);
  look();

  return {
    async next() {
      while (!waiting[0] && !ended) await new Promise<void>((done) => (wake = done));
      const done = !waiting[0];
      return { value: waiting.shift(), done };
    },
    async return() {
      end();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
