// The thin entry around the Rust worker. A plain object with `fetch` and nothing else: whatever else were exported,
// other workers could call. Its parts are in `entry/`.
//
// The hot path is one synchronous call into Rust: a few header values in, one text out, and `send` does what it says.
// What `guard` cannot pass at once goes to `answer`.
import { answer, guard, initSync } from "./index.js";
import module from "./index_bg.wasm";
import { send } from "./entry/onward.js";
import { broken, fromRust } from "./entry/panics.js";
import { senderWith } from "./entry/senders.js";

initSync({ module });

export default {
	fetch(request, env, ctx) {
		try {
			const now = Date.now();
			const { method, headers } = request;
			const upgrade = headers.has("upgrade");
			// Where a request comes from matters only if it can change something.
			const safe = !upgrade && (method === "GET" || method === "HEAD");
			const sender = senderWith(headers.get("cookie") ?? "", now);
			const onward = guard(
				method,
				request.url,
				sender.cookies,
				headers.get("authorization"),
				upgrade,
				safe ? null : headers.get("sec-fetch-site"),
				safe ? null : headers.get("origin"),
				now,
			);
			return onward === undefined ? answered(request, env, ctx) : send(request, onward, env, ctx, sender, method, headers);
		} catch (error) {
			return broken(error);
		}
	},
};

async function answered(request, env, ctx) {
	try {
		const decided = fromRust(answer(request, env, ctx));
		// Rust goes on to its end if the client goes: a future that nobody wakes again keeps its memory for ever.
		ctx.waitUntil(decided.catch(() => {}));
		const result = await decided;
		return typeof result === "string" ? await send(request, result, env, ctx, undefined) : result;
	} catch (error) {
		return broken(error);
	}
}
