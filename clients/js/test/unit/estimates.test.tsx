// @vitest-environment happy-dom
// SPDX-License-Identifier: PostgreSQL
import { act, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, describe, expect, test, vi } from 'vitest';
import useSSE, { EventBus, SSEConnection, SSEDemo, SSETestUtils, installConsole } from '../../src/estimates/index.js';
import { createFakeServer } from '../../src/testing/index.js';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;
afterEach(() => vi.restoreAllMocks());
const wait = (ms = 0) => act(() => new Promise((done) => setTimeout(done, ms)));

describe('EventBus', () => {
  test('publish, subscribe, unsubscribe, everything, and one that throws', () => {
    const errors = vi.spyOn(console, 'error').mockImplementation(() => {});
    const lines: unknown[][] = [];
    vi.spyOn(console, 'log').mockImplementation((...words) => void lines.push(words));
    const bus = new EventBus({ debug: true });
    const got: unknown[] = [];
    const hear = (data: unknown, type: string) => got.push([type, data]);
    bus.subscribe('a', () => {
      throw new Error('bad');
    });
    bus.subscribe('a', hear);
    const off = bus.subscribe('*', hear);
    bus.publish('a', 1);
    bus.publish('b', 2);
    bus.unsubscribe('a', hear);
    bus.unsubscribe('never', hear);
    off();
    bus.publish('a', 3);
    expect(got).toEqual([['a', 1], ['a', 1], ['b', 2]]);
    expect(errors).toHaveBeenCalledTimes(2);
    expect(lines.every((words) => words[0] == '[EventBus]' || /^\[EventBus\]/.test(words[0] as string))).toBe(true);
  });
});

test('the console’s snippet, as it stands', async () => {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((...words) => void lines.push(words.join(' ')));
  const bus = new EventBus();
  installConsole(bus);
  const run = new Function(`
    // Создать демо объект для прослушивания
    const demo = new SSEDemo();
    demo.startListening();

    // Посмотреть статус
    demo.getStatus();

    // Создать тестовые события
    SSETestUtils.createTestEstimateEvent();
    const sequence = SSETestUtils.runTestSequence();

    return sequence.then(() => {
      const status = demo.getStatus();
      // Остановить прослушивание
      demo.stopListening();
      return [status, demo.getStatus()];
    });
  `);
  vi.useFakeTimers();
  const done = run() as Promise<any>;
  await vi.advanceTimersByTimeAsync(5000);
  vi.useRealTimers();
  const [status, after] = await done;
  expect(status.received).toEqual({
    'estimate.created': 2, 'estimate.updated': 1, 'estimate.deleted': 1, 'project.updated': 1,
    'system.connectionLost': 1, 'system.connectionRestored': 1,
  });
  expect([status.listening, after.listening]).toEqual([true, false]);
  expect(lines.filter((l) => l.startsWith('[SSE]')).length).toBe(lines.length);
  expect(SSETestUtils.bus).toBe(bus);
  expect(new SSEDemo(bus).getStatus().listening).toBe(false);
});

test('<SSEConnection> connects at login, hands events to the bus, shows where it is, and ends at logout', async () => {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((...words) => void lines.push(words.map(String).join(' ')));
  const daemon = createFakeServer();
  const bus = new EventBus();
  const got: string[] = [];
  bus.subscribe('*', (data: any, type) => got.push(type + ' ' + (data?.estimate_id ?? data?.reason)));
  function App() {
    const { isConnected, status } = useSSE();
    return <b>{isConnected ? 'connected' : status.state}</b>;
  }
  const box = document.body.appendChild(document.createElement('div'));
  const root = createRoot(box);
  const draw = (token?: string) =>
    act(async () =>
      root.render(
        <StrictMode>
          <SSEConnection token={token} bus={bus} dev fetch={daemon.fetch}>
            <App />
          </SSEConnection>
        </StrictMode>,
      ),
    );
  await draw();
  await wait();
  expect([box.textContent, daemon.requests.length]).toEqual(['idle', 0]);
  await draw('abc');
  await wait(10);
  expect([box.textContent, daemon.requests.length, daemon.requests[0]!.token]).toEqual(['connected● live', 1, 'abc']);
  expect(daemon.requests[0]!.url).toBe('/api/v1/sse/events/?hello=full');
  daemon.emit('estimate.created', { estimate_id: 123 });
  await wait(10);
  expect(got).toEqual(['estimate.created 123']);
  expect(lines.some((l) => l.startsWith('[SSE] estimate.created'))).toBe(true);
  await draw('def');
  await wait(1200);
  expect(got).toEqual(['estimate.created 123', 'system.resync user']);
  expect([daemon.streams, daemon.requests[daemon.requests.length - 1]!.token]).toEqual([1, 'def']);
  await draw();
  await wait(1200);
  expect([box.textContent, daemon.streams]).toEqual(['idle', 0]);
  await act(() => root.unmount());
});
