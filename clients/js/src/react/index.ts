// SPDX-License-Identifier: PostgreSQL
'use client';

export { HeraldProvider, HeraldProvider as SSEProvider, SSEContext, useHerald, type HeraldProviderProps } from './context.js';
export { useLive, useSSE, useSSEStatus, type Live, type LiveOptions } from './hooks.js';
export { SSEStatus, type SSEStatusProps } from './status.js';
