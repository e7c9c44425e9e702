// Answers on their way back: cookies of a renewal, and what caches may keep.
import { cache_control } from "../index.js";

// The answer of the origin, with the cookies of a renewal beside its own. No cache may keep it.
export function withCookies(response, cookies) {
	const answer = copied(response, "no-store", caching(response).targeted);
	for (const cookie of cookies) answer.headers.append("Set-Cookie", cookie);
	return answer;
}

// The answer of a guarded route, which shared caches may keep only if rule and origin say so.
export function restrained(response, originDecides) {
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
