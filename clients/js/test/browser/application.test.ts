// SPDX-License-Identifier: PostgreSQL
// examples/estimates/frontend, as two people use it in two browsers.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Browser, type Page } from 'puppeteer-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, launch, missing } from './browsers.js';
import { Rig, until } from './rig.js';

const frontend = resolve(import.meta.dirname, '../../../../examples/estimates/frontend');

describe.skipIf(missing('chromium', CHROMIUM))('the estimates application', () => {
  const dist = mkdtempSync(join(tmpdir(), 'pgherald-app-'));
  let rig: Rig;
  let browser: Browser;
  const errors: string[] = [];

  beforeAll(async () => {
    execFileSync('npx', ['tsc'], { cwd: frontend });
    execFileSync('npx', ['vite', 'build', '--outDir', dist, '--emptyOutDir'], { cwd: frontend, stdio: 'pipe' });
    rig = await Rig.start(dist);
    browser = await launch(CHROMIUM!);
  });
  afterAll(async () => {
    await browser?.close();
    await rig?.stop();
    rmSync(dist, { recursive: true, force: true });
  });

  afterEach(async () => {
    // Pages of this test that come back would be counted in the next.
    for (const context of browser.browserContexts()) if (context != browser.defaultBrowserContext()) await context.close();
    await until('no stream', async () => (await rig.call('streams')) == 0);
  });

  /** The pages side by side: PICTURE=doc/estimates.png is the one in the README. */
  async function picture(pages: Page[], path: string): Promise<void> {
    const shots = await Promise.all(pages.map((p) => p.screenshot({ encoding: 'base64' })));
    const page = await browser.newPage();
    await page.setViewport({ width: 1560, height: 480 });
    await page.setContent(
      `<body style="margin:0;display:flex;gap:20px;padding:20px;background:#98a2b3">${shots
        .map((s) => `<img style="width:750px;border-radius:10px;box-shadow:0 6px 24px #0006" src="data:image/png;base64,${s}">`)
        .join('')}`,
    );
    await page.screenshot({ path: path as `${string}.png` });
    await page.close();
  }

  /** A browser of its own, in which this one has logged in. */
  async function login(who: string): Promise<Page> {
    const context = await browser.createBrowserContext();
    const page = await context.newPage();
    await page.setViewport({ width: 750, height: 440 });
    page.on('pageerror', (e) => errors.push(who + ': ' + e));
    await page.goto(rig.origin);
    await page.waitForSelector('.people button');
    await page.evaluate((who) => [...document.querySelectorAll('button')].find((b) => b.textContent!.startsWith(who))!.click(), who);
    await page.waitForSelector('[data-state=open]');
    await page.waitForSelector('tbody tr');
    return page;
  }
  const texts = (page: Page, what: string) => page.$$eval(what, (all) => all.map((e) => e.textContent!.trim()));
  const shows = (page: Page, what: string, text: string) =>
    until(`${text} in ${what}`, async () => (await texts(page, what)).some((t) => t.includes(text)));
  const click = (page: Page, text: string) =>
    page.evaluate((text) => [...document.querySelectorAll<HTMLElement>('a, button')].find((e) => e.textContent!.trim() == text)!.click(), text);
  const choose = async (page: Page, field: string, label: string) => {
    const value = await until('the choice', () =>
      page.$eval(`select[name=${field}]`, (s, label) => [...(s as HTMLSelectElement).options].find((o) => o.text == label)?.value, label),
    );
    await page.select(`select[name=${field}]`, value);
  };
  const open = async (page: Page, number: string) => {
    await shows(page, 'td a', number);
    await click(page, number);
    await page.waitForSelector('form.card');
  };

  test('assign, edit, overtake, rename, delete: each sees at once what is theirs, and nothing else', async () => {
    const manager = await login('manager');
    const foreman = await login('foreman1');
    const number = 'Estimate_2025-01-01_Foundation';
    const before = (await texts(foreman, 'tbody tr')).length;
    expect((await texts(manager, 'tbody tr')).length).toBeGreaterThan(before);

    await open(manager, number);
    await choose(manager, 'foreman', 'foreman1');
    await click(manager, 'Save');
    await shows(foreman, 'td a', number);
    await shows(foreman, '.mark', 'now yours');
    expect((await texts(foreman, 'tbody tr')).length).toBe(before + 1);
    if (process.env.PICTURE) await picture([manager, foreman], process.env.PICTURE);

    // Both have it open; the manager changes it under the foreman's hands.
    await open(foreman, number);
    await foreman.type('input[name=number]', '!');
    await choose(manager, 'status', 'In review');
    await click(manager, 'Save');
    await shows(foreman, '.notice', 'Somebody has changed it');
    await click(foreman, 'Show theirs');
    await until('their status', () => foreman.$eval('select[name=status]', (s) => (s as HTMLSelectElement).value == 'In review'));

    // Given to the other one: it leaves the page that shows it.
    await choose(manager, 'foreman', 'foreman2');
    await click(manager, 'Save');
    await shows(foreman, '.empty', 'given to somebody else');
    await click(foreman, 'Back to the list');
    await until('the row has gone', async () => (await texts(foreman, 'tbody tr')).length == before);

    // A project's name stands in the rows of its estimates.
    await click(manager, 'Projects');
    await shows(manager, '.cards b', 'Depot No. 4');
    await manager.evaluate(() => [...document.querySelectorAll<HTMLElement>('.cards a')].find((a) => a.textContent!.includes('Depot'))!.click());
    await manager.waitForSelector('input[name=name]');
    await manager.type('input[name=name]', ', rebuilt');
    await click(manager, 'Save');
    await shows(foreman, 'td', 'Depot No. 4, rebuilt');

    // The foreman makes one, and deletes it again.
    await click(manager, 'Estimates');
    await manager.waitForSelector('tbody tr');
    await click(foreman, 'New estimate');
    await foreman.waitForSelector('form.card');
    await shows(manager, 'tr.created', 'New estimate');
    await click(foreman, 'Delete');
    await until('it has gone', async () => !(await texts(manager, 'td a')).includes('New estimate'));
    expect(errors).toEqual([]);
  });

  test('the daemon goes away and comes back: the indicator says so, and the list is right', async () => {
    const manager = await login('manager');
    await rig.call('daemon_stop');
    await manager.waitForSelector('[data-state=waiting], [data-state=connecting]');
    await rig.call('sql', { text: "UPDATE api_estimate SET status = 'Approved' WHERE number LIKE '%Windows'" });
    await rig.call('daemon_start');
    await manager.waitForSelector('[data-state=open]');
    await shows(manager, 'td .status', 'Approved');
    expect(errors).toEqual([]);
  });

  test('two tabs of one person share a stream; who logs out is out', async () => {
    const one = await login('foreman2');
    const two = await one.browserContext().newPage();
    await two.goto(rig.origin);
    await two.waitForSelector('.people button');
    await two.evaluate((token) => sessionStorage.setItem('token', token), rig.users.foreman2!.token);
    await two.goto(rig.origin + '/projects?devtools');
    await two.waitForSelector('[data-state=open]');
    await until('the panel', () => two.evaluate(() => document.querySelector('pgherald-devtools')?.shadowRoot!.textContent!.includes('held by another tab')));
    expect(await rig.call('streams')).toBe(1);
    await click(one, 'Log out');
    await one.waitForSelector('.people button');
    await until('the other one leads', () => two.evaluate(() => document.querySelector('pgherald-devtools')!.shadowRoot!.textContent!.includes('held by this tab')));
    await rig.call('sql', { text: `UPDATE api_project SET name = 'Renamed' WHERE id = (SELECT project_id FROM api_estimate WHERE foreman_id = ${rig.users.foreman2!.id} LIMIT 1)` });
    await shows(two, '.cards b', 'Renamed');
    expect(errors).toEqual([]);
  });
});
