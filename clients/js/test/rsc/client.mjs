// SPDX-License-Identifier: PostgreSQL
// What server.mjs has written, on standard input, as HTML: now the client's components run, on the server.
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { use, createElement } from 'react';
import { renderToPipeableStream } from 'react-dom/server';
import { createFromNodeStream } from 'react-server-dom-webpack/client';

const flight = await text(process.stdin);
const modules = {};
for (const [, id] of flight.matchAll(/^[0-9a-f]+:"(file:[^"]+)"$/gm)) modules[id] = await import(id);
globalThis.__webpack_require__ = (id) => modules[id];
const moduleMap = new Proxy({}, { get: (_, id) => new Proxy({}, { get: (_, name) => ({ id, name, chunks: [] }) }) });

const page = createFromNodeStream(Readable.from([Buffer.from(flight)]), { moduleMap, moduleLoading: null, serverModuleMap: null });
renderToPipeableStream(createElement(() => use(page)), { onError: (error) => { throw error; } }).pipe(process.stdout);
