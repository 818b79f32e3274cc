// SPDX-License-Identifier: PostgreSQL
import { fetched } from '../stream.js';
import type { Transport } from '../transport.js';

/** Server-Sent Events by `fetch`, as one of several. */
export const sse: Transport = { ...fetched, there: () => typeof TransformStream != 'undefined' };
