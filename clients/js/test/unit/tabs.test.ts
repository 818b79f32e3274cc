// SPDX-License-Identifier: PostgreSQL
// What real browsers do too seldom to be tested there: news that comes late, letters of a leader who
// is none any more, another user behind the same cookie.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createHerald, type Herald } from '../../src/index.js';
import { createFakeServer, type FakeServer } from '../../src/testing/index.js';
import { FakeChannel, installBrowser } from './browser.js';
import { clock, useClock } from './rig.js';

useClock();
let browser: ReturnType<typeof installBrowser>;
let open: Herald[] = [];
beforeEach(() => {
  browser = installBrowser();
});
afterEach(async () => {
  for (const herald of open.splice(0)) herald.close();
  await clock.tick(0);
  browser.uninstall();
});

async function tab(daemon: FakeServer) {
  const herald = createHerald({ url: '/events/', share: 'tabs', token: 'x', fetch: daemon.fetch });
  open.push(herald);
  const heard: string[] = [];
  herald.on('*', (data, { type }) => heard.push(type + ' ' + (data.reason || data)));
  await settle();
  return { herald, heard };
}
const settle = async () => {
  for (let i = 0; i < 5; i++) await clock.tick(10);
};
/** One more on the channel, who hears everything and can say what it likes. */
function stranger() {
  const channel = new FakeChannel([...FakeChannel.all][0]!.name);
  const letters: any[] = [];
  channel.onmessage = ({ data }) => letters.push(data);
  return { letters, say: (letter: unknown[]) => channel.postMessage(letter) };
}

