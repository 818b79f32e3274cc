// SPDX-License-Identifier: PostgreSQL
// Three EventSources, one per user, shown side by side. The browser's own EventSource does all the
// reconnecting: after a break it sends the last id it saw, and nothing is missed.
"use strict";

const MAX_CARDS = 60;
const LOOK_MS = 1000; // how often an ended demo is looked for
const HUES = ["#5b5bd6", "#c2570c", "#0f766e"];
const SHOWN = ["foreman_name", "creator_name", "status", "address"];
const LABELS = { foreman_name: "foreman", creator_name: "by", status: "status", address: "address" };

const $ = (id) => document.getElementById(id);
const copy = (id) => $(id).content.cloneNode(true).firstElementChild;

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
		return `What happened cannot be told one by one (${message.data.reason}): fetch again.`;
	}
	return "";
}

function card(message, late) {
	const node = copy("card");
	const [tone, word] = kindOf(message);
	const data = message.data || {};
	const topic = message.event.split(".")[0];
	const at = new Date((message.timestamp || Date.now() / 1000) * 1000);
	node.classList.add(tone);
	node.classList.toggle("caught-up", late);
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
	node.querySelector("pre").textContent = JSON.stringify(message, null, 2);
	return node;
}

function pane(user, hue, url) {
	const node = copy("pane");
	const cards = node.querySelector(".cards");
	const status = node.querySelector(".status");
	const toggle = node.querySelector(".toggle");
	let source = null;
	let received = 0;
	let lastId = "";
	let openedAt = 0; // seconds, as events have it

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
		// What happened before this stream was opened was missed and has been caught up.
		cards.prepend(card(message, message.timestamp < openedAt));
		while (cards.childElementCount > MAX_CARDS) cards.lastElementChild.remove();
	}
	function connect() {
		// A new EventSource cannot send Last-Event-ID as a header; the query does the same.
		const resume = lastId ? `&last_event_id=${encodeURIComponent(lastId)}` : "";
		source = new EventSource(`${url}?token=${encodeURIComponent(user.token)}${resume}`);
		show("connecting");
		source.onopen = () => {
			openedAt = Math.floor(Date.now() / 1000);
			show("connected");
		};
		source.onmessage = onMessage;
		source.onerror = () => {
			show(source.readyState === EventSource.CLOSED ? "refused" : "reconnecting");
			lookForDemo();
		};
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

const getConfig = async () => (await fetch("config.json", { cache: "no-store" })).json();
const allConnected = () => !document.querySelector(".status:not(.connected, .disconnected)");
let demo = null; // which demo this page shows
let looking = false;

// A stream has broken: is it the daemon, or has all of the demo ended? Then its page server has, too,
// and the next demo, which has the same address if it can, is another one.
async function lookForDemo() {
	if (looking) return;
	looking = true;
	do {
		const config = await getConfig().catch(() => null);
		if (config && config.demo !== demo) return location.reload();
		$("ended").hidden = config !== null;
		document.body.classList.toggle("over", config === null);
		await new Promise((resume) => setTimeout(resume, LOOK_MS));
	} while (!allConnected() || !$("ended").hidden);
	looking = false;
}

async function act(button) {
	button.disabled = true;
	try {
		const answer = await fetch("act", {
			method: "POST",
			headers: { "Content-Type": "application/json" },
			body: JSON.stringify(button.dataset.act),
		});
		$("done").textContent = (await answer.json()).done || "Django does not answer.";
	} catch (error) {
		$("done").textContent = "Django does not answer.";
		lookForDemo();
	}
	button.disabled = false;
}

async function main() {
	const panes = $("panes");
	try {
		const config = await getConfig();
		demo = config.demo;
		config.users.forEach((user, i) => panes.append(pane(user, HUES[i % HUES.length], config.events_url)));
		for (const button of document.querySelectorAll("[data-act]")) button.onclick = () => act(button);
		if (config.hint) {
			const code = Object.assign(document.createElement("code"), { textContent: config.hint });
			$("hint").append("More of it, from a terminal: ", code);
		}
	} catch (error) {
		panes.append(Object.assign(document.createElement("p"), { className: "failed", textContent: `${error}` }));
	}
}

main();
