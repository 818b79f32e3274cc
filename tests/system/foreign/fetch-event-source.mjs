// SPDX-License-Identifier: PostgreSQL
// npm @microsoft/fetch-event-source (argv[2]: where it is) on argv[3]: the data of each message, a line
// each. What it wants of a page is pretended; an end of the stream is one to come back from.
import { createRequire } from "node:module";

globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = createRequire(import.meta.url)(process.argv[2]);

fetchEventSource(process.argv[3], {
  openWhenHidden: true,
  onmessage: (message) => console.log(message.data),
  onclose: () => { throw new Error("again"); },
  onerror: () => 10,
});
