// SPDX-License-Identifier: PostgreSQL
// A client whose channels change while it listens, and that publishes. Over a WebSocket of its own a
// channel is a word; otherwise the stream goes on from its place with another URL, which is the same
// to who listens: nothing is missed, and nothing comes twice.

import { createHerald } from '../herald.js';
import { eventStreams } from '../stream.js';
import type { Say, Transports } from '../transport.js';
import type { EventMap, Herald, HeraldOptions, TokenReason } from '../types.js';
import { poster, PublishError, type PublishOptions } from './publish.js';

export { PublishError, type PublishOptions } from './publish.js';

export interface ChannelsOptions extends HeraldOptions {
  /** What is heard from the start. */
  channels?: readonly string[];
  /** Where messages are posted: routes of `kind = send` and `kind = broadcast`. */
  publishUrl?: string;
  broadcastUrl?: string;
}

export interface Channels<E = EventMap> {
  /** The client: `on`, `events`, `status` … An event does not say which channel it came by. */
  herald: Herald<E>;
  /** Those that are subscribed to. */
  readonly names: readonly string[];
  /**
   * Settles when the stream has them; rejects, and leaves everything as it was, when the role may not
   * hear one. Counted: what two have subscribed to is heard until both have unsubscribed.
   */
  subscribe(...names: string[]): Promise<void>;
  unsubscribe(...names: string[]): void;
  /** Gives the message's number, after the commit. Rejects with a `PublishError`. */
  publish(channel: string, type: string, data: unknown, options?: PublishOptions): Promise<number>;
  /** To everybody. */
  broadcast(type: string, data: unknown, options?: PublishOptions): Promise<number>;
}

/** Bytes of a message that goes over the WebSocket; the daemon takes 64 KiB there. */
const SAID_MAX = 16_000;
/** HTTP's word for the WebSocket's. */
const SAID: Record<string, number> = { forbidden: 403, invalid_data: 422, too_large: 413, no_room: 507, too_many: 429, busy: 429 };

interface Wish {
  names: string[];
  done(): void;
  failed(why: Error): void;
}

