// SPDX-License-Identifier: PostgreSQL
// Each transport in a real browser, through what happens to connections; what a proxy in between
// makes of them; channels and messages.
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Browser, type Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { CHROMIUM, FIREFOX, Tabs, launch, lifecycle, missing, report, state } from './browsers.js';
import { Relay, Rig, until } from './rig.js';
import { ADDRESS, buildSamples } from './samples.js';

const EVENTS = '/api/v1/sse/events/';

/** A proxy that hands an answer on when it has all of it, and knows no WebSocket. */
async function holdingBack(to: number): Promise<Server> {
  const proxy = createServer((asked, answer) => {
    const { method, url, headers } = asked;
    const there = request({ host: '127.0.0.1', port: to, method, path: url, headers }, (got) => {
      const pieces: Buffer[] = [];
      got.on('data', (piece) => pieces.push(piece));
      got.on('error', () => answer.destroy());
      got.on('end', () => answer.writeHead(got.statusCode!, got.headers).end(Buffer.concat(pieces)));
    });
    there.on('error', () => answer.destroy());
    answer.on('close', () => there.destroy());
    there.end();
  });
  proxy.on('upgrade', (_asked, socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done));
  return proxy;
}

describe.skipIf(missing('chromium', CHROMIUM))('transports', () => {
  let rig: Rig;
  let browser: Browser;
  let relay: Relay;
  let tabs: Tabs;

  beforeAll(async () => {
    rig = await Rig.start();
    await buildSamples(rig.pages);
    browser = await launch(CHROMIUM!, `--host-resolver-rules=MAP ${ADDRESS} 127.0.0.1:${rig.daemon}`);
  });
  beforeEach(async () => {
    relay = await Relay.start(rig.daemon);
    tabs = new Tabs(rig, browser);
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

  const change = () => rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id = 1' });
  const open = (ways: string[], more: object = {}) =>
    tabs.open({ share: false, retry: { max: 500 }, url: relay.origin + EVENTS, ways, ...more });
  const lives = async (tab: Page) => {
    const { events } = await report(tab);
    await change();
    await until('the event', async () => (await report(tab)).events > events);
  };

  test.each(['ndjson', 'websocket', 'poll', 'sse'])('%s: torn, frozen, killed, and each event once', async (way) => {
    const tab = await open([way]);
    expect((await report(tab)).status.transport).toBe(way);
    await rig.call('write', { writers: 2, pause: 0.02 });
    for (let i = 0; i < 3; i++) {
      await tabs.news();
      relay.cut();
    }
    await tabs.news();
    await lifecycle(tab, 'frozen');
    for (let i = 0; i < 5; i++) await change();
    await lifecycle(tab, 'active');
    await tabs.news();
    await rig.call('daemon_kill');
    await change();
    await rig.call('daemon_start');
    await tabs.news();
    await tabs.settled();
    await tab.evaluate(() => window.lab.herald.close());
    await until('no stream', async () => (await rig.call('streams')) == 0);
  });

  test('a WebSocket by a ticket, another one each time', async () => {
    const tab = await open(['websocket'], { url: relay.origin + '/web/ticketed/', tickets: relay.origin + '/sse/ticket' });
    expect((await report(tab)).status).toMatchObject({ transport: 'websocket', state: 'open' });
    await lives(tab);
    for (let i = 0; i < 3; i++) {
      relay.cut();
      await until('a stream', async () => (await report(tab)).status.state == 'open');
      await lives(tab);
    }
    expect((await report(tab)).tokens).toEqual(['start']);
    expect(await rig.call('sql', { text: 'SELECT count(*) FROM pgherald.ticket' })).toEqual([[0]]); // each was taken
    await tabs.settled();
  });

  test('two tabs share a stream of lines', async () => {
    const both = [await open(['ndjson'], { share: 'tabs' }), await open(['ndjson'], { share: 'tabs' })];
    await rig.call('write', { writers: 2, pause: 0.02 });
    await tabs.news();
    expect(await rig.call('streams')).toBe(1);
    await both[0]!.close();
    await tabs.news();
    await tabs.settled();
  });

  test('nginx as it comes hands no upgrade on: long-poll behind it, by itself', async () => {
    const tab = await tabs.open({ share: false, retry: { max: 500 }, url: EVENTS, ways: ['websocket', 'poll'] });
    expect((await report(tab)).status.transport).toBe('poll');
    await lives(tab);
    await tabs.settled();
  });

  test('a proxy that holds every answer back: long-poll, remembered by the next page', async () => {
    const proxy = await holdingBack(rig.daemon);
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${EVENTS}`;
    const ways = ['ndjson', 'websocket', 'poll'];
    try {
      const tab = await tabs.blank();
      const token = rig.users.manager!.token;
      const begin = () => tab.evaluate((o) => window.lab.start(o), { url, ways, token, share: false, retry: { max: 500 } } as any);
      await begin();
      await until('long-poll', async () => (await report(tab)).status.transport == 'poll', 30);
      await lives(tab);
      await tab.reload();
      await until('the page', () => tab.evaluate(() => !!window.lab));
      const began = Date.now();
      await begin();
      await until('long-poll', async () => (await report(tab)).status.transport == 'poll', 30);
      expect(Date.now() - began).toBeLessThan(7000); // not after the eight seconds of another one
      await lives(tab);
    } finally {
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  test.each([['websocket'], ['ndjson'], ['poll']])('%s: channels come and go, and what is published comes once', async (way) => {
    const tab = await open([way], { rooms: ['lab.a'], share: false });
    const messages = () => tab.evaluate(() => window.lab.messages as number[]);
    const publish = (channel: string, data: unknown) =>
      rig.call('sql', { text: `SELECT pgherald.publish('${channel}', 'lab.said', '${JSON.stringify(data)}')` });
    await publish('lab.b', 0);
    await publish('lab.a', 1);
    await until('a message', async () => (await messages()).length == 1);
    await tab.evaluate(() => window.lab.rooms!.subscribe('lab.b'));
    await publish('lab.b', 2);
    await publish('lab.a', 3);
    await until('both', async () => (await messages()).length == 3);
    const why = await tab.evaluate(() => window.lab.rooms!.subscribe('other').catch((error: Error) => error.message));
    expect(why).toMatch(/may not hear the channel/);
    const number = await tab.evaluate(() => window.lab.rooms!.publish('lab.a', 'lab.said', 4, { id: Math.random() + '' }));
    expect(number).toBeGreaterThan(0);
    await until('its own', async () => (await messages()).length == 4);
    await tab.evaluate(() => window.lab.rooms!.unsubscribe('lab.a'));
    await until('gone', async () => {
      await publish('lab.b', 5);
      return (await tab.evaluate(() => window.lab.rooms!.names.join())) == 'lab.b';
    });
    relay.cut();
    await publish('lab.b', 6);
    await until('the last', async () => (await messages()).includes(6));
    expect((await messages()).filter((n) => n != 5)).toEqual([1, 2, 3, 4, 6]);
    expect(await state(tab)).toBe('open');
  });

  test.each([['React', 'react'], ['Vue', 'vue']])('a component of %s from a streaming document, as it stands', async (said, name) => {
    const page = await browser.newPage();
    tabs.all.push(page);
    await page.goto(`${rig.origin}/${name}.html`);
    await until('its stream', async () => (await rig.call('streams')) == 1);
    const shown = () => page.evaluate(() => [...document.querySelectorAll('#root > div > div > div, #root > div > div')]
      .filter((e) => !e.children.length).map((e) => JSON.parse((e as HTMLElement).innerText)));
    const shows = (type: string, content: unknown) => until(`${type} on the page`, async () =>
      (await shown()).some((m) => m.type == type && JSON.stringify(m.content) == JSON.stringify(content)));
    await page.click('button');
    await shows('message', `Hello from ${said}!`);
    await rig.call('sql', { text: `SELECT pgherald.publish('*', 'notification', '{"title": "Привет"}')` });
    await shows('notification', { title: 'Привет' });
    await page.evaluate(() => (window as unknown as { leave(): void }).leave());
    await until('its end', async () => (await rig.call('streams')) == 0);
  });

  test.skipIf(missing('firefox', FIREFOX))('lines and WebSocket in Firefox', async () => {
    const fox = await launch(FIREFOX!);
    const mine = new Tabs(rig, fox);
    try {
      for (const way of ['ndjson', 'websocket']) {
        const tab = await mine.open({ share: false, retry: { max: 500 }, url: relay.origin + EVENTS, ways: [way] });
        await lives(tab);
        relay.cut();
        await lives(tab);
        await tab.close();
      }
    } finally {
      await fox.close();
    }
  });
});
