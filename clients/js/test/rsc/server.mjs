// SPDX-License-Identifier: PostgreSQL
// node --conditions=react-server: the page without anything of the client's run, as React sends it.
import { register } from 'node:module';
import { createElement } from 'react';
import { renderToPipeableStream } from 'react-server-dom-webpack/server';

register('./loader.mjs', import.meta.url);
const { default: Page } = await import('./page.mjs');

// What a bundler would know: which file of the client's a name stands for.
const files = new Proxy({}, {
  get(_, key) {
    const [id, name] = key.split('#');
    return { id, name, chunks: [] };
  },
});
renderToPipeableStream(createElement(Page), files, { onError: (error) => { throw error; } }).pipe(process.stdout);
