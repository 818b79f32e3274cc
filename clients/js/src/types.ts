// SPDX-License-Identifier: PostgreSQL
// What the application sees: events, status, options. No code.

import type { TransportName, Transports } from './transport.js';

/** One change, or one word of the client itself (`system.…`). */
export interface HeraldEvent<T extends string = string, D = any> {
  type: T;
  /** The row's document. With `scope: 'leave'` only the fields of the watch's `leave`. */
  data: D;
  /** Second at which the change was made, by the server's clock. */
  timestamp?: number;
  /** `enter`: the row has become this user's. `leave`: it has stopped being so, and is to be removed. */
  scope?: 'enter' | 'leave';
}

/** Why lists must be fetched again: the daemon's reasons (pgherald(8)) and three of the client. */
export interface Resync {
  reason:
    | 'storm' | 'truncate' | 'loss' | 'pruned' | 'epoch' | 'cursor'
    /** another user has logged in meanwhile */
    | 'user'
    /** what this tab missed is no longer in any tab */
    | 'tabs'
    /** whoever reads `events()` is too slow */
    | 'overflow'
    | (string & {});
  topics: string[];
}

export interface SystemEvents {
  'system.resync': Resync;
  'system.connectionLost': Status;
  'system.connectionRestored': Status;
}

export type EventMap = Record<string, any>;
type All<E> = E & SystemEvents;
type Names<E> = keyof All<E> & string;
type Topics<K> = K extends `${infer T}.${string}` ? `${T}.*` : never;

/** A type (`order.updated`), all of a topic (`order.*`), or everything (`*`). */
export type Pattern<E> = Names<E> | Topics<Names<E>> | '*';
/** The types that a pattern stands for; of an event map without names, any. */
export type Matching<E, P> =
  P extends keyof SystemEvents ? P
  : string extends Names<E> ? string
  : P extends '*' ? Names<E>
  : P extends `${infer T}.*` ? Extract<Names<E>, `${T}.${string}`>
  : Extract<Names<E>, P>;
export type EventOf<E, P> = {
  [K in Matching<E, P>]: HeraldEvent<K, All<E>[K]>;
}[Matching<E, P>];
/** Data first, since that is what most handlers want. */
export type Handler<E, P> = (data: EventOf<E, P>['data'], event: EventOf<E, P>) => unknown;

export type State =
  /** nobody listens */
  | 'idle'
  | 'connecting'
  /** the daemon has greeted: what is loaded from now on misses nothing */
  | 'open'
  /** between two attempts */
  | 'waiting'
  /** stopped: refused, or out of attempts; `retry()` begins again */
  | 'failed'
  /** by `close()`, for good */
  | 'closed';

export interface Status {
  state: State;
  /** Since when, in ms as `Date.now()`. */
  since: number;
  /** Attempts that have failed in a row. */
  attempt: number;
  /** When the attempt begins that is waited for, in ms; means nothing in other states. */
  retryAt?: number;
  /** Seconds between the last event and its arrival, beyond two, since clocks differ. */
  lag: number;
  /** This tab holds the stream. */
  leader: boolean;
  /** The stream is held for all tabs of this user. */
  shared: boolean;
  /** Who the daemon says we are. */
  user?: string;
  /** What the stream came by at last. */
  transport?: TransportName;
  /** What ended the last attempt: HTTP's status, 0 when there was no answer, and what came with it. */
  error?: { status: number; message: string };
}

/** Why a token is asked for: `start` (none yet), `expired` (it worked before), `refused`. */
export type TokenReason = 'start' | 'expired' | 'refused';
export type Token = string | null | undefined;

export interface RetryOptions {
  /** First and longest pause in ms (500 and 30000). Equal: that pause, without jitter. */
  min?: number;
  max?: number;
  /** Failed attempts in a row until `failed`; without end by default. */
  attempts?: number;
}

export interface HeraldOptions {
  url: string;
  /** Leave out where a cookie says who it is. A function is asked once, and again when the daemon refuses. */
  token?: string | ((why: { reason: TokenReason }) => Token | Promise<Token>);
  /** A route of tickets (`POST /auth/ticket`): where no header can be sent, what stands in the URL is one of these, good once. */
  tickets?: string;
  /** A route of renewals (`POST /auth/renew`): a token that ends soon is replaced while the stream goes on. `token` is a function then. */
  renew?: string;
  /** `'tabs'`: one stream for all tabs of this user. */
  share?: 'tabs' | false;
  retry?: RetryOptions;
  /** Where the position is kept over page loads (`sessionStorage`), for applications that keep their data, too. */
  resume?: Storage;
  /** `include`: cookies go to another origin, too. */
  credentials?: RequestCredentials;
  /** For other servers: an event made of a message's JSON; nothing for what is none. */
  decode?: (message: any) => HeraldEvent | undefined;
  fetch?: typeof fetch;
  /** `fallback(…)` of `@pgherald/client/transports`, one for each client; Server-Sent Events without it. */
  transports?: Transports;
}

export interface OnOptions {
  signal?: AbortSignal;
  /** Only listens: does not open the stream by itself. */
  passive?: boolean;
}

declare global {
  interface SymbolConstructor {
    readonly observable: symbol;
  }
}

export interface Herald<E = EventMap> {
  /** Calls `handler` for each event of these types until the function it returns is called. */
  on<P extends Pattern<E>>(types: P | readonly P[], handler: Handler<E, P>, options?: OnOptions): () => void;
  /** The same as an iterable; ends with the signal or with `close()`. */
  events<P extends Pattern<E> = '*'>(options?: { types?: P | readonly P[]; signal?: AbortSignal }): AsyncIterableIterator<EventOf<E, P>>;
  /** All events, for RxJS and whoever else knows observables: `from(herald)`. It does not complete; `from(herald.events())` does. */
  [Symbol.observable](): { subscribe(observer: { next: (event: EventOf<E, '*'>) => void }): { unsubscribe: () => void } };
  /** Settles when the stream is open: lists that are loaded from then on miss nothing. */
  ready(): Promise<void>;
  readonly status: Status;
  /** Calls `changed` whenever `status` is another one. */
  subscribe(changed: () => void): () => void;
  /** Tries again now, also after `failed`. */
  retry(): void;
  /** Goes on from its place by another stream, to the URL as it is now: `url` may be a getter. */
  reconnect(): void;
  close(): void;
}
