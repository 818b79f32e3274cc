// SPDX-License-Identifier: PostgreSQL
// The README's ten lines, pasted into a fresh application that has installed the tarball.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Browser, type Page } from 'puppeteer-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHROMIUM, launch, missing } from './browsers.js';
import { Rig, until } from './rig.js';

const js = resolve(import.meta.dirname, '../..');

describe.skipIf(missing('chromium', CHROMIUM))('a fresh Vite application', () => {
  const app = mkdtempSync(join(tmpdir(), 'pgherald-fresh-'));
  const run = (command: string, ...args: string[]) => execFileSync(command, args, { cwd: app, stdio: 'pipe', encoding: 'utf8' });
  let rig: Rig;
  let browser: Browser;
  let lines: string[] = [];

  beforeAll(async () => {
    const readme = readFileSync(join(js, '../../README.md'), 'utf8');
    const block = /```jsx\n([^]*?)```/.exec(readme)![1]!;
    lines = block.split('\n').filter((line) => line.trim());
    execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', app], { cwd: js });
    const tarball = './' + readdirSync(app).find((f) => f.endsWith('.tgz'))!;
    const { devDependencies: d } = JSON.parse(readFileSync(join(js, 'package.json'), 'utf8'));
    const version = (name: string) => `${name}@${d[name]}`;
    writeFileSync(join(app, 'package.json'), '{"private": true, "type": "module"}');
    run('npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', tarball,
      ...['react', 'react-dom', 'vite', '@vitejs/plugin-react'].map(version));
    writeFileSync(join(app, 'App.jsx'), block);
    writeFileSync(join(app, 'main.jsx'), `import { StrictMode } from "react";
      import { createRoot } from "react-dom/client";
      import App from "./App.jsx";
      createRoot(document.getElementById("root")).render(<StrictMode><App /></StrictMode>);`);
    writeFileSync(join(app, 'index.html'), '<!doctype html><div id="root"></div><script type="module" src="/main.jsx"></script>');
    writeFileSync(join(app, 'vite.config.js'), 'import react from "@vitejs/plugin-react"; export default { plugins: [react()] };');
    run('npx', 'vite', 'build');
    rig = await Rig.start(join(app, 'dist'));
    browser = await launch(CHROMIUM!);
  });
  afterAll(async () => {
    await browser?.close();
    await rig?.stop();
    rmSync(app, { recursive: true, force: true });
  });

  test('works as it stands: loads, changes, and shares one stream', async () => {
    expect(lines.length).toBeLessThanOrEqual(10);
    const token = rig.users.manager!.token;
    const pages: Page[] = [];
    for (let i = 0; i < 2; i++) {
      const page = await browser.newPage();
      await page.evaluateOnNewDocument((t) => localStorage.setItem('token', t), token);
      await page.goto(rig.origin);
      pages.push(page);
    }
    const text = (i: number) => pages[i]!.evaluate(() => document.body.innerText);
    const shows = (what: string) => Promise.all([0, 1].map((i) => until(what, async () => (await text(i)).includes(what))));
    await shows('● live');
    await shows('A-1: new');
    await rig.call('sql', { text: "UPDATE orders_order SET status = 'paid' WHERE id = 1" });
    await shows('A-1: paid');
    await rig.call('sql', { text: "INSERT INTO orders_order VALUES (3, 'A-3', 'new', 2)" });
    await shows('A-3: new');
    expect(await rig.call('streams')).toBe(1);
  });
});
