// What was let in does not stay open: WebSockets, event streams and the answers of rules with `stream = true` are ended
// once their standing is no longer good. Rust looks at each of them again and again, and says when to look next.
import { look, token_of } from "../index.js";
import { broken } from "./panics.js";

// How many bytes may wait for one side of a WebSocket to take them. The runtime lets nobody stop reading from the other
// side, and what waits is in the isolate's memory: a side that falls further behind is closed.
const MOST_WAITING = 16 * 1024 * 1024;

// How long the origin may take to answer when its WebSocket is closed.
const GOODBYE_MS = 5_000;

export function isEvents(kind) {
	return /^text\/event-stream\b/i.test(kind ?? "");
}

// The answer to `request`, which ends when it must. `cookies` are those of a renewal, if the request was let in with a new
// token; `cut` aborts the call to the origin.
export function watched(answer, request, method, cookies, env, ctx, cut = new AbortController()) {
	if (!answer.webSocket && answer.body === null) return answer;
	const { url, headers } = request;
	const token = token_of(headers.get("cookie") ?? "", headers.get("authorization") ?? undefined, cookies);
	if (token === undefined) throw new Error("let in without a token");
	const watch = new Watch(method, url, token, env, ctx);
	const relayed = answer.webSocket ? relaySocket(answer, watch, cut) : relayBody(answer, watch, cut, ctx);
	watch.look();
	return relayed;
}

// Looks at one open connection. It belongs to the request's context and goes with it: nothing else knows of it.
class Watch {
	// The request, and the token that it was let in with.
	constructor(method, url, token, env, ctx) {
		this.method = method;
		this.url = url;
		this.token = token;
		this.env = env;
		this.ctx = ctx;
		this.isStale = false;
		this.isOver = false;
		this.timer = undefined;
		// Called with a code and a reason once the connection must end.
		this.end = undefined;
	}

	look() {
		if (this.isOver) return;
		const said = this.ask();
		if (said[0] === "x") {
			this.stop();
			this.end(Number(said.slice(1, 5)), said.slice(6));
			return;
		}
		this.isStale = said[0] === "!";
		this.timer = setTimeout(() => this.look(), Number(said.slice(1)));
	}

	// A panic takes all that Rust knows, so it is asked once more; a connection that makes it panic again is ended.
	ask() {
		for (let tries = 0; tries < 2; tries++) {
			try {
				return look(this.method, this.url, this.token, this.isStale, this.env, this.ctx, Date.now());
			} catch (error) {
				broken(error);
			}
		}
		return "x4500 internal";
	}

	stop() {
		this.isOver = true;
		clearTimeout(this.timer);
	}
}

// An answer whose body is cut when it must end. Of one that says how long it is the client hears so, too.
function relayBody(answer, watch, cut, ctx) {
	const { headers } = answer;
	const length = headers.has("content-encoding") ? null : headers.get("content-length");
	const { readable, writable } = length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
	watch.end = (_code, reason) => cut.abort(new Error(reason));
	const stop = () => watch.stop();
	ctx.waitUntil(answer.body.pipeTo(writable, { signal: cut.signal }).then(stop, stop));
	return new Response(readable, answer);
}

function relaySocket(answer, watch, cut) {
	const [outer, client] = Object.values(new WebSocketPair());
	new Relay(client, answer.webSocket, watch, cut);
	return new Response(null, { status: 101, headers: answer.headers, webSocket: outer });
}

// Passes on between two WebSockets what each says, that it has closed, and that it was lost.
class Relay {
	constructor(client, origin, watch, cut) {
		this.client = client;
		this.origin = origin;
		this.watch = watch;
		this.cut = cut;
		this.isOver = false;
		this.closed = 0;
		// With what the client has closed its side.
		this.farewell = undefined;
		this.goodbye = undefined;
		for (const socket of [client, origin]) {
			// A blob would have to be waited for.
			socket.binaryType = "arraybuffer";
			// Who has nothing more to say may still be told what the other says.
			socket.accept({ allowHalfOpen: true });
		}
		this.pass(client, origin);
		this.pass(origin, client);
		watch.end = (code, reason) => this.end(code, reason);
	}

	pass(from, to) {
		from.addEventListener("message", ({ data }) => {
			if (this.isOver) return;
			if (to.bufferedAmount > MOST_WAITING) this.giveUp();
			else to.send(data);
		});
		from.addEventListener("close", ({ code, reason, wasClean }) => {
			if (!wasClean) return this.lose(from);
			if (from === this.client) this.farewell = { code, reason };
			close(to, code, reason);
			this.closed++;
			if (this.closed === 2) this.stop();
		});
		from.addEventListener("error", () => this.lose(from));
	}

	end(code, reason) {
		this.stop();
		close(this.client, code, reason);
		close(this.origin, code, reason);
		this.goodbye = setTimeout(() => this.cut.abort(), GOODBYE_MS);
	}

	// A side takes less than the other sends. Whoever sends so much would not stop for a closing.
	giveUp() {
		this.stop();
		close(this.client, 1013, "too_slow");
		this.cut.abort();
	}

	// A side has gone without a word. The origin is left in the same way; to the client only a closing can be sent: the
	// answer to its own, if that is what the origin owes.
	lose(side) {
		this.stop();
		const { code, reason } = this.farewell ?? { code: 1011, reason: "" };
		if (side === this.client) this.cut.abort();
		else close(this.client, code, reason);
	}

	// Nothing passes any more.
	stop() {
		this.isOver = true;
		this.watch.stop();
		clearTimeout(this.goodbye);
	}
}

// 1005 stands for a closing without a code (RFC 6455 §7.1.5). One that cannot be sent is told as a breach of the protocol;
// where nothing can be sent any more, the other side is gone.
function close(socket, code, reason) {
	try {
		if (code === 1005) socket.close();
		else socket.close(code, reason);
	} catch {
		try {
			socket.close(1002);
		} catch {}
	}
}
