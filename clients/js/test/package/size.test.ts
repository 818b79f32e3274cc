// SPDX-License-Identifier: PostgreSQL
// What an application ships: bundled by esbuild, minified, gzip -9, without what it has anyway.
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

const peers = ['react', 'react/jsx-runtime', 'zustand'];

async function size(entry: string, names = '*', target = 'es2020'): Promise<number> {
  const { outputFiles } = await build({
    stdin: { contents: `export ${names} from './${entry}'`, resolveDir: process.cwd() },
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
  ['dist/esm/index.js', '{ createHerald }', 4096],
  ['dist/es2017/index.js', '{ createHerald }', 4700],
  ['dist/esm/react/index.js', '*', 1536],
])('%s %s is at most %i bytes', async (entry, names, limit) => {
  const bytes = await size(entry, names, entry.includes('es2017') ? 'es2017' : 'es2020');
  console.log(`size: ${entry} ${bytes} of ${limit}`);
  expect(bytes).toBeLessThanOrEqual(limit);
});
