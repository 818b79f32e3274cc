// SPDX-License-Identifier: PostgreSQL
// React's own loader, which makes names of what is 'use client', on a Node that reads files as bytes.
import { load as react } from 'react-server-dom-webpack/node-loader';

export const load = (url, context, next) =>
  react(url, context, async (...file) => {
    const read = await next(...file);
    return read.source ? { ...read, source: Buffer.from(read.source).toString() } : read;
  });
