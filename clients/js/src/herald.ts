// SPDX-License-Identifier: PostgreSQL
// The client: handlers, status, and a link that is there while somebody listens.

import { handlers, safely } from './handlers.js';
import { iterate } from './iterate.js';
import { refused, type Kick } from './keeper.js';
import { tabs, type Link } from './tabs.js';
import type { EventMap, Herald, HeraldOptions, Status } from './types.js';

const GRACE_MS = 1000; // a stream that is back by then was not lost; a component that is, did not leave

export function createHerald<E = EventMap>(o: HeraldOptions): Herald<E> {
  const w = typeof window == 'object' && window;
  const shared = !!(o.share && w && w.navigator.locks); // who has locks has channels
  const key = 'pgherald ' + o.url;

  let status: Status = { state: 'idle', since: Date.now(), attempt: 0, lag: 0, leader: false, shared };
  let link: Link; // made when somebody listens
  let running = false;
  let asleep = false;
  let lost = false;
  let grace: ReturnType<typeof setTimeout> | undefined;
  let idling: ReturnType<typeof setTimeout>;
  const watchers = new Set<() => void>();

  const tell = (word: string, data: unknown) => heard.dispatch({ type: 'system.' + word, data });

  const set = (patch: Partial<Status>) => {
    const next = { ...status, ...patch };
    if (next.state != status.state) next.since = Date.now();
    status = next;
    watchers.forEach((changed) => safely(changed));
  };

  const apply = (patch: Partial<Status>) => {
    grace = void clearTimeout(grace);
    const before = status.state;
    set(patch);
    const open = status.state == 'open';
    if (open ? lost : before == 'open') {
      lost = !open;
      tell(open ? 'connectionRestored' : 'connectionLost', status);
    }
  };

  const show = (patch: Partial<Status>) => {
    if (!running) return;
    if (status.state != 'open' || /open|fail/.test(patch.state!)) apply(patch);
    else grace = grace || setTimeout(apply, GRACE_MS, patch); // always the same object, brought up to date
  };

  const kick = (how: Kick, again?: boolean) => {
    const failed = status.state == 'failed';
    if (!running || asleep || (failed && how < 2 && refused(status.error!.status))) return;
    if (failed || again) link.start();
    else link.kick(how);
  };

  // What a browser stops, it stops in the middle of it: see README.md.
  const life = ({ type }: Event) => {
    if (/hide|freeze/.test(type)) {
      asleep = true;
      link.stop();
      // At last: storage that is full throws.
      if (o.resume) o.resume[key] = link.place().join('\n');
    } else if (/show|resume/.test(type)) {
      if (!asleep) return;
      asleep = false;
      kick(0, true);
    } else kick(type == 'online' ? 1 : 0);
  };

  const run = (now: boolean) => {
    if (running == now) return;
    running = now;
    asleep = false;
    grace = void clearTimeout(grace);
    // Most of these are the document's, which a listener that captures hears first.
    for (const type of ['pagehide', 'pageshow', 'freeze', 'resume', 'online', 'visibilitychange'])
      if (w) w[now ? 'addEventListener' : 'removeEventListener'](type, life, true);
    if (!now) return link.stop();
    if (!link) {
      const [id, n, epoch, user] = ((o.resume && o.resume[key]) || '').split('\n') as any[];
      link = tabs(
        o,
        shared,
        [id, n | 0, +epoch, user],
        (event) => {
          const lag = Math.max(0, (Date.now() / 1000 - event.timestamp! - 2) | 0);
          if (lag != status.lag) set({ lag });
          heard.dispatch(event);
        },
        show,
        (reason) => tell('resync', { reason, topics: [...heard.topics] }),
      );
    }
    link.start();
  };

  const stop = (state: 'idle' | 'closed') => {
    run(false);
    lost = false;
    set({ state, leader: false });
  };

  const heard = handlers((holding) => {
    clearTimeout(idling);
    if (status.state == 'closed') return;
    if (holding) run(true);
    else idling = setTimeout(stop, GRACE_MS, 'idle');
  });

  const herald: Herald<any> = {
    on: heard.add as any,
    events: (options) => iterate(herald, options),
    ready: () =>
      new Promise((done) => {
        const look = () => {
          if (status.state != 'open') return;
          watchers.delete(look);
          done();
        };
        watchers.add(look);
        look();
      }),
    get status() {
      return status;
    },
    subscribe(changed) {
      watchers.add(changed);
      return () => watchers.delete(changed);
    },
    // The name that RxJS and its like have agreed on, and the one where nobody has defined it.
    [Symbol.observable || '@@observable']: () => ({
      subscribe: (observer) => ({ unsubscribe: heard.add('*', (_data, event) => observer.next(event)) }),
    }),
    retry: () => kick(2),
    reconnect: () => kick(2, true),
    close: () => stop('closed'),
  };
  return herald;
}
