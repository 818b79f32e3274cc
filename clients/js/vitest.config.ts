// SPDX-License-Identifier: PostgreSQL
import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

const react18 = resolve(import.meta.dirname, 'test/react18/node_modules');

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.{ts,tsx}'], environment: 'node' } },
      {
        // The hooks and components once more, with the React before.
        resolve: {
          alias: [
            { find: /^react(-dom)?$/, replacement: react18 + '/react$1/index.js' },
            { find: /^react(-dom)?\/(.+)$/, replacement: react18 + '/react$1/$2.js' },
          ],
        },
        test: {
          name: 'react18',
          include: ['test/unit/{react,estimates}.test.tsx'],
          environment: 'node',
          env: { REACT: '18' },
        },
      },
      { test: { name: 'package', include: ['test/package/**/*.test.ts'], testTimeout: 300_000, hookTimeout: 300_000 } },
      {
        test: {
          name: 'browser',
          include: ['test/browser/**/*.test.ts'],
          environment: 'node',
          pool: 'forks',
          maxWorkers: 1,
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
