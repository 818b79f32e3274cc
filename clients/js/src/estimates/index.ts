// SPDX-License-Identifier: PostgreSQL
'use client';

// For applications that have an event bus, and files `useSSE` and `SSEConnection` of their own: the
// same names. README.md, "A Django application with an event bus".
export { EventBus, eventBus, type BusHandler } from './bus.js';
export { SSEDemo, SSETestUtils, installConsole } from './demo.js';
export { SSEConnection, bindBus, useSSE, useSSE as default, type SSE, type SSEConnectionProps } from './react.js';
export { SSEContext } from '../react/context.js';
export { SSEStatus } from '../react/status.js';
