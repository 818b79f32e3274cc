// SPDX-License-Identifier: PostgreSQL
// Messages that are posted. The answer comes after the commit, and what has an id may be sent again.

import type { HeraldOptions, Token, TokenReason } from '../types.js';

export interface PublishOptions {
  /** The message's key: it is told once, however often it is posted; with it a lost answer is asked for again. */
  id?: string | number;
  /** Kept for who comes later; needs an `id`. */
  persist?: boolean;
  signal?: AbortSignal;
}

/** `status` is HTTP's; 0: no answer. */
export class PublishError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const TRIES = 5;

const detail = (text: string): string => {
  try {
    return JSON.parse(text).detail || text;
  } catch {
    return text;
  }
};

const pause = (ms: number, signal?: AbortSignal) =>
  new Promise<void>((done) => {
    setTimeout(done, ms);
    if (signal) signal.addEventListener('abort', () => done());
  });

/** Posts with the client's own token, and with another one when that is refused. */
export function poster({ fetch: get, credentials }: HeraldOptions, ask: (reason?: TokenReason) => Promise<Token>) {
  const once = async (url: string, body: string, signal?: AbortSignal): Promise<Response> => {
    for (let reason: TokenReason | undefined; ; reason = 'expired') {
      const token = await ask(reason);
      const headers: Record<string, string> = { 'Content-Type': 'application/json' };
      if (token) headers.Authorization = 'Bearer ' + token;
      const answer = await (get || fetch)(url, {
        method: 'POST', body, headers, credentials, signal, cache: 'no-store', redirect: token ? 'error' : 'follow',
      });
      if (answer.status != 401 || reason || !token) return answer;
    }
  };

  return async (url: string, message: object, { id, persist, signal }: PublishOptions = {}): Promise<number> => {
    const body = JSON.stringify({ ...message, id, persist });
    for (let left = id === undefined ? 0 : TRIES - 1, wait = 500; ; left--, wait *= 2) {
      let error: PublishError;
      let told = 0;
      try {
        const answer = await once(url, body, signal);
        const text = await answer.text();
        if (answer.status == 201) return JSON.parse(text).id;
        error = new PublishError(answer.status, detail(text));
        told = +answer.headers.get('retry-after')! * 1000;
      } catch (why) {
        error = new PublishError(0, '' + why);
      }
      // What is wrong with the message is wrong the next time, too.
      if (!left || (signal && signal.aborted) || (error.status && error.status != 503 && error.status != 429 && error.status != 502)) throw error;
      await pause(told > 0 && told < 60_000 ? told : wait, signal);
    }
  };
}
