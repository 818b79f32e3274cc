// SPDX-License-Identifier: PostgreSQL
// npm ws (argv[2]: where it is) on argv[3]: asks once, prints each message, and at last the close code.
const WebSocket = require(process.argv[2]);

const socket = new WebSocket(process.argv[3], "pgherald");
socket.on("open", () => {
  socket.ping("x".repeat(125));
  socket.send(JSON.stringify({ action: "ping", request_id: "κ".repeat(20) }));
});
socket.on("pong", (data) => console.log(JSON.stringify({ event: "pong", data: data.length })));
socket.on("message", (data) => console.log(String(data)));
socket.on("close", (code) => console.log(JSON.stringify({ event: "close", data: code })));
