// SPDX-License-Identifier: PostgreSQL
export { fallback, type Fallback } from './fallback.js';
export { ndjson, poll, Refusal, websocket } from './rungs.js';
export { sse } from './sse.js';
export type { Call, End, Say, Sink, Stop, Transport, TransportName, Transports } from '../transport.js';
