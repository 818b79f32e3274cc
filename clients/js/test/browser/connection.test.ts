// SPDX-License-Identifier: PostgreSQL
// One page and everything that happens between it and the database.
import { type Browser, type Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CHROMIUM, Tabs, launch, lifecycle, missing, report, start, state } from './browsers.js';
import { Relay, Rig, until } from './rig.js';

describe.skipIf(missing('chromium', CHROMIUM))('a stream', () => {
  let rig: Rig;
  let browser: Browser;
  let relay: Relay;
  let tabs: Tabs;

  beforeAll(async () => {
    rig = await Rig.start();
    browser = await launch(CHROMIUM!);
  });
  beforeEach(async () => {
    relay = await Relay.start(rig.port);
    tabs = new Tabs(rig, browser, relay.origin);
  });
  afterEach(async () => {
    await tabs.close();
    relay.stop();
    await rig.call('daemon_start');
  });
  afterAll(async () => {
    await browser?.close();
    await rig?.stop();
  });

  const alone = { share: false, retry: { max: 1000 } };
  const change = () => rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id = 1' });
  /** One change, which must arrive. */
  const lives = async (tab: Page) => {
    const { events } = await report(tab);
    await change();
    await until('the event', async () => (await report(tab)).events > events);
  };

  test('the daemon is killed, and started again', async () => {
    const tab = await tabs.open(alone);
    await lives(tab);
    await rig.call('daemon_kill');
    await until('notice', async () => (await report(tab)).system.includes('connectionLost'));
    await change();
    await rig.call('daemon_start');
    await until('the missed event', async () => (await report(tab)).events == 2);
    await lives(tab);
    await tabs.settled();
    const { system } = await report(tab);
    expect(system).toEqual(['connectionLost', 'connectionRestored']);
  });

  test('the daemon is stopped, with a farewell', async () => {
    const tab = await tabs.open(alone);
    const began = Date.now();
    await rig.call('daemon_stop');
    await until('waiting', async () => (await state(tab)) == 'waiting');
    // Not after half a second of its own, but when it was told: all would come at once.
    expect((await report(tab)).status.retryAt! - began).toBeGreaterThanOrEqual(1500);
    await change();
    await rig.call('daemon_start');
    await lives(tab);
    await tabs.settled();
  });

  test('the database is restarted under it', async () => {
    const tab = await tabs.open(alone);
    await lives(tab);
    await rig.call('database_restart');
    await lives(tab);
    await tabs.settled();
    expect((await report(tab)).system).toEqual([]);
  });

  test('nginx reloads, and is stopped and started', async () => {
    const tab = await tabs.open(alone);
    await rig.call('nginx_signal', { name: 'SIGHUP' });
    await lives(tab);
    await rig.call('nginx_signal', { name: 'SIGTERM' });
    await change();
    await rig.call('nginx_start');
    await lives(tab);
    await tabs.settled();
    expect((await report(tab)).events).toBe(3);
  });

  test('a laptop sleeps: the page is frozen while events come', async () => {
    const tab = await tabs.open(alone);
    await lives(tab);
    await lifecycle(tab, 'frozen');
    for (let i = 0; i < 5; i++) await change();
    await lifecycle(tab, 'active');
    await until('what came meanwhile', async () => (await report(tab)).events == 6);
    await lives(tab);
    await tabs.settled();
    // By itself, and not because the watchdog found it silent.
    expect(await report(tab)).toMatchObject({ system: [], ends: [] });
  });

  test('offline and back: at once, whatever pause was pending', async () => {
    const tab = await tabs.open({ share: false, retry: { min: 60_000, max: 60_000 } });
    await tab.setOfflineMode(true);
    relay.cut(true);
    await until('waiting', async () => (await state(tab)) == 'waiting');
    await change();
    relay.mend();
    const began = Date.now();
    await tab.setOfflineMode(false);
    await until('the missed event', async () => (await report(tab)).events == 1, 30);
    console.log(`back ${Date.now() - began} ms after the network`);
    await tabs.settled();
  });

  test('a proxy goes silent: the watchdog ends it, and nothing is lost', async () => {
    const tab = await tabs.open(alone);
    await lives(tab);
    relay.silence(true);
    await change();
    await until('notice', async () => /silent|answer/.test((await report(tab)).status.error?.message || '') || (await state(tab)) != 'open');
    relay.mend();
    relay.cut();
    await until('the missed event', async () => (await report(tab)).events == 2);
    await tabs.settled();
  });

  test('502 while the daemon is away, 429 with a time to come again, from another origin', async () => {
    const page = new Tabs(rig, browser);
    const url = `http://127.0.0.1:${rig.daemon}/api/v1/sse/events/`;
    const first = await page.open({ share: false, url });
    await rig.call('configure', { old: 'max_streams_per_user = 100', new: 'max_streams_per_user = 1' });
    try {
      const second = await page.blank();
      await second.evaluate((o) => window.lab.start(o), { url, share: false, token: rig.users.manager!.token } as any);
      await until('429', async () => (await report(second)).status.error?.status == 429);
      const { status } = await report(second);
      // Retry-After is 2 s here, and a random half of a second is added.
      expect(status.retryAt! - status.since).toBeGreaterThanOrEqual(2000 - 50);
      expect(status.retryAt! - status.since).toBeLessThanOrEqual(2500 + 50);
      await first.close();
      await until('its turn', async () => (await state(second)) == 'open');
    } finally {
      await rig.call('configure', { old: 'max_streams_per_user = 1\n', new: 'max_streams_per_user = 100\n' });
    }
    await page.close();
    const tab = await tabs.open(alone);
    await rig.call('daemon_stop');
    await until('502', async () => (await report(tab)).status.error?.status == 502);
    await rig.call('daemon_start');
    await lives(tab);
  });

  test('a session of Django: an EventSource, a 502, and the logout', async () => {
    const key = await rig.call('login');
    await browser.setCookie({ name: 'sessionid', value: key, domain: '127.0.0.1', path: '/', httpOnly: true });
    const tab = await tabs.open({ ...alone, token: undefined, url: '/web/events/' });
    const ways = () =>
      tab.evaluate(() =>
        performance.getEntriesByType('resource').filter((e) => e.name.includes('/web/events/')).map((e) => (e as PerformanceResourceTiming).initiatorType),
      );
    await lives(tab);
    await rig.call('daemon_stop');
    await until('502', async () => (await report(tab)).status.error?.status == 502);
    await change();
    await rig.call('daemon_start');
    await until('the missed event', async () => (await report(tab)).events == 2);
    await lives(tab);
    // The first way was not fetch, the last one was: it can say why.
    const used = await ways();
    expect([used[0] == 'fetch', used.includes('fetch')]).toEqual([false, true]);
    await tabs.settled();
    await rig.call('logout', { key });
    await until('the end', async () => (await state(tab)) == 'failed');
    expect((await report(tab)).status.error!.status).toBe(401);
    await browser.deleteMatchingCookies({ name: 'sessionid', domain: '127.0.0.1' });
  });

  test('a browser of 2017: EventSource, token in the URL, no locks, no channels, another stream when refused', async () => {
    const tab = await browser.newPage();
    tabs.all.push(tab);
    await tab.evaluateOnNewDocument(() => {
      for (const name of ['TransformStream', 'AbortController', 'AbortSignal', 'BroadcastChannel', 'LockManager', 'EventTarget'])
        delete (window as any)[name];
      delete (Navigator.prototype as any).locks;
    });
    await tab.goto(relay.origin);
    await until('the page', () => tab.evaluate(() => !!window.lab));
    await start(tab, { ...alone, share: 'tabs', token: rig.users.manager!.token });
    expect((await report(tab)).status).toMatchObject({ shared: false, leader: true });
    await lives(tab);
    relay.cut();
    await change();
    await until('the missed event', async () => (await report(tab)).events == 2);
    const urls = await tab.evaluate(() => performance.getEntriesByType('resource').map((e) => e.name).filter((n) => n.includes('/sse/')));
    expect(urls.every((u) => u.includes('token='))).toBe(true);
    await tabs.settled();
  });

  test('the example of the guide: a stream read by hand, and one by EventSource', async () => {
    const tab = await tabs.blank();
    const token = rig.users.manager!.token;
    await tab.evaluate((token) => {
      const w = window as any;
      w.heard = [];
      const eventSource = new EventSource('/api/v1/sse/events/?token=' + token);
      eventSource.onmessage = (e) => w.heard.push('source ' + JSON.parse(e.data).event);
      const abortController = new AbortController();
      (async () => {
        const response = await fetch('/api/v1/sse/events/', {
          headers: { Authorization: 'Bearer ' + token },
          signal: abortController.signal,
        });
        const reader = response.body!.getReader();
        const decoder = new TextDecoder();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          for (const line of decoder.decode(value).split('\n')) {
            if (line.startsWith('data: ')) w.heard.push('fetch ' + JSON.parse(line.slice(6)).event);
          }
        }
      })().catch(() => w.heard.push('aborted'));
      w.abort = () => abortController.abort();
    }, token);
    const heard = () => tab.evaluate(() => (window as any).heard as string[]);
    await until('two greetings', async () => (await heard()).filter((h) => h.endsWith('connected')).length == 2);
    await change();
    await until('the event', async () => (await heard()).includes('source thing.updated') && (await heard()).includes('fetch thing.updated'));
    await tab.evaluate(() => (window as any).abort());
    await until('the abort', async () => (await heard()).includes('aborted'));
    await until('one stream less', async () => (await rig.call('streams')) == 1);
  });

  test('the snippet of the guide for chats, as it stands: lines of JSON, read by hand', async () => {
    const tab = await tabs.blank();
    await tab.evaluate((token) => {
      const w = window as any;
      w.heard = [];
      // What the guide says of console.log, JSON and the token stays the page's own.
      const json = { parse: (line: string) => (w.heard.push(JSON.parse(line)), w.heard[w.heard.length - 1]) };
      const abortController = (w.aborter = new AbortController());
      const snippet = `
const response = await fetch('/my/chat/session-id/events/', {
  headers: {
    'Authorization': 'Bearer ' + token
  },
  signal: abortController.signal
});

const reader = response.body.getReader();
const decoder = new TextDecoder();

while (true) {
  const {done, value} = await reader.read();
  if (done) break;
  
  const chunk = decoder.decode(value);
  const lines = chunk.split('\\n').filter(line => line.trim());
  
  for (const line of lines) {
    const event = JSON.parse(line);
    if (event.event_type === 'task_started') {
      console.log('Task started:', event);
    }
  }
}`;
      const run = new Function('token', 'abortController', 'JSON', `return (async () => {${snippet}})()`);
      run(token, abortController, json).catch((error: Error) => w.heard.push({ event: error.name }));
    }, rig.users.manager!.token);
    const heard = () => tab.evaluate(() => (window as any).heard.map((e: any) => e.event) as string[]);
    await until('the greeting', async () => (await heard())[0] == 'connected');
    // One after the other: the snippet takes for granted that no line is cut on its way.
    for (let i = 1; i <= 5; i++) {
      await change();
      await until('the event', async () => (await heard()).filter((e) => e == 'thing.updated').length == i);
    }
    await tab.evaluate(() => (window as any).aborter.abort());
    await until('the abort', async () => (await heard()).includes('AbortError'));
    await until('no stream', async () => (await rig.call('streams')) == 0);
    const all = new Set(await heard());
    all.delete('keepalive');
    expect([...all]).toEqual(['connected', 'thing.updated', 'AbortError']);
  });
});
