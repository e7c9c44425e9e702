// A request on its way to the origin or the issuer.
import { lost_upstream, renew_knowledge, too_large, unreachable } from "../index.js";
import { caching, readable, restrained, withRenewal } from "./answers.js";
import { Forwarded, isAtCloudflare } from "./forwarded.js";
import { broken } from "./panics.js";
import { isEvents, watched } from "./streams.js";
import { endsHere } from "./untrusted.js";

// How long the issuer may take to answer a request that is passed on to it.
const ISSUER_LIMIT_MS = 10_000;

// Sends the request on. `onward` is written by `Onward::encode` in identity.rs, and read here only. `method` and `inbound`
// are the request's own: asking it again is dearer than handing them on.
function send(request, onward, env, ctx, sender, method = request.method, inbound = request.headers) {
	// Cut by hand, which is cheaper than to split it.
	let at = 0;
	const line = () => {
		const end = onward.indexOf("\n", at);
		const text = onward.slice(at, end);
		at = end + 1;
		return text;
	};
	const head = line();
	const url = line();
	const assertion = line();
	const cookies = [];
	while (onward[at] === "+") cookies.push(line().slice(1));
	const cors = onward[at] === "@" ? line().slice(1) : undefined;
	const changes = onward.slice(at);
	if (head[1] !== " ") ctx.waitUntil(renew_knowledge(env, head[1] === "i"));
	const came = { request, env, inbound };
	if (head[0] === "i") return sendToIssuer(request, url, new Outgoing(new Headers(inbound), came, changes).headers);
	// Only a body needs a copy of the whole request, which is dearer than one of its headers.
	const copy = request.body === null ? null : new Request(url, request);
	const headers = copy === null ? onwardHeaders(came, changes, sender) : new Outgoing(copy.headers, came, changes).headers;
	// Headers that serve again have the last request's.
	if (assertion === "") headers.delete(ASSERTION);
	else headers.set(ASSERTION, assertion);
	const init = copy === null ? { method, headers, redirect: "manual" } : { redirect: "manual" };
	if (head[2] !== " " && hasCache(request)) init.cache = "no-store";
	// Only what may be cut must hear that it was: a signal costs.
	const cut = head[3] === "u" || head[3] === "s" ? new AbortController() : undefined;
	if (cut !== undefined) init.signal = cut.signal;
	const kept = (response) => {
		try {
			if (response.status >= 520) {
				const lost = lostBehind(response);
				if (lost !== undefined) return noAnswer(request, false, lost);
			}
			const said = head[2] === " " ? undefined : caching(response);
			let answer = said === undefined ? response : restrained(response, head[2], said);
			if (cors !== undefined) answer = readable(answer, cors, inbound.get("origin"));
			const lasts = head[3] === "s" || (head[3] !== " " && (response.status === 101 || isEvents(said?.kind)));
			return lasts ? watched(answer, request, method, cookies, env, ctx, cut) : answer;
		} catch (error) {
			return broken(error);
		}
	};
	const answered = fetch(copy ?? url, init).then(kept, (error) => noAnswer(request, false, error));
	return cookies.length === 0 ? answered : withRenewal(answered, cookies, env);
}

// The body is read whole before it is sent. An issuer that refuses a request before it has read the body would break the
// connection, and a client that sends slowly would use up the time that the issuer has for its answer.
async function sendToIssuer(request, url, headers) {
	const init = { method: request.method, headers, redirect: "manual" };
	try {
		if (request.body !== null) {
			const body = await wholeBody(request);
			if (body === undefined) return too_large(request);
			// `fetch` takes none with these methods, with which it means nothing (RFC 9110 §9.3.1).
			if (request.method !== "GET" && request.method !== "HEAD") init.body = body;
			headers.delete("content-length");
		}
		init.signal = AbortSignal.timeout(ISSUER_LIMIT_MS);
		const response = await fetch(url, init);
		const lost = lostBehind(response);
		return lost === undefined ? response : noAnswer(request, true, lost);
	} catch (error) {
		return noAnswer(request, true, error);
	}
}

// Nothing if it is longer than the issuer takes. It is read to its end all the same: a client that still sends may not see
// an answer.
async function wholeBody(request) {
	const body = new Uint8Array(LONGEST_BODY);
	let length = 0;
	for await (const piece of request.body) {
		if (length + piece.length <= LONGEST_BODY) body.set(piece, length);
		length += piece.length;
	}
	return length > LONGEST_BODY ? undefined : body.subarray(0, length);
}

// `LONGEST_BODY` in shared/src/wire.rs.
const LONGEST_BODY = 32_768;

