// The thin entry around the Rust worker. A plain object with `fetch` and nothing else: whatever else were exported,
// other workers could call.
//
// The hot path is one synchronous call into Rust: a few header values in, one text out, and the untouched request goes
// on; the promise of its answer is returned as it is. What `guard` cannot pass at once goes to `answer`.
import { __wbg_reset_state, answer, cache_control, guard, initSync, renew_knowledge, unreachable } from "./index.js";
import module from "./index_bg.wasm";

initSync({ module });

// How long the issuer may take to answer a request that is passed on to it.
const ISSUER_LIMIT_MS = 10_000;

// Keeps Cloudflare's own cache out of the way to the origin, which would store a guarded image or script by its URL.
const UNCACHED = { cache: "no-store" };

// Headers that speak to shared caches alone, and win over `Cache-Control` there: those of RFC 9213, and older ones.
const TARGETED = /(?:.-cache|^surrogate|^edge)-control$|^x-accel-expires$/;

export default {
	fetch(request, env, ctx) {
		try {
			const { method, headers } = request;
			let names = "";
			// Where a request comes from matters only if it can change something.
			let safe = method === "GET" || method === "HEAD";
			for (const name of headers.keys()) {
				names += name + "\n";
				if (name === "upgrade") safe = false;
			}
			const onward = guard(
				method,
				request.url,
				names,
				headers.get("cookie"),
				headers.get("authorization"),
				safe ? null : headers.get("sec-fetch-site"),
				safe ? null : headers.get("origin"),
				Date.now(),
			);
			return onward === undefined ? answered(request, names, env, ctx) : send(request, onward, env, ctx);
		} catch (error) {
			return broken(error);
		}
	},
};

async function answered(request, names, env, ctx) {
	let tell;
	try {
		const panicked = new Promise((_, reject) => (tell = reject));
		waiting.add(tell);
		const result = await Promise.race([answer(request, names, env, ctx), panicked]);
		return typeof result === "string" ? await send(request, result, env, ctx) : result;
	} catch (error) {
		return broken(error);
	} finally {
		waiting.delete(tell);
	}
}

// Sends the request on. `onward` is written by `Onward::encode` in identity.rs, and read here only.
function send(request, onward, env, ctx) {
	const [head, url, dropped, ...lines] = onward.split("\n");
	const sent = new Request(url, request);
	const { headers } = sent;
	if (dropped !== "") for (const name of dropped.split(",")) headers.delete(name);
	const cookies = [];
	for (const line of lines) {
		if (line[0] === "+") {
			cookies.push(line.slice(1));
			continue;
		}
		const colon = line.indexOf(":");
		headers.set(line.slice(0, colon), line.slice(colon + 1));
	}
	if (head[1] !== " ") ctx.waitUntil(renew_knowledge(env, head[1] === "i"));
	const toIssuer = head[0] === "i";
	const kept = (response) => (cookies.length > 0 ? withCookies(response, cookies) : head[2] === " " ? response : restrained(response, head[2] === "o"));
	// Only Cloudflare, which has a cache, names a data centre.
	const uncached = head[2] === "p" && request.cf?.colo !== undefined;
	return sendTo(toIssuer, sent, uncached).then(kept, (error) => noAnswer(request, toIssuer, error)).catch(broken);
}

// An incoming request follows no redirects, nor does its copy. A second argument to `fetch` makes another copy of the
// headers, so there is none on the ordinary way.
function sendTo(toIssuer, sent, uncached) {
	if (toIssuer) return fetch(sent, { redirect: "manual", signal: AbortSignal.timeout(ISSUER_LIMIT_MS) });
	return uncached ? fetch(sent, UNCACHED) : fetch(sent);
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
	const answer = copied(response, "no-store", targeted(response));
	for (const cookie of cookies) answer.headers.append("Set-Cookie", cookie);
	return answer;
}

// The answer of a guarded route, which shared caches may keep only if rule and origin say so.
function restrained(response, originDecides) {
	if (response.status === 101) return response;
	const names = targeted(response);
	const control = cache_control(response.headers.get("cache-control") ?? undefined, names.length > 0, originDecides);
	return control === undefined ? response : copied(response, control, names);
}

// An answer as it came cannot be changed; a copy can, and its body streams on. A status past 599 is none (RFC 9110 §15),
// and no copy can have it.
function copied(response, control, without) {
	const answer = new Response(response.body, response.status > 599 ? { status: 502, headers: response.headers } : response);
	for (const name of without) answer.headers.delete(name);
	answer.headers.set("Cache-Control", control);
	return answer;
}

function targeted(response) {
	const names = [];
	for (const name of response.headers.keys()) if (TARGETED.test(name)) names.push(name);
	return names;
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
