// @vitest-environment happy-dom
// SPDX-License-Identifier: PostgreSQL
import { StrictMode, act, useContext, useState, version, type ReactNode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createHerald, type Herald } from '../../src/index.js';
import { HeraldProvider, SSEContext, SSEProvider, SSEStatus, useHerald, useLive, useSSE, useSSEStatus } from '../../src/react/index.js';
import { createFakeServer, createMockHerald } from '../../src/testing/index.js';

(globalThis as any).IS_REACT_ACT_ENVIRONMENT = true;
let root: Root;
let box: HTMLElement;

beforeEach(() => {
  box = document.body.appendChild(document.createElement('div'));
  root = createRoot(box);
});
afterEach(async () => {
  await act(() => root.unmount());
  box.remove();
});

const draw = (herald: Herald<any>, children: ReactNode, enabled = true) =>
  act(async () =>
    root.render(
      <StrictMode>
        <HeraldProvider client={herald} enabled={enabled}>
          {children}
        </HeraldProvider>
      </StrictMode>,
    ),
  );
const settle = () => act(() => new Promise((done) => setTimeout(done, 0)));
const until = async (condition: () => boolean) => {
  for (let i = 0; i < 500 && !condition(); i++) await act(() => new Promise((done) => setTimeout(done, 10)));
  expect(condition()).toBe(true);
};

test('the React that is meant', () => {
  expect(version.split('.')[0]).toBe(process.env.REACT || '19');
});

describe('useSSE', () => {
  test('the latest handler, once per event in StrictMode, and no other stream for another handler', async () => {
    const daemon = createFakeServer();
    const herald = createHerald({ url: '/', fetch: daemon.fetch });
    const got: string[] = [];
    let rename: (name: string) => void = () => {};
    function Listener() {
      const [name, setName] = useState('a');
      rename = setName;
      useSSE(['order.created', 'order.updated'], (data) => got.push(name + data));
      return <b>{name}</b>;
    }
    await draw(herald, <Listener />);
    await settle();
    daemon.emit('order.created', 1);
    await settle();
    await act(async () => rename('b'));
    daemon.emit('order.updated', 2);
    daemon.emit('order.deleted', 3);
    await settle();
    expect(got).toEqual(['a1', 'b2']);
    expect(daemon.requests).toHaveLength(1);
    herald.close();
  });

  test('is quiet when it is not enabled, here or in the provider', async () => {
    const herald = createMockHerald();
    function Listener({ enabled }: { enabled?: boolean }) {
      useSSE('a.b', () => {}, { enabled });
      return <b>{useHerald() ? 'on' : 'off'}</b>;
    }
    await draw(herald, <Listener enabled={false} />);
    expect([herald.listening, box.textContent]).toEqual([0, 'on']);
    await draw(herald, <Listener />);
    expect(herald.listening).toBe(1);
    await draw(herald, <Listener />, false);
    expect([herald.listening, box.textContent]).toEqual([0, 'off']);
  });
});

describe('status', () => {
  test('a selector, the indicator with its button, and the alias', async () => {
    const herald = createMockHerald({ state: 'connecting' });
    let drawn = 0;
    let inside: unknown;
    function Where() {
      drawn++;
      inside = useContext(SSEContext);
      return <b>{useSSEStatus((s) => s.state)}</b>;
    }
    await act(async () =>
      root.render(
        <SSEProvider client={herald}>
          <Where />
          <SSEStatus words={{ open: 'на связи' }} />
          <SSEStatus dev />
        </SSEProvider>,
      ),
    );
    expect(box.textContent).toBe('connecting● connecting');
    expect(inside).toBe(herald);
    const before = drawn;
    await act(async () => herald.setStatus({ attempt: 3 }));
    expect(drawn).toBe(before);
    await act(async () => herald.setStatus({ state: 'open' }));
    expect(box.textContent).toBe('open● на связи');
    await act(async () => herald.setStatus({ state: 'failed' }));
    expect(box.querySelector('[data-state=failed]')).not.toBeNull();
    await act(async () => box.querySelector('button')!.click());
    expect(herald.retries).toBe(1);
  });

  test('on a server: idle, and nothing is touched', () => {
    const herald = createHerald({ url: '/', share: 'tabs' });
    function Page() {
      useSSE('a.b', () => {});
      const { loading } = useLive('a', async () => 1);
      return (
        <p>
          {useSSEStatus((s) => s.state)} {String(loading)} <SSEStatus />
        </p>
      );
    }
    const html = renderToString(
      <HeraldProvider client={herald}>
        <Page />
      </HeraldProvider>,
    );
    expect(html.replace(/<!-- -->/g, '')).toContain('<p>idle true <span');
    expect(herald.status.state).toBe('idle');
  });
});

