// SPDX-License-Identifier: PostgreSQL
// Keeps one stream open: asks for the token, waits as long as it is told or as it has learnt, ends
// what is silent. Knows one position and no other tab.

import { eventStreams } from './stream.js';
import type { Say, Stop, Transport } from './transport.js';
import type { HeraldEvent, HeraldOptions, Status, Token, TokenReason } from './types.js';

/** How much is known to have changed: somebody looks, the network is back, the user wants it. */
export type Kick = 0 | 1 | 2;

export interface Keeper {
  /** Goes on from a position that the daemon has once given. */
  start(position?: string): void;
  stop(): void;
  kick(how: Kick): void;
  /** When it must have done something, in ms; later than that nobody is at work here. */
  due(): number;
}

/** In ms. */
const enum After {
  /** there is no answer */
  Connect = 20_000,
  /** a stream was a success */
  Steady = 5_000,
  /** silence is an end: three keep-alives of a daemon that does not say */
  Idle = 90_000,
  /** nobody is told to come again: more than a day */
  Mistake = 1e8,
}

/** An answer that no patience changes. */
export const refused = (status: number): boolean => /204|40[13]/.test('' + status);

const django = (m: any): HeraldEvent | undefined =>
  (m.type = m.event) && m;

/**
 * `onEvent` gets the position after it; without an event only that has moved. `onStatus` gets the
 * position that a stream begins with when the state is `open`.
 */
export function keeper(
  o: HeraldOptions,
  onEvent: (position: string, event?: HeraldEvent) => void,
  onStatus: (patch: Partial<Status>, position?: string) => void,
): Keeper {
  const { min = 500, max = 30_000, attempts = Infinity } = o.retry || {};
  const ways = o.transports || eventStreams();

  let run = 0; // what belongs to an earlier one says nothing any more
  let stopStream: Stop | undefined;
  let timer: ReturnType<typeof setTimeout>;
  let due = 0;
  let idle = After.Idle;
  let last = 0; // byte, in ms
  let opened = 0; // since when the stream has been greeted, in ms
  let attempt = 0;
  let position: string | undefined;
  let token: Token;
  let reason: TokenReason = 'start';
  let asked = false; // for another token, since a stream was open
  let say: Say | undefined;

  const at = (ms: number, then: () => void) => {
    clearTimeout(timer);
    due = Date.now() + ms;
    timer = setTimeout(then, ms);
  };

  const stop = () => {
    run++;
    opened = 0;
    say = undefined;
    clearTimeout(timer);
    stopStream = stopStream && stopStream();
  };

  const forget = () => {
    token = undefined;
    if (reason == 'start') reason = 'refused';
  };

  const pleading = (url: string, bearer: Token) =>
    (o.fetch || fetch)(url, {
      method: 'POST',
      credentials: o.credentials,
      headers: { Authorization: 'Bearer ' + bearer },
      redirect: 'error', // must not carry the token to somebody else
    });

  /** Another token for the stream that is open; without one it ends when the old one does. */
  const renew = async (stream: string, mine: number) => {
    const next = await (o.token as any)({ reason });
    if (!next || mine != run) return;
    const done = say ? await say('renew', { token: next }) : (await pleading(o.renew + '?stream=' + stream, next)).ok;
    if (done && mine == run) token = next;
  };

  /** `told`: how long to wait, in ms. */
  const fail = (status: number, message: string, told?: number): unknown => {
    ways.failed(status, opened);
    attempt = opened && Date.now() - opened > After.Steady ? 0 : attempt + 1;
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
    if (min != max) pause *= 0.5 + Math.random() / 2;
    // More than a day is a mistake, and a timer of more than 2^31 ms falls due at once.
    if (!over) at(told! > 0 && told! < After.Mistake ? told! : pause, open);
    onStatus({ state: over ? 'failed' : 'waiting', attempt, retryAt: due, error: { status, message } });
  };

  const watch = () => {
    const silent = Date.now() - last;
    if (silent < idle) at(idle - silent, watch);
    else fail(0, 'silent');
  };

  const open = async (): Promise<unknown> => {
    stop();
    stopStream = () => undefined; // something to stop: nobody else begins
    const mine = run;
    try {
      const way = ways.pick(o.token);
      at(way.patience || After.Connect, () => fail(0, 'no answer'));
      onStatus({ state: 'connecting', attempt });
      if (o.token && !token) {
        token = typeof o.token == 'function' ? await o.token({ reason }) : o.token;
        if (mine != run) return;
        if (!token) {
          asked = true;
          return fail(401, 'no token');
        }
      }
      let pass = token;
      if (token && o.tickets && !way.headers) {
        const answer = await pleading(o.tickets, token);
        const said = await answer.text();
        if (mine != run) return;
        if (answer.status != 201) return fail(answer.status, said);
        pass = JSON.parse(said).ticket;
      }
      connect(mine, way, pass);
    } catch (error) {
      if (mine == run) fail(0, '' + error);
    }
  };

  const connect = (mine: number, way: Transport, pass: Token) => {
    const url = () => {
      let query = o.decode ? '' : '&hello=full';
      if (position) query += '&last_event_id=' + encodeURIComponent(position);
      if (pass && !way.headers) query += '&token=' + encodeURIComponent(pass);
      return o.url + (o.url.includes('?') ? query : query.replace('&', '?'));
    };

    let told: number | undefined;
    const greeted = (user?: string) => {
      opened = last;
      asked = false;
      reason = 'expired';
      at(idle, watch);
      onStatus({ state: 'open', attempt: 0, error: undefined, user, transport: way.name }, position);
    };
    const bytes = () => {
      last = Date.now();
      // Other servers do not greet.
      if (o.decode && !opened && mine == run) greeted();
    };
    const message = (text: string, id?: string, retry?: number) => {
      if (mine != run) return; // a stopped stream may have had something in its sleeve
      // Before a message it is the greeting's, meant for EventSource; at the end it is a farewell.
      told = retry;
      position = id || position;
      if (!text) return;
      let event: HeraldEvent | undefined;
      try {
        const m = JSON.parse(text);
        if (m.event == 'connected' && !opened) {
          if (m.keepalive) idle = m.keepalive * 2500;
          return greeted(m.user);
        }
        if (m.event == 'system.expiring' && (say || o.renew) && typeof o.token == 'function')
          return void renew(m.data.stream, mine).catch(() => undefined);
        if (m.event != 'keepalive') event = (o.decode || django)(m);
      } catch (error) {
        console.error('[SSE]', text, error);
      }
      onEvent(position!, event);
    };
    const end = (status: number, said: string, after?: string | null) => {
      if (mine != run) return;
      if (status < 0) {
        status = 0;
        forget();
      }
      if (after) told = (+after * 1000 || Date.parse(after) - Date.now()) + Math.random() * min;
      fail(status, said, told);
    };
    const init: RequestInit = { credentials: o.credentials };
    if (token) {
      init.headers = { Authorization: 'Bearer ' + token };
      init.redirect = 'error'; // must not carry the token to somebody else
    }
    stopStream = way.open({ url, init, bytes, message, end, get: o.fetch || fetch, voice: (now) => void (say = now) });
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
      if (how < 2 && stopStream && (!opened || (!how && Date.now() - last < idle / 2))) return;
      attempt = 0;
      open();
    },
    due: () => (opened ? last + idle : due),
  };
}
