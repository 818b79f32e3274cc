// SPDX-License-Identifier: PostgreSQL
'use client';

import { createContext, createElement, useContext, type ReactElement, type ReactNode } from 'react';
import type { Herald } from '../types.js';

export const SSEContext = createContext<Herald<any> | null>(null);

export interface HeraldProviderProps {
  /** Made outside of components, by createHerald(). */
  client: Herald<any>;
  /** `false`: hooks below listen to nothing, for instance before somebody has logged in. */
  enabled?: boolean;
  children?: ReactNode;
}

export function HeraldProvider({ client, enabled = true, children }: HeraldProviderProps): ReactElement {
  return createElement(SSEContext.Provider, { value: enabled ? client : null }, children);
}

/** The client, or null below a provider that is not enabled. */
export function useHerald<E = any>(): Herald<E> | null {
  return useContext(SSEContext);
}
