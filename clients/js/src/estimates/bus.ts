// SPDX-License-Identifier: PostgreSQL
// An event bus of three verbs. One subscriber that throws stops no other.

export type BusHandler<D = any> = (data: D, type: string) => unknown;

export class EventBus {
  private subscribers = new Map<string, Set<BusHandler>>();
  /** Lines `[EventBus] …` in the console. */
  debug: boolean;

  constructor({ debug = false }: { debug?: boolean } = {}) {
    this.debug = debug;
  }

  publish(type: string, data?: unknown): void {
    if (this.debug) console.log('[EventBus]', type, data);
    for (const key of [type, '*']) {
      for (const handler of [...(this.subscribers.get(key) || [])]) {
        try {
          handler(data, type);
        } catch (error) {
          console.error('[EventBus]', error);
        }
      }
    }
  }

  /** `'*'` hears everything. Returns how to end it. */
  subscribe(type: string, handler: BusHandler): () => void {
    const handlers = this.subscribers.get(type) || new Set();
    this.subscribers.set(type, handlers.add(handler));
    if (this.debug) console.log('[EventBus] subscribe', type);
    return () => this.unsubscribe(type, handler);
  }

  unsubscribe(type: string, handler: BusHandler): void {
    const handlers = this.subscribers.get(type);
    handlers?.delete(handler);
    if (handlers && !handlers.size) this.subscribers.delete(type);
    if (this.debug) console.log('[EventBus] unsubscribe', type);
  }
}

/** The application's own. */
export const eventBus = new EventBus();
