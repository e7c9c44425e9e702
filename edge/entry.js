// The thin entry around the Rust worker. A plain object with `fetch` and nothing else: whatever else were exported,
// other workers could call.
//
// The hot path is one synchronous call into Rust: a few header values in, one text out, and `send` does what it says.
// What `guard` cannot pass at once goes to `answer`.
import { __wbg_reset_state, answer, cache_control, guard, initSync, read_cookies, renew_knowledge, unreachable } from "./index.js";
import module from "./index_bg.wasm";

initSync({ module });

// How long the issuer may take to answer a request that is passed on to it.
const ISSUER_LIMIT_MS = 10_000;

export default {
	fetch(request, env, ctx) {
		try {
			const now = Date.now();
			const { method, headers } = request;
			const upgrade = headers.has("upgrade");
			// Where a request comes from matters only if it can change something.
			const safe = !upgrade && (method === "GET" || method === "HEAD");
			const onward = guard(
				method,
				request.url,
				cookiesIn(headers.get("cookie"), now),
				headers.get("authorization"),
				upgrade,
				safe ? null : headers.get("sec-fetch-site"),
				safe ? null : headers.get("origin"),
				now,
			);
			return onward === undefined ? answered(request, env, ctx) : send(request, onward, env, ctx, method, headers);
		} catch (error) {
			return broken(error);
		}
	},
};

// What Rust read in `Cookie` headers, by their whole texts: all requests of a page have the same. Bounded, for anybody can
// send many and long ones; and forgotten before long, for session tokens are among them.
const readCookies = new Map();
let readChars = 0;
let readSince = 0;
function cookiesIn(header, now) {
	const text = header ?? "";
	if (Math.abs(now - readSince) >= 30_000) forgetCookies(now);
	let read = readCookies.get(text);
	if (read === undefined) {
		if (readCookies.size >= 500 || readChars + text.length > 1_000_000) forgetCookies(now);
		read = read_cookies(text);
		readCookies.set(text, read);
		readChars += text.length;
	}
	return read;
}

// Rust looks at what was read only while it is called, so that it can be freed between two calls.
function forgetCookies(now) {
	for (const read of readCookies.values()) read.free();
	readCookies.clear();
	readChars = 0;
	readSince = now;
}

async function answered(request, env, ctx) {
	let tell;
	try {
		const panicked = new Promise((_, reject) => (tell = reject));
		waiting.add(tell);
		const result = await Promise.race([answer(request, env, ctx), panicked]);
		return typeof result === "string" ? await send(request, result, env, ctx) : result;
	} catch (error) {
		return broken(error);
	} finally {
		waiting.delete(tell);
	}
}

// Sends the request on. `onward` is written by `Onward::encode` in identity.rs, and read here only. `method` and `inbound`
// are the request's own: asking it again is dearer than handing them on.
function send(request, onward, env, ctx, method = request.method, inbound = request.headers) {
	// Cut by hand, which is cheaper than to split it.
	let at = 0;
	const line = () => {
		const end = onward.indexOf("\n", at);
		const text = end < 0 ? onward.slice(at) : onward.slice(at, end);
		at += text.length + 1;
		return text;
	};
	const head = line();
	const url = line();
	const dropped = line();
	// Only a body needs a copy of the whole request, which is dearer than one of its headers.
	const copy = request.body === null ? null : new Request(url, request);
	const headers = copy === null ? new Headers(inbound) : copy.headers;
	for (const name of inbound.keys()) if (endsHere(name)) headers.delete(name);
	if (dropped !== "") for (const name of dropped.split(",")) headers.delete(name);
	const cookies = [];
	while (at <= onward.length) {
		const name = line();
		const value = line();
		if (name === "+") cookies.push(value);
		else headers.set(name, value);
	}
	if (head[1] !== " ") ctx.waitUntil(renew_knowledge(env, head[1] === "i"));
	const toIssuer = head[0] === "i";
	const init = copy === null ? { method, headers, redirect: "manual" } : { redirect: "manual" };
	if (toIssuer) init.signal = AbortSignal.timeout(ISSUER_LIMIT_MS);
	else if (head[2] !== " " && hasCache(request)) init.cache = "no-store";
	const kept = (response) => {
		try {
			if (cookies.length > 0) return withCookies(response, cookies);
			return head[2] === " " ? response : restrained(response, head[2] === "o");
		} catch (error) {
			return broken(error);
		}
	};
	return fetch(copy ?? url, init).then(kept, (error) => noAnswer(request, toIssuer, error));
}

