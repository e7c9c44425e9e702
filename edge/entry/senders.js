// What is kept for those who send requests, between two of them.
import { read_cookies } from "../index.js";

// Who sends requests, by the whole texts of their `Cookie` headers, for all requests of a page have the same: what Rust
// read in it, and what went on last. Bounded, for anybody can send many and long ones; and forgotten before long, for
// session tokens are among them.
const senders = new Map();
let sendersChars = 0;
let sendersSince = 0;
export function senderWith(text, now) {
	if (Math.abs(now - sendersSince) >= 30_000) forgetSenders(now);
	let sender = senders.get(text);
	if (sender === undefined) {
		if (senders.size >= 500 || sendersChars + text.length > 1_000_000) forgetSenders(now);
		sender = { cookies: read_cookies(text), hasCome: false, last: undefined };
		senders.set(text, sender);
		sendersChars += text.length;
	}
	return sender;
}

// Rust looks at what was read only while it is called, so that it can be freed between two calls.
function forgetSenders(now) {
	for (const { cookies } of senders.values()) cookies.free();
	senders.clear();
	sendersChars = 0;
	sendersSince = now;
}

// Not freed: what Rust read went with the instance that held it.
export function loseSenders() {
	senders.clear();
	sendersChars = 0;
}
