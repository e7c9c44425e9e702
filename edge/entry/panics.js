// What becomes of requests when Rust panics.
import { __wbg_reset_state } from "../index.js";
import { loseSenders } from "./senders.js";

// Requests that wait for Rust. A panic loses what they wait for, so each must be told.
export const waiting = new Set();

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
	loseSenders();
	for (const tell of waiting) tell(new Error("lost to a panic"));
	waiting.clear();
}

// The answer to a request that could not be told anything better.
export function broken(error) {
	if (isPanic(error)) startAnew();
	console.error(JSON.stringify({ level: "error", message: "a request broke", reason: String(error?.stack ?? error) }));
	const problem = { type: "about:blank", title: "Something went wrong on our side", status: 500, code: "internal" };
	return new Response(JSON.stringify(problem), {
		status: 500,
		headers: { "Content-Type": "application/problem+json", "Cache-Control": "no-store" },
	});
}
