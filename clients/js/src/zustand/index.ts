// SPDX-License-Identifier: PostgreSQL
// `createEventSourceStore(name)` as guides have it that connect a zustand store to a stream: the
// same names, state and lines in the console. Two things are otherwise. An error takes no handler
// away, so the stream comes back; and a second component with the same URL gets its handlers in.

import { create, type StoreApi, type UseBoundStore } from 'zustand';
import { createHerald } from '../herald.js';
import type { Herald, HeraldOptions } from '../types.js';

/** Gets every message of the stream, as the server has sent it. */
export type EventHandler<M = any> = (eventData: M) => void;

/** What is known of the connection; `close()` ends it. */
export interface Connection {
  readonly url: string;
  close(): void;
}

export interface EventSourceStore<M = any> {
  connection: Connection | null;
  handlers: EventHandler<M>[];
  addHandlers: (handlers: EventHandler<M>[]) => void;
  removeHandlers: (handlers: EventHandler<M>[]) => void;
  /** The same URL keeps the connection, another one replaces it. */
  initConnection: (url: string, handlers: EventHandler<M>[]) => void;
}

export type EventSourceStoreHook<M = any> = UseBoundStore<StoreApi<EventSourceStore<M>>>;

/** `options`: what createHerald() takes besides, for instance `share` or `token`. */
export function createEventSourceStore<M = any>(
  name: string,
  options: Partial<HeraldOptions> = {},
): EventSourceStoreHook<M> {
  let herald: Herald | undefined;

  const connect = (url: string, get: () => EventSourceStore<M>): Connection => {
    const channel = url.split('/').pop();
    const log = (what: string) => console.log(`${name} SSE ${what}. Channel: ${channel}`);
    const mine = (herald = createHerald({ url, decode: (message) => ({ type: 'message', data: message }), ...options }));
    let open = false;
    mine.subscribe(() => {
      const now = mine.status.state == 'open';
      if (now && !open) log('connected');
      else if (open && !now) log('disconnected');
      else if (mine.status.state == 'waiting') log('error');
      open = now;
    });
    // Each time those that are there now, and one that throws stops no other.
    mine.on('*', (data, event) => {
      if (event.type.startsWith('system.')) return;
      for (const handler of get().handlers) {
        try {
          handler(data);
        } catch (error) {
          console.error(error);
        }
      }
    });
    return { url, close: mine.close };
  };

  return create<EventSourceStore<M>>((set, get) => ({
    connection: null,
    handlers: [],
    addHandlers: (added) => set({ handlers: [...get().handlers, ...added] }),
    removeHandlers: (removed) => {
      const handlers = get().handlers.slice();
      // One for each: two components may have brought the same function.
      for (const handler of removed) {
        const at = handlers.indexOf(handler);
        if (at >= 0) handlers.splice(at, 1);
      }
      set({ handlers });
      if (handlers.length) return;
      herald?.close();
      herald = undefined;
      set({ connection: null });
    },
    initConnection: (url, added) => {
      const { connection, addHandlers } = get();
      addHandlers(added);
      if (connection?.url === url) return;
      connection?.close();
      set({ connection: connect(url, get) });
    },
  }));
}
