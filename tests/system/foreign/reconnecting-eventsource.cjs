// SPDX-License-Identifier: PostgreSQL
// npm reconnecting-eventsource (argv[2]: where it is), on npm eventsource (argv[3]) in the place of a
// browser's own, on argv[4]: the data of each message, a line each.
globalThis.EventSource = require(process.argv[3]);
const module_ = require(process.argv[2]);
const ReconnectingEventSource = module_.default || module_;

new ReconnectingEventSource(process.argv[4], { max_retry_time: 10 }).onmessage = (message) => console.log(message.data);
