// Answers on their way back: cookies of a renewal, what caches may keep, and whose scripts may read them.
import { cache_control, present_cookies, reader } from "../index.js";
import { broken, fromRust } from "./panics.js";

// The answer to a request whose session was renewed in the middle of it: with the new cookies beside its own, whatever has
// become of the request, unless newer ones were given out meanwhile. No cache may keep it.
export async function withRenewal(answered, cookies, env) {
	const renewedAt = Date.now();
	let answer;
	try {
		answer = await answered;
		return withCookies(answer, await fromRust(present_cookies(env, cookies, renewedAt)));
	} catch (error) {
		return withCookies(answer ?? broken(error), cookies);
	}
}

function withCookies(response, cookies) {
	const answer = copied(response, "no-store", caching(response).targeted);
	for (const cookie of cookies) answer.headers.append("Set-Cookie", cookie);
	return answer;
}

// The answer of a guarded route, of which `said` and `targeted` are what it says to caches. Shared caches may keep it only if
// rule (`keeping`, as in `Onward::encode`) and origin say so, and nobody if the rule says that.
export function restrained(response, keeping, { said, targeted }) {
	const control = keeping === "n" ? "no-store" : instead(said, targeted.length > 0, keeping === "o");
	return control === undefined || response.status === 101 ? response : copied(response, control, targeted);
}

// The answer of a route whose rule says whose scripts may read it: written over what the origin says, for browsers refuse
// two values, and credentials are never among it. `cors` is written by `Cors::onward` in cors.rs.
export function readable(response, cors, origin) {
	if (response.status === 101) return response;
	const [origins, exposed] = cors.split("\t");
	const answer = changeable(response);
	const { headers } = answer;
	headers.delete("Access-Control-Allow-Credentials");
	const by = reader(origins, origin ?? undefined);
	if (by === undefined) headers.delete("Access-Control-Allow-Origin");
	else headers.set("Access-Control-Allow-Origin", by);
	if (exposed !== "") headers.set("Access-Control-Expose-Headers", exposed);
	// Also for whom it does not let read: a cache must not give their answer to others.
	if (origins !== "*") headers.append("Vary", "Origin");
	return answer;
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

function copied(response, control, without) {
	const answer = changeable(response);
	for (const name of without) answer.headers.delete(name);
	answer.headers.set("Cache-Control", control);
	return answer;
}

// An answer as it came cannot be changed; a copy can, and its body streams on.
function changeable(response) {
	return new Response(response.body, copyable(response));
}

// What a copy is made of. A status past 599 is none (RFC 9110 §15), and no copy can have it.
function copyable(response) {
	const { status, headers, webSocket } = response;
	if (status === 101) return { status, headers, webSocket };
	return status > 599 ? { status: 502, headers } : response;
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
// And its `Content-Type`, from the same walk.
export function caching(response) {
	let said = null;
	let kind = null;
	const targeted = [];
	response.headers.forEach((value, name) => {
		if (name === "cache-control") said = value;
		else if (name === "content-type") kind = value;
		else if (isTargeted(name)) targeted.push(name);
	});
	return { said, targeted, kind };
}