// Whether no request takes this header with it: one that concerns one hop only (RFC 9110 §7.6.1), makes some frameworks
// take another path or method than the one that was checked, or begins like ours, for some frameworks read
// `Portcullis_User` and `portcullis.user` as `Portcullis-User`. `Connection` is not obeyed, only removed: it could name our
// headers, and whoever obeyed it would drop them.
function endsHere(name) {
	switch (name) {
		case "connection":
		case "keep-alive":
		case "proxy-connection":
		case "x-original-url":
		case "x-rewrite-url":
		case "x-http-method":
		case "x-http-method-override":
		case "x-method-override":
			return true;
		default:
			return name.startsWith("portcullis");
	}
}

// Whether a cache may stand between here and the origin, which would store a guarded image or script by its URL. At
// Cloudflare one does; there alone the request names a data centre. Plain workerd has none; there alone it names the
// client's address. It is the same for all requests, and dear to ask, so it is kept once a request has told.
let cacheBehind;
function hasCache(request) {
	if (cacheBehind !== undefined) return cacheBehind;
	const { colo, clientIp } = request.cf ?? {};
	if (colo !== undefined) cacheBehind = true;
	else if (clientIp !== undefined) cacheBehind = false;
	return cacheBehind ?? true;
}

function noAnswer(request, toIssuer, error) {
	console.warn(JSON.stringify({ level: "warn", message: toIssuer ? "no answer from the issuer" : "no answer from the origin", reason: String(error) }));
	try {
		return unreachable(request, toIssuer, error?.name === "TimeoutError");
	} catch (worse) {
		return broken(worse);
	}
}

// The answer of the origin, with the cookies of a renewal beside its own. No cache may keep it.
function withCookies(response, cookies) {
	const answer = copied(response, "no-store", caching(response).targeted);
	for (const cookie of cookies) answer.headers.append("Set-Cookie", cookie);
	return answer;
}

// The answer of a guarded route, which shared caches may keep only if rule and origin say so.
function restrained(response, originDecides) {
	const { said, targeted } = caching(response);
	const control = instead(said, targeted.length > 0, originDecides);
	return control === undefined || response.status === 101 ? response : copied(response, control, targeted);
}

// What `cache_control` in Rust says, asked once for each text: an origin sends few different ones.
const controls = [new Map(), new Map(), new Map(), new Map()];
function instead(said, hasTargeted, originDecides) {
	const known = controls[(hasTargeted ? 2 : 0) + (originDecides ? 1 : 0)];
	let control = known.get(said);
	if (control === undefined && !known.has(said)) {
		if (known.size >= 100) known.clear();
		control = cache_control(said ?? undefined, hasTargeted, originDecides);
		known.set(said, control);
	}
	return control;
}

// An answer as it came cannot be changed; a copy can, and its body streams on. A status past 599 is none (RFC 9110 §15),
// and no copy can have it.
function copied(response, control, without) {
	const answer = new Response(response.body, response.status > 599 ? { status: 502, headers: response.headers } : response);
	for (const name of without) answer.headers.delete(name);
	answer.headers.set("Cache-Control", control);
	return answer;
}

// Headers that speak to shared caches alone, and win over `Cache-Control` there: those of RFC 9213, and older ones.
function isTargeted(name) {
	switch (name) {
		case "surrogate-control":
		case "edge-control":
		case "x-accel-expires":
			return true;
		default:
			return name.endsWith("-cache-control");
	}
}

// What an answer says to caches: `Cache-Control`, and the names of the headers beside it that speak to shared ones alone.
function caching(response) {
	let said = null;
	const targeted = [];
	response.headers.forEach((value, name) => {
		if (name === "cache-control") said = value;
		else if (isTargeted(name)) targeted.push(name);
	});
	return { said, targeted };
}

// Requests that wait for Rust. A panic loses what they wait for, so each must be told.
const waiting = new Set();

// A panic behind an await is thrown to nobody.
addEventListener("error", (event) => {
	if (isPanic(event.error)) startAnew();
});

function isPanic(error) {
	return error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
}

// The instance in which Rust panicked is lost, with what it held. It is replaced at once, before a callback meant for
// it could run in the next one.
function startAnew() {
	__wbg_reset_state();
	// Not freed: it went with the instance that held it.
	readCookies.clear();
	for (const tell of waiting) tell(new Error("lost to a panic"));
	waiting.clear();
}

// The answer to a request that could not be told anything better.
function broken(error) {
	if (isPanic(error)) startAnew();
	console.error(JSON.stringify({ level: "error", message: "a request broke", reason: String(error?.stack ?? error) }));
	const problem = { type: "about:blank", title: "Something went wrong on our side", status: 500, code: "internal" };
	return new Response(JSON.stringify(problem), {
		status: 500,
		headers: { "Content-Type": "application/problem+json", "Cache-Control": "no-store" },
	});
}
