// SPDX-License-Identifier: PostgreSQL
// The same with the library's sessions and channels, as its documents show it.
import { createServer } from "node:http";
import { createChannel, createSession } from "better-sse";

const channels = new Map();

function channelOf(name) {
	let channel = channels.get(name);
	if (!channel) channels.set(name, (channel = createChannel()));
	return channel;
}

// Text as it is: the library would make a JSON string of it.
const serializer = (text) => text;
let number = 0;

const server = createServer(async (request, response) => {
	if (request.method === "POST") {
		let body = "";
		request.setEncoding("utf8").on("data", (piece) => (body += piece));
		request.on("end", () => {
			for (const line of body.split("\n")) {
				const [name, text] = line.split("\t");
				if (text) channelOf(name).broadcast(text, "message", { eventId: String(++number) });
			}
			response.writeHead(204).end();
		});
		return;
	}
	const name = new URL(request.url, "http://x").searchParams.get("token");
	channelOf(name).register(await createSession(request, response, { serializer, keepAlive: null }));
});
server.requestTimeout = server.headersTimeout = server.keepAliveTimeout = 0;
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
