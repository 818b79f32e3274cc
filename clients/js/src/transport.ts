// SPDX-License-Identifier: PostgreSQL
// What a transport is to the client: one connection from its beginning to its end. Knows no retry, no
// token and no event. No code.

export type TransportName = 'sse' | 'ndjson' | 'websocket' | 'poll';

/** A message's JSON and the position after it; or, without a text, the position or `retry` (ms) alone. */
export type Sink = (text: string, id?: string, retry?: number) => void;
/**
 * `status` is HTTP's; 0: no answer, or it broke; -1: refused, nobody knows how. `said`: the body of
 * a refusal. `after`: Retry-After as it was sent.
 */
export type End = (status: number, said: string, after?: string | null) => void;
export type Stop = () => undefined;

/** What the client hands to a connection, and what it wants to hear of it. */
export interface Call {
  /** With the position as it is now. */
  url(): string;
  /** Method, headers with the token, credentials. */
  init: RequestInit;
  /** Something arrived: an answer's head, a comment, a message. */
  bytes(): void;
  message: Sink;
  end: End;
  get: typeof fetch;
  /** Told by a transport that can talk how to, as long as it can. */
  voice?(say: Say | undefined): void;
}

/** Asks the daemon for something, and gives its answer's data; rejects with a `Refusal`. */
export type Say = (action: string, data: object) => Promise<any>;

export interface Transport {
  name: TransportName;
  /** The token goes into a header; otherwise into the URL. */
  headers: boolean;
  /** How long the greeting may take, in ms; twenty seconds. */
  patience?: number;
  /** Whether this browser has it; if this is missing it has. */
  there?: () => boolean;
  open(call: Call): Stop;
}

/** Which transport is next: of one client, since it keeps what has happened. */
export interface Transports {
  pick(token: unknown): Transport;
  /** An attempt has ended; `opened` is 0 where it was not greeted. */
  failed(status: number, opened: number): void;
}
