// SPDX-License-Identifier: PostgreSQL
// What an application ships: bundled by esbuild, minified, gzip -9, without what it has anyway.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const peers = ['react', 'react/jsx-runtime', 'zustand'];

const size = (entry: string, names = '*', target = 'es2020') => sum([`export ${names} from './${entry}'`], target);

async function sum(lines: string[], target = 'es2020'): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: lines.join('\n'), resolveDir: process.cwd() },
    bundle: true,
    minify: true,
    format: 'esm',
    target,
    external: peers,
    write: false,
  });
  return gzipSync(outputFiles![0]!.contents, { level: 9 }).length;
}

// Bytes. Of the adapters only what they add: none of them has the core in it.
test.each([
  ['dist/esm/index.js', '{ createHerald }', 4608],
  ['dist/es2017/index.js', '{ createHerald }', 5056],
  ['dist/esm/react/index.js', '*', 1536],
  ['dist/esm/tanstack-query/index.js', '*', 1024],
  ['dist/esm/tanstack-db/index.js', '*', 1024],
  ['dist/esm/rtk/index.js', '*', 1024],
  ['dist/esm/swr/index.js', '*', 1024],
])('%s %s is at most %i bytes', async (entry, names, limit) => {
  const bytes = await size(entry, names, entry.includes('es2017') ? 'es2017' : 'es2020');
  console.log(`size: ${entry} ${bytes} of ${limit}`);
  expect(bytes).toBeLessThanOrEqual(limit);
});

// These make clients themselves: what they add to an application that has the core and the hooks.
test.each([
  ['transports', '{ createHerald }', [] as string[], 2048],
  ['channels', '{ createHerald }', [], 2048],
  ['zustand', '{ createHerald }', [], 1024],
  ['estimates', '{ createHerald, presets }', ['react'], 1536],
])('%s adds little to the core', async (name, core, also, limit) => {
  const parts = [`export ${core} from './dist/esm/index.js'`, ...also.map((a) => `export * from './dist/esm/${a}/index.js'`)];
  const [without, all] = [await sum(parts), await sum([...parts, `export * from './dist/esm/${name}/index.js'`])];
  console.log(`size: ${name} adds ${all - without}`);
  expect(all - without).toBeLessThanOrEqual(limit);
});
