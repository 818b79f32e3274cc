// SPDX-License-Identifier: PostgreSQL
export { createHerald } from './herald.js';
export type {
  EventMap, EventOf, Handler, Herald, HeraldEvent, HeraldOptions, Matching, OnOptions, Pattern, Resync,
  RetryOptions, State, Status, SystemEvents, Token, TokenReason,
} from './types.js';
