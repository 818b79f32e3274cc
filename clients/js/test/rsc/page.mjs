// SPDX-License-Identifier: PostgreSQL
// A page as a framework with server components has it: rows and words come from the server, what is
// live is the client's. In components of the server there are no effects, no state and no context.
import { createElement as h } from 'react';
import { presets } from '@pgherald/client';
import { SSEStatus } from '@pgherald/client/react';
import { SSEConnection } from '@pgherald/client/estimates';
import { Live, Orders } from './live.mjs';

async function fetchOrders() {
  return [{ id: 1, number: 'A-1' }];
}

export default async function Page() {
  return h(
    Live,
    { retry: presets.django.retry },
    h('h1', null, 'Orders'),
    h(SSEStatus, { words: { idle: 'not yet' } }),
    h(Orders, { initial: await fetchOrders() }),
    h(SSEConnection, { token: null, url: '/events/' }, h('em', null, 'bus')),
  );
}