describe('useLive', () => {
  function rig() {
    const herald = createMockHerald({ state: 'connecting' });
    let fetched = 0;
    const answers: ((value: string) => void)[] = [];
    const fetcher = () => {
      fetched++;
      return new Promise<string>((done) => answers.push(done));
    };
    return { herald, fetcher, answers, fetched: () => fetched };
  }

  test('loads after the greeting, again after events, once for many, and never two at once', async () => {
    const { herald, fetcher, answers, fetched } = rig();
    function List() {
      const { data, loading } = useLive(['order', 7], fetcher, { wait: 20 });
      return <b>{loading ? '…' : data}</b>;
    }
    await draw(herald, <List />);
    await settle();
    expect([fetched(), box.textContent]).toEqual([0, '…']);
    await act(async () => herald.setStatus({ state: 'open' }));
    const first = fetched(); // StrictMode mounts twice
    await act(async () => answers.forEach((a) => a('one')));
    expect(box.textContent).toBe('one');
    for (let i = 0; i < 20; i++) herald.emit('order.updated', i);
    herald.emit('item.updated', 1);
    await until(() => fetched() == first + 1);
    // A resync while it is being fetched: again, but afterwards.
    herald.resync('storm', ['order']);
    herald.resync('storm', ['item']);
    await settle();
    expect(fetched()).toBe(first + 1);
    await act(async () => answers[first]!('two'));
    await until(() => fetched() == first + 2);
    await act(async () => answers[first + 1]!('three'));
    expect(box.textContent).toBe('three');
    herald.resync('tabs', ['*']);
    await until(() => fetched() == first + 3);
  });

  test('apply: an event during the load comes behind it', async () => {
    const { herald, fetcher, answers } = rig();
    function List() {
      const { data, error, reload } = useLive('order', fetcher, { apply: (all, e) => all + e.data });
      return <button onClick={reload}>{error ? '' + error : data}</button>;
    }
    await draw(herald, <List />);
    herald.emit('order.updated', 'early'); // nothing is shown that it could change
    await act(async () => herald.setStatus({ state: 'open' }));
    herald.emit('order.updated', 'b');
    await act(async () => answers.forEach((a) => a('a')));
    await settle();
    expect(box.textContent).toBe('ab');
    await act(async () => herald.emit('order.updated', 'c'));
    expect(box.textContent).toBe('abc');
    await act(async () => box.querySelector('button')!.click());
    await settle();
    await act(async () => answers[answers.length - 1]!(Promise.reject('no') as any));
    await settle();
    expect(box.textContent).toBe('no');
    await act(async () => box.querySelector('button')!.click());
    await act(async () => answers[answers.length - 1]!('z'));
    await settle();
    expect(box.textContent).toBe('z');
  });

  test('a load that fails is tried again, and an event does not wait for that', async () => {
    vi.useFakeTimers();
    try {
      const herald = createMockHerald();
      let works = false;
      let fetched = 0;
      const fetcher = async () => {
        fetched++;
        if (!works) throw new Error('502');
        return 'data ' + fetched;
      };
      function List() {
        const { data, error } = useLive('order', fetcher);
        return <b>{error ? '' + error : data}</b>;
      }
      const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
      await draw(herald, <List />);
      await pass(0);
      const first = fetched;
      expect(box.textContent).toBe('Error: 502');
      await pass(60_000);
      expect(fetched - first).toBeGreaterThanOrEqual(5);
      expect(fetched - first).toBeLessThanOrEqual(12);
      works = true;
      const before = fetched;
      herald.emit('order.updated', {});
      await pass(200);
      expect([box.textContent, fetched]).toEqual(['data ' + fetched, before + 1]);
      await pass(60_000);
      expect(fetched).toBe(before + 1);
      works = false;
      herald.resync('storm', ['order']);
      await pass(0);
      await draw(herald, null);
      await pass(60_000);
      expect(fetched).toBe(before + 2);
    } finally {
      vi.useRealTimers();
    }
  });

  test('in a browser without AbortController', async () => {
    const { AbortController } = globalThis;
    delete (globalThis as any).AbortController;
    try {
      const { herald, fetcher, answers } = rig();
      function List() {
        return <b>{useLive('order', fetcher).data}</b>;
      }
      await draw(herald, <List />);
      await act(async () => herald.setStatus({ state: 'open' }));
      await act(async () => answers.forEach((a) => a('one')));
      expect(box.textContent).toBe('one');
      await draw(herald, null);
      expect(herald.listening).toBe(0);
    } finally {
      globalThis.AbortController = AbortController;
    }
  });

  test('another key shows nothing of the one before', async () => {
    const { herald, fetcher, answers } = rig();
    let choose: (id: number) => void = () => {};
    function Row() {
      const [id, setId] = useState(1);
      choose = setId;
      const { data = '…' } = useLive(['order', id], fetcher);
      return <b>{data}</b>;
    }
    await draw(herald, <Row />);
    await act(async () => herald.setStatus({ state: 'open' }));
    await act(async () => answers.forEach((a) => a('one')));
    expect(box.textContent).toBe('one');
    const { length } = answers;
    await act(async () => choose(2));
    expect(box.textContent).toBe('…');
    await settle();
    await act(async () => answers.slice(length).forEach((a) => a('two')));
    expect(box.textContent).toBe('two');
  });
});