const ASSERTION = "portcullis-assertion";

// The headers that go on, but for the assertion. A browser's requests are much alike: those of the sender's last one serve
// again, with the values set that differ, which is cheaper than to copy all of them and have the copy collected. `fetch`
// takes a copy of its own before the next request comes.
function onwardHeaders(came, changes, sender) {
	if (sender?.last?.changes === changes && sender.last.follow(came)) return sender.last.headers;
	const made = new Outgoing(new Headers(came.inbound), came, changes);
	if (sender !== undefined) {
		// One who never comes again shall leave nothing to collect.
		sender.last = sender.hasCome && made.canFollow() ? made : undefined;
		sender.hasCome = true;
	}
	return made.headers;
}

// Headers on their way, and what they were made of.
class Outgoing {
	// `headers` is a copy of those that came with `request`, `inbound`. `changes`: the names of those to take off, beside
	// those that never go on, between commas; then lines of a name and lines of the value to set, in turn.
	constructor(headers, { request, env, inbound }, changes) {
		this.headers = headers;
		this.changes = changes;
		this.names = [];
		// As they came; `null` where nothing of it goes on.
		this.values = [];
		// How long all of this is.
		this.chars = changes.length;
		this.forwarded = new Forwarded(headers, request, env);
		const atCloudflare = isAtCloudflare(request) === true;
		inbound.forEach((value, name) => {
			this.forwarded.see(this.names.length, name, value);
			this.names.push(name);
			this.values.push(value);
			this.chars += name.length + value.length;
			if (endsHere(name, atCloudflare)) this.takeOff(name);
		});
		const [dropped, ...set] = changes.split("\n");
		if (dropped !== "") dropped.split(",").forEach((name) => this.takeOff(name));
		for (let at = 0; at < set.length; at += 2) {
			this.forget(set[at]);
			headers.set(set[at], set[at + 1]);
		}
		this.chars += this.forwarded.begin(request);
	}

	takeOff(name) {
		this.headers.delete(name);
		this.forget(name);
	}

	forget(name) {
		const at = this.names.indexOf(name);
		if (at < 0 || this.values[at] === null) return;
		this.chars -= this.values[at].length;
		this.values[at] = null;
	}

	// Whether a difference to what comes next would be seen and could be set, and this is not too long to keep. The runtime
	// tells `Set-Cookie` line by line, and a name that comes twice cannot be set twice.
	canFollow() {
		if (this.chars > MOST_CHARS || this.names.includes("set-cookie") || !this.forwarded.way.isSettled) return false;
		return this.values.every((value) => value === null || PLAIN.test(value));
	}

	// Makes these the headers of the next request, which must have the same names and the same `changes`. If it answers no,
	// they are of no use any more.
	follow({ request, inbound }) {
		let at = 0;
		let can = true;
		inbound.forEach((value, name) => {
			can = can && this.names[at] === name && this.followAt(at, value);
			at++;
		});
		if (!can || at !== this.names.length) return false;
		this.chars += this.forwarded.write(request);
		return this.chars <= MOST_CHARS;
	}

	followAt(at, value) {
		const last = this.values[at];
		if (last === value) return true;
		this.forwarded.follow(at, value);
		if (last === null) return true;
		this.chars += value.length - last.length;
		if (this.chars > MOST_CHARS || !PLAIN.test(value)) return false;
		this.headers.set(this.names[at], value);
		this.values[at] = value;
		return true;
	}
}

// The longest that are kept. A browser's have about a thousand characters, and the origin's own cookies twice.
const MOST_CHARS = 8_192;

// Other bytes do not survive being read as text and set again, and two such values can look the same.
const PLAIN = /^[\t\x20-\x7e]*$/;

// Whether a cache may stand between here and the origin, which would store a guarded image or script by its URL. At
// Cloudflare one does, and plain workerd has none.
function hasCache(request) {
	return isAtCloudflare(request) ?? true;
}

// The error that `fetch` would have thrown had not Cloudflare answered in the upstream's place.
function lostBehind(response) {
	const timedOut = lost_upstream(response.status);
	if (timedOut === undefined) return undefined;
	response.body?.cancel().catch(() => {});
	return new DOMException(`status ${response.status} of Cloudflare's`, timedOut ? "TimeoutError" : "NetworkError");
}

function noAnswer(request, toIssuer, error) {
	console.warn(JSON.stringify({ level: "warn", message: toIssuer ? "no answer from the issuer" : "no answer from the origin", reason: String(error) }));
	try {
		return unreachable(request, toIssuer, error?.name === "TimeoutError");
	} catch (worse) {
		return broken(worse);
	}
}

export { send };
