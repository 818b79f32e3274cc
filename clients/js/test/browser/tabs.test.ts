// SPDX-License-Identifier: PostgreSQL
// One stream for all tabs, in Chromium, where tabs are hidden in earnest and can be frozen.
import { type Browser, type Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, Tabs, launch, lifecycle, missing, report, start, state } from './browsers.js';
import { Rig, until } from './rig.js';

describe.skipIf(missing('chromium', CHROMIUM))('tabs of one user', () => {
  let rig: Rig;
  let browser: Browser;
  let tabs: Tabs;

  beforeAll(async () => {
    rig = await Rig.start();
    browser = await launch(CHROMIUM!, '--host-resolver-rules=MAP lab.test 127.0.0.1');
    tabs = new Tabs(rig, browser);
  });
  afterEach(async () => {
    await tabs.close();
    await streams(0); // what is left of this test must not be counted in the next
  });
  afterAll(async () => {
    await browser?.close();
    await rig?.stop();
  });

  const streams = (n: number) => until(`${n} streams`, async () => (await rig.call('streams')) == n);
  const others = (tab: Page) => tabs.living.filter((t) => t != tab);
  const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

  test('eight share one stream over HTTP/1.1, and pages still load', async () => {
    for (let i = 0; i < 8; i++) await tabs.open();
    expect(await rig.call('streams')).toBe(1);
    await tabs.write();
    await tabs.news();
    expect(await rig.call('streams')).toBe(1);
    await tabs.settled();
    const statuses = await Promise.all(tabs.living.map(async (t) => (await report(t)).status));
    expect(statuses.filter((s) => s.leader)).toHaveLength(1);
    expect(statuses.every((s) => s.shared && s.user == '1' && s.state == 'open')).toBe(true);
  });

  test('eight that a browser opens again at once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => tabs.open()));
    await streams(1);
    await tabs.write();
    await tabs.news();
    await tabs.settled();
    const leaders = (await Promise.all(tabs.living.map(report))).filter((r) => r.status.leader);
    expect(leaders).toHaveLength(1);
  });

  test('the leader is closed, goes to another page, crashes', async () => {
    for (let i = 0; i < 4; i++) await tabs.open();
    await tabs.write();
    for (const end of ['close', 'about:blank', 'chrome://crash'] as const) {
      const old = await tabs.leader();
      await Promise.all(others(old).map((t) => t.evaluate(() => (window.lab.silence = 0))));
      if (end == 'close') await old.close();
      else old.goto(end).catch(() => {});
      tabs.all = others(old);
      await tabs.leader();
      await tabs.news();
      const silences = await Promise.all(tabs.living.map(async (t) => Math.round((await report(t)).silence)));
      console.log(`hand-over (${end}): silence of ${silences.join(', ')} ms`);
      await tabs.open();
    }
    await tabs.settled();
    for (const tab of tabs.living) expect((await report(tab)).system).toEqual([]);
  });

  test('a frozen leader hands over, and catches up when it thaws', async () => {
    const old = await tabs.open();
    for (let i = 0; i < 2; i++) await tabs.open();
    await tabs.write();
    await tabs.news();
    await lifecycle(old, 'frozen');
    await until('another leader', async () => (await Promise.all(others(old).map(report))).some((r) => r.status.leader));
    await tabs.news(others(old));
    await pause(1500);
    await lifecycle(old, 'active');
    await tabs.news();
    await tabs.settled();
    for (const tab of tabs.living) expect((await report(tab)).ends).toEqual([]);
  });

  test('a frozen follower catches up; one that was away for too long fetches again', async () => {
    await tabs.open();
    const cold = await tabs.open();
    await tabs.write();
    await lifecycle(cold, 'frozen');
    await tabs.news(others(cold));
    await lifecycle(cold, 'active');
    await tabs.news();
    await tabs.settled();
    await lifecycle(cold, 'frozen');
    await rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id <= 10' });
    for (let i = 0; i < 30; i++) await rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id <= 10' });
    await pause(500);
    await lifecycle(cold, 'active');
    await until('a resync', async () => (await report(cold)).system.includes('resync tabs'));
    await tabs.settled(others(cold));
    const table = JSON.stringify(await rig.call('table'));
    await until('the table', async () => JSON.stringify((await report(cold)).rows) == table);
  });

  test('a leader that hangs is replaced, and hears nothing twice when it wakes', async () => {
    const old = await tabs.open();
    for (let i = 0; i < 2; i++) await tabs.open();
    await tabs.write(1, 0.05); // tabs keep 256 events for each other
    await tabs.news();
    const began = Date.now();
    const hang = old.evaluate(() => {
      for (const end = Date.now() + 11_000; Date.now() < end; );
    });
    await until('another leader', async () => (await Promise.all(others(old).map(report))).some((r) => r.status.leader));
    console.log(`a hanging leader was replaced after ${Date.now() - began} ms`);
    await hang;
    await tabs.news();
    await tabs.settled();
    expect((await report(old)).status.leader).toBe(false);
  });

  test('back and forward: a page from the cache goes on', async () => {
    const leader = await tabs.open();
    const follower = await tabs.open();
    await tabs.write();
    for (const tab of [follower, leader]) {
      await tab.goto(rig.origin + '/lab.js');
      await tabs.news(others(tab));
      await tab.goBack();
      await until('the page', () => tab.evaluate(() => !!window.lab.herald).catch(() => false));
      expect(await tab.evaluate(() => performance.getEntriesByType('navigation').length)).toBe(1);
      await tabs.news();
    }
    await tabs.settled();
  });

  test('users do not mix, in one browser and one origin', async () => {
    const manager = await tabs.open();
    const foreman = await tabs.open({ token: rig.users.foreman1!.token });
    const second = await tabs.open({ token: rig.users.foreman1!.token });
    await streams(2);
    await tabs.write();
    await tabs.news([manager]);
    await rig.call('quiet');
    expect((await report(foreman)).events + (await report(second)).events).toBe(0);
    expect((await report(second)).status.user).toBe('' + rig.users.foreman1!.id);
  });

  test('a token that ends is renewed by who leads; refused, each tab has its own verdict', async () => {
    const key = (name: string) => `token_of_${name}`;
    const user = rig.users.foreman2!.id;
    const give = (from: string, to: string) =>
      rig.call('sql', { text: `UPDATE authtoken_token SET key = '${to}' WHERE user_id = ${user} AND key = '${from}'` });
    const first = rig.users.foreman2!.token;
    await rig.call('sql', { text: `UPDATE lab_thing SET owner_id = ${user}` });
    for (let i = 0; i < 3; i++) await tabs.open({ token: first });
    await tabs.write();
    await tabs.news();
    for (const tab of tabs.living) await tab.evaluate((t) => void (window.lab.token = t), key('two'));
    await give(first, key('two'));
    await until('the renewal', async () => (await Promise.all(tabs.living.map(report))).some((r) => r.tokens.length > 1));
    await tabs.news();
    await tabs.settled();
    const tokens = (await Promise.all(tabs.living.map(report))).map((r) => r.tokens.join()).sort();
    expect(tokens).toEqual(['start', 'start', 'start,expired']);
    await give(key('two'), key('three'));
    for (const tab of tabs.living) await until('refused', async () => (await state(tab)) == 'failed');
    const ends = await Promise.all(tabs.living.map(report));
    expect(ends.every((r) => r.status.error!.status == 401 && r.tokens.length <= 4)).toBe(true);
    await streams(0);
    for (const tab of tabs.living)
      await tab.evaluate((t) => {
        window.lab.token = t;
        window.lab.herald.retry();
      }, key('three'));
    await streams(1);
    await tabs.write();
    await tabs.news();
    await tabs.settled();
    await give(key('three'), first);
    await rig.call('sql', { text: `UPDATE lab_thing SET owner_id = ${rig.users.manager!.id}` });
  });

  test('without locks each tab has its own stream, and says so', async () => {
    const plain = new Tabs(rig, browser, `http://lab.test:${rig.port}`);
    const [one, two] = [await plain.open(), await plain.open()];
    expect(await one!.evaluate(() => !!navigator.locks)).toBe(false);
    await streams(2);
    expect((await report(two!)).status).toMatchObject({ shared: false, leader: true, state: 'open' });
    await plain.close();
  });

  test('a page that comes back with its place goes on from it', async () => {
    for (const others of [0, 1]) {
      const tab = await tabs.open({ resumes: true });
      for (let i = 0; i < others; i++) await tabs.open();
      await rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id = 1' });
      await until('the event', async () => (await report(tab)).events == 1);
      await tab.goto('about:blank');
      await rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id = 1' });
      await tab.goto(rig.origin);
      await start(tab, { share: 'tabs', token: rig.users.manager!.token, resumes: true });
      await until('what was missed', async () => (await report(tab)).events == 1);
      expect((await report(tab)).system).toEqual([]);
      await tabs.close();
    }
  });

  test('a hundred leaders are killed while writers are at work', async () => {
    for (let i = 0; i < 4; i++) await tabs.open();
    await tabs.write(3, 0.02);
    for (let i = 0; i < 100; i++) {
      const old = await tabs.leader();
      tabs.all = others(old);
      // Every fourth by a crash of its process, which says goodbye to nobody.
      if (i % 4) await old.close();
      else await tabs.crash(old);
      await tabs.open();
    }
    await tabs.news();
    await tabs.settled();
    for (const tab of tabs.living) expect((await report(tab)).system).toEqual([]);
  });
});
