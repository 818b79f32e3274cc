// SPDX-License-Identifier: PostgreSQL
// An SSE server as one writes it by hand: channels are sets of responses.
import { createServer } from "node:http";

const channels = new Map();
let number = 0;

function subscribe(request, response, channel) {
	let members = channels.get(channel);
	if (!members) channels.set(channel, (members = new Set()));
	members.add(response);
	request.on("close", () => members.delete(response));
	response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
	response.flushHeaders();
}

function publish(lines) {
	for (const line of lines.split("\n")) {
		const [channel, text] = line.split("\t");
		if (!text) continue;
		const frame = Buffer.from(`id: ${++number}\ndata: ${text}\n\n`);
		for (const response of channels.get(channel) ?? []) response.write(frame);
	}
}

const server = createServer((request, response) => {
	if (request.method === "POST") {
		let body = "";
		request.setEncoding("utf8").on("data", (piece) => (body += piece));
		request.on("end", () => {
			publish(body);
			response.writeHead(204).end();
		});
	} else subscribe(request, response, new URL(request.url, "http://x").searchParams.get("token"));
});
server.requestTimeout = server.headersTimeout = server.keepAliveTimeout = 0;
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
