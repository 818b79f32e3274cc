// SPDX-License-Identifier: PostgreSQL
// npm eventsource 3 and later (argv[2]: where it is) on argv[3]: the data of each message, a line each.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { EventSource } = await import(pathToFileURL(createRequire(import.meta.url).resolve(process.argv[2])));
new EventSource(process.argv[3]).onmessage = (message) => console.log(message.data);
