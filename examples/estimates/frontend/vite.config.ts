// SPDX-License-Identifier: PostgreSQL
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// An application outside of this tree has the package from npm; here it is the source beside it.
const client = fileURLToPath(new URL('../../../clients/js/src', import.meta.url));

export default defineConfig({
  plugins: [react()],
  resolve: {
    alias: [
      { find: /^@pgherald\/client$/, replacement: `${client}/index.ts` },
      { find: /^@pgherald\/client\/(.*)$/, replacement: `${client}/$1/index.ts` },
    ],
    dedupe: ['react', 'react-dom'],
  },
  // `npm run dev`, beside `manage.py runserver` and a daemon whose cors_origins has this page.
  server: { port: 8001, proxy: { '/api': 'http://127.0.0.1:8000' } },
});
