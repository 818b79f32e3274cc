// SPDX-License-Identifier: PostgreSQL
// Which transport is next: the first that works on this way to the daemon. What has answered with a
// status has come through, so only what is refused as a transport, or brings no greeting, is left.

import type { Say, Transport, Transports } from '../transport.js';
import { ndjson, poll, websocket } from './rungs.js';

const KEY = 'pgherald transport';
/** In ms. */
const enum After {
  /** Who has not been greeted by then sits behind something that holds answers back; unless it is the last. */
  Greeting = 8_000,
  /** The way there may have become another: from the beginning. */
  Climb = 600_000,
}
/** Streams in a row that brought nothing, of a transport that has worked before. */
const MISSES_MAX = 2;

export interface Fallback extends Transports {
  /** While the stream is a WebSocket. */
  readonly say: Say | undefined;
}

/**
 * Tries them in this order. `remember`: where it is kept which one worked, for the next page
 * (`sessionStorage`). It belongs to one client.
 */
export function fallback(order: readonly Transport[] = [ndjson, websocket, poll], remember?: Storage): Fallback {
  const rungs = order.filter(({ there }) => !there || there());
  const refused = new Set<Transport>();
  const worked = new Set<Transport>();
  let say: Say | undefined;
  let best: Transport | undefined; // that has worked last
  let misses = 0;
  let messages = 0;
  let moved = 0;
  let at = 0;

  const go = (to: number) => {
    misses = 0;
    moved = Date.now();
    at = to;
  };
  const next = () => {
    let to = at + 1;
    while (rungs[to] && refused.has(rungs[to]!)) to++;
    // Once around: what was refused may be allowed by now.
    if (!rungs[to]) {
      refused.clear();
      to = 0;
    }
    go(to);
  };
  const keep = (name: string) => {
    try {
      if (remember) remember[KEY] = name;
    } catch {
      // Storage that is full, or is none here.
    }
  };

  if (!rungs.length) throw new Error('this browser has none of these transports');
  if (remember) at = Math.max(0, rungs.findIndex(({ name }) => name == remember[KEY]));

  return {
    get say() {
      return say;
    },
    pick() {
      const rung = rungs[at]!;
      messages = 0;
      return {
        ...rung,
        patience: rungs.length > 1 && at < rungs.length - 1 ? After.Greeting : rung.patience,
        open: (call) =>
          rung.open({
            ...call,
            voice(now) {
              say = now;
              call.voice!(now);
            },
            message(text, id, retry) {
              if ((text || id) && ++messages == 1) {
                worked.add((best = rung));
                keep(rung.name);
              }
              call.message(text, id, retry);
            },
          }),
      };
    },
    failed(status, opened) {
      const rung = rungs[at]!;
      if (status == 406 || status == 426 || status == 501 || status == 505) {
        refused.add(rung);
        next();
      } else if (status && status != 200) {
        // Somebody has answered, so this is not about the transport: with the one that worked.
        if (best && best != rung && !refused.has(best)) go(rungs.indexOf(best));
      } else if (at && Date.now() - moved > After.Climb) {
        go(0);
      } else if (opened && messages > 1) {
        misses = 0;
      } else if (++misses >= MISSES_MAX || !worked.has(rung)) {
        next();
      }
    },
  };
}
