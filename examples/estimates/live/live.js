// SPDX-License-Identifier: PostgreSQL
// Three EventSources, one per user, shown side by side. The browser's own EventSource does all the
// reconnecting: after a break it sends the last id it saw, and nothing is missed.
"use strict";

const MAX_CARDS = 60;
const HUES = ["#5b5bd6", "#c2570c", "#0f766e"];
const SHOWN = ["foreman_name", "creator_name", "status", "address"];
const LABELS = { foreman_name: "foreman", creator_name: "by", status: "status", address: "address" };

function kindOf(message) {
	if (message.scope === "enter") return ["enter", "now yours"];
	if (message.scope === "leave") return ["leave", "no longer yours"];
	const verb = message.event.split(".").pop();
	return ["created", "updated", "deleted"].includes(verb) ? [verb, verb] : ["system", verb];
}

function noteOf(message) {
	if (message.scope === "enter") return "Given to you: the whole document comes along.";
	if (message.scope === "leave") return "Given to somebody else: only the keys, none of the new data.";
	if (message.event === "system.resync") {
		return `Too much happened to tell one by one (${message.data.reason}): fetch again.`;
	}
	return "";
}

function card(message, raw) {
	const node = document.getElementById("card").content.cloneNode(true).firstElementChild;
	const [tone, word] = kindOf(message);
	const data = message.data || {};
	const topic = message.event.split(".")[0];
	const at = new Date((message.timestamp || Date.now() / 1000) * 1000);
	node.classList.add(tone);
	node.querySelector(".kind").textContent = word;
	node.querySelector(".topic").textContent = topic;
	node.querySelector("time").textContent = at.toLocaleTimeString();
	node.querySelector("time").dateTime = at.toISOString();
	const name = topic === "project" ? data.project_name : data.estimate_number;
	const key = topic === "project" ? data.project_id : data.estimate_id;
	node.querySelector("h3").textContent = name || (key === undefined ? message.event : `${topic} ${key}`);
	node.querySelector(".where").textContent = (topic === "estimate" && data.project_name) || "";
	node.querySelector(".note").textContent = noteOf(message);
	for (const field of SHOWN) {
		if (data[field] === undefined || data[field] === null || data[field] === "") continue;
		const pair = document.createElement("div");
		for (const [tag, text] of [["dt", LABELS[field]], ["dd", data[field]]]) {
			pair.append(Object.assign(document.createElement(tag), { textContent: text }));
		}
		node.querySelector("dl").append(pair);
	}
	node.querySelector("pre").textContent = raw;
	return node;
}

function pane(user, hue, url) {
	const node = document.getElementById("pane").content.cloneNode(true).firstElementChild;
	const cards = node.querySelector(".cards");
	const status = node.querySelector(".status");
	const toggle = node.querySelector(".toggle");
	let source = null;
	let received = 0;
	let lastId = "";

	node.style.setProperty("--hue", hue);
	node.querySelector(".avatar").textContent = user.name[0].toUpperCase() + (user.name.match(/\d+$/) || "");
	node.querySelector("h2").textContent = user.name;
	node.querySelector(".sees").textContent = user.role === "manager" ? "sees everything" : "sees only what is theirs";

	function show(state) {
		status.className = "status " + state;
		status.querySelector("b").textContent = state;
		toggle.textContent = source ? "Disconnect" : "Connect again";
	}
	function count() {
		node.querySelector(".count").textContent = received === 1 ? "1 event" : `${received} events`;
	}
	function onMessage(e) {
		const message = JSON.parse(e.data);
		if (e.lastEventId) lastId = e.lastEventId;
		if (message.event === "connected" || message.event === "keepalive") return;
		received += 1;
		count();
		cards.prepend(card(message, e.data));
		while (cards.childElementCount > MAX_CARDS) cards.lastElementChild.remove();
	}
	function connect() {
		// A new EventSource cannot send Last-Event-ID as a header; the query does the same.
		const resume = lastId ? `&last_event_id=${encodeURIComponent(lastId)}` : "";
		source = new EventSource(`${url}?token=${encodeURIComponent(user.token)}${resume}`);
		show("connecting");
		source.onopen = () => show("connected");
		source.onmessage = onMessage;
		source.onerror = () => show(source.readyState === EventSource.CLOSED ? "refused" : "reconnecting");
	}
	toggle.onclick = () => {
		if (!source) return connect();
		source.close();
		source = null;
		show("disconnected");
	};
	count();
	connect();
	return node;
}

async function main() {
	const panes = document.getElementById("panes");
	try {
		const config = await (await fetch("config.json", { cache: "no-store" })).json();
		config.users.forEach((user, i) => panes.append(pane(user, HUES[i % HUES.length], config.events_url)));
		if (config.hint) {
			const code = Object.assign(document.createElement("code"), { textContent: config.hint });
			document.getElementById("hint").append("Make something happen: ", code);
		}
	} catch (error) {
		panes.append(Object.assign(document.createElement("p"), { className: "failed", textContent: `${error}` }));
	}
}

main();
