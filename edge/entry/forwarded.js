// What the edge says of a request's way here: `X-Forwarded-For`, `-Host` and `-Proto`, over whatever came.
import { forwarded_for, forwarding } from "../index.js";

// Whether this is Cloudflare: there alone a request names a data centre. Plain workerd alone names the other end of the
// connection. It is the same for all requests, and dear to ask, so it is kept once a request has told.
let atCloudflare;
export function isAtCloudflare(request) {
	if (atCloudflare !== undefined) return atCloudflare;
	const { colo, clientIp } = request.cf ?? {};
	if (colo !== undefined) atCloudflare = true;
	else if (clientIp !== undefined) atCloudflare = false;
	return atCloudflare;
}

// What is the same for all requests: see `forwarding` in Rust. Not kept before it is known where this is.
let way;
function wayHere(request, env) {
	if (way !== undefined) return way;
	const place = isAtCloudflare(request);
	const said = forwarding(env, place === true);
	const [proto, host, header, peer, list] = said === undefined ? [] : said.split("\n");
	const found = { proto, host, header, isPeer: peer === "peer", list: list === "append" ? FOR : "", isSettled: place !== undefined };
	if (said !== undefined && found.isSettled) way = found;
	return found;
}

const FOR = "x-forwarded-for";

// The three headers on one sender's requests. Those of the last request serve again: what differs is set.
export class Forwarded {
	// `headers` is what goes on. The names and values that came are told with `see`, then `begin`; those of the next
	// request with `follow`, then `write`.
	constructor(headers, request, env) {
		this.headers = headers;
		this.way = wayHere(request, env);
		this.client = undefined;
		this.clientAt = -1;
		this.list = undefined;
		this.listAt = -1;
		// What stands in `X-Forwarded-For`, and whether it may be out of date.
		this.value = undefined;
		this.isOld = true;
	}

	// The header `name`, the one at place `at`, says `value`.
	see(at, name, value) {
		if (name === this.way.header) {
			this.clientAt = at;
			this.client = value;
		}
		if (name === this.way.list) {
			this.listAt = at;
			this.list = value;
		}
	}

	// The next request's header at place `at` says `value`.
	follow(at, value) {
		if (at === this.clientAt && this.client !== value) {
			this.client = value;
			this.isOld = true;
		}
		if (at === this.listAt && this.list !== value) {
			this.list = value;
			this.isOld = true;
		}
	}

	// Sets all three, for the first request. How many characters they have.
	begin(request) {
		const { proto, host } = this.way;
		if (host === undefined) return 0;
		this.headers.set("x-forwarded-host", host);
		this.headers.set("x-forwarded-proto", proto);
		return host.length + proto.length + this.write(request);
	}

	// Sets whom `request` comes from. How many characters it has more than the last one's.
	write(request) {
		if (this.way.isPeer) {
			const peer = withoutPort(request.cf?.clientIp);
			this.isOld ||= peer !== this.client;
			this.client = peer;
		}
		if (!this.isOld) return 0;
		this.isOld = false;
		const before = this.value?.length ?? 0;
		this.value = forwarded_for(this.client, this.way.isPeer, this.list);
		if (this.value === undefined) this.headers.delete(FOR);
		else this.headers.set(FOR, this.value);
		return (this.value?.length ?? 0) - before;
	}
}

// The address of the other end of a connection. Each connection of a client has another port, for which nothing need be set
// anew. An IPv6 address has its port behind brackets.
function withoutPort(peer) {
	const at = peer?.lastIndexOf(":") ?? -1;
	if (at > 0 && peer[at - 1] === "]") return peer.slice(1, at - 1);
	return at > 0 && peer.indexOf(":") === at ? peer.slice(0, at) : peer;
}
