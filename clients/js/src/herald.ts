// SPDX-License-Identifier: PostgreSQL
// The client: handlers, status, and a link that is there while somebody listens.

import { handlers, safely } from './handlers.js';
import { iterate } from './iterate.js';
import { refused, type Kick } from './keeper.js';
import { tabs, type Link, type Place } from './tabs.js';
import type { EventMap, Herald, HeraldOptions, Status } from './types.js';

const GRACE_MS = 1000; // a stream that is back by then was not lost; a component that is, did not leave

export function createHerald<E = EventMap>(o: HeraldOptions): Herald<E> {
  const w: (Window & typeof globalThis) | undefined = typeof window == 'undefined' ? undefined : window;
  const shared = !!(o.share && w && w.BroadcastChannel && w.navigator.locks);
  const key = 'pgherald ' + o.url;

  let status: Status = { state: 'idle', since: Date.now(), attempt: 0, lag: 0, leader: false, shared };
  let link: Link | undefined; // made when somebody listens
  let running = false;
  let asleep = false;
  let lost = 0; // since when, in ms
  let grace: ReturnType<typeof setTimeout>;
  let idling: ReturnType<typeof setTimeout>;
  let place: Place = {};
  const watchers = new Set<() => void>();

  const tell = (word: string, data: unknown) => heard.dispatch({ type: 'system.' + word, data });

  const set = (patch: Partial<Status>) => {
    const since = patch.state && patch.state != status.state ? Date.now() : status.since;
    status = { ...status, ...patch, since };
    watchers.forEach((changed) => safely(changed));
  };

  const lose = (patch: Partial<Status>) => {
    const { state } = status;
    set(patch);
    if (state == 'open') tell('connectionLost', { since: (lost = Date.now()) });
  };

  const show = (patch: Partial<Status>) => {
    const { state } = patch;
    if (!running) return;
    if (!state) return set(patch);
    clearTimeout(grace);
    if (state == 'open') {
      set(patch);
      if (lost) tell('connectionRestored', { since: lost });
      lost = 0;
    } else if (status.state == 'open' && state != 'failed') grace = setTimeout(lose, GRACE_MS, patch);
    else lose(patch);
  };

  const kick = (how: Kick) => {
    if (!running || asleep) return;
    if (status.state != 'failed') link!.kick(how);
    else if (how > 1 || !refused(status.error!.status)) link!.start();
  };

  // What a browser stops, it stops in the middle of it: see README.md.
  const life = ({ type }: Event) => {
    if (/hide|freeze/.test(type)) {
      try {
        if (o.resume) sessionStorage.setItem(key, JSON.stringify(place));
      } catch {}
      asleep = true;
      link!.stop();
    } else if (/show|resume/.test(type)) {
      const slept = asleep;
      asleep = false;
      if (status.state == 'failed') kick(0);
      else if (slept) link!.start();
    } else if (type == 'online') kick(1);
    else if (document.visibilityState == 'visible') kick(0);
  };

  const run = (now: boolean) => {
    if (running == now) return;
    running = now;
    asleep = false;
    clearTimeout(grace);
    // Most of these are the document's, which a listener that captures hears first.
    for (const type of ['pagehide', 'pageshow', 'freeze', 'resume', 'online', 'visibilitychange'])
      if (w) w[now ? 'addEventListener' : 'removeEventListener'](type, life, true);
    if (!now) return link!.stop();
    if (!link) {
      try {
        if (o.resume) place = JSON.parse(sessionStorage.getItem(key)!) || place;
      } catch {}
      link = tabs(o, place, shared, {
        event(event) {
          const behind = Math.round(Date.now() / 1000 - event.timestamp!);
          const lag = behind > 2 ? behind : 0;
          if (lag != status.lag) set({ lag });
          heard.dispatch(event);
        },
        status: show,
        resync: (reason) => tell('resync', { reason, topics: heard.topics() }),
      });
    }
    link.start();
  };

  const stop = (state: 'idle' | 'closed') => {
    run(false);
    lost = 0;
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
    retry: () => kick(2),
    close: () => stop('closed'),
  };
  if (o.signal) {
    o.signal.addEventListener('abort', herald.close);
    if (o.signal.aborted) herald.close();
  }
  return herald;
}
