// What becomes of requests when Rust panics.
import { __wbg_reset_state } from "../index.js";
import { loseSenders } from "./senders.js";

// How often an instance was lost.
let losses = 0;

// How often a request that waits for Rust looks whether its instance was lost.
const GLANCE_MS = 250;

// What Rust promises; an error if the instance is lost before, for then nothing settles the promise. Each request looks for
// itself: a list of those who wait would keep whoever the runtime cancels, of which it tells nobody.
export function fromRust(promise) {
	const instance = losses;
	let glances;
	const lost = new Promise((_, reject) => {
		glances = setInterval(() => {
			if (losses !== instance) reject(new Error("lost to a panic"));
		}, GLANCE_MS);
	});
	return Promise.race([promise, lost]).finally(() => clearInterval(glances));
}

// A panic behind an await is thrown to nobody.
addEventListener("error", (event) => {
	if (isPanic(event.error)) startAnew();
});

// A stack that overflows in Rust is told as a RangeError. There are others, of JavaScript's own, which Rust survives.
function isPanic(error) {
	if (error instanceof WebAssembly.RuntimeError) return true;
	return error instanceof RangeError && error.message === "Maximum call stack size exceeded";
}

// The instance in which Rust panicked is lost, with what it held. It is replaced at once, before a callback meant for
// it could run in the next one.
function startAnew() {
	losses++;
	__wbg_reset_state();
	loseSenders();
}

// The answer to a request that could not be told anything better.
export function broken(error) {
	if (isPanic(error)) startAnew();
	console.error(JSON.stringify({ level: "error", message: "a request broke", reason: String(error?.stack ?? error) }));
	const problem = { type: "about:blank", title: "Something went wrong on our side", status: 500, code: "internal" };
	return new Response(JSON.stringify(problem), {
		status: 500,
		headers: { "Content-Type": "application/problem+json", "Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000; includeSubDomains" },
	});
}