export function createChannels<E = EventMap>(o: ChannelsOptions): Channels<E> {
  const counts = new Map<string, number>();
  const under: Transports & { say?: Say } = o.transports || eventStreams();
  let wishes: Wish[] = [];
  let working = false;
  let outcome: ((refused?: string) => void) | undefined; // of the stream that is being opened
  let dropping: ReturnType<typeof setTimeout> | undefined;
  let held = ''; // the channels that the stream has, as they stand in its URL
  let token: string | null | undefined;
  let said = '';

  const list = () => [...counts.keys()];
  const url = (base: string) => {
    const names = list().map(encodeURIComponent).join(',');
    return names ? base + (base.includes('?') ? '&' : '?') + 'channels=' + names : base;
  };
  const count = (names: readonly string[], by: number) => {
    for (const name of names) {
      const n = (counts.get(name) || 0) + by;
      if (n > 0) counts.set(name, n);
      else counts.delete(name);
    }
  };
  const check = (names: readonly string[]) => {
    for (const name of names) if (!name || name.includes(',')) throw new TypeError(`"${name}" is no channel's name`);
  };
  const ask = async (reason: TokenReason): Promise<any> => (token = typeof o.token == 'function' ? await o.token({ reason }) : o.token);

  // Sees what becomes of each stream.
  const transports: Transports = {
    pick(has) {
      const way = under.pick(has);
      return {
        ...way,
        open(call) {
          const asked = list().join();
          return way.open({
            ...call,
            message(text, id, retry) {
              call.message(text, id, retry);
              if (!text || held === asked) return;
              held = asked;
              if (outcome) outcome();
            },
            async end(status, text, after) {
              said = text;
              call.end(status, text, after);
            },
          });
        },
      };
    },
    failed(status, opened) {
      under.failed(status, opened);
      // Everything else is tried again, or is for who looks at the client's status.
      if ((status == 403 || status == 400) && outcome) outcome(said);
    },
  };

  const options: HeraldOptions = {
    ...o,
    transports,
    token: o.token && (({ reason }) => ask(reason)),
  };
  Object.defineProperty(options, 'url', { get: () => url(o.url), enumerable: true });
  const base = o.channels || [];
  check(base);
  count(base, 1);
  const herald = createHerald<E>(options);
  const post = poster(o, async (reason) => (token && !reason ? token : ask(reason || 'start')));

  const running = () => /connecting|open|waiting/.test(herald.status.state);
  const alone = () => !herald.status.shared;

  /** Opens a stream with what is wanted; gives the refusal. */
  const reopen = () =>
    new Promise<string | undefined>((done) => {
      const off = herald.subscribe(() => {
        const { state, leader } = herald.status;
        // Another tab's stream, which has the same channels; or nobody listens any more.
        if ((state == 'open' && !leader) || state == 'idle' || state == 'closed') outcome!();
      });
      held = '\n';
      outcome = (refused) => {
        outcome = undefined;
        off();
        done(refused);
      };
      herald.reconnect();
    });

  /** What the daemon said to it, or nothing when the connection ended before. */
  const spoken = (action: string, channels: string[]): Promise<{ refused?: string } | undefined> =>
    under.say!(action, { channels }).then(
      () => {
        held = list().join();
        return {};
      },
      (error) => (error.type == 'unavailable' ? undefined : { refused: error.message }),
    );

  const fulfil = async (some: Wish[]): Promise<void> => {
    const names = some.flatMap((w) => w.names);
    const fresh = [...new Set(names)].filter((name) => !counts.has(name));
    count(names, 1);
    let refused: string | undefined;
    if (fresh[0] && running()) {
      const said = under.say && alone() && (await spoken('subscribe', fresh));
      refused = said ? said.refused : await reopen();
    }
    if (refused === undefined) return some.forEach((w) => w.done());
    count(names, -1);
    if (!under.say) await reopen();
    if (some.length > 1) for (const one of some) await fulfil([one]);
    else some[0]!.failed(new Error(refused));
  };

  const work = async () => {
    if (working) return;
    working = true;
    // Whoever asks in the same moment shares a stream.
    await Promise.resolve();
    while (wishes[0]) await fulfil(wishes.splice(0));
    working = false;
  };

  const drop = () => {
    dropping = undefined;
    if (!running() || working) return;
    if (under.say && alone()) {
      const gone = held.split(',').filter((name) => name && !counts.has(name));
      if (gone[0]) spoken('unsubscribe', gone);
    } else if (list().join() != held) herald.reconnect();
  };

  /** Over the WebSocket if there is one, or by a request of its own. */
  const send = async (action: string, path: string, message: { channel?: string; data: unknown; event: string }, more: PublishOptions = {}) => {
    const { id, persist } = more;
    const { data: content, event: type, ...to } = message;
    const text = { ...to, content, type, id, persist };
    if (under.say && alone() && JSON.stringify(text).length < SAID_MAX) {
      try {
        return (await under.say(action, text)).id as number;
      } catch (error: any) {
        // With an id it may be said again; who has no such action is asked by HTTP.
        if (SAID[error.type] || (id === undefined && error.type == 'unavailable')) throw new PublishError(SAID[error.type] || 0, error.message);
      }
    }
    return post(path, message, more);
  };

  return {
    herald,
    get names() {
      return list();
    },
    subscribe(...names) {
      check(names);
      return new Promise((done, failed) => {
        wishes.push({ names, done, failed });
        work();
      });
    },
    unsubscribe(...names) {
      count(names, -1);
      // A component that is drawn anew takes it up again at once.
      dropping = dropping || setTimeout(drop, 1000);
    },
    publish: (channel, type, data, more) => send('send_to_channel', o.publishUrl || '/sse/send-to-channel', { channel, event: type, data }, more),
    broadcast: (type, data, more) => send('message', o.broadcastUrl || '/ws/broadcast', { event: type, data }, more),
  };
}
