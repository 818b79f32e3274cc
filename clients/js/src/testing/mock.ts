// SPDX-License-Identifier: PostgreSQL
// A client without a server: for components, which only ask what they are told.

import { handlers } from '../handlers.js';
import { iterate } from '../iterate.js';
import type { EventMap, EventOf, Herald, HeraldEvent, Matching, Status, SystemEvents } from '../types.js';

export interface MockHerald<E = EventMap> extends Herald<E> {
  emit<K extends Matching<E, '*'>>(
    type: K,
    data: EventOf<E, K>['data'],
    more?: Pick<HeraldEvent, 'scope' | 'timestamp'>,
  ): void;
  resync(reason: SystemEvents['system.resync']['reason'], topics: string[]): void;
  /** Open as soon as somebody listens, unless this says otherwise. */
  setStatus(patch: Partial<Status>): void;
  /** Handlers there are, so that a test sees what a component has left behind. */
  readonly listening: number;
  /** How often `retry()` was called. */
  readonly retries: number;
}

export function createMockHerald<E = EventMap>(initial: Partial<Status> = { state: 'open' }): MockHerald<E> {
  const watchers = new Set<() => void>();
  let status: Status = { state: 'idle', since: Date.now(), attempt: 0, lag: 0, leader: true, shared: false, ...initial };
  let listening = 0;
  let retries = 0;
  const heard = handlers((holding) => (listening = holding));
  const setStatus = (patch: Partial<Status>) => {
    status = { ...status, since: Date.now(), ...patch };
    for (const changed of [...watchers]) changed();
  };
  const emit = (type: string, data: any, more?: object) =>
    heard.dispatch({ type, data, timestamp: Math.floor(Date.now() / 1000), ...more });

  const herald: MockHerald<any> = {
    on: heard.add as any,
    events: (options) => iterate(herald, options),
    [Symbol.observable || '@@observable']: () => ({
      subscribe: (observer) => ({ unsubscribe: heard.add('*', (_data, event) => observer.next(event as any)) }),
    }),
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
    retry: () => void retries++,
    reconnect: () => void retries++,
    close: () => setStatus({ state: 'closed' }),
    emit: emit as any,
    resync: (reason, topics) => emit('system.resync', { reason, topics }),
    setStatus,
    get listening() {
      return listening;
    },
    get retries() {
      return retries;
    },
  };
  return herald;
}
