// SPDX-License-Identifier: PostgreSQL
// Tabs in a browser, each with a lab, and what must be true of them at the end.
import { accessSync } from 'node:fs';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { expect } from 'vitest';
import { until, type Rig } from './rig.js';

export const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(exists);
export const FIREFOX = ['/usr/bin/firefox-esr', '/usr/bin/firefox'].find(exists);

function exists(path: string): boolean {
  try {
    accessSync(path);
    return true;
  } catch {
    return false;
  }
}

/** The names of a browser that is there; for describe.skipIf, with words for who reads the log. */
export function missing(name: string, path: string | undefined): boolean {
  if (!path) console.log(`SKIP: ${name} is not installed`);
  return !path;
}

export function launch(path: string, ...args: string[]): Promise<Browser> {
  return puppeteer.launch({
    browser: /firefox/.test(path) ? 'firefox' : 'chrome',
    executablePath: path,
    headless: true,
    // Firefox keeps no page for "back" whose server asks it to; the rest is for root and for freezing.
    args: /firefox/.test(path) ? args : ['--no-sandbox', '--disable-dev-shm-usage', ...args],
    ignoreDefaultArgs: ['--disable-back-forward-cache'],
  });
}

export class Tabs {
  all: Page[] = [];
  constructor(
    readonly rig: Rig,
    readonly browser: Browser,
    readonly origin = rig.origin,
  ) {}

  async blank(): Promise<Page> {
    const tab = await this.browser.newPage();
    this.all.push(tab);
    tab.on('pageerror', (error) => console.log('page error:', error));
    await tab.goto(this.origin + '/');
    await until('the page', () => tab.evaluate(() => !!window.lab));
    return tab;
  }

  /** Who is not somebody else is the manager. */
  async open(options: object = {}): Promise<Page> {
    const tab = await this.blank();
    await start(tab, { share: 'tabs', token: this.rig.users.manager!.token, ...options });
    return tab;
  }

  /** The page's process ends, in the middle of whatever it is doing. */
  async crash(tab: Page): Promise<void> {
    const gone = new Promise((done) => tab.once('error', done));
    tab.goto('chrome://crash').catch(() => {});
    await gone;
    await tab.close();
  }

  get living(): Page[] {
    return this.all.filter((tab) => !tab.isClosed());
  }

  leader(): Promise<Page> {
    return until('a leader', async () => {
      for (const tab of this.living) if ((await report(tab)).status.leader) return tab;
      return undefined;
    });
  }

  /** Something has arrived in each of these tabs since this was called. */
  async news(which = this.living): Promise<void> {
    for (const tab of which) {
      const { events } = await report(tab);
      await until('news', async () => (await report(tab)).events > events + 2);
    }
  }

  write(writers = 2, pause = 0.02): Promise<void> {
    return this.rig.call('write', { writers, pause });
  }

  /** Every list is the table, nobody missed anything or heard it twice, and no list was fetched again. */
  async settled(which = this.living): Promise<void> {
    await this.rig.call('quiet');
    const table = JSON.stringify(await this.rig.call('table'));
    for (const tab of which) {
      let rows = '';
      await until(`the list is the table`, async () => (rows = JSON.stringify((await report(tab)).rows)) == table, 20).catch(
        (error) => Promise.reject(`${error}: ${rows} is not ${table}`),
      );
      const { doubled, missed, system } = await report(tab);
      expect({ doubled, missed, resync: system.filter((s) => s.startsWith('resync')) }).toEqual({ doubled: [], missed: [], resync: [] });
    }
  }

  async close(): Promise<void> {
    await this.rig.call('quiet');
    for (const tab of this.all.splice(0)) if (!tab.isClosed()) await tab.close();
  }
}

export const report = (tab: Page) => tab.evaluate(() => window.lab.report());
export const state = (tab: Page) => tab.evaluate(() => window.lab.herald.status.state);

export async function start(tab: Page, options: object): Promise<void> {
  await tab.evaluate((o) => window.lab.start(o), options as any);
  await until('an open stream', async () => (await state(tab)) == 'open');
  await until('the list', () => tab.evaluate(() => window.lab.rows.size > 0));
}

export async function lifecycle(tab: Page, state: 'frozen' | 'active'): Promise<void> {
  const cdp = await tab.createCDPSession();
  await cdp.send('Page.setWebLifecycleState', { state });
  await cdp.detach();
}
