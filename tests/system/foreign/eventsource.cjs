// SPDX-License-Identifier: PostgreSQL
// npm eventsource (argv[2]: where it is) on argv[3]: the data of each message, a line each.
const EventSource = require(process.argv[2]);

new EventSource(process.argv[3]).onmessage = (message) => console.log(message.data);
