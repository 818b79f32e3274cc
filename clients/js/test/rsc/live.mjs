// SPDX-License-Identifier: PostgreSQL
'use client';
import { createElement as h } from 'react';
import { createHerald } from '@pgherald/client';
import { HeraldProvider, useLive, useSSE } from '@pgherald/client/react';

let herald;

export function Live({ retry, children }) {
  herald ??= createHerald({ url: '/events/', share: 'tabs', retry });
  return h(HeraldProvider, { client: herald }, children);
}

export function Orders({ initial }) {
  const { data = initial, loading } = useLive('order', () => Promise.reject(new Error('nobody asks on a server')));
  useSSE('order.created', () => {});
  return h('ul', { 'data-loading': loading }, data.map((o) => h('li', { key: o.id }, o.number)));
}
