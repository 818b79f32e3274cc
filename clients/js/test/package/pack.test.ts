// SPDX-License-Identifier: PostgreSQL
// The tarball, as npm would publish it: its types and formats, and a fresh application that has it.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { transform } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

const js = resolve(import.meta.dirname, '../..');
const home = mkdtempSync(join(tmpdir(), 'pgherald-pack-'));
let tarball = '';

const run = (cwd: string, command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

beforeAll(() => {
  run(js, 'npm', 'pack', '--ignore-scripts', '--silent', '--pack-destination', home);
  tarball = join(home, readdirSync(home).find((f) => f.endsWith('.tgz'))!);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

test('publint has nothing to say', () => {
  expect(run(js, 'npx', 'publint', 'run', tarball, '--strict', '--level', 'warning')).toContain('All good');
});

test('attw: types resolve the same way as code does', () => {
  const said = run(js, 'npx', 'attw', tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm', '--format', 'json');
  const problems = Object.values(JSON.parse(said).problems ?? {}).flat() as { entrypoint: string; resolutionKind: string }[];
  // What cannot be otherwise: Node 10 knows no subpaths, and of what is for bundlers and pages alone there is no CommonJS.
  expect(problems.filter((p) => p.resolutionKind != 'node10' && !/2017|min/.test(p.entrypoint))).toEqual([]);
});

test('what is imported is there, as a module and as CommonJS', () => {
  const app = join(home, 'node');
  mkdirSync(join(app, 'node_modules/@pgherald'), { recursive: true });
  run(app, 'tar', '-xzf', tarball);
  cpSync(join(app, 'package'), join(app, 'node_modules/@pgherald/client'), { recursive: true });
  for (const name of ['react', 'zustand']) cpSync(join(js, 'node_modules', name), join(app, 'node_modules', name), { recursive: true });
  const { exports } = JSON.parse(readFileSync(join(js, 'package.json'), 'utf8'));
  const entries = Object.keys(exports).filter((e) => !/json|2017|min/.test(e)).map((e) => '@pgherald/client' + e.slice(1));
  writeFileSync(join(app, 'a.mjs'), entries.map((e) => `if (!Object.keys(await import('${e}')).length) throw '${e}';`).join('\n'));
  writeFileSync(join(app, 'a.cjs'), entries.map((e) => `if (!Object.keys(require('${e}')).length) throw '${e}';`).join('\n'));
  run(app, process.execPath, 'a.mjs');
  run(app, process.execPath, 'a.cjs');

  // What the documents import, by these names.
  const documents = ['../../README.md', 'README.md'].map((file) => readFileSync(join(js, file), 'utf8')).join('\n');
  const shown = documents.match(/^import \{[^}]*\} from ["']@pgherald\/client.*$/gm)!;
  expect(shown.length).toBeGreaterThan(5);
  writeFileSync(join(app, 'shown.mjs'), shown.map((line, i) => line.replace(/\{[^}]*\}/, (names) => names.replace(/(\w+)(?=\s*[,}])/g, `$1 as $1_${i}`))).join('\n'));
  run(app, process.execPath, 'shown.mjs');

  // A server component may have all of it but what is React's; that its bundler takes for the client's.
  const server = entries.filter((e) => !/react|estimates|zustand/.test(e));
  writeFileSync(join(app, 'server.mjs'), server.map((e) => `import '${e}';`).join('\n'));
  run(app, process.execPath, '--conditions=react-server', 'server.mjs');
});

test('server components: a page in which the server has its part and the client its own', () => {
  const app = join(home, 'rsc');
  cpSync(join(js, 'test/rsc'), app, { recursive: true });
  mkdirSync(join(app, 'node_modules/@pgherald'), { recursive: true });
  run(app, 'tar', '-xzf', tarball, '-C', 'node_modules/@pgherald');
  renameSync(join(app, 'node_modules/@pgherald/package'), join(app, 'node_modules/@pgherald/client'));

  const flight = run(app, process.execPath, '--conditions=react-server', 'server.mjs');
  // The server has drawn what is its own, and sent the names of what is not: nothing of it was run.
  for (const name of ['SSEStatus', 'SSEConnection', 'Live', 'Orders']) expect(flight).toMatch(new RegExp(`^[0-9a-f]+:I\\[.*"${name}"`, 'm'));
  expect(flight).toContain('["$","h1",null,{"children":"Orders"}');
  expect(flight).toContain('"retry":{"min":3000,"max":3000,"attempts":5}');
  expect(flight).not.toContain('data-state');

  const html = execFileSync(process.execPath, ['client.mjs'], { cwd: app, encoding: 'utf8', input: flight });
  expect(html).toContain('<h1>Orders</h1><span class="sse-status" role="status" data-state="idle">');
  expect(html).toContain('not yet');
  expect(html).toContain('<ul data-loading="true"><li>A-1</li></ul>');
  expect(html).toContain('<em>bus</em>');
});

test('what React needs to know stands first in each file', () => {
  for (const format of ['esm', 'cjs', 'es2017'])
    for (const room of ['react', 'estimates'])
      for (const file of readdirSync(join(js, 'dist', format, room)).filter((f) => f.endsWith('.js'))) {
        const code = readFileSync(join(js, 'dist', format, room, file), 'utf8');
        if (!/from ['"]react['"]|require\(['"]react['"]\)/.test(code)) continue;
        expect(code.replace(/^("use strict";|\s|\/\/.*)*/, '').slice(0, 12), file).toBe("'use client'");
      }
});

test('the ES2017 build has nothing newer', async () => {
  const files = readdirSync(join(js, 'dist/es2017'), { recursive: true, encoding: 'utf8' }).filter((f) => f.endsWith('.js'));
  expect(files.length).toBeGreaterThan(20);
  for (const file of files) {
    const code = readFileSync(join(js, 'dist/es2017', file), 'utf8');
    const options = { minifyWhitespace: true, format: 'esm' } as const;
    const [old, now] = await Promise.all(['es2017', 'esnext'].map((target) => transform(code, { ...options, target })));
    expect(old!.code, file).toBe(now!.code);
  }
});

test('no file of it names a registry, and the lock file neither', () => {
  expect(readFileSync(join(js, 'package-lock.json'), 'utf8')).not.toMatch(/"resolved"/);
});
