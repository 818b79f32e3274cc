// SPDX-License-Identifier: PostgreSQL
// Keeps one stream open: asks for the token, waits as long as it is told or as it has learnt, ends
// what is silent. Knows one position and no other tab.

import { fetchStream, sourceStream, type Stop } from './stream.js';
import type { HeraldEvent, HeraldOptions, Status, Token, TokenReason } from './types.js';

export interface KeeperHooks {
  /** The daemon has greeted; `user` stands in the patch when it says who we are. */
  hello(position: string, patch: Partial<Status>): void;
  /** `position`: the one after it. Without an event only that has moved. */
  event(position: string, event?: HeraldEvent): void;
  status(patch: Partial<Status>): void;
}

/** How much is known to have changed: somebody looks, the network is back, the user wants it. */
export type Kick = 0 | 1 | 2;

export interface Keeper {
  start(position?: string): void;
  stop(): void;
  kick(how: Kick): void;
  /** When it must have done something, in ms; later than that nobody is at work here. */
  due(): number;
}

const CONNECT_MS = 20_000;
const STEADY_MS = 5_000; // a stream that lived this long was a success
const IDLE_MS = 90_000; // three keep-alives of a daemon that does not say

/** An answer that no patience changes. */
export const refused = (status: number): boolean => status == 401 || status == 403 || status == 204;

const django = (m: any): HeraldEvent | undefined =>
  m.event && { type: m.event, data: m.data, timestamp: m.timestamp, scope: m.scope };

export function keeper(o: HeraldOptions, on: KeeperHooks): Keeper {
  const { min = 500, max = 30_000, attempts = Infinity } = {
    ...(o.preset && { min: 3000, max: 3000, attempts: 5 }),
    ...o.retry,
  };
  const canFetch = typeof AbortController != 'undefined' && typeof ReadableStream != 'undefined';

  let run = 0; // what belongs to an earlier one says nothing any more
  let stopStream: Stop | undefined;
  let timer: ReturnType<typeof setTimeout>;
  let due = 0;
  let idle = o.idle || IDLE_MS;
  let last = 0; // byte, in ms
  let opened = 0; // since when the stream has been greeted, in ms
  let attempt = 0;
  let position: string | undefined;
  let token: Token;
  let reason: TokenReason = 'start';
  let trying = false;
  let asked = false; // for another token, since a stream was open
  let worked = false;
  let broke = false; // an EventSource, and only fetch can tell why

  const at = (ms: number, then: () => void) => {
    clearTimeout(timer);
    due = Date.now() + ms;
    timer = setTimeout(then, ms);
  };

  const stop = () => {
    run++;
    opened = 0;
    trying = false;
    clearTimeout(timer);
    if (stopStream) stopStream();
    stopStream = undefined;
  };

  const forget = () => {
    token = undefined;
    reason = worked ? 'expired' : 'refused';
  };

  /** `told`: how long to wait, in ms. */
  const fail = (status: number, message: string, told?: number): unknown => {
    attempt = opened && Date.now() - opened > STEADY_MS ? 0 : attempt + 1;
    stop();
    if (status == 401) {
      forget();
      if (typeof o.token == 'function' && !asked) {
        asked = true;
        return open();
      }
    }
    const over = refused(status) || attempt >= attempts;
    let pause = Math.min(max, min * 2 ** (attempt - 1));
    if (min != max) pause *= attempt ? 0.5 + Math.random() / 2 : Math.random();
    if (!over) at(told! > 0 ? told! : pause, open);
    on.status({ state: over ? 'failed' : 'waiting', attempt, retryAt: over ? undefined : due, error: { status, message } });
  };

  const watch = () => {
    const silent = Date.now() - last;
    if (silent < idle) at(idle - silent, watch);
    else fail(0, 'silent');
  };

  const open = async (): Promise<unknown> => {
    stop();
    trying = true;
    const mine = run;
    try {
      at(CONNECT_MS, () => fail(0, 'no answer'));
      on.status({ state: 'connecting', attempt, retryAt: undefined });
      if (o.token && !token) {
        token = typeof o.token == 'function' ? await o.token({ reason }) : o.token;
        if (mine != run) return;
        if (!token) {
          asked = true;
          return fail(401, 'no token');
        }
      }
      connect(mine);
    } catch (error) {
      if (mine == run) fail(0, '' + error);
    }
  };

  const connect = (mine: number) => {
    const viaFetch = o.transport
      ? o.transport == 'fetch'
      : canFetch && (!!token || broke || typeof EventSource == 'undefined');
    const query = new URLSearchParams();
    if (!o.decode) query.set('hello', 'full');
    if (position) query.set('last_event_id', position);
    if (token && !viaFetch) query.set('token', token);
    const url = o.url + (o.url.includes('?') ? '&' : '?') + query;

    let told: number | undefined;
    const greeted = (user?: string) => {
      opened = last;
      trying = asked = false;
      worked = true;
      at(idle, watch);
      const transport = viaFetch ? 'fetch' : 'eventsource';
      on.hello(position!, { state: 'open', attempt: 0, retryAt: undefined, error: undefined, transport, user });
    };
    const hears = {
      bytes() {
        last = Date.now();
        // Other servers do not greet.
        if (o.decode && !opened && mine == run) greeted();
      },
      retry(ms: number) {
        told = ms; // unless a message follows: that is the greeting, meant for EventSource
      },
      message(text: string, id: string) {
        if (mine != run) return; // a stopped stream may have had something in its sleeve
        let event: HeraldEvent | undefined;
        told = undefined;
        position = id || position;
        try {
          const m = JSON.parse(text);
          if (m.event == 'connected' && !opened) {
            if (m.keepalive && !o.idle) idle = m.keepalive * 2500;
            return greeted(m.user);
          }
          if (m.event != 'keepalive') event = (o.decode || django)(m);
        } catch (error) {
          console.error('[SSE]', text, error);
        }
        on.event(position!, event);
      },
      end(status: number, said: string, after?: string | null) {
        if (mine != run) return;
        broke = !viaFetch;
        if (status < 0) {
          status = 0;
          forget();
        }
        if (after) told = (+after * 1000 || Date.parse(after) - Date.now()) + Math.random() * min;
        fail(status, /"detail": ?"(.*?)"/.exec(said)?.[1] || said.slice(0, 99), told);
      },
    };
    const init: RequestInit = { credentials: o.credentials || (token ? 'same-origin' : 'include') };
    if (token) {
      init.headers = { Authorization: 'Bearer ' + token };
      init.redirect = 'error'; // must not carry the token to somebody else
    }
    stopStream = viaFetch
      ? fetchStream(url, init, o.fetch || ((...a) => fetch(...a)), hears)
      : sourceStream(url, init.credentials == 'include', hears);
  };

  return {
    start(from) {
      position = from;
      asked = false;
      attempt = 0;
      open();
    },
    stop,
    kick(how) {
      // Somebody looks, and bytes have come lately: it lives.
      if (how < 2 && (trying || (!how && Date.now() - last < idle / 2 && opened))) return;
      attempt = 0;
      open();
    },
    due: () => (opened ? last + idle : due),
  };
}
