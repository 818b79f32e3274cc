// SPDX-License-Identifier: PostgreSQL
// src/ into dist/: one file for each, as ES modules, as CommonJS, and for browsers of 2017; and one
// minified module for pages without a build step.
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
const tsc = (...options) =>
  execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', ...options], { stdio: 'inherit' });

rmSync('dist', { recursive: true, force: true });
tsc('--outDir', 'dist/esm');
tsc('--outDir', 'dist/cjs', '--module', 'commonjs', '--verbatimModuleSyntax', 'false');
tsc('--outDir', 'dist/es2017', '--target', 'es2017', '--declaration', 'false');
// Node and TypeScript ask the nearest package.json what a .js file is.
mkdirSync('dist/cjs', { recursive: true });
writeFileSync('dist/cjs/package.json', '{"type": "commonjs", "sideEffects": false}\n');
await build({
  entryPoints: ['src/index.ts'],
  outfile: 'dist/herald.min.js',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2017',
  banner: { js: '// SPDX-License-Identifier: PostgreSQL' },
});
copyFileSync('../../COPYING', 'COPYING');
