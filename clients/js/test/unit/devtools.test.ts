// @vitest-environment happy-dom
// SPDX-License-Identifier: PostgreSQL
import { expect, test } from 'vitest';
import { showDevtools } from '../../src/devtools/index.js';
import { createMockHerald } from '../../src/testing/index.js';

test('the panel says what is connected, who leads, and what came last; a name from the data stays text', () => {
  const herald = createMockHerald({ state: 'open', user: '7', shared: true, leader: false });
  const off = showDevtools(herald, { events: 2 });
  const root = document.querySelector('pgherald-devtools')!.shadowRoot!;
  const text = () => root.querySelector('details')!.textContent!;
  expect(text()).toContain('pgherald open');
  expect(text()).toContain('user7');
  expect(text()).toContain('held by another tab');
  herald.emit('order.created', { name: '<img src=x onerror=alert(1)>' });
  herald.emit('order.updated', { id: 2 }, { scope: 'leave' });
  herald.resync('storm', ['order']);
  expect(root.querySelector('img')).toBeNull();
  expect([...root.querySelectorAll('li')].map((li) => li.textContent!.replace(/^.*?(?=order|system)/, ''))).toEqual([
    'system.resync {"reason":"storm","topics":["order"]}',
    'order.updated (leave) {"id":2}',
  ]);
  expect(text()).toContain('resyncs1');
  herald.setStatus({ state: 'failed', leader: true, error: { status: 401, message: 'Invalid token.' } });
  expect(text()).toContain('401 Invalid token.');
  expect(text()).toContain('held by this tab');
  root.querySelector('button')!.click();
  expect(herald.retries).toBe(1);
  off();
  expect([document.querySelector('pgherald-devtools'), herald.listening]).toEqual([null, 0]);
});
