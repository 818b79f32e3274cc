// SPDX-License-Identifier: PostgreSQL
// The same in the other engines, where they are installed: a stream, its hand-over, its end.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { type Browser } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FIREFOX, Tabs, launch, missing, report } from './browsers.js';
import { Rig, until } from './rig.js';

const WEBKIT = ['/usr/bin/WebKitWebDriver'].find(existsSync);
const MINI = ['/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser', '/usr/lib/x86_64-linux-gnu/webkit2gtk-4.0/MiniBrowser',
  '/usr/lib/aarch64-linux-gnu/webkit2gtk-4.1/MiniBrowser', '/usr/lib/aarch64-linux-gnu/webkit2gtk-4.0/MiniBrowser'].find(existsSync);

describe.skipIf(missing('firefox', FIREFOX))('Firefox', () => {
  let rig: Rig;
  let browser: Browser;
  let tabs: Tabs;
  beforeAll(async () => {
    rig = await Rig.start();
    browser = await launch(FIREFOX!);
    tabs = new Tabs(rig, browser);
  });
  afterAll(async () => {
    await tabs?.close();
    await browser?.close();
    await rig?.stop();
  });

  test('one stream for four tabs; leaders are closed; the daemon is killed', async () => {
    for (let i = 0; i < 4; i++) await tabs.open();
    expect(await rig.call('streams')).toBe(1);
    await tabs.write();
    for (let i = 0; i < 3; i++) {
      await (await tabs.leader()).close();
      tabs.all = tabs.living;
      await tabs.open();
      await tabs.news();
    }
    await rig.call('daemon_kill');
    await rig.call('daemon_start');
    await tabs.news();
    await tabs.settled();
    expect(await rig.call('streams')).toBe(1);
  });

  test('a session of Django: an EventSource', async () => {
    await tabs.close();
    await browser.setCookie({ name: 'sessionid', value: await rig.call('login'), domain: '127.0.0.1', path: '/' });
    const tab = await tabs.open({ share: false, token: undefined, url: '/web/events/' });
    await rig.call('sql', { text: 'UPDATE lab_thing SET n = n + 1 WHERE id = 1' });
    await until('the event', async () => (await report(tab)).events == 1);
    await tabs.settled();
  });
});

/** WebDriver (W3C) over HTTP, as much of it as is needed. */
class WebDriver {
  private constructor(
    private base: string,
    private driver: ChildProcess,
  ) {}

  static async start(): Promise<WebDriver> {
    const port = await new Promise<number>((done) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const { port } = probe.address() as { port: number };
        probe.close(() => done(port));
      });
    });
    const display = process.env.DISPLAY ? [] : ['xvfb-run', '-a'];
    const [command, ...args] = [...display, WEBKIT!, `--port=${port}`];
    const driver = spawn(command!, args, { stdio: 'ignore', detached: true });
    const self = new WebDriver(`http://127.0.0.1:${port}/session`, driver);
    const capabilities = { alwaysMatch: { 'webkitgtk:browserOptions': { binary: MINI, args: ['--automation'] } } };
    const { sessionId } = await until('WebKitWebDriver', () => self.send('POST', '', { capabilities }).catch(() => undefined));
    self.base += '/' + sessionId;
    return self;
  }
  async send(method: string, path: string, body?: object): Promise<any> {
    const answer = await fetch(this.base + path, { method, body: body && JSON.stringify(body) });
    const { value } = (await answer.json()) as { value: any };
    if (!answer.ok) throw new Error(value.message);
    return value;
  }
  async open(url: string): Promise<string> {
    const { handle } = await this.send('POST', '/window/new', { type: 'tab' });
    await this.on(handle);
    await this.send('POST', '/url', { url });
    return handle;
  }
  on = (handle: string) => this.send('POST', '/window', { handle });
  async run(handle: string, script: string, ...args: unknown[]): Promise<any> {
    await this.on(handle);
    return this.send('POST', '/execute/sync', { script, args });
  }
  async close(handle: string): Promise<void> {
    await this.on(handle);
    await this.send('DELETE', '/window');
  }
  async stop(): Promise<void> {
    await this.send('DELETE', '').catch(() => {});
    process.kill(-this.driver.pid!, 'SIGTERM');
  }
}

describe.skipIf(missing('webkit (webkit2gtk-driver)', WEBKIT && MINI))('WebKit', () => {
  let rig: Rig;
  let driver: WebDriver;
  beforeAll(async () => {
    rig = await Rig.start();
    driver = await WebDriver.start();
  });
  afterAll(async () => {
    await driver?.stop();
    await rig?.stop();
  });

  test('one stream for three tabs; leaders are closed; nothing is lost or doubled', async () => {
    const open = async () => {
      const handle = await driver.open(rig.origin);
      await until('the page', () => driver.run(handle, 'return !!window.lab'));
      await driver.run(handle, 'window.lab.start(arguments[0])', { share: 'tabs', token: rig.users.manager!.token });
      await until('the list', () => driver.run(handle, 'return window.lab.rows.size > 0'));
      return handle;
    };
    const reportOf = (handle: string) => driver.run(handle, 'return window.lab.report()');
    let handles = [await open(), await open(), await open()];
    expect(await rig.call('streams')).toBe(1);
    await rig.call('write', { writers: 2, pause: 0.02 });
    for (let i = 0; i < 2; i++) {
      let leader = '';
      await until('a leader', async () => {
        for (const h of handles) if ((await reportOf(h)).status.leader) leader = h;
        return leader;
      });
      await driver.close(leader);
      handles = handles.filter((h) => h != leader);
      const { events } = await reportOf(handles[0]!);
      await until('news', async () => (await reportOf(handles[0]!)).events > events + 2);
      handles.push(await open());
    }
    await rig.call('quiet');
    const table = JSON.stringify(await rig.call('table'));
    for (const h of handles) {
      await until('the list is the table', async () => JSON.stringify((await reportOf(h)).rows) == table, 20);
      const { doubled, missed, system } = await reportOf(h);
      expect({ doubled, missed, system }).toEqual({ doubled: [], missed: [], system: [] });
    }
  });
});
