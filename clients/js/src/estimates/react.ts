// SPDX-License-Identifier: PostgreSQL
'use client';

import { createElement, useContext, useEffect, useMemo, useRef, type ReactElement, type ReactNode } from 'react';
import { createHerald } from '../herald.js';
import { presets } from '../index.js';
import { HeraldProvider, SSEContext } from '../react/context.js';
import { useSSEStatus } from '../react/hooks.js';
import { SSEStatus } from '../react/status.js';
import type { Herald, HeraldOptions, Status } from '../types.js';
import { eventBus, type EventBus } from './bus.js';
import { installConsole } from './demo.js';

declare const process: { env: Record<string, string | undefined> };
const development = () => typeof process != 'undefined' && process.env.NODE_ENV == 'development';

/** Everything that comes goes over the bus, with lines `[SSE] …` where `debug` is said. */
export function bindBus(herald: Herald<any>, bus: EventBus = eventBus, debug = false): () => void {
  const log = (...words: unknown[]) => debug && console.log('[SSE]', ...words);
  let { state } = herald.status;
  const offs = [
    herald.subscribe(() => {
      if (state != herald.status.state) log((state = herald.status.state), herald.status.error || '');
    }),
    herald.on('*', (data, { type }) => {
      log(type, data);
      bus.publish(type, data);
    }),
  ];
  return () => offs.forEach((off) => off());
}

export interface SSE {
  isConnected: boolean;
  status: Status;
  reconnect: () => void;
}

/** Below `<SSEConnection>`: whether it is connected. Events come over the bus. */
export function useSSE(): SSE {
  const herald = useContext(SSEContext);
  const status = useSSEStatus();
  return { status, isConnected: status.state == 'open', reconnect: () => herald?.retry() };
}

export interface SSEConnectionProps extends Partial<HeraldOptions> {
  /** Without one nothing is connected; another one is another connection. */
  token?: HeraldOptions['token'];
  /** For sites without tokens: whether somebody is logged in. By default, whether there is a token. */
  enabled?: boolean;
  bus?: EventBus;
  /** The indicator, the console's names and the lines in it; by default in development. */
  dev?: boolean;
  children?: ReactNode;
}

function Bound({ herald, bus, dev }: { herald: Herald<any>; bus: EventBus; dev: boolean }): null {
  const first = useRef(herald);
  useEffect(() => bindBus(herald, bus, dev), [herald, bus, dev]);
  useEffect(() => {
    // Another token, perhaps another user: what is shown was loaded by the one before.
    if (first.current != herald) herald.ready().then(() => bus.publish('system.resync', { reason: 'user', topics: ['*'] }));
  }, [herald, bus]);
  useEffect(() => {
    if (dev) installConsole(bus);
  }, [bus, dev]);
  return null;
}

/** Around the application: connects by itself when somebody is logged in. */
export function SSEConnection({
  token,
  enabled = !!token,
  bus = eventBus,
  dev = development(),
  children,
  url = '/api/v1/sse/events/',
  ...options
}: SSEConnectionProps): ReactElement {
  // A function may be another one at every render: the latest is asked.
  const latest = useRef(token);
  useEffect(() => {
    latest.current = token;
  });
  const key = typeof token == 'function' ? 'function' : token;
  const herald = useMemo(() => {
    const ask: HeraldOptions['token'] = (why) => (typeof latest.current == 'function' ? latest.current(why) : latest.current);
    return createHerald({ ...presets.django, ...options, url, token: key == 'function' ? ask : key });
  }, [url, key]);
  return createElement(
    HeraldProvider,
    { client: herald, enabled },
    enabled ? createElement(Bound, { herald, bus, dev }) : null,
    children,
    dev && enabled ? createElement('div', { style: { position: 'fixed', right: 8, bottom: 8 } }, createElement(SSEStatus)) : null,
  );
}