describe('sharing', () => {
  test('one stream; each event once in each tab; the next one takes over and nothing is missed', async () => {
    const daemon = createFakeServer();
    const tabs = [await tab(daemon), await tab(daemon), await tab(daemon)];
    expect([daemon.streams, tabs.map((t) => t.herald.status.leader)]).toEqual([1, [true, false, false]]);
    daemon.emit('a.b', 1);
    await settle();
    tabs[0]!.herald.close();
    daemon.emit('a.b', 2);
    await settle();
    daemon.emit('a.b', 3);
    await settle();
    expect(tabs.map((t) => t.heard)).toEqual([['a.b 1'], ['a.b 1', 'a.b 2', 'a.b 3'], ['a.b 1', 'a.b 2', 'a.b 3']]);
    expect(tabs.map((t) => t.herald.status.leader)).toEqual([false, true, false]);
    expect(daemon.streams).toBe(1);
  });

  test('a leader that has slept asks whether it leads before it reads on', async () => {
    const daemon = createFakeServer();
    const leader = await tab(daemon);
    const other = await tab(daemon);
    const name = [...FakeChannel.all][0]!.name;
    browser.locks.late = true;
    clock.sleep(5000);
    // Somebody takes the lock; the one who had it does not know, and its stream has an event for it.
    browser.locks.request(name, { steal: true }, () => new Promise(() => {}));
    daemon.emit('a.b', 1);
    await new Promise((done) => setImmediate(done));
    expect(leader.heard).toEqual([]);
    expect(other.heard).toEqual([]);
    await settle();
    // Told, it waits for the word of whoever leads now.
    expect([leader.heard, other.heard]).toEqual([[], []]);
    expect(daemon.streams).toBe(0);
  });

  test('one that has slept and still leads goes on with what it held', async () => {
    const daemon = createFakeServer();
    const [leader, other] = [await tab(daemon), await tab(daemon)];
    clock.sleep(5000);
    daemon.emit('a.b', 1);
    daemon.emit('a.b', 2);
    await settle();
    expect([leader.heard, other.heard]).toEqual([['a.b 1', 'a.b 2'], ['a.b 1', 'a.b 2']]);
  });

  test('a leader that is silent is replaced', async () => {
    const daemon = createFakeServer();
    const [leader, other] = [await tab(daemon), await tab(daemon)];
    // It hears nothing and says nothing any more, and holds the lock.
    for (const channel of [...FakeChannel.all].slice(0, 1)) FakeChannel.all.delete(channel);
    await clock.tick(12_000);
    expect(other.herald.status.leader).toBe(true);
    daemon.emit('a.b', 1);
    await settle();
    expect(other.heard).toEqual(['a.b 1']);
    expect(leader.heard.length).toBeLessThanOrEqual(1);
  });

  test('letters of an earlier term are void, and one after a gap is not taken before the gap is filled', async () => {
    const daemon = createFakeServer();
    const [leader, other] = [await tab(daemon), await tab(daemon)];
    const { letters, say } = stranger();
    daemon.emit('a.b', 1);
    await settle();
    const [kind, , , term, [, n, epoch, user]] = letters[letters.length - 1];
    const event = (n: number, data: unknown) => [[n, 'fake.0.' + n, { type: 'a.b', data }]];
    say([kind, 0.1, 0, term - 1, ['fake.0.1', n + 1, epoch, user], event(n + 2, 'of before')]);
    await settle();
    expect(other.heard).toEqual(['a.b 1']);
    letters.length = 0;
    await clock.tick(1500);
    say([kind, 0.1, 0, term, ['fake.0.5', n + 5, epoch, user], event(n + 6, 'too early')]);
    await settle();
    expect(other.heard).toEqual(['a.b 1']);
    expect(letters.map((l) => l[0])).toContain(1); // it has asked what it misses
    daemon.emit('a.b', 2);
    await settle();
    expect([leader.heard, other.heard]).toEqual([['a.b 1', 'a.b 2'], ['a.b 1', 'a.b 2']]);
  });

  test('what no tab has any more is fetched again', async () => {
    const daemon = createFakeServer();
    const [leader, other] = [await tab(daemon), await tab(daemon)];
    // The other one is frozen without a word: its letters are not handed to it.
    const channel = [...FakeChannel.all][1]!;
    FakeChannel.all.delete(channel);
    for (let i = 0; i < 300; i++) daemon.emit('a.b', i);
    await settle();
    FakeChannel.all.add(channel);
    daemon.emit('a.b', 300);
    await clock.tick(3000);
    expect(leader.heard).toHaveLength(301);
    expect(other.heard).toEqual(['system.resync tabs']);
    daemon.emit('a.b', 301);
    await settle();
    expect(other.heard[1]).toBe('a.b 301');
  });

  test('another user behind the same cookie: the page is told, and joins the others of that one', async () => {
    const daemon = createFakeServer();
    const one = await tab(daemon);
    const two = await tab(daemon);
    daemon.refuse(200, {
      times: 1,
      headers: { 'Content-Type': 'text/event-stream' },
      body: 'data: {"event": "connected", "user": "2"}\nid: fake.0.0\n\n',
    });
    daemon.end();
    await clock.tick(1000);
    await settle();
    expect(one.heard).toContain('system.resync user');
    expect(two.heard.filter((h) => h.startsWith('a.'))).toEqual([]);
  });

  // Somebody logs out, another logs in, in one of several tabs; and back.
  function users() {
    const daemons = [createFakeServer({ user: '1' }), createFakeServer({ user: '2' })] as const;
    let now = daemons[0];
    return {
      daemons,
      either: { fetch: (...request: Parameters<typeof fetch>) => now.fetch(...request) } as FakeServer,
      async become(user: 0 | 1) {
        now = daemons[user];
        daemons[1 - user]!.end();
        await clock.tick(2000);
        await settle();
      },
    };
  }
  /** A tab in which nobody listens for a while: it keeps its place. */
  async function away(daemon: FakeServer, meanwhile: () => Promise<void>) {
    const herald = createHerald({ url: '/events/', share: 'tabs', token: 'x', fetch: daemon.fetch });
    open.push(herald);
    const heard: string[] = [];
    const listen = () => herald.on('*', (data, { type }) => heard.push(type + ' ' + (data.reason || data)));
    const off = listen();
    await settle();
    off();
    await clock.tick(2000);
    await meanwhile();
    listen();
    await settle();
    return { herald, heard };
  }

  test.each([3, 0])('what another user has heard in between, %i events, is no answer to who was away', async (events) => {
    const { daemons, either, become } = users();
    const stays = await tab(either);
    const { herald, heard } = await away(daemons[0], async () => {
      await become(1);
      for (let i = 0; i < events; i++) daemons[1].emit('a.b', 'of 2');
      await settle();
      await become(0);
    });
    expect(stays.heard.filter((h) => h == 'a.b of 2')).toHaveLength(events);
    expect([stays.herald.status.user, stays.herald.status.leader, herald.status.leader]).toEqual(['1', true, false]);
    expect(heard).toEqual(['system.resync tabs']);
  });

  test('nor is what one has heard as another user who now leads', async () => {
    const { daemons, either, become } = users();
    const first = await tab(daemons[0]);
    await become(1);
    const second = await tab(either);
    for (let i = 0; i < 3; i++) daemons[1].emit('a.b', 'of 2');
    const { herald, heard } = await away(daemons[0], async () => {
      daemons[0].emit('a.b', 1);
      await settle();
      await become(0);
      first.herald.close();
      await settle();
    });
    expect(second.heard.slice(0, 3)).toEqual(['a.b of 2', 'a.b of 2', 'a.b of 2']);
    expect([second.herald.status.user, second.herald.status.leader, herald.status.leader]).toEqual(['1', true, false]);
    expect(heard).toEqual(['system.resync tabs']);
  });

  test('a page that is hidden for good gives up the lock; one that comes back goes on', async () => {
    const daemon = createFakeServer();
    const only = await tab(daemon);
    browser.fire('freeze');
    daemon.emit('a.b', 1);
    await settle();
    expect([daemon.streams, only.heard]).toEqual([0, []]);
    browser.fire('resume');
    await settle();
    expect([daemon.streams, only.heard]).toEqual([1, ['a.b 1']]);
  });

  test('the network that is back, and a page that is looked at, end a pause; not one that was refused', async () => {
    const daemon = createFakeServer();
    daemon.refuse('down');
    const herald = createHerald({ url: '/events/', token: 'x', fetch: daemon.fetch, retry: { min: 60_000, max: 60_000 } });
    open.push(herald);
    herald.on('*', () => {});
    await settle();
    for (const type of ['online', 'visibilitychange']) {
      const { length } = daemon.requests;
      browser.fire(type);
      await settle();
      expect([herald.status.state, daemon.requests.length]).toEqual(['waiting', length + 1]);
    }
    daemon.refuse(403);
    browser.fire('online');
    await settle();
    const { length } = daemon.requests;
    browser.fire('online');
    browser.fire('visibilitychange');
    await settle();
    expect([herald.status.state, daemon.requests.length]).toEqual(['failed', length]);
  });
});
