// SPDX-License-Identifier: PostgreSQL
// A page that keeps the list of a table by the client, and counts what goes wrong on the way.
import { createChannels, type Channels } from '../../src/channels/index.js';
import { createHerald, type Herald, type HeraldOptions } from '../../src/index.js';
import { fallback, ndjson, poll, sse, websocket } from '../../src/transports/index.js';

const TRANSPORTS = { sse, ndjson, websocket, poll };

interface Thing {
  id: number;
  n: number;
}

class Lab {
  rows = new Map<number, number>();
  events = 0;
  doubled: string[] = [];
  missed: string[] = [];
  system: string[] = [];
  states: string[] = [];
  tokens: string[] = [];
  /** Why streams have ended. */
  ends: string[] = [];
  token = '';
  herald!: Herald;
  rooms: Channels | undefined;
  messages: unknown[] = [];
  /** The longest time without an event, in ms, since it was last asked for. */
  silence = 0;
  #last = 0;
  #seen = new Map<number, number>();
  #loading: Thing[][] = [];

  start({ resumes, ways, rooms, ...options }: Partial<HeraldOptions> & {
    token?: string; resumes?: boolean; ways?: (keyof typeof TRANSPORTS)[]; rooms?: string[];
  }): void {
    this.token = options.token || '';
    const all: HeraldOptions = {
      url: '/api/v1/sse/events/',
      ...options,
      resume: resumes ? sessionStorage : undefined,
      token: options.token
        ? ({ reason }) => {
            this.tokens.push(reason);
            return this.token;
          }
        : undefined,
      transports: ways && fallback(ways.map((name) => TRANSPORTS[name]), sessionStorage),
    };
    this.rooms = rooms && createChannels({ ...all, channels: rooms });
    this.herald = this.rooms ? this.rooms.herald : createHerald(all);
    this.herald.on('lab.*', (data) => this.messages.push(data));
    this.herald.subscribe(() => {
      const { state, leader, error } = this.herald.status;
      if (error && error.message != this.ends[this.ends.length - 1]) this.ends.push(error.message);
      const now = state + (leader ? '+' : '');
      if (this.states[this.states.length - 1] != now) this.states.push(now);
    });
    this.herald.on('thing.*', (thing: Thing, { type }) => this.#hear(type, thing));
    this.herald.on('system.*', (data: any, { type }) => {
      this.system.push(type.slice(7) + (data.reason ? ' ' + data.reason : ''));
      if (type == 'system.resync') {
        this.#seen.clear();
        this.load();
      }
    });
    this.herald.ready().then(() => this.load());
  }

  async load(): Promise<void> {
    const missed: Thing[] = [];
    this.#loading.push(missed);
    const rows: [number, number][] = await (await fetch('/rows')).json();
    this.#loading = this.#loading.filter((m) => m != missed);
    this.rows = new Map(rows);
    for (const thing of missed) this.#apply(thing);
  }

  #hear(type: string, thing: Thing): void {
    const now = performance.now();
    if (this.#last) this.silence = Math.max(this.silence, now - this.#last);
    this.#last = now;
    this.events++;
    // Each change adds one to `n`, so a row's events are a sequence without holes.
    if (type == 'thing.updated') {
      const before = this.#seen.get(thing.id);
      if (before !== undefined && thing.n <= before) this.doubled.push(`${thing.id}:${thing.n} after ${before}`);
      if (before !== undefined && thing.n > before + 1) this.missed.push(`${thing.id}:${thing.n} after ${before}`);
      this.#seen.set(thing.id, thing.n);
    }
    if (type == 'thing.created') {
      if (this.#seen.has(thing.id)) this.doubled.push(`${thing.id} created`);
      this.#seen.set(thing.id, thing.n);
    }
    const change = type == 'thing.deleted' ? { id: thing.id, n: -1 } : thing;
    this.#apply(change);
    for (const missed of this.#loading) missed.push(change);
  }

  #apply({ id, n }: Thing): void {
    if (n < 0) this.rows.delete(id);
    else this.rows.set(id, n);
  }

  report() {
    const { events, doubled, missed, system, states, tokens, ends, silence } = this;
    const { status } = this.herald;
    const rows = [...this.rows].sort((a, b) => a[0] - b[0]);
    return { events, doubled, missed, system, states, tokens, ends, silence, status, rows };
  }
}

declare global {
  interface Window {
    lab: Lab;
  }
}
window.lab = new Lab();
