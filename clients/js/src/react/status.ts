// SPDX-License-Identifier: PostgreSQL
'use client';

import { createElement, type ReactElement } from 'react';
import { useHerald } from './context.js';
import { useSSEStatus } from './hooks.js';
import type { State } from '../types.js';

const WORDS: Record<State, string> = {
  idle: 'not connected',
  connecting: 'connecting',
  open: 'live',
  waiting: 'reconnecting',
  failed: 'disconnected',
  closed: 'closed',
};
const COLORS: Partial<Record<State, string>> = { open: '#12805c', failed: '#c4314b', connecting: '#a86400', waiting: '#a86400' };

export interface SSEStatusProps {
  className?: string;
  /** Other words, for another language. */
  words?: Partial<Record<State, string>>;
  /** Only where `process.env.NODE_ENV` is `development`. */
  dev?: boolean;
}

declare const process: { env: Record<string, string | undefined> };

/** A dot and a word; with `failed` a button that tries again. `data-state` is for style sheets. */
export function SSEStatus({ className = 'sse-status', words, dev }: SSEStatusProps): ReactElement | null {
  const herald = useHerald();
  const state = useSSEStatus((s) => s.state);
  const hidden = dev && (typeof process == 'undefined' || process.env.NODE_ENV != 'development');
  if (hidden) return null;
  return createElement(
    'span',
    { className, role: 'status', 'data-state': state },
    createElement('i', { 'aria-hidden': true, style: { fontStyle: 'normal', color: COLORS[state] || '#667085' } }, '●'),
    ' ',
    { ...WORDS, ...words }[state],
    state == 'failed' && herald
      ? createElement('button', { type: 'button', onClick: herald.retry, style: { marginInlineStart: '0.5em' } }, '↻')
      : null,
  );
}
