// SPDX-License-Identifier: PostgreSQL
export { createHerald } from './herald.js';
/** Options for whom the browser's own habits are not right: `createHerald({ ...presets.django, url })`. */
export const presets = {
  /** Five attempts, three seconds apart, then `failed`: what Django guides write by hand. */
  django: { retry: { min: 3000, max: 3000, attempts: 5 } },
};
export type {
  EventMap, EventOf, Handler, Herald, HeraldEvent, HeraldOptions, Matching, OnOptions, Pattern, Resync,
  RetryOptions, State, Status, SystemEvents, Token, TokenReason,
} from './types.js';
