// SPDX-License-Identifier: PostgreSQL
// Events as an iterable, for `for await`. What waits is bounded: who is too slow is told so.

import type { Herald, HeraldEvent } from './types.js';

const WAITING_MAX = 1000;

export function iterate(
  herald: Herald<any>,
  { types = '*', signal }: { types?: string | readonly string[]; signal?: AbortSignal } = {},
): AsyncIterableIterator<any> {
  let waiting: HeraldEvent[] = [];
  let wake = () => {};

  // From now on, and not only when the first is asked for.
  const off = herald.on(types, (_data: unknown, event: HeraldEvent) => {
    if (waiting.push(event) > WAITING_MAX) {
      waiting = [{ type: 'system.resync', data: { reason: 'overflow', topics: ['*'] } }];
    }
    wake();
  });
  const unwatch = herald.subscribe(() => wake());
  if (signal) signal.addEventListener('abort', () => wake());

  return (async function* () {
    try {
      for (;;) {
        while (waiting[0]) yield waiting.shift();
        if ((signal && signal.aborted) || herald.status.state == 'closed') return;
        await new Promise<void>((done) => (wake = done));
      }
    } finally {
      off();
      unwatch();
    }
  })();
}
